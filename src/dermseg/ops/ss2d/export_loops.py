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
Steps = FLOAT["M", "T", "G", "K", "batch", "rows", "columns"]
Block = FLOAT["T", "G", "K", "batch", "rows", "columns"]
Step = FLOAT["G", "K", "batch", "rows", "columns"]

_DERMSEG = Opset("dermseg", 1)


@script(_DERMSEG, default_opset=op)
def softplus(x: FLOAT[...]) -> FLOAT[...]:
    """log(1 + e^x), accurate also where it is small, of operators that ONNX Runtime vectorises.

    There is no `Log1p`: what u = 1 + e^-|x| loses to rounding is added to its logarithm, without the factor
    1 / u of a first-order correction: where that is not 1, the logarithm is so large that it does not count.
    `benchmarks/export.py` times it beside the operator `Softplus`.
    """
    one = op.CastLike(1.0, x)
    small = op.Exp(op.Neg(op.Abs(x)))
    u = one + small
    return op.Relu(x) + (op.Log(u) + (small - (u - one)))


@script(_DERMSEG, default_opset=op)
def outputs(start: State, step: Steps, drive: Steps, B: Steps, C: Steps, A: Rows) -> FLOAT[...]:
    """What every step of every block gives of the states before it (Eq 3), one step after the other."""

    @graph()
    def walk(h: States, step_m: Block, drive_m: Block, B_m: Block, C_m: Block):  # noqa: ANN202
        decay = op.Exp(step_m * A)
        gain = B_m * drive_m

        @graph()
        def advance(g: States, decay_t: Step, gain_t: Step):  # noqa: ANN202
            kept_t = decay_t * g
            g_t = kept_t + gain_t
            return g_t, kept_t

        h_m, kept_m = op.Scan(h, decay, gain, body=advance, num_scan_inputs=2)
        y_m = op.MatMul(C_m, kept_m)
        return h_m, y_m

    _, y = op.Scan(op.Unsqueeze(start, [0]), step, drive, B, C, body=walk, num_scan_inputs=4)
    return y


@script(_DERMSEG, default_opset=op)
def chunked_outputs(start: State, step: Steps, drive: Steps, B: Steps, C: Steps, A: Rows) -> FLOAT[...]:
    """The same, with the chunks of a block side by side."""

    @graph()
    def walk(h: State, step_m: Block, drive_m: Block, B_m: Block, C_m: Block):  # noqa: ANN202
        decay = op.Exp(step_m * A)
        gain = B_m * drive_m
        over_chunk = op.Exp(op.ReduceSum(step_m, [0], keepdims=0) * A)

        @graph()
        def end(e: States, decay_t: Step, gain_t: Step) -> States:
            return decay_t * e + gain_t

        ends = op.Scan(over_chunk - over_chunk, decay, gain, body=end, num_scan_inputs=2)

        @graph()
        def pass_on(s: State, decay_g: State, end_g: State):  # noqa: ANN202
            s_next = decay_g * s + end_g
            before = op.Identity(s)
            return s_next, before

        h_m, starts = op.Scan(h, over_chunk, ends, body=pass_on, num_scan_inputs=2)

        @graph()
        def advance(g: States, decay_t2: Step, gain_t2: Step):  # noqa: ANN202
            kept_t = decay_t2 * g
            g_t = kept_t + gain_t2
            return g_t, kept_t

        _, kept_m = op.Scan(starts, decay, gain, body=advance, num_scan_inputs=2)
        y_m = op.MatMul(C_m, kept_m)
        return h_m, y_m

    _, y = op.Scan(start, step, drive, B, C, body=walk, num_scan_inputs=4)
    return y
