"""The loops of the scan's ONNX forms, and the softplus, written in onnxscript; `export.py` combines them.

onnxscript compiles these functions to ONNX: operators on their arguments are ONNX operators, annotations name
axes, and a function under `@graph()` is the body of a `Scan`. Shapes are those stated in `export.py`.
"""

from onnxscript import FLOAT, graph, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

State = FLOAT["K", "batch", "N", "channels"]
States = FLOAT["G", "K", "batch", "N", "channels"]
Rows = FLOAT["K", 1, "N", "channels"]
Steps = FLOAT["T", "G", "K", "batch", "rows", "columns"]
Step = FLOAT["G", "K", "batch", "rows", "columns"]

_DERMSEG = Opset("dermseg", 1)


@script(_DERMSEG, default_opset=op)
def softplus(x: FLOAT[...]) -> FLOAT[...]:
    """log(1 + e^x), accurate also where it is small, of operators that ONNX Runtime vectorises.

    There is no `Log1p`: what 1 + e^x loses to rounding is added to the logarithm to first order.
    `benchmarks/export.py` times it beside the operator `Softplus`.
    """
    one = op.CastLike(1.0, x)
    small = op.Exp(op.Neg(op.Abs(x)))
    u = one + small
    return op.Relu(x) + (op.Log(u) + (small - (u - one)) / u)


@script(_DERMSEG, default_opset=op)
def last_states(start: States, step: Steps, drive: Steps, B: Steps, A: Rows) -> FLOAT[...]:
    """State after the last step of every chunk (Eq 3)."""

    @graph()
    def advance(h: Step, step_t: Step, drive_t: Step, B_t: Step) -> Step:
        return op.Exp(step_t * A) * h + B_t * drive_t

    return op.Scan(start, step, drive, B, body=advance, num_scan_inputs=3)


@script(_DERMSEG, default_opset=op)
def chunk_starts(decay: Step, ends: Step) -> Step:
    """State before the first step of every chunk, from where each would end if it began with nothing."""

    @graph()
    def advance(h: State, decay_g: State, end_g: State):  # noqa: ANN202
        h_next = decay_g * h + end_g
        before = op.Identity(h)
        return h_next, before

    first = op.Gather(ends, 0, axis=0)
    _, starts = op.Scan(first - first, decay, ends, body=advance, num_scan_inputs=2)
    return starts


@script(_DERMSEG, default_opset=op)
def outputs(start: States, step: Steps, drive: Steps, B: Steps, C: Steps, A: Rows) -> FLOAT[...]:
    """Output of every step, without the direct path (Eq 3)."""

    @graph()
    def advance(h: Step, step_t: Step, drive_t: Step, B_t: Step, C_t: Step):  # noqa: ANN202
        h_t = op.Exp(step_t * A) * h + B_t * drive_t
        y_t = op.MatMul(C_t, h_t)
        return h_t, y_t

    _, y = op.Scan(start, step, drive, B, C, body=advance, num_scan_inputs=4)
    return y
