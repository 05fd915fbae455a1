"""The sub-commands of `dermseg data`: typed functions whose docstrings are their help.

Nothing heavy is imported before one runs; `dermseg.cli` lists them.
"""

from pathlib import Path
from typing import Literal

Layout = Literal["auto", "isic2018_task1", "ph2", "folder"]


def data_check(path: str, layout: Layout = "auto", masks: Path | None = None) -> int:
    """List what a data folder holds and name every file that cannot be used.

    Args:
        path: Folder of a data set.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
    """
    from dermseg.data.commands import check

    return 1 if check(path, layout, masks) else 0


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
