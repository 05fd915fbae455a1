"""sLSTM recurrence: `reference.py` is the specification, `cpu.py` and `gpu.py` are fast, `op.py` chooses."""

from dermseg.ops.slstm.op import slstm
from dermseg.ops.slstm.state import SLSTMState

__all__ = ["SLSTMState", "slstm"]
