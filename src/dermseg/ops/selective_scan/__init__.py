"""Selective scan (S6): `reference.py` is the specification, `cpu.py` the fast path, `op.py` chooses."""

from dermseg.ops.selective_scan.op import selective_scan

__all__ = ["selective_scan"]
