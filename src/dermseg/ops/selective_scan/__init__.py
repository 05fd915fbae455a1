"""Selective scan (S6): `reference.py` is the specification, `cpu.py` and `gpu.py` the fast paths."""

from dermseg.ops.selective_scan.op import selective_scan

__all__ = ["selective_scan"]
