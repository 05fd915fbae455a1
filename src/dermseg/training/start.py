"""Where a run starts: a new network, or weights that have learned before."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dermseg.data.duplicates import Fingerprint
from dermseg.data.pairs import listing
from dermseg.data.splits import Split
from dermseg.errors import ConfigError, DataError
from dermseg.evaluation.leakage import leaks_by_name, leaks_by_picture, read_learned
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, read_notes
from dermseg.training.arguments import TrainArguments
from dermseg.weights import weight_file

_LEARNED = ("split", "fingerprints", "earlier")
"""Notes of a weight file that say which images shaped it."""


def create_network(arguments: TrainArguments) -> SegmentationModel:
    """Create the network of a run, with new weights or those that it starts from.

    What was fitted to the weights after their training (threshold, expected Dice) does not hold for those
    that the run will make, and is left behind.

    Raises:
        ConfigError: The arguments do not fit the network, or ask for another than the weights are of.
        CheckpointError: The weights cannot be read.
    """
    if arguments.weights is None:
        try:
            return create_model(arguments.model, **arguments.model_arguments)
        except TypeError as error:
            raise ConfigError(f"model_arguments do not fit {arguments.model}: {error}") from error
    network = load_model(arguments.weights)
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
                "leave model_arguments out, the weights bring theirs"
            )
    network.threshold, network.expected_dice = SegmentationModel.threshold, None
    return network


def learned_earlier(
    weights: str, split: Split, fingerprints: Sequence[Fingerprint], allow_leak: bool
) -> dict[str, Any]:
    """Check that a run's test and validation images are new to the weights that it starts from.

    Args:
        weights: That the run starts from.
        split: Of the run.
        fingerprints: Of all images of the split.
        allow_leak: Let images pass that are not new. `dermseg evaluate` will still know them.

    Returns:
        What is to be noted in the weights that the run makes: the images of the earlier training, empty if
        the run's own are the same.

    Raises:
        DataError: Images on those sides shaped the weights.
        CheckpointError: The weights' notes are damaged.
    """
    learned = read_learned(weight_file(weights))
    if learned is None:
        return {}
    known = {one.identifier: one for one in fingerprints}
    for side in ("test", "validation"):
        names = getattr(split, side)
        leaks = leaks_by_name(learned, names, side)
        leaks += leaks_by_picture(learned, [known[name] for name in names if name in known], side)
        found = list(dict.fromkeys(leak.identifier for leak in leaks))
        if found and not allow_leak:
            raise DataError(
                f"{len(found):,} of the {len(names):,} {side} images of split {split.name} have shaped the "
                f"weights {Path(weights).name}, so scores on them would be too good: {listing(found)}. Start "
                "with the split that those were trained on, or from weights that have not seen these images, "
                "or pass --allow-leak; evaluations will then refuse the images that are not new"
            )
    if set(learned.names("test")) <= {*split.train, *split.validation}:
        return {}
    notes = read_notes(weights)
    return {key: notes[key] for key in _LEARNED if key in notes}
