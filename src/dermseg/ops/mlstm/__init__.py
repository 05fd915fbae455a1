"""mLSTM recurrence: `reference.py` is the specification, `chunkwise.py` the fast path, `op.py` chooses."""

from dermseg.ops.mlstm.op import mlstm
from dermseg.ops.mlstm.state import MLSTMState

__all__ = ["MLSTMState", "mlstm"]
