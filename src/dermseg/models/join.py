"""From the weight files of several trainings to one file: an ensemble."""

import os
from collections.abc import Sequence
from pathlib import Path

from dermseg.errors import CheckpointError, ConfigError
from dermseg.files import sha256_of
from dermseg.models.ensemble import Ensemble
from dermseg.models.weights import load_model, notes_of_members, save_model
from dermseg.weights import weight_file


def join(weights: Sequence[Path], out: Path) -> Ensemble:
    """Write one weight file whose network is the mean of several.

    Args:
        weights: At least two files that `save_model` wrote, or names of weights that ship; of one form and
            preprocessing. Of an ensemble among them, every member counts.
        out: Destination, ending in `.safetensors`. Its notes are those of every member, under `members`.

    Returns:
        The network that was written, in evaluation mode.

    Raises:
        ConfigError: The networks are fewer than two, or differ in form or preprocessing; a file is given
            twice, or is the destination; or the path ends otherwise.
        CheckpointError: A file cannot be read, or holds numbers that are not finite.
    """
    files = [weight_file(path) for path in weights]
    # Path.resolve raises where links form a loop.
    if any(os.path.realpath(file) == os.path.realpath(out) for file in files):
        raise ConfigError(f"{out} is one of the files to join; name another, so that it is not lost")
    networks = [load_model(path) for path in weights]
    for path, network in zip(weights, networks, strict=True):
        if not all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
            raise CheckpointError(f"{path} holds numbers that are not finite; train again, or leave it out")
    ensemble = Ensemble(networks).eval()
    sums = [sha256_of(file) for file in files]
    for number, path in enumerate(weights):
        if sums[number] in sums[:number]:
            raise ConfigError(f"{path} holds what {weights[sums.index(sums[number])]} holds; name it once")
    notes = [member for path in weights for member in notes_of_members(path)]
    save_model(ensemble, out, notes={"members": notes})
    return ensemble
