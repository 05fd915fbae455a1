"""A run's split keeps related images on one side, or says that it does not."""

import io
import shutil

import pytest
from PIL import Image
from rich.console import Console

from dermseg.data.splits import SIDES, Split, load_split, save_split
from dermseg.errors import ConfigError, DataError
from dermseg.training.sources import load_images


@pytest.fixture
def data(drawn, tmp_path):
    """Copy the drawn pairs; the image `copy` is the first one, smaller and turned."""
    folder = shutil.copytree(drawn, tmp_path / "data")
    for part in ("images", "masks"):
        first = Image.open(min((folder / part).iterdir()))
        first.rotate(90).resize((30, 30), Image.Resampling.NEAREST).save(folder / part / "copy.png")
    return folder


def load(arguments, split_file):
    text = io.StringIO()
    return load_images(arguments, split_file, Console(file=text, width=200)), text.getvalue()


def side_of(split, name):
    return next(side for side in SIDES if name in getattr(split, side))


FIRST = "synthetic-0-00000"


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_split_keeps_near_duplicates_together(data, tiny, tmp_path, seed):
    images, text = load(tiny(data=str(data), seed=seed), tmp_path / "split.json")
    assert side_of(images.split, FIRST) == side_of(images.split, "copy")
    assert "strata" in images.split.origin
    assert "warning" not in text


def torn(data, tmp_path):
    names = sorted(path.stem for path in (data / "images").iterdir())
    rest = [name for name in names if name not in (FIRST, "copy")]
    save_split(Split("torn", (FIRST, *rest[:6]), tuple(rest[6:]), ("copy",)), tmp_path / "torn.json")
    return str(tmp_path / "torn.json")


def test_a_given_split_with_near_duplicates_on_two_sides_is_refused(data, tiny, tmp_path):
    split = torn(data, tmp_path)
    with pytest.raises(
        DataError,
        match=rf"Split torn has related .*: {FIRST} in train, copy in test \(near-duplicates, .*--allow-leak",
    ):
        load(tiny(data=str(data), split=split), tmp_path / "split.json")
    images, text = load(tiny(data=str(data), split=split, allow_leak=True), tmp_path / "split.json")
    [leak] = images.split.origin["leaks"]
    assert leak.startswith(f"{FIRST} in train, copy in test")
    assert "torn has related images on two sides" in text
    assert images.split.checksum == load_split(split).checksum


def test_a_table_of_lesions_is_respected(drawn, tiny, tmp_path):
    names = sorted(path.stem for path in (drawn / "images").iterdir())
    table = tmp_path / "lesions.csv"
    table.write_text(
        "image_id,lesion_id\n" + "".join(f"{name},L{index // 3}\n" for index, name in enumerate(names))
    )
    images, _ = load(tiny(data=str(drawn), groups=str(table)), tmp_path / "split.json")
    for first in range(0, len(names), 3):
        assert len({side_of(images.split, name) for name in names[first : first + 3]}) == 1
    save_split(Split("torn", tuple(names[:5]), tuple(names[5:]), ()), tmp_path / "torn.json")
    with pytest.raises(DataError, match=r"torn has related .*lesion_id L1 in lesions\.csv"):
        load(
            tiny(data=str(drawn), groups=str(table), split=str(tmp_path / "torn.json")),
            tmp_path / "split.json",
        )


def test_a_table_that_is_named_and_found_counts_once(data, tiny, tmp_path):
    names = sorted(path.stem for path in (data / "images").iterdir() if path.stem != "copy")
    table = data / "lesions.csv"
    table.write_text(f"image_id,lesion_id\n{names[1]},L1\n{names[2]},L1\n")
    save_split(
        Split("torn", (names[0], "copy", names[1]), tuple(names[3:]), (names[2],)), tmp_path / "t.json"
    )
    arguments = tiny(data=str(data), groups=str(table), split=str(tmp_path / "t.json"), allow_leak=True)
    images, _ = load(arguments, tmp_path / "split.json")
    assert images.split.origin["leaks"] == [
        f"{names[1]} in train, {names[2]} in test (lesion_id L1 in lesions.csv)"
    ]


def test_a_begun_run_keeps_its_split(data, tiny, tmp_path):
    shutil.copy(torn(data, tmp_path), tmp_path / "split.json")
    images, _ = load(tiny(data=str(data)), tmp_path / "split.json")
    assert images.split.name == "torn"


def test_protocols_by_name_and_fold(tiny, tmp_path):
    tests = set()
    for fold in range(1, 6):
        images, text = load(tiny(split=f"paper-5-fold:{fold}"), tmp_path / "split.json")
        assert images.split.name == f"paper-5-fold-{fold}"
        assert "warning: paper-5-fold" in text
        tests |= set(images.split.test)
    assert len(tests) == 12
    images, text = load(tiny(split="vm-unet-70-30"), tmp_path / "split.json")
    assert "VALIDATION IS TEST" in text
    assert "VALIDATION IS TEST" in images.split.warning
    for split in ("paper-5-fold", "paper-5-fold:6", "paper-5-fold:0", "paper-5-fold:x", "vm-unet-70-30:2"):
        with pytest.raises(ConfigError, match=r"split: .* folds, of which a run trains on one"):
            load(tiny(split=split), tmp_path / "split.json")


def test_the_pictures_are_noted_in_the_order_of_the_split(tiny, drawn, tmp_path):
    from dermseg.data.duplicates import fingerprint, near_duplicates_between
    from dermseg.data.duplicates.note import read_note
    from dermseg.data.images import read_image

    images, _ = load(tiny(data=str(drawn)), tmp_path / "split.json")
    note = read_note(images.split.train, images.split.validation, images.fingerprints)
    assert (note.geometry, note.preprocessing) == ("squash", ())
    prints = [fingerprint(path.stem, read_image(path)) for path in sorted((drawn / "images").iterdir())]
    found = near_duplicates_between(prints, note.pictures)
    assert {(one.first, one.second) for one in found} == {
        (name, name) for name in (*images.split.train, *images.split.validation)
    }


def test_what_was_found_is_kept_beside_the_cache(tiny, drawn, tmp_path, monkeypatch):
    arguments = tiny(data=str(drawn), cache=tmp_path / "cache")
    first, _ = load(arguments, tmp_path / "split.json")
    monkeypatch.setattr("dermseg.data.duplicates.cached.near_duplicates", None)
    assert load(arguments, tmp_path / "split.json")[0].split == first.split
