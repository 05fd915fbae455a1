"""From the weight files of several trainings to one file: an ensemble."""

from collections.abc import Sequence
from pathlib import Path

from dermseg.errors import ConfigError
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
            twice; or the path ends otherwise.
        CheckpointError: A file cannot be read.
    """
    ensemble = Ensemble([load_model(path) for path in weights]).eval()
    sums = [sha256_of(weight_file(path)) for path in weights]
    for number, path in enumerate(weights):
        if sums[number] in sums[:number]:
            raise ConfigError(f"{path} holds what {weights[sums.index(sums[number])]} holds; name it once")
    notes = [member for path in weights for member in notes_of_members(path)]
    save_model(ensemble, out, notes={"members": notes})
    return ensemble
