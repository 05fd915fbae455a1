"""A counter below PyTorch's operators: multiply-adds and live memory, by the module that asked for them."""

import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary
from typing_extensions import override

from dermseg.costs import operators

Formula = Callable[..., int]
SCAN = "scan"
PRODUCTS = "products"
"""Kinds of multiply-adds: those of S6 scans, and those of matrix products, convolutions and recurrences."""
NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
)
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


def _scan(x: Tensor, _delta: Tensor, A: Tensor, *_: object, **__: object) -> int:
    batch, height, width, channels = x.shape
    directions, _channels, state = A.shape
    return operators.selective_scan(batch, height * width, directions * channels, state).multiply_adds


def _slstm(preactivations: Tensor, *_: object, **__: object) -> int:
    batch, steps, _gates, heads, head_dim = preactivations.shape
    return operators.slstm(batch, steps, heads, head_dim).multiply_adds


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> int:
    """Products of every query with every key, and of the result with the values."""
    per_key = query.shape[-1] + value.shape[-1]
    return query[..., 0].numel() * key.shape[-2] * per_key


def _transform(x: Tensor, dim: list[int], *_: object, **__: object) -> int:
    """Fast Fourier transform of real or complex numbers: 2 n log2 n multiply-adds for n complex ones."""
    length = math.prod(x.shape[axis] for axis in dim)
    return round(2 * x.numel() * math.log2(max(2, length)))


def formulas() -> dict[Any, tuple[str, Formula]]:
    """Return the kind and the formula of every operator that multiplies and adds, the package's own included.

    PyTorch's formulas count two operations per multiply-add.
    """
    # Not at the top, since numba takes a second to import.
    import dermseg.ops.slstm.cpu
    import dermseg.ops.ss2d.cpu  # noqa: F401 (these register the operators)

    table: dict[Any, tuple[str, Formula]] = {
        packet: (PRODUCTS, lambda *args, formula=formula, **kwargs: formula(*args, **kwargs) // 2)
        for packet, formula in flop_registry.items()
    }
    table[torch.ops.dermseg.directional_scan] = (SCAN, _scan)
    table[torch.ops.dermseg.slstm_forward] = (PRODUCTS, _slstm)
    # What scaled_dot_product_attention becomes on a CPU.
    table[torch.ops.aten._scaled_dot_product_flash_attention_for_cpu] = (PRODUCTS, _attention)
    for packet in (torch.ops.aten._fft_r2c, torch.ops.aten._fft_c2r, torch.ops.aten._fft_c2c):
        table[packet] = (PRODUCTS, _transform)
    return table


class CostCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what happens inside `with counter.of(model):`, by name of the innermost running module.

    Memory is that of tensors which operators return, as long as something refers to them; parameters, the
    images and what an operator needs for itself while it runs are not in it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds: Counter[tuple[str, str]] = Counter()
        """By module and kind."""
        self.printed: Counter[str] = Counter()
        """What papers print: of convolutions, linear layers and norms that are modules, by module."""
        self.peaks: Counter[str] = Counter()
        """Most bytes alive while a module ran."""
        self.shapes: dict[str, list[tuple[int, ...]]] = {}
        """Shapes of the tensors that a module returned at its first call, in the order of first calls."""
        self._formulas = formulas()
        self._running: list[str] = [""]
        self._live = 0
        self._known = WeakIdKeyDictionary()

    @property
    def peak(self) -> int:
        """Most bytes alive at any time."""
        return self.peaks[""]

    @contextmanager
    def of(self, model: nn.Module, *given: Tensor) -> Iterator[None]:
        """Count what this network does; the memory of the tensors given is not counted."""
        for tensor in given:
            self._known[tensor.untyped_storage()] = None
        hooks = []
        for name, module in model.named_modules():
            hooks.append(module.register_forward_pre_hook(self._starting(name)))
            hooks.append(module.register_forward_hook(self._ending(name)))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    @override
    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count it."""
        result = func(*args, **(kwargs or {}))
        if func._overloadpacket in self._formulas:
            kind, formula = self._formulas[func._overloadpacket]
            count = formula(*args, **(kwargs or {}), out_val=result)
            self.multiply_adds[self._running[-1], kind] += count
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._allocated(leaf)
        return result

    def _allocated(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = None
        weakref.finalize(storage, self._freed, size)
        self._live += size
        for name in self._running:
            self.peaks[name] = max(self.peaks[name], self._live)

    def _freed(self, size: int) -> None:
        self._live -= size

    def _starting(self, name: str) -> Callable[[nn.Module, object], None]:
        def start(_module: nn.Module, _inputs: object) -> None:
            self.shapes.setdefault(name, [])
            self._running.append(name)
            self.peaks[name] = max(self.peaks[name], self._live)

        return start

    def _ending(self, name: str) -> Callable[[nn.Module, object, object], None]:
        def end(module: nn.Module, inputs: object, output: object) -> None:
            self._running.pop()
            tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
            self.shapes[name] = self.shapes[name] or [tuple(tensor.shape) for tensor in tensors]
            if isinstance(module, (*NORMS, *LAYERS)):
                self.printed[name] += _printed(module, tree_leaves(inputs)[0], tensors[0])

        return end


def _printed(module: nn.Module, given: Tensor, made: Tensor) -> int:
    """Multiply-adds of a layer as thop counts them, but transposed convolutions, which it counts too high."""
    if isinstance(module, NORMS):
        affine = bool(list(module.parameters(recurse=False)))
        return given.numel() * (4 if affine else 2)
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, nn.Linear):
        return made.numel() * weight.shape[1]
    transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
    # A weight is met once per pixel and channel of the side that it does not sum over.
    return (given if transposed else made).numel() * weight[0].numel()
