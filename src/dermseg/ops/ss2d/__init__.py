"""SS2D, the four-direction scan of a map: `reference.py` specifies, `cpu.py` and `gpu.py` are fast."""

from dermseg.ops.ss2d.op import projected_ss2d_scan, ss2d_scan

__all__ = ["projected_ss2d_scan", "ss2d_scan"]
