"""Count what the search for near-duplicates finds and what it takes for one, on real and on drawn images.

    python benchmarks/duplicates.py --isic isic2018_task1 [--ph2 ph2] [--drawn 1000] [--copies 100]

- known pairs: those of ISIC 2018 training images that were found by eye (`published_groups`);
- pairs not known: found among the same images, but not on that list (`--show FILE` draws them);
- copies: images changed in one way each, all hidden among the others at once: how many are found, by the
  pictures of the search (`near_duplicates`) and by the few bytes that go with weights (`References`);
- false alarms: pairs found then that are no copies.

Images are decoded at 256 px first, which is not timed; a search is, in seconds of processor time. Writes
`results/benchmarks/duplicates.csv`.
"""

import argparse
import io
import shlex
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dermseg.data.cache import directory_for, prepare
from dermseg.data.duplicates import (
    COMPARED_SIZE,
    References,
    fingerprint,
    near_duplicates,
    near_duplicates_between,
)
from dermseg.data.groups import published_groups
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import draw_lesion
from dermseg.figures import Tile, contact_sheet
from machine import describe_machine
from rows import write_rows

Picture = NDArray[np.uint8]


def resized(image: Picture, width: int, height: int) -> Picture:
    """Resize to other sides."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def compressed(image: Picture, quality: int = 30) -> Picture:
    """Compress as JPEG and read again."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def cropped(image: Picture, share: float, top: float, left: float) -> Picture:
    """Cut a share off both axes: of that, `top` and `left` at the first end."""
    cut = round(share * len(image))
    y, x = round(top * cut), round(left * cut)
    return image[y : y + len(image) - cut, x : x + len(image) - cut]


def recoloured(image: Picture) -> Picture:
    """Change brightness and white balance."""
    return np.clip(image * np.array([0.7, 0.9, 1.1]) + 20, 0, 255).astype(np.uint8)


def turned(image: Picture, degrees: float) -> Picture:
    """Turn by an angle and keep the middle that is filled."""
    picture = np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC))
    cut = len(image) // 12
    return picture[cut:-cut, cut:-cut]


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "resized to 96 px": lambda image: resized(image, 96, 96),
    "squashed 2:1": lambda image: resized(image, 256, 128),
    "JPEG, quality 30": compressed,
    "mirrored": lambda image: image[:, ::-1],
    "turned by 90 degrees": lambda image: np.rot90(image),
    "cropped by 5 % in the middle": lambda image: cropped(image, 0.05, 0.5, 0.5),
    "cropped by 5 % at a corner": lambda image: cropped(image, 0.05, 1, 0),
    "cropped by 10 % in the middle": lambda image: cropped(image, 0.10, 0.5, 0.5),
    "other colours": recoloured,
    "turned by 5 degrees, cropped": lambda image: turned(image, 5),
    "all but turned by 5 degrees": lambda image: compressed(
        resized(recoloured(np.rot90(cropped(image, 0.05, 0, 1))[:, ::-1]), 200, 150), 50
    ),
}


def measured(name: str, pictures: dict[str, Picture], copies: int) -> tuple[list[dict[str, str]], list]:
    """Search a set of pictures alone, then with copies hidden in it, each changed in one way."""
    prints = [fingerprint(key, image) for key, image in track(pictures.items(), f"{name}: fingerprints")]
    among, seconds = timed(near_duplicates, prints)
    known = {group.identifiers for group in published_groups(pictures)}
    found = {(one.first, one.second) for one in among}
    rows = [
        row(name, "known pairs", len(known & found), len(known), "", seconds),
        row(name, "pairs not known", len(found - known), len(prints), "", ""),
    ]
    alone = [key for key in pictures if not any(key in pair for pair in found)]
    chosen = alone[:: max(1, len(alone) // (copies * len(CHANGES)))][: copies * len(CHANGES)]
    change_of = dict(zip(chosen, cycle(CHANGES), strict=False))
    changed = [fingerprint(f"~{key}", CHANGES[change](pictures[key])) for key, change in change_of.items()]
    inside, seconds = timed(near_duplicates, [*prints, *changed])
    stored, stored_seconds = timed(near_duplicates_between, changed, References.of(prints))
    searches = {
        "": ({(one.first, one.second) for one in inside} - found, seconds),
        "; stored bytes": ({(one.second, one.first) for one in stored}, stored_seconds),
    }
    for way, (pairs, seconds) in searches.items():
        planted = {change: {(k, f"~{k}") for k in chosen if change_of[k] == change} for change in CHANGES}
        for change, wanted in planted.items():
            rows.append(row(name, f"{change}{way}", len(pairs & wanted), len(wanted), "", ""))
        wanted = set().union(*planted.values())
        rows.append(
            row(name, f"all copies{way}", len(pairs & wanted), len(wanted), len(pairs - wanted), seconds)
        )
    return rows, [one for one in among if (one.first, one.second) not in known]


def timed(search: Callable[..., list], *arguments: object) -> tuple[list, str]:
    """Call a search; return what it found, and the seconds of processor time."""
    begin = time.process_time()
    found = search(*arguments)
    return found, f"{time.process_time() - begin:.1f}"


def row(images: str, case: str, found: int, of: int, alarms: object, seconds: str) -> dict[str, str]:
    """One line of the table."""
    return {
        "images": images,
        "case": case,
        "found": str(found),
        "of": str(of),
        "false alarms": str(alarms),
        "CPU seconds": seconds,
    }


def real(folder: Path) -> dict[str, Picture]:
    """Read the images of a data set at 256 px, by identifier."""
    directory = directory_for(folder, COMPARED_SIZE)
    cache = prepare(read_collection(folder).pairs, COMPARED_SIZE, directory, progress=True)
    return {name: np.ascontiguousarray(cache.images[i]) for i, name in enumerate(cache.identifiers)}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--isic", type=Path)
    parser.add_argument("--ph2", type=Path)
    parser.add_argument("--drawn", type=int, default=1000)
    parser.add_argument(
        "--copies", type=int, default=100, help="of each change, where there are as many images"
    )
    parser.add_argument(
        "--show", type=Path, help="draw the pairs that are not on the list; never publish them"
    )
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/duplicates.csv"))
    arguments = parser.parse_args()
    sets = {folder.name: real(folder) for folder in (arguments.isic, arguments.ph2) if folder}
    if arguments.drawn:
        sets["synthetic"] = {
            f"{seed:05d}": draw_lesion(COMPARED_SIZE, np.random.default_rng([2018, seed]))[0]
            for seed in track(range(arguments.drawn), "Drawing")
        }
    rows: list[dict[str, str]] = []
    tiles = []
    for name, pictures in sets.items():
        measurements, others = measured(f"{name} ({len(pictures):,})", pictures, arguments.copies)
        rows += measurements
        for one in others:
            both = np.concatenate([pictures[one.first], pictures[one.second]], axis=1)
            tiles.append(Tile(both, f"{one.first}\n{one.second} {one.correlation:.2f}"))
    if arguments.show and tiles:
        contact_sheet(tiles, arguments.show, title="Pairs found that are not on the list", legend=[])
    provenance = {"machine": describe_machine(), "command": shlex.join(["python", *sys.argv])}
    table = Table(*rows[0])
    for entry in rows:
        table.add_row(*entry.values())
    Console().print(table)
    write_rows(arguments.out, [{**entry, **provenance} for entry in rows])


if __name__ == "__main__":
    main()
