"""Averages over a given number of cells, whatever the size of the map: ONNX has no such operator.

The translation that comes with PyTorch takes the size of the map at export for the size for ever.
"""

from collections.abc import Sequence
from typing import Any

from onnxscript import opset18

Value = Any
"""A tensor of the ONNX graph under construction."""

op: Any = opset18  # while a graph is under construction, operators add nodes and return `Value`s


def adaptive_average(x: Value, output_size: Sequence[Any]) -> Value:
    """Add the nodes of `torch.nn.functional.adaptive_avg_pool2d` to the ONNX graph.

    Args:
        x: Maps (..., H, W).
        output_size: Cells along H and along W, each a number or a tensor that holds one.

    Returns:
        Maps (..., cells along H, cells along W).
    """
    rows = _weights(op.Shape(x, start=-2, end=-1), output_size[0])
    columns = _weights(op.Shape(x, start=-1), output_size[1])
    return op.MatMul(op.MatMul(rows, x), op.Transpose(columns, perm=[1, 0]))


def _weights(size: Value, cells: Value) -> Value:
    """Weights of positions in cells (cells, size); cell j is floor(j s / c) to ceil((j + 1) s / c).

    `cells` is a number, or a tensor that holds one.
    """
    one = op.Constant(value_ints=[1])
    cells = op.Constant(value_ints=[cells]) if isinstance(cells, int) else op.Reshape(cells, one)
    position, cell = _count(size), op.Unsqueeze(_count(cells), one)
    first = op.Div(op.Mul(cell, size), cells)
    end = op.Div(op.Sub(op.Add(op.Mul(op.Add(cell, one), size), cells), one), cells)
    inside = op.And(op.GreaterOrEqual(position, first), op.Less(position, end))
    return op.Div(op.Cast(inside, to=1), op.Cast(op.Sub(end, first), to=1))  # 1 is float32


def _count(stop: Value) -> Value:
    """0, 1, ..., stop - 1."""
    return op.Range(op.Constant(value_int=0), op.Squeeze(stop), op.Constant(value_int=1))
