"""The sLSTM recurrence in standard ONNX operators: one `Scan` over the time steps."""

from onnxscript import FLOAT, graph, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

_DERMSEG = Opset("dermseg", 1)

Preactivations = FLOAT["batch", "T", 4, "heads", "head_dim"]
Weights = FLOAT[4, "heads", "head_dim", "head_dim"]
Part = FLOAT["batch", "heads", "head_dim"]
Hidden = FLOAT["batch", "T", "heads", "head_dim"]
ByHead = FLOAT["heads", "batch", "features"]


@script(_DERMSEG, default_opset=op)
def slstm_scan(
    preactivations: Preactivations, R: Weights, c: Part, n: Part, m: Part, h: Part
) -> tuple[Hidden, Part, Part, Part]:
    """Run Eqs 6-8 as `dermseg.ops.slstm.reference.slstm` does.

    Args:
        preactivations: Wx + b of the gates z, i, f, o, in this order (batch, T, 4, heads, head_dim).
        R: Recurrent weights of the gates, one block per head (4, heads, head_dim, head_dim).
        c: Memory cell before the first step (batch, heads, head_dim).
        n: Normaliser before the first step, of the same shape.
        m: Stabiliser before the first step, of the same shape; -inf where nothing was stored yet.
        h: Hidden state before the first step, of the same shape.

    Returns:
        Hidden states (batch, T, heads, head_dim), and c, n, m after the last step.
    """
    # Heads first, so that a step is one matrix product per head for all four gates.
    steps = op.Reshape(op.Transpose(preactivations, perm=[1, 3, 0, 2, 4]), [0, 0, 0, -1])
    weights = op.Reshape(op.Transpose(R, perm=[1, 3, 0, 2]), [0, 0, -1])

    @graph()
    def advance(c: ByHead, n: ByHead, m: ByHead, h: ByHead, step: ByHead):  # noqa: ANN202
        z, i, f, o = op.Split(step + op.MatMul(h, weights), axis=-1, num_outputs=4)
        m_t = op.Max(f + m, i)
        f_gate = op.Exp(f + m - m_t)
        i_gate = op.Exp(i - m_t)
        c_t = f_gate * c + i_gate * op.Tanh(z)  # Eq 6
        n_t = f_gate * n + i_gate  # Eq 7
        h_t = op.Sigmoid(o) * c_t / n_t  # Eq 8
        hidden = op.Identity(h_t)
        return c_t, n_t, m_t, h_t, hidden

    c_last, n_last, m_last, _, hidden = op.Scan(
        op.Transpose(c, perm=[1, 0, 2]),
        op.Transpose(n, perm=[1, 0, 2]),
        op.Transpose(m, perm=[1, 0, 2]),
        op.Transpose(h, perm=[1, 0, 2]),
        steps,
        body=advance,
        num_scan_inputs=1,
    )
    return (
        op.Transpose(hidden, perm=[2, 0, 1, 3]),
        op.Transpose(c_last, perm=[1, 0, 2]),
        op.Transpose(n_last, perm=[1, 0, 2]),
        op.Transpose(m_last, perm=[1, 0, 2]),
    )
