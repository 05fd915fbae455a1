"""What a run keeps of the weights that it starts from, so that it goes on without their file."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dermseg.errors import CheckpointError
from dermseg.files import read_json, write_json
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import create_model


@dataclass(frozen=True)
class Origin:
    """Of weights that a run began with: the form of their network, and how they came to be."""

    model: str
    """Name in the registry."""
    arguments: Mapping[str, Any]
    """Of the network."""
    preprocessing: Mapping[str, Any]
    """Fields of `Preprocessing`."""
    sha256: str
    """Of the tensors, by which they are known again wherever their file lies."""
    earlier: Mapping[str, Any]
    """Note of their training, for the weights that the run makes."""

    def network(self) -> SegmentationModel:
        """Build the network for a checkpoint to fill."""
        network = create_model(self.model, **_tuples(self.arguments))
        network.preprocessing = Preprocessing(**_tuples(self.preprocessing))
        return network


def write_origin(folder: Path, network: SegmentationModel, earlier: Mapping[str, Any]) -> None:
    """Write origin.json into a run folder.

    Args:
        folder: Of the run.
        network: With the weights that the run begins with.
        earlier: Note of their training.
    """
    origin = Origin(
        network.name, network.arguments, asdict(network.preprocessing), checksum(network), earlier
    )
    write_json(folder / "origin.json", asdict(origin))


def read_origin(folder: Path) -> Origin | None:
    """Read the origin.json of a run.

    Args:
        folder: Of the run.

    Returns:
        None where no run has begun, or an earlier version of the package began it.

    Raises:
        CheckpointError: The file is damaged.
    """
    path = folder / "origin.json"
    # Without config.yaml it is what a kill left of a run that never began, perhaps from other weights.
    if not path.exists() or not (folder / "config.yaml").exists():
        return None
    try:
        return Origin(**(read_json(path) or {}))
    except TypeError as error:
        raise CheckpointError(
            f"{path} is damaged; restore it, or delete it to go on with the weights that config.yaml names"
        ) from error


def checksum(network: SegmentationModel) -> str:
    """Return the SHA-256 (hexadecimal) of a network's tensors and their names."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what JSON does to tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
