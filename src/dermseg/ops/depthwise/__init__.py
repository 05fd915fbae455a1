"""Depthwise 3x3 convolution followed by SiLU: `op.py` is the specification, `cpu.py` the fast path."""

from dermseg.ops.depthwise.op import convolve_silu

__all__ = ["convolve_silu"]
