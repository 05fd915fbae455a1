"""Readers of data set folders: ISIC 2016 to 2018, HAM10000, PH2, and any folders with images and masks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from dermseg.data.layouts import LAYOUTS
from dermseg.data.opening import IMAGE_SUFFIXES
from dermseg.data.pairs import Collection, Problem, identifier_of, listing, match
from dermseg.errors import ConfigError, DataError

MASK_ENDINGS = ("_segmentation", "_ground_truth", "_groundtruth", "_lesion", "_label", "_mask", "_seg", "_gt")
"""Endings that a mask's name may have beyond the identifier."""

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "groundtruth", "ground_truth", "gt")
"""Names of the two sub-folders of the `folder` layout, whatever their case."""

ISIC2018_PARTS = {
    side: (f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth")
    for side, part in (("train", "Training"), ("validation", "Validation"), ("test", "Test"))
}
"""Official folders of images and masks, by the side of a split they are meant for."""

ISIC_PARTS = {
    "isic2016_task1": {
        side: (f"ISBI2016_ISIC_Part1_{part}_Data", f"ISBI2016_ISIC_Part1_{part}_GroundTruth")
        for side, part in (("train", "Training"), ("test", "Test"))
    },
    "isic2017_task1": {
        side: (f"ISIC-2017_{part}_Data", f"ISIC-2017_{part}_Part1_GroundTruth")
        for side, part in (("train", "Training"), ("validation", "Validation"), ("test", "Test_v2"))
    },
    "isic2018_task1": ISIC2018_PARTS,
}
"""The same for every year of the challenge, by layout."""

HAM_IMAGES = ("HAM10000_images_part_1", "HAM10000_images_part_2")
HAM_MASKS = "HAM10000_segmentations_lesion_tschandl"

PH2_IMAGES = "PH2 Dataset images"


def read_collection(path: Path, layout: str = "auto", masks: Path | None = None) -> Collection:
    """Read the pairs of a data set folder, or of a folder of images and one of masks.

    Only headers are read, which is quick; `dermseg.data.cache.prepare` decodes the pixels and reports the
    files that turn out to be broken.

    Args:
        path: Folder of the data set.
        layout: `isic2016_task1`, `isic2017_task1`, `isic2018_task1` (official folders; all parts that are
            there), `ham10000` (official folders), `ph2` (official folders with BMP files, or flat `images`
            and `masks`), `folder` (any `images` and `masks`), or `auto`.
        masks: Folder of the masks; `path` is then the folder of the images itself, and has no layout.

    Returns:
        The pairs, and the problems of everything left out.

    Raises:
        ConfigError: The layout is unknown.
        DataError: A folder is missing, fits no layout, or has no usable pair.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"Unknown layout {layout!r}; choose {', '.join(LAYOUTS)}.")
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; give the folder of a data set. {_EXPECTED}")
    if masks is None:
        collection = _READERS[detect_layout(path) if layout == "auto" else layout](path)
    elif masks.is_dir():
        collection = read_folders(path, masks, name=path.resolve().name)
    else:
        raise DataError(f"masks: {masks} is not a folder; give the folder of the masks.")
    if not collection.pairs:
        found = [f"{problem.path.name} {problem.reason}" for problem in collection.problems]
        raise DataError(
            f"{path} has no usable pair of image and mask. Found: {listing(found, 3) or 'nothing'}."
        )
    return collection


def detect_layout(path: Path) -> str:
    """Name the layout of a data set folder by the folders in it.

    Raises:
        DataError: The folder fits no layout, or several.
    """
    official = _official_layouts(path)
    if len(official) > 1:
        raise DataError(f"{path} holds several data sets ({listing(official)}); choose one with --layout.")
    if official:
        return official[0]
    nested = ((folder / f"{folder.name}_Dermoscopic_Image").is_dir() for folder in _ph2_folders(path))
    if (path / PH2_IMAGES).is_dir() or any(nested):
        return "ph2"
    images, masks = _subfolder(path, IMAGE_FOLDERS), _subfolder(path, MASK_FOLDERS)
    if images and masks:
        flat_ph2 = next(images.glob("IMD*"), None) and next(masks.glob("IMD*_lesion.*"), None)
        return "ph2" if flat_ph2 else "folder"
    raise DataError(f"{path} fits no known layout. {_EXPECTED} {_found(path)}")


def read_folders(images: Path, masks: Path, name: str = "folder") -> Collection:
    """Read a folder of images and a folder of masks.

    Args:
        images: Folder of the images.
        masks: Folder of the masks. A mask has the name of its image, alone or with one of `MASK_ENDINGS`.
        name: Name of the collection.
    """
    found = list(_identified(images))
    known = {identifier for identifier, _ in found}
    # The name of an image may itself end like a mask's.
    named = [
        (whole if whole in known else identifier_of(path, MASK_ENDINGS), path)
        for whole, path in _identified(masks)
    ]
    pairs, problems = match(found, named)
    return Collection(name, tuple(pairs), tuple(problems))


def _official_layouts(path: Path) -> list[str]:
    """Name the layouts that the folder has an official folder of images of."""
    folders = {layout: [images for images, _ in parts.values()] for layout, parts in ISIC_PARTS.items()}
    folders["ham10000"] = [*HAM_IMAGES]
    return [layout for layout, names in folders.items() if any((path / name).is_dir() for name in names)]


def official_folder(path: Path, name: str) -> Path:
    """Return a folder of a data set, or the one of its own name in it that some programs unpack to."""
    return path / name / name if (path / name / name).is_dir() else path / name


def image_files(folder: Path) -> list[Path]:
    """List the images (or masks) of a folder, without hidden files and superpixel pictures."""
    return [path for _, path in _identified(folder)]


def _read_isic(path: Path, layout: str) -> Collection:
    images: list[tuple[str, Path]] = []
    masks: list[tuple[str, Path]] = []
    problems: list[Problem] = []
    sides: dict[str, str] = {}
    for side, names in ISIC_PARTS[layout].items():
        image_folder, mask_folder = (official_folder(path, name) for name in names)
        if image_folder.is_dir() and mask_folder.is_dir():
            found = list(_identified(image_folder))
            images += found
            sides |= {identifier: side for identifier, _ in found}
            masks += _identified(mask_folder, ("_segmentation",))
        elif image_folder.is_dir():
            problems.append(Problem(image_folder, f"has no masks: {mask_folder.name} is not beside it"))
        elif mask_folder.is_dir():
            problems.append(Problem(mask_folder, f"has no images: {image_folder.name} is not beside it"))
    pairs, unmatched = match(images, masks)
    return Collection(layout, tuple(pairs), (*problems, *unmatched), sides)


def _read_ham10000(path: Path) -> Collection:
    folders = [official_folder(path, name) for name in HAM_IMAGES]
    images = [found for folder in folders for found in _identified(folder)]
    pairs, problems = match(images, _identified(official_folder(path, HAM_MASKS), ("_segmentation",)))
    return Collection("ham10000", tuple(pairs), tuple(problems))


def _read_ph2(path: Path) -> Collection:
    root = path / PH2_IMAGES if (path / PH2_IMAGES).is_dir() else path
    images: list[tuple[str, Path]] = []
    masks: list[tuple[str, Path]] = []
    problems: list[Problem] = []
    for folder in _ph2_folders(root):
        image_folder = folder / f"{folder.name}_Dermoscopic_Image"
        if not image_folder.is_dir():
            problems.append(Problem(folder, f"has no folder {image_folder.name}; fetch it again"))
        images += _identified(image_folder)
        masks += _identified(folder / f"{folder.name}_lesion", ("_lesion",))
    if images or masks:
        pairs, unmatched = match(images, masks)
        return Collection("ph2", tuple(pairs), (*problems, *unmatched))
    flat = _read_images_and_masks(path)
    return Collection("ph2", flat.pairs, flat.problems)


def _read_images_and_masks(path: Path) -> Collection:
    images, masks = _subfolder(path, IMAGE_FOLDERS), _subfolder(path, MASK_FOLDERS)
    if images is None or masks is None:
        raise DataError(f"{path} needs the sub-folders images and masks. {_found(path)}")
    collection = read_folders(images, masks, name=path.resolve().name)
    passed = [*_passed_over(path, IMAGE_FOLDERS, images), *_passed_over(path, MASK_FOLDERS, masks)]
    return replace(collection, problems=(*passed, *collection.problems))


def _passed_over(path: Path, names: tuple[str, ...], taken: Path) -> Iterator[Problem]:
    """Name the sub-folders with images that could have been taken too."""
    for folder in _visible(path):
        named = folder.name.lower() in names and folder.is_dir() and not folder.samefile(taken)
        if named and image_files(folder):
            yield Problem(
                folder, f"is passed over, since {taken.name} is read; move its files there, or rename it"
            )


_READERS: dict[str, Callable[[Path], Collection]] = {
    **{layout: partial(_read_isic, layout=layout) for layout in ISIC_PARTS},
    "ham10000": _read_ham10000,
    "ph2": _read_ph2,
    "folder": _read_images_and_masks,
}

_EXPECTED = (
    "Expected sub-folders images and masks, or the official folders of ISIC 2016, 2017 or 2018 "
    f"(such as {ISIC2018_PARTS['train'][0]}), of HAM10000 ({HAM_IMAGES[0]}) or of PH2 ({PH2_IMAGES})."
)


def _identified(folder: Path, endings: tuple[str, ...] = ()) -> Iterator[tuple[str, Path]]:
    """List the image files of a folder (not of folders in it) with their identifiers."""
    for path in _visible(folder):
        # ISIC archives carry superpixel pictures beside the images.
        if (
            path.suffix.lower() in IMAGE_SUFFIXES
            and not path.stem.endswith("_superpixels")
            and not path.is_dir()
        ):
            yield identifier_of(path, endings), path


def _visible(folder: Path) -> list[Path]:
    """List a folder without hidden files (`._x` of macOS among them), in the order of names."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error}); check its permissions.") from error


def _ph2_folders(path: Path) -> Iterator[Path]:
    return (folder for folder in _visible(path) if folder.name.startswith("IMD") and folder.is_dir())


def _subfolder(path: Path, names: tuple[str, ...]) -> Path | None:
    folders = {folder.name.lower(): folder for folder in _visible(path) if folder.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _found(path: Path) -> str:
    names = [entry.name + "/" * entry.is_dir() for entry in _visible(path)]
    return f"Found: {listing(names) or 'an empty folder'}."
