"""The costs of a network, stage by stage, from shapes alone: no real number is computed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from dermseg.costs.counter import SCAN, CostCounter
from dermseg.models.registry import create_model
from dermseg.ops.backend import VARIABLE

DEPTH = 2
"""Levels of modules that are listed as stages; a list of modules is no level."""
SHARE = 0.01
"""Of the network's parameters or multiply-adds, beyond which a stage's own parts are listed."""


@dataclass(frozen=True)
class StageCosts:
    """What a stage costs, what is inside it included."""

    name: str
    """Of the module in the network."""
    depth: int
    """1 for the network's own parts, 2 for theirs."""
    shapes: tuple[tuple[int, ...], ...]
    """Of what it returns at its first call; none where it is called in parts only."""
    parameters: int
    multiply_adds: int
    peak_bytes: int
    """Most bytes of activations alive while it runs, those that wait for later stages included."""


@dataclass(frozen=True)
class NetworkCosts:
    """What one forward pass over one image costs, in evaluation mode, in float32."""

    size: int
    """Side of the square image."""
    parameters: int
    multiply_adds: int
    """All of them, the scan included."""
    scan: int
    """Those of the scan."""
    printed: int
    """The smaller number that papers print: that of layers which are modules (convolutions, linear layers,
    norms), without the scan, products of bare parameters and attention."""
    peak_bytes: int
    """Most bytes of activations alive at any time; parameters and the image are not in it."""
    stages: tuple[StageCosts, ...]
    """In the order of their first calls, each followed by its own parts where these are worth a line."""


def network_costs(name: str, size: int = 256, **arguments: object) -> NetworkCosts:
    """Work out the costs of a network.

    Args:
        name: In the registry.
        size: Side of the square image, in pixels.
        **arguments: Of the network.

    Raises:
        ConfigError: If there is no such network or argument.
    """
    with torch.device("meta"):
        model = create_model(name, **arguments).eval()
    counter = CostCounter()
    with _compiled_operators(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        tensors = {key: torch.empty_like(value, device="cpu") for key, value in _tensors(model)}
        images = torch.empty(1, 3, size, size)
        with counter.of(model, images, *tensors.values()):
            functional_call(model, tensors, (images,))
    return NetworkCosts(
        size=size,
        parameters=_parameters(model),
        multiply_adds=sum(counter.multiply_adds.values()),
        scan=sum(count for (_, kind), count in counter.multiply_adds.items() if kind == SCAN),
        printed=sum(counter.printed.values()),
        peak_bytes=counter.peak,
        stages=tuple(_stages(model, "", 1, _Worth(model, counter), counter)),
    )


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def _compiled_operators() -> Iterator[None]:
    """Have each scan arrive as one operator: the reference is a loop, of which a counter sees the steps."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "numba"
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


class _Worth:
    """Whether the parts of a stage are worth listing."""

    def __init__(self, model: nn.Module, counter: CostCounter) -> None:
        self.parameters = SHARE * _parameters(model)
        self.multiply_adds = SHARE * sum(counter.multiply_adds.values())

    def __call__(self, stage: StageCosts) -> bool:
        return stage.parameters > self.parameters or stage.multiply_adds > self.multiply_adds


def _stages(
    module: nn.Module, prefix: str, depth: int, worth: _Worth, counter: CostCounter
) -> Iterator[StageCosts]:
    """List the parts of a module that were called, in the order of their first calls."""
    first = {key: place for place, key in reversed(list(enumerate(counter.shapes)))}
    calls = {
        name: min((place for key, place in first.items() if _is_in(key, name)), default=None)
        for name, _ in _parts(module, prefix)
    }
    called = [
        (place, name, part) for name, part in _parts(module, prefix) if (place := calls[name]) is not None
    ]
    for _, name, part in sorted(called, key=lambda item: item[0]):
        stage = _stage(name, part, depth, counter)
        if stage.parameters or stage.multiply_adds:
            yield stage
            # A row of layers is one thing.
            structured = any(list(_parts(inner, "")) for _, inner in _parts(part, ""))
            if depth < DEPTH and worth(stage) and structured:
                yield from _stages(part, f"{name}.", depth + 1, worth, counter)


def _parts(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Go through the parts of a module; a list of modules is not a part, its items are."""
    for name, part in module.named_children():
        if isinstance(part, (nn.ModuleList, nn.ModuleDict)):
            yield from _parts(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _stage(name: str, module: nn.Module, depth: int, counter: CostCounter) -> StageCosts:
    counts = (count for (key, _), count in counter.multiply_adds.items() if _is_in(key, name))
    peaks = (peak for key, peak in counter.peaks.items() if _is_in(key, name))
    return StageCosts(
        name=name,
        depth=depth,
        shapes=tuple(counter.shapes.get(name, ())),
        parameters=_parameters(module),
        multiply_adds=sum(counts),
        peak_bytes=max(peaks, default=0),
    )


def _is_in(key: str, name: str) -> bool:
    """Whether a module is the named one or inside it."""
    return key == name or key.startswith(f"{name}.")
