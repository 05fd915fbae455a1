"""Where a run starts: a new network, or weights that have learned before."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dermseg.data.duplicates import Fingerprint
from dermseg.data.groups import Group, find_groups, published_groups
from dermseg.data.pairs import listing
from dermseg.data.splits import Split
from dermseg.errors import ConfigError, DataError
from dermseg.evaluation.leakage import (
    Learned,
    leaks_by_group,
    leaks_by_name,
    leaks_by_picture,
    read_learned,
)
from dermseg.models.base import SegmentationModel
from dermseg.models.ensemble import members_of
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, notes_of_members
from dermseg.training.arguments import TrainArguments
from dermseg.training.checkpoints import has_checkpoint
from dermseg.training.origin import checksum, read_origin
from dermseg.weights import weight_file

_IMAGES = ("split", "fingerprints")
"""Notes of a weight file that say which images shaped it."""
_TRAINING = ("model", "data", "arguments", "epochs", "best", "kept", "seconds", "environment", "earlier")
"""Notes that say how it was trained."""


def create_network(arguments: TrainArguments) -> SegmentationModel:
    """Create the network of a run, with new weights or those that it starts from.

    What was chosen for the weights after their training (threshold, expected Dice, mirror images) does not
    hold for those that the run will make, and is left behind. Of an ensemble, the first member goes on. A run
    that is resumed after an epoch needs no file of weights: its checkpoint has newer ones.

    Raises:
        ConfigError: The arguments do not fit the network, ask for another than the weights are of, or resume
            a run that began with other weights.
        CheckpointError: The weights cannot be read.
    """
    if arguments.weights is None:
        try:
            return create_model(arguments.model, **arguments.model_arguments)
        except TypeError as error:
            raise ConfigError(f"model_arguments do not fit {arguments.model}: {error}") from error
    network = _network_of(arguments.weights, arguments.out if arguments.resume else None)
    if network.name != arguments.model:
        raise ConfigError(
            f"weights: {arguments.weights} is of {network.name}, but model is {arguments.model}; "
            f"add --model {network.name}, or name other weights"
        )
    for name, value in arguments.model_arguments.items():
        kept = network.arguments.get(name)
        # Where a network begins is settled by its weights.
        if name != "pretrained" and kept != (tuple(value) if isinstance(value, list) else value):
            raise ConfigError(
                f"model_arguments: {name} is {value!r}, but the network of {arguments.weights} has {kept!r}; "
                "leave out model_arguments, and a preset that sets them: the weights bring theirs"
            )
    network.threshold, network.expected_dice = SegmentationModel.threshold, None
    network.mirrors = SegmentationModel.mirrors
    return network


def _network_of(weights: str, resumed: Path | None) -> SegmentationModel:
    origin = None if resumed is None else read_origin(resumed)
    if resumed is not None and origin is not None and has_checkpoint(resumed / "checkpoints"):
        return origin.network()
    network = members_of(load_model(weights))[0]
    if origin is not None and checksum(network) != origin.sha256:
        raise ConfigError(
            f"weights: {weights} has other weights than the run in {resumed} began with, and no epoch of it "
            "is finished; restore the file, or start a new run in another folder"
        )
    return network


def earlier_training(
    weights: str,
    split: Split,
    fingerprints: Sequence[Fingerprint],
    allow_leak: bool,
    data: Path,
    table: Path | None,
) -> dict[str, Any]:
    """Check that a run's test and validation images are new to the weights that it starts from.

    Args:
        weights: That the run starts from.
        split: Of the run.
        fingerprints: Of all images of the split.
        allow_leak: Let images pass that are not new. `dermseg evaluate` will still know them.
        data: Folder of the run's data set, in which and beside which tables of metadata are looked for.
        table: One that says which images show one lesion or one patient.

    Returns:
        What is to be noted of those weights in the ones that the run makes: how they were trained and,
        unless the run's own images include them, on which images. Empty if they do not say.

    Raises:
        DataError: Images on those sides shaped the weights, or show a lesion or patient of one that did.
        CheckpointError: The weights' notes are damaged.
    """
    learned = read_learned(weight_file(weights))
    if learned is None:
        return {}
    if not allow_leak:
        everyone = [*split.identifiers, *learned.names("test")]
        groups = [*published_groups(everyone), *find_groups(data, everyone, table)]
        _refuse_known_images(learned, weights, split, fingerprints, groups)
    notes = notes_of_members(weights)[0]
    known = set(learned.names("test")) <= {*split.train, *split.validation}
    return {key: notes[key] for key in (*_TRAINING, *(() if known else _IMAGES)) if key in notes}


def _refuse_known_images(
    learned: Learned,
    weights: str,
    split: Split,
    fingerprints: Sequence[Fingerprint],
    groups: Sequence[Group],
) -> None:
    pictures = {one.identifier: one for one in fingerprints}
    # A lesion on two sides of the split itself was refused, or named, when the images were divided.
    own = {*split.train, *split.validation}
    for side in ("test", "validation"):
        names = getattr(split, side)
        leaks = leaks_by_name(learned, names, side)
        leaks += [leak for leak in leaks_by_group(learned, names, groups, side) if leak.learned not in own]
        leaks += leaks_by_picture(learned, [pictures[name] for name in names if name in pictures], side)
        if found := list(dict.fromkeys(leak.identifier for leak in leaks)):
            raise DataError(
                f"{len(found):,} of the {len(names):,} {side} images of split {split.name} have shaped the "
                f"weights {Path(weights).name}, or show the picture, lesion or patient of one that did, so "
                f"scores on them would be too good: {listing(found)}. Start with the split that those were "
                "trained on, or from weights that have not seen these images, or pass --allow-leak; "
                "evaluations will then refuse the images that are not new"
            )
