"""Layer normalisation times a SiLU gate: `op.py` is the specification, `cpu.py` the fast path."""

from dermseg.ops.gate.op import normalise_gate

__all__ = ["normalise_gate"]
