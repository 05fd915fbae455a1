"""The sub-commands of `dermseg data`: typed functions whose docstrings are their help.

Nothing heavy is imported before one runs; `dermseg.cli` lists them.
"""

from pathlib import Path
from typing import Literal

Layout = Literal["auto", "isic2016_task1", "isic2017_task1", "isic2018_task1", "ham10000", "ph2", "folder"]


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
    layout: Layout = "auto",
    masks: Path | None = None,
    cache: Path | None = None,
) -> int:
    """Decode a data set once, to a cache at training size that `dermseg train` uses by itself.

    Args:
        path: Folder of a data set.
        size: Side of the square images, in pixels.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        cache: Folder of caches, as `dermseg train --cache` takes it; by default in the user's cache folder.
    """
    from dermseg.data.commands import prepare

    return 1 if prepare(path, size, layout, masks, cache) else 0


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
