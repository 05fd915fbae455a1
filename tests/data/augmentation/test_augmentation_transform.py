"""The augmentation as a transform of torchvision."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from dermseg.data.augment import NONE, augment
from dermseg.data.augmentation.transform import RandomView
from dermseg.errors import DataError

SIZE = 48


def disc() -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """A bright disc off the middle of a dark image, and its mask (SIZE, SIZE)."""
    at = torch.arange(SIZE)
    inside = torch.hypot(at[None, :] - 20.0, at[:, None] - 28.0) < 10
    image = torch.where(inside, 200, 60).to(torch.uint8).expand(3, SIZE, SIZE)
    return tv_tensors.Image(image), tv_tensors.Mask(inside)


def geometry_only(generator: torch.Generator | None = None) -> RandomView:
    from dataclasses import replace

    return RandomView(replace(NONE, mirror=True, rotation=180.0, scale=0.3, shift=0.2), generator)


def test_image_and_mask_move_together_in_a_pipeline():
    image, mask = disc()
    pipeline = v2.Compose([geometry_only(), v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True)])
    places = set()
    for _ in range(20):
        view, moved = pipeline(image, mask)
        assert (type(view), type(moved)) == (tv_tensors.Image, tv_tensors.Mask)
        assert moved.dtype == torch.bool
        bright = view[0] > 0.5
        union = (bright | moved).sum()
        assert (bright & moved).sum() / union > 0.85
        places.add(tuple(moved.nonzero().float().mean(dim=0).round().tolist()))
    assert len(places) > 10


def test_structures_are_kept_and_other_entries_passed_on():
    image, mask = disc()
    sample = {"image": image, "masks": [mask, mask], "name": "ISIC_0000000", "age": torch.tensor(55)}
    view = geometry_only()(sample)
    assert list(view) == list(sample)
    assert (view["name"], view["age"]) == ("ISIC_0000000", 55)
    assert torch.equal(*view["masks"])
    assert not torch.equal(view["masks"][0], mask)


def test_a_batch_is_what_augment_makes_of_it():
    image, mask = disc()
    images, masks = tv_tensors.Image(image.expand(4, 3, SIZE, SIZE)), mask.expand(4, 1, SIZE, SIZE)
    view, moved = RandomView(generator=torch.Generator().manual_seed(1))(images, tv_tensors.Mask(masks))
    expected = augment(
        images.as_subclass(torch.Tensor), masks.to(torch.uint8), torch.Generator().manual_seed(1)
    )
    assert torch.equal(view, expected[0])
    assert torch.equal(moved.to(torch.uint8), expected[1])
    assert len({bytes(item.flatten().tolist()) for item in view}) == 4


def test_the_global_generator_decides_as_in_torchvision():
    image, _ = disc()
    torch.manual_seed(3)
    first = RandomView()(image)
    torch.manual_seed(3)
    assert torch.equal(first, RandomView()(image))
    assert not torch.equal(first, RandomView()(image))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image, mask: (image.as_subclass(torch.Tensor), mask), r"got 0 images.*v2.ToImage"),
        (lambda image, _: (image, image), "got 2 images"),
        (
            lambda image, mask: (v2.functional.to_dtype(image, torch.float32), mask),
            "torch.float32.*expected uint8",
        ),
        (lambda image, mask: (tv_tensors.Image(image[:1]), mask), r"image \(1, 48, 48\)"),
        (lambda image, mask: (image, tv_tensors.Mask(mask[:-1])), r"mask \(47, 48\)"),
        (lambda image, mask: (image, tv_tensors.Mask(mask.float())), "torch.float32 beside"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    image, mask = disc()
    with pytest.raises(DataError, match=message):
        RandomView()(*change(image, mask))
