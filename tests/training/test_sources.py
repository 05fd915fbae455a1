"""Which images a run trains on, and where their cache lies."""

import io
import shutil

import pytest
from PIL import Image
from rich.console import Console

from dermseg.data.readers import ISIC2018_PARTS
from dermseg.data.splits import Split, save_split
from dermseg.errors import ConfigError, DataError
from dermseg.training.sources import load_images


def load(arguments, split_file):
    text = io.StringIO()
    return load_images(arguments, split_file, Console(file=text, width=200)), text.getvalue()


@pytest.fixture
def isic(tmp_path):
    """Return a function that makes the official folders with images of these numbers on each side."""

    def make(**numbers):
        for side, found in numbers.items():
            images, masks = (tmp_path / "isic" / name for name in ISIC2018_PARTS[side])
            images.mkdir(parents=True)
            masks.mkdir()
            for number in found:
                Image.new("RGB", (16, 16)).save(images / f"ISIC_{number:07d}.jpg")
                Image.new("L", (16, 16), 255).save(masks / f"ISIC_{number:07d}_segmentation.png")
        return str(tmp_path / "isic")

    return make


def sides(images):
    split = images.split
    return {
        side: {int(name[5:]) for name in getattr(split, side)} for side in ("train", "validation", "test")
    }


def test_official_parts_are_the_sides(isic, tiny, tmp_path):
    data = isic(train=range(1, 7), validation=(7, 8), test=(9,))
    images, _ = load(tiny(data=data, size=16), tmp_path / "split.json")
    assert sides(images) == {"train": {*range(1, 7)}, "validation": {7, 8}, "test": {9}}


def test_validation_is_drawn_from_training_where_it_is_not_official(isic, tiny, tmp_path):
    data = isic(train=range(1, 9), test=(9, 10))
    images, _ = load(tiny(data=data, size=16), tmp_path / "split.json")
    found = sides(images)
    assert found["test"] == {9, 10}
    assert len(found["validation"]) == 2
    assert found["train"] | found["validation"] == {*range(1, 9)}


def test_official_parts_are_kept_and_what_lies_on_two_of_them_is_named(isic, tiny, tmp_path):
    data = isic(train=(1, 2, 157), validation=(3,), test=(14946,))
    images, text = load(tiny(data=data, size=16), tmp_path / "split.json")
    assert sides(images) == {"train": {1, 2, 157}, "validation": {3}, "test": {14946}}
    [leak] = images.split.origin["leaks"]
    assert leak.startswith("ISIC_0000157 in train, ISIC_0014946 in test")
    assert "related images on two sides" in text


@pytest.mark.parametrize("seed", range(3))
def test_images_of_one_lesion_stay_on_one_side(isic, tiny, tmp_path, seed):
    data = isic(train=[157, 14946, 164, 14795, 169, 15132, 173, 15110])
    images, _ = load(tiny(data=data, size=16, seed=seed, test=0.25), tmp_path / "split.json")
    for first, second in ((157, 14946), (164, 14795), (169, 15132), (173, 15110)):
        assert any({first, second} <= side for side in sides(images).values())


def test_masks_may_lie_elsewhere(tiny, drawn, tmp_path):
    shutil.copytree(drawn / "masks", tmp_path / "outlines")
    shutil.copytree(drawn / "images", tmp_path / "photos")
    arguments = tiny(data=str(tmp_path / "photos"), masks=tmp_path / "outlines")
    assert len(load(arguments, tmp_path / "split.json")[0].collection.pairs) == 12


def test_data_sets_of_one_name_have_caches_of_their_own(isic, tiny, tmp_path):
    first = isic(train=range(6))
    second = shutil.copytree(first, tmp_path / "other" / "isic")
    directories = {
        load(tiny(data=str(data), size=16), tmp_path / "split.json")[0].train.cache.directory
        for data in (first, second)
    }
    assert len(directories) == 2
    assert {directory.parents[1] for directory in directories} == {tiny().cache}


def test_a_saved_split_must_fit_the_data(tiny, tmp_path):
    save_split(Split("mine", ("a",), ("b",), ()), tmp_path / "split.json")
    with pytest.raises(DataError, match="Split mine needs 2 images that the data lack: a, b"):
        load(tiny(), tmp_path / "split.json")


def test_too_few_images_to_validate(tiny, tmp_path):
    with pytest.raises(ConfigError, match="no validation images"):
        load(tiny(validation=0.01), tmp_path / "split.json")


def test_many_problems_are_counted(tiny, drawn, tmp_path):
    data = shutil.copytree(drawn, tmp_path / "data")
    for number in range(25):
        (data / "images" / f"[b]{number}.png").touch()
    _, text = load(tiny(data=str(data)), tmp_path / "split.json")
    assert text.count("left out:") == 21
    assert f"left out: {data}/images/[b]0.png has no mask" in text
    assert "and 5 more; `dermseg data check` lists all" in text
