"""Looking at every pair of a data set once: in parallel, with little kept of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from dermseg.data.decoding import PixelBudget, in_order, usable_cores
from dermseg.data.duplicates import COMPARED_SIZE, Duplicate, Fingerprint, fingerprint, near_duplicates
from dermseg.data.images import resize_image
from dermseg.data.pairs import Collection, Pair, Problem, read_pair, reason_of
from dermseg.data.quality.measures import Measures, measure_pair
from dermseg.data.quality.suspicions import SUSPICIONS, Suspicion
from dermseg.errors import DataError

MEAN_SIDE = 128
"""Side of the mean mask in pixels; every mask is squashed to this square."""
_EMPTY = "marks no lesion (the mask is empty), so the pair is left out; outline the lesion if there is one"


@dataclass(frozen=True)
class Examination:
    """What was found in a data set."""

    collection: Collection
    measures: tuple[Measures, ...]
    """Of every usable pair, in the order of the identifiers."""
    problems: tuple[Problem, ...]
    """Every file that cannot be used."""
    empty: tuple[str, ...]
    """Pairs whose mask marks no lesion; each is among the problems too."""
    duplicates: tuple[Duplicate, ...]
    """Images that show the same, the likest first."""
    mean_mask: NDArray[np.float64]
    """Share of the usable masks with lesion at each place (MEAN_SIDE, MEAN_SIDE); zero without masks."""

    @property
    def sizes(self) -> list[tuple[tuple[int, int], int]]:
        """Sizes (height, width) of the usable images with their numbers, the commonest first."""
        counts = Counter((pair.height, pair.width) for pair in self.measures)
        return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))

    @cached_property
    def suspicious(self) -> dict[str, tuple[Suspicion, list[Measures]]]:
        """Each suspicion, by key, with the pairs it was raised about, the worst first."""
        return {suspicion.key: (suspicion, suspicion.find(self.measures)) for suspicion in SUSPICIONS}


def examine(collection: Collection) -> Examination:
    """Decode and measure every pair, showing progress on standard error.

    A file that cannot be used becomes a problem and does not stop the others.

    Args:
        collection: Pairs to look at; its problems are carried over.
    """
    measures: list[Measures] = []
    fingerprints: list[Fingerprint] = []
    problems = list(collection.problems)
    empty: list[str] = []
    total = np.zeros((MEAN_SIDE, MEAN_SIDE))
    for pair, found in zip(collection.pairs, _looked_at(collection.pairs), strict=True):
        if isinstance(found, Problem):
            problems.append(found)
            if found.reason == _EMPTY:
                empty.append(pair.identifier)
            continue
        measures.append(found.measures)
        fingerprints.append(found.fingerprint)
        total += found.cover
    duplicates = sorted(near_duplicates(fingerprints), key=lambda pair: (-pair.correlation, pair.first))
    return Examination(
        collection,
        tuple(measures),
        tuple(problems),
        tuple(empty),
        tuple(duplicates),
        total / max(1, len(measures)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What is kept of a pair."""

    measures: Measures
    fingerprint: Fingerprint
    cover: NDArray[np.float64]
    """The mask squashed to (MEAN_SIDE, MEAN_SIDE), 0 to 1."""


def _looked_at(pairs: Sequence[Pair]) -> Iterator[_Look | Problem]:
    """Look at pairs in parallel, and give what was found in their order."""
    looks = in_order(pairs, _look_within, usable_cores())
    yield from track(looks, "Looking", len(pairs), console=Console(stderr=True))


def _look_within(pair: Pair, budget: PixelBudget) -> _Look | Problem:
    try:
        with budget.hold(pair.image):
            return _look(pair)
    except DataError as error:
        return Problem(pair.image, reason_of(error, pair.image))
    except MemoryError:
        return Problem(
            pair.image, "needs more memory than there is; shrink it, and its mask, or leave both out"
        )


def _look(pair: Pair) -> _Look | Problem:
    found = read_pair(pair)
    if isinstance(found, Problem):
        return found
    image, mask = found
    if not mask.any():
        return Problem(pair.mask, _EMPTY)
    levels = Image.fromarray(mask.astype(np.uint8) * 255)
    cover = np.asarray(levels.resize((MEAN_SIDE, MEAN_SIDE), Image.Resampling.BOX)) / 255
    small = resize_image(image, COMPARED_SIZE)  # as splits and the leak guard compare them
    return _Look(measure_pair(pair.identifier, image, mask), fingerprint(pair.identifier, small), cover)
