"""One weight file is one network: its tensors, and in the header what is needed to rebuild and use it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import dermseg
from dermseg.errors import CheckpointError, ConfigError
from dermseg.files import replacing
from dermseg.layers.checks import check_flag
from dermseg.models.base import Preprocessing, SegmentationModel, check_threshold
from dermseg.models.ensemble import Ensemble, members_of
from dermseg.models.expected_dice import ExpectedDice
from dermseg.models.registry import create_model, model_arguments
from dermseg.weights import shipped, weight_file

HEADER = "dermseg"
"""Key of the safetensors metadata under which the JSON description stands."""
ENTRIES = ("model", "arguments", "preprocessing", "threshold")
"""What a description must hold."""
MOST_MEMBERS = 1000
"""Networks in one file; more are taken for a damaged number."""
PICKLES = frozenset({".ckpt", ".pth", ".pt", ".bin", ".pkl"})


def save_model(
    model: SegmentationModel,
    path: Path | str,
    *,
    threshold: float | None = None,
    notes: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write a network to one safetensors file, completely or not at all.

    Args:
        model: A network made by `create_model`, or an `Ensemble` of such.
        path: Destination, ending in `.safetensors`.
        threshold: Probability from which a pixel is lesion; by default `model.threshold`.
        notes: Anything that JSON can hold, such as the data and the scores; kept beside the weights.
        half: Keep numbers in half precision, at half the size; loading restores full precision. A tensor
            with numbers beyond the range of half precision stays as it is.

    Raises:
        ConfigError: If the path ends otherwise, the model was not made by `create_model`, the threshold is no
            number between 0 and 1, or the notes do not fit into JSON.
        CheckpointError: The disk is full.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ConfigError(
            f"{path}: weights are written as safetensors only; let the name end in .safetensors"
        )
    if not isinstance(model, SegmentationModel):
        raise ConfigError(
            f"{path}: a {type(model).__name__} cannot be saved, only a SegmentationModel; "
            "of a compiled network, save the one that was given to torch.compile"
        )
    if not model.name:
        raise ConfigError(f"{type(model).__name__} has no name, so it could not be rebuilt; use create_model")
    description = {
        "model": model.name,
        # All of them, not only those given, so that a changed default does not change an old file.
        "arguments": model_arguments(model.name) | model.arguments,
        "preprocessing": asdict(model.preprocessing),
        "threshold": check_threshold(model.threshold if threshold is None else threshold),
        "expected_dice": model.expected_dice and asdict(model.expected_dice),
        "mirrors": model.mirrors,
        "members": len(members_of(model)),
        "dermseg": dermseg.__version__,
        "notes": dict(notes or {}),
    }
    try:
        header = json.dumps(description)
    except TypeError as error:
        raise ConfigError(
            f"{path}: arguments and notes must be values that JSON can hold: {error}"
        ) from error
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    if half:
        tensors = {key: _halved(value) for key, value in tensors.items()}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={HEADER: header})
    except SafetensorError as error:  # its own, for a full disk too
        raise CheckpointError(
            f"{path} cannot be written ({error}); free space, or name another place"
        ) from error


def load_model(path: Path | str) -> SegmentationModel:
    """Rebuild a network from a file that `save_model` wrote, or from weights that ship with the package.

    Args:
        path: The file, or a name of `dermseg.weights.shipped()`, such as "default".

    Returns:
        The network on the CPU, in evaluation mode, with its `preprocessing`, `threshold`, `expected_dice`
        and `mirrors`.

    Raises:
        CheckpointError: If the file is absent, damaged, not one of ours, or does not fit the model it names.
    """
    path = weight_file(path)
    _check_path(path)
    description, tensors = _read(path)
    try:
        name, given, prepared, threshold = (description[entry] for entry in ENTRIES)
    except KeyError as error:
        raise CheckpointError(f"{path}: its description lacks {error}; save the model again") from error
    try:
        preprocessing = Preprocessing(**_tuples(prepared))
        threshold = check_threshold(threshold)
        expected = description.get("expected_dice")
        expected_dice = None if expected is None else ExpectedDice(**expected)
        mirrors = description.get("mirrors", False)
        check_flag("mirrors", mirrors)
        members = _members(description.get("members", 1), len(tensors))
        arguments = _arguments(given, len(tensors) // members)
        with torch.device("meta"):  # shapes without memory, which a damaged description could exhaust
            wanted = _create(name, arguments, members).state_dict()
    except Exception as error:  # constructors do not foresee every value that a file may hold
        raise CheckpointError(
            f"{path}: this dermseg ({dermseg.__version__}) cannot rebuild it: {error}"
        ) from error
    _check_tensors(wanted, tensors, path)
    model = _create(name, arguments, members)
    model.load_state_dict(tensors)
    for network in {model, *members_of(model)}:
        network.preprocessing, network.threshold, network.mirrors = preprocessing, threshold, mirrors
    model.expected_dice = expected_dice
    return model.eval()


def read_notes(path: Path | str) -> dict[str, Any]:
    """Return the notes that `save_model` kept beside the weights.

    Raises:
        CheckpointError: If the file is absent, damaged or not one of ours.
    """
    notes = _read_description(path).get("notes")
    return notes if isinstance(notes, dict) else {}


def notes_of_members(path: Path | str) -> list[dict[str, Any]]:
    """Return the notes of every network of an ensemble, or those of the one network.

    Of a member that left none they are empty.

    Raises:
        CheckpointError: If the file is absent, damaged or not one of ours.
    """
    description = _read_description(path)
    notes, count = description.get("notes"), description.get("members", 1)
    members = notes.get("members", [notes]) if isinstance(notes, dict) else [{}]
    if not (isinstance(members, list) and members and all(isinstance(member, dict) for member in members)):
        raise CheckpointError(f"{path}: damaged: its note of the members of an ensemble is no list of notes")
    silent = count - len(members) if isinstance(count, int) else 0
    return members + [{}] * min(silent, MOST_MEMBERS)


def _halved(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if torch.isfinite(half).all() else tensor


def _check_tensors(wanted: dict[str, Tensor], tensors: dict[str, Tensor], path: Path) -> None:
    faults = [f"unknown {key}" for key in tensors if key not in wanted]
    faults += [f"missing {key}" for key in wanted if key not in tensors]
    faults += [
        f"{key} is {tuple(tensors[key].shape)}, expected {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    faults += [
        # Loading would convert them, and drop imaginary parts, without a word. Counters are whole numbers.
        f"{key} holds {tensors[key].dtype}, expected floating-point numbers"
        for key, value in wanted.items()
        if key in tensors and value.is_floating_point() and not tensors[key].is_floating_point()
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise CheckpointError(
            f"{path}: tensors do not fit the model that the file describes: {'; '.join(faults[:3])}{more}. "
            "The file was changed after dermseg wrote it, or written by another version; save the model again"
        )


def _check_path(path: Path) -> None:
    if path.suffix in PICKLES:
        raise CheckpointError(
            f"{path}: files of this kind can run code when opened; weights are read from .safetensors only. "
            "For a training run, give its model.safetensors; for the authors' own weights, "
            "use dermseg.models.released (read_released, load_released), then save_model."
        )
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(
            f"{path} {kind}; give the path of a .safetensors file written by dermseg, "
            f"or the name of weights that ship with it: {', '.join(shipped()) or 'none'}"
        )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with _opened(path) as (file, description):
        return description, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)


def _read_description(path: Path | str) -> dict[str, Any]:
    """Read the header alone, without the tensors."""
    path = weight_file(path)
    _check_path(path)
    with _opened(path) as (_, description):
        return description


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Open a file of ours, and read its description."""
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})[HEADER])
            if not isinstance(description, dict):
                raise CheckpointError(f"{path}: its description is no JSON object; save the model again")
            yield file, description
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: damaged, or no safetensors file ({error}); fetch or save it again"
        ) from error
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: a safetensors file that dermseg did not write (no readable {HEADER!r} in its header); "
            "for the authors' own weights use dermseg.models.released.load_released"
        ) from error


def _create(name: str, arguments: Mapping[str, Any], members: int) -> SegmentationModel:
    networks = [create_model(name, **arguments) for _ in range(members)]
    return Ensemble(networks) if members > 1 else networks[0]


def _members(given: object, tensors: int) -> int:
    """Number of networks in a file of so many tensors."""
    most = min(tensors, MOST_MEMBERS)
    if type(given) is not int or not 1 <= given <= most:
        raise ConfigError(f"members must be a whole number from 1 to {most}, got {given!r}")
    return given


def _arguments(given: object, tensors: int) -> dict[str, Any]:
    """Constructor arguments for a file of so many tensors."""
    arguments = _tuples(given)
    blocks = sum(sum(arguments.get(key, ())) for key in ("depths", "depths_decoder"))
    blocks = max(blocks, arguments.get("layers", 0))
    if blocks > tensors:
        raise ConfigError(f"{blocks} blocks cannot have left {tensors} tensors")
    if "pretrained" in arguments:
        arguments["pretrained"] = False  # the weights are in the file: nothing to download
    return arguments


def _tuples(values: object) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError(f"expected a JSON object, got {values!r}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
