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
SHARE = 0.05
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
    passes: int
    """Passes over the image that make one prediction."""
    multiply_adds: int
    """Those of all passes, the scan included."""
    scan: int
    """Those of the scan."""
    printed: int
    """The number that papers print, as thop counts: that of layers which are modules (convolutions, linear
    layers, norms), without the scan, products of bare parameters and attention. Norms, which `multiply_adds`
    leaves out, make it the larger of the two in plain convolutional networks; elsewhere it may be smaller.
    A paper's own number is lower where its release has a bare parameter and this network a layer."""
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
        passes=model.passes,
        multiply_adds=sum(counter.multiply_adds.values()),
        scan=sum(count for (_, kind), count in counter.multiply_adds.items() if kind == SCAN),
        printed=sum(counter.printed.values()),
        peak_bytes=counter.peak,
        stages=tuple(_Listing(model, counter).inside(model)),
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


class _Listing:
    """Makes the list of stages out of what was counted."""

    def __init__(self, model: nn.Module, counter: CostCounter) -> None:
        self.counter = counter
        self.parameters = SHARE * _parameters(model)
        self.multiply_adds = SHARE * sum(counter.multiply_adds.values())

    def inside(self, module: nn.Module, prefix: str = "", depth: int = 1) -> Iterator[StageCosts]:
        """List the parts of a module that were called, in the order of their first calls."""
        called = [
            (place, name, part) for name, part in _parts(module, prefix) for place in self._calls(name)[:1]
        ]
        for _, name, part in sorted(called, key=lambda item: item[0]):
            stage = self._stage(name, part, depth)
            if stage.parameters or stage.multiply_adds:
                yield stage
                if depth < DEPTH and self._is_worth_opening(stage, part):
                    yield from self.inside(part, f"{name}.", depth + 1)

    def _calls(self, name: str) -> list[int]:
        """Return the places of a module, and of those inside it, in the order of first calls."""
        return [place for place, key in enumerate(self.counter.shapes) if _is_in(key, name)]

    def _is_worth_opening(self, stage: StageCosts, module: nn.Module) -> bool:
        large = stage.parameters > self.parameters or stage.multiply_adds > self.multiply_adds
        # A row of layers is one thing.
        return large and any(list(_parts(part, "")) for _, part in _parts(module, ""))

    def _stage(self, name: str, module: nn.Module, depth: int) -> StageCosts:
        counter = self.counter
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


def _parts(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Go through the parts of a module; a list of modules is not a part, its items are."""
    for name, part in module.named_children():
        if isinstance(part, (nn.ModuleList, nn.ModuleDict)):
            yield from _parts(part, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", part


def _is_in(key: str, name: str) -> bool:
    """Whether a module is the named one or inside it."""
    return key == name or key.startswith(f"{name}.")
