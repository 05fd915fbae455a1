"""Files that are broken, wrong or malicious: the list of record.

Each is put into a data set with two sound pairs. However it is read, the message names the file and says what
to do, and the sound pairs are used. Files that look wrong and are fine are listed too.
"""

import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermseg.cli import main
from dermseg.data.cache import prepare
from dermseg.data.readers import read_collection

WIDTH, HEIGHT = 48, 36
DISC = np.hypot(*np.mgrid[-18:18, -24:24]) < 12
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def save_pair(folder: Path, name: str, ending: str = "jpg") -> tuple[Path, Path]:
    image, mask = folder / "images" / f"{name}.{ending}", folder / "masks" / f"{name}.png"
    for path, pixels in ((image, NOISE), (mask, DISC.astype(np.uint8) * np.uint8(255))):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return image, mask


def bomb(width: int, height: int) -> bytes:
    """A PNG of 200 bytes that claims more pixels than fit into memory."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def replace(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def loop(path: Path) -> None:
    path.unlink()
    other = path.with_name("other" + path.suffix + ".link")
    path.symlink_to(other)
    other.symlink_to(path)


def swap(image: Path, mask: Path) -> None:
    first, second = Image.open(image).convert("RGB"), Image.open(mask).convert("RGB")
    second.save(image)
    first.save(mask)


def photograph_of_contours(mask: Path) -> None:
    outlined = NOISE.copy()
    outlined[DISC] = (255, 0, 0)
    replace(mask, outlined)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SMALL = np.zeros((10, 20), np.uint8)
GRADIENT = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
CLASSES = DISC.astype(np.uint8) + np.eye(HEIGHT, WIDTH, dtype=np.uint8)

BAD: dict[str, tuple[Callable[[Path, Path], object], str, str]] = {
    # What is done to a pair; which of its files is named ("image" or "mask"); what is said of it.
    "mask of another image": (lambda _, mask: replace(mask, SMALL), "mask", "is 20 x 10.*48 x 36; export it"),
    "mask turned by 90 degrees": (
        lambda _, mask: replace(mask, DISC.T),
        "mask",
        "turned on its side.*export",
    ),
    "image and mask swapped": (swap, "mask", "is not a mask.*check that image and mask are not swapped"),
    "missing mask": (lambda _, mask: mask.unlink(), "image", r"has no mask.*add or rename one"),
    "missing image": (lambda image, _: image.unlink(), "mask", "has no image.*add or rename one"),
    "truncated JPEG": (lambda image, _: cut(image), "image", r"cannot be read \(.*fetch or export .* again"),
    "truncated mask": (lambda _, mask: cut(mask), "mask", r"cannot be read \(.*fetch or export .* again"),
    "photograph as mask": (
        lambda _, mask: replace(mask, NOISE),
        "mask",
        "is not a mask.*export the mask again",
    ),
    "outline drawn on the photograph": (
        lambda _, mask: photograph_of_contours(mask),
        "mask",
        "is not a mask.*export the mask again",
    ),
    "mask with grey values": (
        lambda _, mask: replace(mask, GRADIENT),
        "mask",
        r"is not a mask: 48 levels.*expected",
    ),
    "mask of several classes": (
        lambda _, mask: replace(mask, CLASSES),
        "mask",
        "is not a mask: 3 levels from 0 to 2",
    ),
    "empty mask": (
        lambda _, mask: replace(mask, DISC * np.uint8(0)),
        "mask",
        "marks no lesion.*outline the lesion",
    ),
    "zero-byte image": (
        lambda image, _: image.write_bytes(b""),
        "image",
        r"is empty \(0 bytes\); fetch or export",
    ),
    "zero-byte mask": (
        lambda _, mask: mask.write_bytes(b""),
        "mask",
        r"is empty \(0 bytes\); fetch or export",
    ),
    "text as image": (
        lambda image, _: image.write_text("<html>"),
        "image",
        "not an image of a known format; export",
    ),
    "bytes after a true signature": (
        lambda image, _: image.write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256))),
        "image",
        "(not an image of a known format|cannot be read).*export",
    ),
    "300-megapixel bomb": (
        lambda image, _: image.write_bytes(bomb(20_000, 15_000)),
        "image",
        "is too large: more than 178 megapixels; make it smaller",
    ),
    "300-megapixel mask": (
        lambda _, mask: mask.write_bytes(bomb(20_000, 15_000)),
        "mask",
        "is too large: more than 178 megapixels; make it smaller",
    ),
    "symlink loop": (lambda image, _: loop(image), "image", r"does not exist \(or is a broken link\); check"),
    "symlink loop for a mask": (
        lambda _, mask: loop(mask),
        "mask",
        r"does not exist \(or is a broken link\); check",
    ),
    "pipe that nobody writes to": (lambda image, _: pipe(image), "image", "is empty.*fetch or export"),
}

GOOD: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    # Name of the pair; what is done to it.
    "Arabic name": ("آفة جلدية", lambda *_: None),
    "Arabic name in another Unicode form": (
        "\u0622\u0641\u0629",
        lambda _, mask: mask.rename(mask.with_name("\u0627\u0653\u0641\u0629.png")),
    ),
    "name with brackets, spaces and a newline": ("[bold] a\nb  c", lambda *_: None),
    "RGB mask": ("rgb", lambda _, mask: replace(mask, np.repeat(DISC[..., None], 3, axis=2) * np.uint8(255))),
    "mask of one colour": (
        "red",
        lambda _, mask: replace(mask, DISC[..., None] * np.array([200, 0, 0], np.uint8)),
    ),
    "mask of 0 and 1": ("ones", lambda _, mask: replace(mask, DISC.astype(np.uint8))),
    "mask with soft borders": (
        "soft",
        lambda _, mask: (
            Image.open(mask).resize((WIDTH * 2, HEIGHT * 2), 2).resize((WIDTH, HEIGHT), 2).save(mask)
        ),
    ),
    "image behind a link": (
        "linked",
        lambda image, _: image.symlink_to(image.rename(image.parents[1] / "elsewhere.jpg")),
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("sound1", "sound2"):
        save_pair(tmp_path / "data", name)
    return tmp_path / "data"


@pytest.mark.parametrize("case", BAD)
class TestBadFiles:
    def spoil(self, folder: Path, case: str) -> tuple[Path, str]:
        image, mask = save_pair(folder, "spoilt")
        change, named, message = BAD[case]
        change(image, mask)
        return {"image": image, "mask": mask}[named], message

    def test_collection_and_cache_name_it_and_go_on(self, folder: Path, tmp_path: Path, case: str):
        path, message = self.spoil(folder, case)
        collection = read_collection(folder)
        cache = prepare(collection.pairs, 16, tmp_path / "cache")
        assert cache.identifiers == ("sound1", "sound2")
        [problem] = [*collection.problems, *cache.problems]
        assert problem.path == path
        assert re.search(message, problem.reason, re.DOTALL)

    def test_the_check_names_it_and_goes_on(
        self, folder: Path, case: str, capsys: pytest.CaptureFixture[str]
    ):
        path, message = self.spoil(folder, case)
        assert main(["data", "check", str(folder)]) == 1
        printed = capsys.readouterr().out
        assert "2 usable pairs" in printed
        assert re.search(re.escape(str(path)) + " .*" + message, printed)


@pytest.mark.parametrize("case", GOOD)
def test_unusual_files_are_used(folder: Path, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]):
    name, change = GOOD[case]
    change(*save_pair(folder, name))
    collection = read_collection(folder)
    cache = prepare(collection.pairs, 36, tmp_path / "cache", geometry="crop")
    assert not collection.problems
    assert not cache.problems
    assert cache.identifiers == tuple(sorted(["sound1", "sound2", name]))
    np.testing.assert_array_equal(cache.masks[cache.identifiers.index(name)], DISC[:, 6:42])
    assert main(["data", "check", str(folder)]) == 0
    assert "3 usable pairs" in capsys.readouterr().out


def test_a_name_that_is_no_text_is_used(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    image, mask = save_pair(folder, "plain")
    name = os.fsdecode(b"\xff\xfe")
    try:
        image.rename(image.with_stem(name))
    except OSError:
        pytest.skip("this file system takes text only")
    mask.rename(mask.with_stem(name))
    cache = prepare(read_collection(folder).pairs, 16, tmp_path / "cache")
    assert name in cache.identifiers
    assert prepare(read_collection(folder).pairs, 16, tmp_path / "cache") == cache
    assert main(["data", "check", str(folder)]) == 0


def test_a_folder_that_contains_itself_is_read_once(folder: Path):
    (folder / "images" / "again").symlink_to(folder / "images")
    (folder / "masks" / "loop").symlink_to("loop")
    collection = read_collection(folder)
    assert collection.identifiers == ("sound1", "sound2")
    assert not collection.problems


def test_a_folder_that_is_a_loop_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "loop").symlink_to("loop")
    assert main(["data", "check", str(tmp_path / "loop")]) == 2
    assert "loop is not a folder; give the folder of a data set" in capsys.readouterr().err


def test_all_at_once(folder: Path, tmp_path: Path):
    """Many bad files do not hide each other, nor the sound ones."""
    paths = set()
    for number, (change, named, _) in enumerate(BAD.values()):
        files = dict(zip(("image", "mask"), save_pair(folder, f"bad{number}"), strict=True))
        change(files["image"], files["mask"])
        paths.add(files[named])
    collection = read_collection(folder)
    cache = prepare(collection.pairs, 16, tmp_path / "cache")
    assert cache.identifiers == ("sound1", "sound2")
    assert {problem.path for problem in (*collection.problems, *cache.problems)} == paths
