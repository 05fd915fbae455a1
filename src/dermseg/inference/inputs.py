"""Which images to predict, and what their results are called."""

import glob
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from dermseg.data.opening import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from dermseg.data.pairs import Problem
from dermseg.data.readers import HAM_IMAGES, HAM_MASKS, IMAGE_FOLDERS, ISIC_PARTS, MASK_FOLDERS
from dermseg.errors import DataError
from dermseg.inference.outputs import is_output
from dermseg.paths import printable

_NAME_BYTES = 200
"""Longest name of a result, so that its endings and temporary names fit the usual 255 bytes."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the arguments of a prediction stand for."""

    images: list[Path] = field(default_factory=list)
    """Images, each once, in the order of the arguments."""
    problems: list[Problem] = field(default_factory=list)
    """Arguments that stand for nothing, and folders that cannot be searched."""
    mask_folders: list[Path] = field(default_factory=list)
    """Folders that were passed over, since they hold the masks of a data set."""


def find_images(paths: Sequence[str | Path]) -> Inputs:
    """Find the images that files, folders and glob patterns stand for.

    Folders are searched with all their sub-folders for files with an image's ending
    (`dermseg.data.opening.IMAGE_SUFFIXES`); hidden files are passed over, links to folders are not followed.
    Pictures of formats that are not read (`UNREAD_SUFFIXES` there) are problems.
    Files named one by one or matched by a pattern are taken whatever their ending. Passed over are pictures
    that dermseg wrote itself (masks, maps, overlays), so that a folder with results in it can be predicted
    again, and the masks of a data set: folders beside a folder of images, by the names that
    `dermseg.data.readers` knows.

    Args:
        paths: Files, folders or glob patterns (`**` for any depth).

    Raises:
        DataError: There is no image at all.
    """
    found: dict[str, Path] = {}
    inputs = Inputs()
    own = 0
    for argument in paths:
        known = len(inputs.problems)
        try:
            candidates = list(_expand(argument, inputs))
            if not candidates and len(inputs.problems) == known:
                inputs.problems.append(Problem(Path(argument), _nothing(argument)))
        except OSError as error:
            candidates = []
            inputs.problems.append(Problem(Path(argument), f"cannot be looked for ({error.strerror})"))
        for path in candidates:
            key = os.path.realpath(path)
            if key not in found and is_output(path):
                own += 1
            else:
                found.setdefault(key, path)
    if not found:
        raise DataError(_no_images(paths, own))
    inputs.images.extend(found.values())
    return inputs


def result_names(images: Sequence[Path]) -> list[str]:
    """Name the results of every image, such that no two results share a file.

    An image's results carry its stem. Images that share a stem (also if only upper and lower case differ, as
    some file systems do not tell them apart) carry the folders they do not share and their ending as well:
    a/x.jpg and b/x.jpg become a-x-jpg and b-x-jpg. What is still equal is numbered. Bytes of a stem that
    are no text are replaced, so that a table can name the results.

    Args:
        images: Paths of the images, all different.

    Returns:
        One name per image, in the same order.
    """
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        groups[_same(path.stem)].append(path)
    names: list[str] = []
    taken: set[str] = set()
    for path in images:
        group = groups[_same(path.stem)]
        name = _shorten(printable(path.stem if len(group) == 1 else _long_name(path, group)))
        number = 2
        unique = name
        while _same(unique) in taken:
            unique = f"{name}-{number}"
            number += 1
        taken.add(_same(unique))
        names.append(unique)
    return names


def _expand(argument: str | Path, inputs: Inputs) -> Iterator[Path]:
    path = Path(argument)
    if not str(argument):
        # A shell's unset variable; as a path it would be the folder that we are in.
        inputs.problems.append(Problem(path, "is what an empty argument stands for; name it as ."))
    elif path.is_dir():
        yield from _walk(path, inputs)
    elif os.path.lexists(path):
        yield path
    else:
        # Not Path.glob: it takes no absolute pattern.
        for match in sorted(glob.glob(str(argument), recursive=True)):  # noqa: PTH207
            if Path(match).is_file():
                yield Path(match)
            elif "**" not in str(argument):
                # `**` matches the folders on its way too; their files are matched by themselves.
                yield from _walk(Path(match), inputs)


def _walk(folder: Path, inputs: Inputs) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        inputs.problems.append(Problem(Path(error.filename), f"cannot be searched ({error.strerror})"))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        masks = _mask_folders(folders)
        inputs.mask_folders.extend(Path(parent, name) for name in sorted(masks))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in masks)
        for name in sorted(files):
            ending = Path(name).suffix.lower()
            if name.startswith("."):
                continue
            if ending in IMAGE_SUFFIXES:
                yield Path(parent, name)
            elif ending in UNREAD_SUFFIXES:
                inputs.problems.append(Problem(Path(parent, name), _unread(ending)))


def _mask_folders(folders: Sequence[str]) -> set[str]:
    """Choose, among the folders in one folder, those that hold the masks of a data set."""
    official = [names for parts in ISIC_PARTS.values() for names in parts.values()]
    official += [(name, HAM_MASKS) for name in HAM_IMAGES]
    masks = {mask_name for image_name, mask_name in official if image_name in folders}
    if any(name.lower() in IMAGE_FOLDERS for name in folders):
        masks |= {name for name in folders if name.lower() in MASK_FOLDERS}
    for name in folders:
        # PH2 has a folder of images, one of masks, and one of marked regions for every lesion.
        case, image_folder, _ = name.partition("_Dermoscopic_Image")
        if image_folder:
            masks |= {f"{case}_lesion", f"{case}_roi"}
    return masks.intersection(folders)


def _unread(ending: str) -> str:
    return f"is of a format that is not read ({ending}); export it as PNG or JPEG"


def _nothing(argument: str | Path) -> str:
    if Path(argument).is_dir():
        return "holds no image file; give a folder with images"
    if glob.has_magic(str(argument)):
        return "matches no file; check the pattern"
    return "does not exist; check the path"


def _no_images(paths: Sequence[str | Path], own: int) -> str:
    tried = ", ".join(printable(path) for path in paths) or "nothing"
    written = f" {own} picture(s) there were written by dermseg and are not predicted again." if own else ""
    endings = " ".join(sorted(IMAGE_SUFFIXES))
    return (
        f"No image found in: {tried}.{written} Give image files, glob patterns, or folders that hold files "
        f"ending in {endings}."
    )


def _same(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _long_name(path: Path, group: Iterable[Path]) -> str:
    shared = takewhile(lambda names: len(set(names)) == 1, zip(*map(_folders, group), strict=False))
    own = _folders(path)[len(list(shared)) :]
    return "-".join([*own, path.stem, path.suffix.removeprefix(".")]).rstrip("-")


def _folders(path: Path) -> list[str]:
    """List the folders that lead to a file, from the root or the drive."""
    parent = Path(os.path.abspath(path)).parent  # noqa: PTH100 (Path.absolute keeps `..`)
    # Files on different drives share nothing, and C:\ is no part of a name.
    return [re.sub(r"[:\\/]+", "", part) for part in parent.parts]


def _shorten(name: str) -> str:
    """Cut a name to `_NAME_BYTES` bytes of the file system, at a whole character."""
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return name
