"""Every network by name: `create_model("vm_unet", width=48)`, `list_models("*vm*")`."""

import difflib
import fnmatch
import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dermseg.errors import ConfigError
from dermseg.models.base import SegmentationModel

_MODULES = (
    "attention_unet",
    "cara_net",
    "fa_net",
    "h_vmunet",
    "lightm_unet",
    "mamba_unet",
    "pra_net",
    "r2_unet",
    "res_unet",
    "skin_mamba",
    "swin_umamba",
    "swin_unet",
    "trans_unet",
    "u_mamba",
    "ultralight_vm_unet",
    "unet",
    "unet_plus_plus",
    "unext",
    "vm_unet",
    "vm_unet_v2",
    "xlstm_unet",
    "xlstm_vmunet",
)
"""Modules of `dermseg.models` that register networks; imported when a name is first looked up."""


@dataclass(frozen=True)
class ModelInfo:
    """Where a network comes from."""

    title: str
    """Name as its authors write it."""
    year: int
    family: str
    """Kind of architecture, such as "Mamba"."""
    paper: str
    """Link to the publication."""
    code: str
    """GitHub repository of the released code."""
    licence: str
    """Licence of the released code (ours is written anew, under Apache-2.0)."""
    parameters: int
    """Parameters of the released network, which ours has as well in its released form, less the dead ones."""
    dead: int = 0
    """Of these, the parameters that never touch the output; ours does not have them."""


@dataclass(frozen=True)
class _Entry:
    build: Callable[..., SegmentationModel]
    defaults: dict[str, object]
    info: ModelInfo


_entries: dict[str, _Entry] = {}
_Model = TypeVar("_Model", bound=type[SegmentationModel])


def register_model(name: str, info: ModelInfo, **defaults: object) -> Callable[[_Model], _Model]:
    """Class decorator that makes a network available as `create_model(name)`.

    Args:
        name: Name in the registry; one class may be registered under several.
        info: Where the network comes from.
        **defaults: Constructor arguments that differ from the constructor's own defaults.

    Returns:
        The decorator, which returns the class unchanged.

    Raises:
        ConfigError: If the name is taken.
    """

    def register(model: _Model) -> _Model:
        if name in _entries:
            raise ConfigError(f"a model named {name!r} is registered already; choose another name")
        _entries[name] = _Entry(model, defaults, info)
        return model

    return register


def create_model(name: str, **overrides: object) -> SegmentationModel:
    """Build a network with random weights, in training mode.

    Args:
        name: One of `list_models()`.
        **overrides: Constructor arguments that replace the defaults of that name; see `model_arguments`.

    Returns:
        The network; its `name` and `arguments` are those given here.

    Raises:
        ConfigError: If there is no such model or no such argument, or a value is impossible.
    """
    entry = _entry(name)
    valid = model_arguments(name)
    unknown = sorted(set(overrides) - set(valid))
    if unknown:
        raise ConfigError(f"model {name!r} has no argument {', '.join(unknown)}; it has: {', '.join(valid)}")
    model = entry.build(**(entry.defaults | overrides))
    model.name = name
    model.arguments = dict(overrides)
    return model


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks that match a wildcard pattern such as `"*vm*"`, sorted."""
    return sorted(fnmatch.filter(_known(), pattern))


def model_info(name: str) -> ModelInfo:
    """Where the network of this name comes from.

    Raises:
        ConfigError: If there is no such model.
    """
    return _entry(name).info


def model_arguments(name: str) -> dict[str, Any]:
    """Constructor arguments of a network and their default values.

    Raises:
        ConfigError: If there is no such model.
    """
    entry = _entry(name)
    parameters = inspect.signature(entry.build).parameters
    return {key: parameter.default for key, parameter in parameters.items()} | entry.defaults


def _entry(name: str) -> _Entry:
    if not isinstance(name, str):
        raise ConfigError(f"the name of a model must be text, got {name!r}")
    known = _known()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"choose one of: {', '.join(sorted(known))}"
        raise ConfigError(f"there is no model named {name!r}; {hint}")
    return known[name]


def _known() -> dict[str, _Entry]:
    for module in _MODULES:
        importlib.import_module(f"dermseg.models.{module}")
    return _entries
