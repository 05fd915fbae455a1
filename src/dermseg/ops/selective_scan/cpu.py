"""Interim: the kernels land in the next commit."""

from dermseg.ops.selective_scan.reference import selective_scan

__all__ = ["selective_scan"]
