"""What a data set is here: images and masks paired by identifier, and a list of what could not be paired."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermseg.data.images import read_image, read_mask, read_size
from dermseg.errors import DataError


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its lesion mask."""

    identifier: str
    """Name of the image without folder and suffix; unique in a collection."""
    image: Path
    mask: Path


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that was left out."""

    path: Path
    reason: str
    """What is wrong, as the end of a sentence that begins with the path."""


@dataclass(frozen=True, slots=True)
class Collection:
    """The usable pairs of a data set, in the order of their identifiers, and what was left out."""

    name: str
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...] = ()
    sides: Mapping[str, str] = field(default_factory=dict)
    """Side of a split (train, validation, test) of each identifier, where the data set's makers chose it."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Identifiers of the pairs, in their order."""
        return tuple(pair.identifier for pair in self.pairs)

    def select(self, identifiers: Iterable[str]) -> tuple[Pair, ...]:
        """Look up pairs by identifier.

        Args:
            identifiers: Identifiers in the order wanted, for example one side of a split.

        Returns:
            The pairs in that order.

        Raises:
            DataError: An identifier is not in the collection.
        """
        known = {pair.identifier: pair for pair in self.pairs}
        wanted = list(identifiers)
        missing = [identifier for identifier in wanted if identifier not in known]
        if missing:
            raise DataError(f"{self.name} lacks {listing(missing)}; is this the right data folder?")
        return tuple(known[identifier] for identifier in wanted)


def listing(names: Sequence[str], limit: int = 5) -> str:
    """Write names for a message: the first few, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit:,} more"


def problem_lines(problems: Sequence[Problem], limit: int = 20) -> list[str]:
    """Write problems one a line: the first few, and how many more there are."""
    lines = [f"{problem.path} {problem.reason}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"and {len(problems) - limit:,} more; `dermseg data check` lists all")
    return lines


def identifier_of(path: Path, endings: Iterable[str] = ()) -> str:
    """Derive the identifier from a file name.

    Args:
        path: File of an image or a mask.
        endings: Lower-case endings of the stem to drop, compared without regard to case; the first that
            fits is dropped.

    Returns:
        The stem without its ending, in Unicode normal form C: some file systems store accents and Arabic
        marks apart from their letters, and the two files of a pair may come from different ones.
    """
    stem = unicodedata.normalize("NFC", path.stem)
    fitting = (ending for ending in endings if stem.lower().endswith(ending) and len(stem) > len(ending))
    return stem[: -len(next(fitting, "")) or None]


def match(
    images: Iterable[tuple[str, Path]], masks: Iterable[tuple[str, Path]]
) -> tuple[list[Pair], list[Problem]]:
    """Pair images and masks by identifier and check that both headers are readable and sizes agree.

    Args:
        images: Identifier and path of every image file.
        masks: Identifier and path of every mask file.

    Returns:
        The pairs in the order of their identifiers, and a problem for every file left out: unmatched,
        one of several for one identifier, unreadable, or a mask of another size than its image.
    """
    images_by, masks_by = _group(images), _group(masks)
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for identifier in sorted(images_by.keys() | masks_by.keys()):
        image_files, mask_files = images_by.get(identifier, []), masks_by.get(identifier, [])
        found = _problems_of(identifier, image_files, mask_files)
        problems += found
        if not found:
            pairs.append(Pair(identifier, image_files[0], mask_files[0]))
    return pairs, problems


def _group(files: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for identifier, path in files:
        groups.setdefault(identifier, []).append(path)
    return groups


def _problems_of(identifier: str, images: Sequence[Path], masks: Sequence[Path]) -> list[Problem]:
    if len(images) > 1 or len(masks) > 1:
        reason = (
            f"is one of {len(images)} images and {len(masks)} masks for identifier {identifier}; keep one"
        )
        return [Problem(path, reason) for path in chain(images, masks)]
    if not masks:
        return [Problem(images[0], f"has no mask (none has the identifier {identifier}); add or rename one")]
    if not images:
        return [Problem(masks[0], f"has no image (none has the identifier {identifier}); add or rename one")]
    return _header_problems(images[0], masks[0])


def _header_problems(image: Path, mask: Path) -> list[Problem]:
    sizes = []
    problems = []
    for path in (image, mask):
        try:
            sizes.append(read_size(path))
        except DataError as error:
            problems.append(Problem(path, reason_of(error, path)))
    if not problems and sizes[0] != sizes[1]:
        problems.append(Problem(mask, size_mismatch(sizes[0], sizes[1])))
    return problems


def read_pair(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | Problem:
    """Decode an image (height, width, 3) and its mask (height, width), or say why that cannot be done."""
    path = pair.image
    try:
        image = read_image(path)
        path = pair.mask
        mask = read_mask(path)
    except DataError as error:
        return Problem(path, reason_of(error, path))
    if mask.shape != image.shape[:2]:
        height, width = image.shape[:2]
        return Problem(path, size_mismatch((height, width), (mask.shape[0], mask.shape[1])))
    return image, mask


def size_mismatch(image: tuple[int, int], mask: tuple[int, int]) -> str:
    """Say that a mask (height, width) does not fit its image (height, width)."""
    sizes = f"is {mask[1]} x {mask[0]} pixels but its image is {image[1]} x {image[0]}"
    turned = " (turned on its side: does only the image have an EXIF orientation?)"
    return f"{sizes}{turned if mask == image[::-1] else ''}; export it at that size"


def reason_of(error: DataError, path: Path) -> str:
    """Take from an error about `path` the reason alone: a `Problem` names the path itself."""
    return str(error).removeprefix(f"{path} ").removesuffix(".")
