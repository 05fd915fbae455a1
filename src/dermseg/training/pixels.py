"""The checksum of a run's pixels, kept in its folder: the run goes on with the pixels that it began with."""

from pathlib import Path

from dermseg.errors import DataError
from dermseg.files import read_json, write_json


def note_pixels(folder: Path, checksum: str) -> None:
    """Write images.json, unless the run has one.

    Args:
        folder: Of the run.
        checksum: Of the images of its split, and their masks.
    """
    if not _note(folder).exists():
        write_json(_note(folder), {"checksum": checksum})


def check_pixels(folder: Path, data: Path, checksum: str) -> None:
    """Check that the images and masks of a run have not changed under their names.

    A run that has no note passes: an earlier version of the package began it, or it begins now.

    Args:
        folder: Of the run.
        data: Folder of the data set.
        checksum: Of the images of the run's split, and their masks, as they are now.

    Raises:
        DataError: They are others than those that the run began with, or the note is damaged.
    """
    path = _note(folder)
    if not path.exists():
        return
    noted = (read_json(path) or {}).get("checksum")
    if not isinstance(noted, str):
        raise DataError(f"{path} is damaged; restore it, or delete it to go on with the images of {data}")
    if noted != checksum:
        raise DataError(
            f"{data} has the names of the images that the run in {folder} began with, but other pixels: "
            "images or masks have changed; restore them, name their folder with --data, or start a new run "
            "in another folder"
        )


def _note(folder: Path) -> Path:
    return folder / "images.json"
