"""The sub-commands of `dermseg data`: typed functions whose docstrings are their help.

Nothing heavy is imported before one runs; `dermseg.cli` lists them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dermseg.data.geometry import Geometry
from dermseg.data.layouts import Layout


def data_list() -> int:
    """List the public data sets that dermseg knows: images, size, licence, and how to get them."""
    from dermseg.data.catalogue.table import print_catalogue

    print_catalogue()
    return 0


def data_show(name: str) -> int:
    """Tell all that is known of a data set: files, licence, citation, overlaps with others, how to get it.

    Args:
        name: A name that `dermseg data list` prints.
    """
    from dermseg.data.catalogue.entries import load_entry
    from dermseg.data.catalogue.table import print_entry

    print_entry(load_entry(name))
    return 0


def data_download(name: str, out: Path | None = None) -> int:
    """Fetch a data set from its makers, check it and unpack it; run again to go on after an interruption.

    Args:
        name: A name that `dermseg data list` prints.
        out: Folder that receives the official folders; by default data/NAME.
    """
    from rich.console import Console

    from dermseg.data.catalogue.entries import load_entry
    from dermseg.data.download import download

    download(load_entry(name), out or Path("data", name), Console(stderr=True))
    return 0


def data_verify(path: Path, name: str | None = None) -> int:
    """Say which files of a data set of the catalogue are there, missing or damaged.

    Args:
        path: Folder with official archives or the folders they unpack to, or one archive.
        name: Which data set it should be; by default the one that fits best.
    """
    from dermseg.data.verify import print_verification

    return 0 if print_verification(path, name) else 1


def data_check(
    path: str,
    layout: Layout = "auto",
    masks: Path | None = None,
    out: Path | None = None,
    json: Path | None = None,
) -> int:
    """List what a data folder holds, name every file that cannot be used, and report on its quality.

    Args:
        path: Folder of a data set.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        out: Folder for a page with figures and pictures of the worst pairs; it shows your images.
        json: File for the same facts, for machines.
    """
    from dermseg.data.commands import check

    return 1 if check(path, layout, masks, out, json) else 0


def data_prepare(
    path: str,
    size: int = 256,
    out: Path | None = None,
    geometry: Geometry = "squash",
    preprocessing: Sequence[str] = (),
    layout: Layout = "auto",
    masks: Path | None = None,
) -> int:
    """Decode a data set once, to a cache at training size that `dermseg train` uses by itself.

    Args:
        path: Folder of a data set.
        size: Side of the square images, in pixels.
        out: Folder of caches, the same as `dermseg train --cache`; by default in the user's cache folder.
        geometry: squash the whole frame, fit it at its own aspect (the rest mirrors it), or crop the middle.
        preprocessing: What is done to the images then, in this order, e.g. '[shades_of_grey, hair_removal]'.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
    """
    from dermseg.data.commands import prepare

    return 1 if prepare(path, size, geometry, preprocessing, layout, masks, out) else 0


def data_preview(
    path: Path,
    out: Path = Path("preview.png"),
    size: int = 256,
    seed: int = 0,
    rows: int = 4,
    preset: Literal["default", "strong"] = "default",
    geometry: Geometry = "squash",
    preprocessing: Sequence[str] = (),
    layout: Layout = "auto",
    masks: Path | None = None,
) -> int:
    """Draw a sheet of images as a training sees them: moved, recoloured and soiled, with the mask's outline.

    Args:
        path: Folder of a data set.
        out: The sheet, a PNG file.
        size: Side of the square images, in pixels.
        seed: Chooses the images and the views.
        rows: Images to show.
        preset: The augmentation; `dermseg train --augmentation.preset strong` trains with the strong one.
        geometry: squash the whole frame, fit it at its own aspect (the rest mirrors it), or crop the middle.
        preprocessing: What is done to the images then, in this order, e.g. '[shades_of_grey, hair_removal]'.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
    """
    from dermseg.data.pairs import problem_lines
    from dermseg.data.preview import preview

    problems = preview(
        path,
        out,
        size=size,
        seed=seed,
        rows=rows,
        preset=preset,
        geometry=geometry,
        preprocessing=preprocessing,
        layout=layout,
        masks=masks,
    )
    for line in problem_lines(problems):
        print(line)
    print(out)
    return 1 if problems else 0


def data_synthesize(out: Path, count: int = 100, size: int = 256, seed: int = 0) -> int:
    """Draw synthetic dermoscopic images with exact masks.

    Args:
        out: Folder that receives images/ and masks/.
        count: Number of pairs.
        size: Side of the images, in pixels.
        seed: The same seed draws the same images.
    """
    from dermseg.data.commands import synthesize

    synthesize(out, count, size, seed)
    return 0


def data_split(
    path: Path,
    out: Path = Path("splits"),
    protocol: str | None = None,
    folds: int | None = None,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    layout: Layout = "auto",
    masks: Path | None = None,
    groups: Path | None = None,
    cache: Path | None = None,
) -> int:
    """Divide a data set into images that train, validate and test, and write the lists as JSON.

    Near-duplicates and images of one lesion or patient stay on one side; every side gets its share of small
    and large lesions and of each source. The same data and seed give the same lists.

    Args:
        path: Folder of a data set.
        out: Folder for the files, one for each split; `dermseg train --split FILE` takes them.
        protocol: A division that published results use; `dermseg data splits` lists them.
        folds: Number of folds of a cross-validation, instead of a single split.
        validation: Share of the images that choose the epoch.
        test: Share of the images that are tested, where there are no folds.
        seed: Another seed draws another division.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        groups: CSV with lesion_id or patient_id by image; one beside the data is found without this.
        cache: Folder of prepared caches; by default in the user's cache folder.
    """
    from dermseg.data.splits.commands import draw

    draw(
        path,
        out,
        protocol=protocol,
        folds=folds,
        validation=validation,
        test=test,
        seed=seed,
        layout=layout,
        masks=masks,
        groups=groups,
        cache=cache,
    )
    return 0


def data_splits() -> int:
    """List the splits that come with dermseg, and the published protocols with what is wrong with them."""
    from dermseg.data.splits.commands import list_named

    list_named()
    return 0
