"""Which images to predict, and what their results are called."""

import glob
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dermseg.data.images import IMAGE_SUFFIXES
from dermseg.data.pairs import Problem
from dermseg.errors import DataError
from dermseg.inference.outputs import is_output
from dermseg.inference.paths import printable

_NAME_BYTES = 200
"""Longest name of a result, so that its endings and temporary names fit the usual 255 bytes."""


def find_images(paths: Sequence[str | Path]) -> tuple[list[Path], list[Problem]]:
    """Find the images that files, folders and glob patterns stand for.

    Folders are searched with all their sub-folders for files with an image's ending
    (`dermseg.data.images.IMAGE_SUFFIXES`); hidden files are passed over, links to folders are not followed.
    Files named one by one or matched by a pattern are taken whatever their ending. Pictures that dermseg
    wrote itself (masks, maps, overlays) are passed over, so that a folder with results in it can be
    predicted again.

    Args:
        paths: Files, folders or glob patterns (`**` for any depth).

    Returns:
        The images, each once, in the order of the arguments, and a problem for every argument that stands
        for nothing and every folder that cannot be searched.

    Raises:
        DataError: There is no image at all.
    """
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    own = 0
    for argument in paths:
        unreadable: list[OSError] = []
        candidates = list(_expand(argument, unreadable))
        problems += [Problem(Path(e.filename), f"cannot be searched ({e.strerror})") for e in unreadable]
        if not candidates and not unreadable:
            problems.append(Problem(Path(argument), _nothing(argument)))
        for path in candidates:
            key = os.path.realpath(path)
            if key not in found and is_output(path):
                own += 1
            else:
                found.setdefault(key, path)
    if not found:
        raise DataError(_no_images(paths, own))
    return list(found.values()), problems


def result_names(images: Sequence[Path]) -> list[str]:
    """Name the results of every image, such that no two results share a file.

    An image's results carry its stem. Images that share a stem (also if only upper and lower case differ, as
    some file systems do not tell them apart) carry the folders they do not share and their ending as well:
    a/x.jpg and b/x.jpg become a-x-jpg and b-x-jpg. What is still equal is numbered.

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
        name = _shorten(path.stem if len(group) == 1 else _long_name(path, group))
        number = 2
        unique = name
        while _same(unique) in taken:
            unique = f"{name}-{number}"
            number += 1
        taken.add(_same(unique))
        names.append(unique)
    return names


def _expand(argument: str | Path, unreadable: list[OSError]) -> Iterator[Path]:
    path = Path(argument)
    if path.is_dir():
        yield from _walk(path, unreadable)
    elif os.path.lexists(path):
        yield path
    else:
        # Not Path.glob: it takes no absolute pattern.
        for match in sorted(glob.glob(str(argument), recursive=True)):  # noqa: PTH207
            if Path(match).is_file():
                yield Path(match)
            elif "**" not in str(argument):
                # `**` matches the folders on its way too; their files are matched by themselves.
                yield from _walk(Path(match), unreadable)


def _walk(folder: Path, unreadable: list[OSError]) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(parent, name)


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
    shared = os.path.commonpath([member.absolute().parent for member in group])
    folders = path.absolute().parent.relative_to(shared).parts
    return "-".join([*folders, path.stem, path.suffix.removeprefix(".")]).rstrip("-")


def _shorten(name: str) -> str:
    """Cut a name to `_NAME_BYTES` bytes of the file system, at a whole character."""
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return name
