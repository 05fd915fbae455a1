"""Copies are found whatever was done to them, and different images are left alone."""

import io

import numpy as np
import pytest
from PIL import Image

from dermseg.data.duplicates import (
    Fingerprint,
    References,
    fingerprint,
    near_duplicates,
    near_duplicates_between,
)
from dermseg.data.duplicates.fingerprint import DETAIL, SHAPE, textures
from dermseg.data.duplicates.hashing import query_hashes, upright_hashes
from dermseg.data.duplicates.warp import orientations
from dermseg.data.synthetic import draw_lesion
from dermseg.errors import DataError

SIZE = 192


def lesion(seed):
    return draw_lesion(SIZE, np.random.default_rng([7, seed]))[0]


@pytest.fixture(scope="module")
def images():
    return {f"image-{seed:02}": lesion(seed) for seed in range(24)}


@pytest.fixture(scope="module")
def prints(images):
    return [fingerprint(name, image) for name, image in images.items()]


@pytest.mark.parametrize(
    "work",
    [near_duplicates, References.of, lambda prints: near_duplicates_between(prints, References.of([]))],
)
def test_every_band_is_filtered_once(prints, monkeypatch, work):
    bands = []

    def counting(thumbnails, band):
        if len(thumbnails):
            bands.append(band)
        return textures(thumbnails, band)

    for module in ("alignment", "references", "search"):
        monkeypatch.setattr(f"dermseg.data.duplicates.{module}.textures", counting)
    work(prints[:3])
    assert bands == [SHAPE, DETAIL]


def resized(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(image, quality=30):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def cropped(image, share, top, left):
    """Cut a share of both sides off; `top` and `left` say how much of that at the first end."""
    cut = round(share * SIZE)
    y, x = round(top * cut), round(left * cut)
    return image[y : y + SIZE - cut, x : x + SIZE - cut]


def recoloured(image):
    return np.clip(image * np.array([0.7, 0.9, 1.1]) + 20, 0, 255).astype(np.uint8)


def turned(image, degrees):
    picture = Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC)
    cut = 24
    return np.asarray(picture)[cut:-cut, cut:-cut]


COPIES = {
    "the same": lambda image: image,
    "smaller": lambda image: resized(image, 70, 70),
    "larger": lambda image: resized(image, 500, 500),
    "squashed": lambda image: resized(image, 200, 110),
    "compressed": jpeg,
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "turned by 90 degrees": lambda image: np.rot90(image),
    "turned by 270 degrees": lambda image: np.rot90(image, 3),
    "transposed": lambda image: image.swapaxes(0, 1),
    "cropped in the middle": lambda image: cropped(image, 0.05, 0.5, 0.5),
    "cropped at one corner": lambda image: cropped(image, 0.05, 1, 1),
    "other colours": recoloured,
    "several at once": lambda image: jpeg(
        resized(np.rot90(cropped(image, 0.05, 0, 1))[:, ::-1], 150, 120), 50
    ),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found(images, prints, copy):
    change = COPIES[copy]
    copies = [fingerprint(f"copy-of-{name}", change(image)) for name, image in images.items()]
    found = {(one.first, one.second) for one in near_duplicates([*prints, *copies])}
    assert found == {(f"copy-of-{name}", name) for name in images}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_known_images_are_found(images, prints, copy):
    change = COPIES[copy]
    known = References.of(prints)
    copies = [fingerprint(f"copy-of-{name}", change(image)) for name, image in images.items()]
    found = {(one.first, one.second) for one in near_duplicates_between(copies, known)}
    assert found == {(f"copy-of-{name}", name) for name in images}


def test_the_result_does_not_depend_on_the_order(images, prints):
    copies = [fingerprint(f"copy-of-{name}", jpeg(image)) for name, image in images.items()]
    one, other = near_duplicates([*prints, *copies]), near_duplicates([*copies[::-1], *prints[::-1]])
    assert one == other
    assert [(pair.first, pair.second) for pair in one] == sorted((pair.first, pair.second) for pair in one)
    assert all(pair.first < pair.second and 0.77 <= pair.correlation <= 1.001 for pair in one)


def test_a_hash_of_an_orientation_is_that_of_the_turned_picture(prints):
    picture = textures(prints[0].thumbnail[None], SHAPE)
    hashes = query_hashes(picture)[0, :, 0]
    for row, turned in enumerate(orientations(picture)):
        differing = np.bitwise_count(upright_hashes(turned)[0] ^ hashes[row]).sum()
        # A coefficient near zero may fall to either side.
        assert differing <= 2


def test_pictures_without_structure_are_no_duplicates():
    plain = [
        fingerprint(f"grey-{level}", np.full((40, 40, 3), level, np.uint8)) for level in (0, 90, 90, 255)
    ]
    assert near_duplicates(plain) == []
    assert near_duplicates_between(plain, References.of(plain)) == []


def test_few_fingerprints():
    one = fingerprint("one", lesion(0))
    assert near_duplicates([]) == []
    assert near_duplicates([one]) == []
    assert near_duplicates_between([], References.of([one])) == []
    assert near_duplicates_between([one], References.of([])) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 2)])
def test_any_size_has_a_fingerprint(shape):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    assert near_duplicates([fingerprint("a", image), fingerprint("b", lesion(1))]) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused_by_name(image):
    with pytest.raises(DataError, match="odd has no fingerprint"):
        fingerprint("odd", image)


class TestReferences:
    def test_they_survive_storage(self, prints):
        known = References.of(prints)
        packed = known.pack()
        again = References.unpack(known.identifiers, packed)
        assert again is not None
        assert np.array_equal(again.hashes, known.hashes)
        assert np.array_equal(again.signs, known.signs)
        stored = sum(len(value) for value in packed.values() if isinstance(value, str))
        assert stored / len(prints) < 400

    def test_other_versions_are_not_compared(self, prints):
        known = References.of(prints)
        assert References.unpack(known.identifiers, known.pack() | {"version": 99}) is None

    @pytest.mark.parametrize(
        "change", [{"hashes": 3}, {"hashes": "no base64!"}, {"signs": ""}, {"signs": "é"}, {"hashes": None}]
    )
    def test_damage_is_an_error(self, prints, change):
        known = References.of(prints)
        with pytest.raises(ValueError, match="fingerprints"):
            References.unpack(known.identifiers, known.pack() | change)

    def test_the_first_alone(self, prints):
        known = References.of(prints).first(2)
        found = near_duplicates_between(prints, known)
        assert [(one.first, one.second) for one in found] == [
            ("image-00", "image-00"),
            ("image-01", "image-01"),
        ]


@pytest.mark.slow
def test_a_thousand_different_images_raise_no_alarm():
    images = (draw_lesion(128, np.random.default_rng([11, seed]))[0] for seed in range(1000))
    prints: list[Fingerprint] = [fingerprint(str(seed), image) for seed, image in enumerate(images)]
    assert near_duplicates(prints) == []
    assert near_duplicates_between(prints[:500], References.of(prints[500:])) == []
