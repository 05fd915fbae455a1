"""Weights that ship with the package, by name: `default` and `tiny`.

Free of torch, so that a command can name them at once. The files have a licence of their own, beside them.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from dermseg.errors import CheckpointError
from dermseg.files import read_json, sha256_of

DEFAULT = "default"
"""Weights that are used where none are named."""
_FOLDER = Path(str(resources.files(__name__)))


@cache
def shipped() -> Mapping[str, Mapping[str, Any]]:
    """Return what ships: by name, the `sha256` of the file `NAME.safetensors`."""
    return read_json(_FOLDER / "index.json") or {}


def weight_file(weights: str | Path) -> Path:
    """Return the file of weights that are given by a shipped name or by a path.

    Args:
        weights: A name of `shipped()`, or the path of any file.

    Returns:
        The path; of shipped weights after their checksum was verified.

    Raises:
        CheckpointError: The shipped file is absent or was changed.
    """
    name = str(weights)
    if name not in shipped():
        return Path(weights)
    path = _FOLDER / f"{name}.safetensors"
    remedy = "install dermseg again, with pip's --force-reinstall"
    try:
        found = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"the weights '{name}' are missing from this installation; {remedy}") from error
    if found != shipped()[name]["sha256"]:
        raise CheckpointError(f"{path} is not the file that was published as '{name}'; {remedy}")
    return path


def card_file(name: str) -> Path:
    """Return the file of facts from which the model card of shipped weights is made.

    Raises:
        CheckpointError: No weights of this name ship.
    """
    if name not in shipped():
        raise CheckpointError(f"there are no weights named '{name}'; there are: {', '.join(shipped())}")
    return _FOLDER / f"{name}.json"
