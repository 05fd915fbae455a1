"""An operator in a module of its own, written to ONNX and run by ONNX Runtime."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from dermseg.export.onnx import Form, translations


class Alone(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def as_onnx(
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    free: Sequence[tuple[int, ...]],
    path: Path,
    form: Form = "scan",
) -> Callable[..., list[Tensor]]:
    """Write an operator to ONNX and return a function that runs the file.

    Args:
        function: The operator.
        inputs: Example inputs; axes that are free must not have length 1.
        free: Axes of every input that may take any length.
        path: Where the file is written.
        form: How scans are written.
    """
    axes = tuple(dict.fromkeys(given, torch.export.Dim.AUTO) for given in free)
    with torch.no_grad():
        program = torch.export.export(Alone(function), tuple(inputs), dynamic_shapes=(axes,))
    written = torch.onnx.export(
        program, dynamo=True, opset_version=20, custom_translation_table=translations(form), verbose=False
    )
    assert written is not None
    written.save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*given: Tensor) -> list[Tensor]:
        feed = {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
        return [torch.from_numpy(result) for result in session.run(None, feed)]

    return run
