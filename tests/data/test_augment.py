import pytest
import torch

from dermseg.data.augment import Augmentation, _grid, augment, normalize

STILL = Augmentation(
    rotation=0, scale=0, shift=0, brightness=0, contrast=0, saturation=0, hue=0, mirror=False
)


def batch(count: int = 4, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with a bright disc off the centre on a dim, noisy ground, and the masks of the discs."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    masks = ((y - size * 0.4) ** 2 + (x - size * 0.55) ** 2 < (size * 0.2) ** 2).expand(count, 1, size, size)
    noise = torch.randint(0, 60, (count, 3, size, size), generator=generator)
    return (noise + 150 * masks).to(torch.uint8), masks.to(torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_shapes_types_and_binary_masks():
    images, masks = batch()
    moved, moved_masks = augment(images, masks, seeded())
    assert (moved.shape, moved.dtype) == (images.shape, torch.uint8)
    assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, torch.uint8)
    assert set(moved_masks.unique().tolist()) == {0, 1}


def test_inputs_are_left_alone():
    images, masks = batch()
    before = images.clone(), masks.clone()
    augment(images, masks, seeded())
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


def test_reproducible_by_the_generator_alone():
    images, masks = batch()
    first = augment(images, masks, seeded(1))
    torch.manual_seed(99)
    assert all(map(torch.equal, first, augment(images, masks, seeded(1))))
    assert not torch.equal(first[0], augment(images, masks, seeded(2))[0])


def test_drawn_per_image():
    images, masks = batch(8)
    moved, moved_masks = augment(images[:1].expand(8, -1, -1, -1), masks, seeded())
    for tensor in (moved, moved_masks):
        assert len({bytes(item.flatten().tolist()) for item in tensor}) == 8


def test_an_image_is_changed_alone_as_in_any_batch():
    images, masks = batch(3)
    others = images.clone()
    others[1:] = 7
    assert torch.equal(augment(images, masks, seeded())[0][0], augment(others, masks, seeded())[0][0])


def test_nothing_drawn_changes_nothing():
    images, masks = batch()
    same, same_masks = augment(images, masks, seeded(), STILL)
    assert torch.equal(same_masks, masks)
    assert (same.int() - images.int()).abs().max() <= 1


def test_a_draw_of_exactly_zero_shows_the_image(monkeypatch):
    images, masks = batch()
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, 0.5))
    same, same_masks = augment(images, masks)
    assert torch.equal(same_masks, masks)
    assert (same.int() - images.int()).abs().max() <= 1


def test_half_precision_around_it_changes_nothing():
    images, masks = batch()
    expected = augment(images, masks, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        assert all(map(torch.equal, expected, augment(images, masks, seeded())))


def test_mask_moves_with_its_image():
    images, masks = batch(16, 48)
    geometry = Augmentation(brightness=0, contrast=0, saturation=0, hue=0)
    moved, moved_masks = augment(images, masks, seeded(), geometry)
    disc = moved.float().mean(dim=1, keepdim=True) > 105
    union = (disc | moved_masks.bool()).sum(dim=(1, 2, 3))
    overlap = (disc & moved_masks.bool()).sum(dim=(1, 2, 3))
    assert (overlap / union).min() > 0.9


def test_rotation_covers_all_angles():
    images, masks = batch(400, 16)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    moved = augment(images, masks, seeded(), Augmentation(shift=0, scale=0))[1][:, 0]
    angles = torch.atan2((moved * y).sum(dim=(1, 2)), (moved * x).sum(dim=(1, 2)))
    assert (torch.histc(angles, 8, -torch.pi, torch.pi) > 20).all()


def test_corners_are_reflected_not_black():
    images = torch.full((8, 3, 32, 32), 200, dtype=torch.uint8)
    geometry = Augmentation(brightness=0, contrast=0, saturation=0, hue=0)
    moved, _ = augment(images, torch.zeros(8, 1, 32, 32, dtype=torch.uint8), seeded(), geometry)
    assert moved.min() >= 199


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "hue"])
def test_colour_changes_images_and_not_masks(change):
    images, masks = batch(8)
    # Away from 0 and 255, where values are cut off.
    images = images // 2 + 60
    images[:, 0] += 30
    ranges = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0} | {change: 0.3}
    still = Augmentation(rotation=0, scale=0, shift=0, mirror=False, **ranges)
    changed, same = augment(images, masks, seeded(), still)
    assert torch.equal(same, masks)
    before, after = images.float(), changed.float()
    grey = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    grey_before, grey_after = ((grey * tensor).sum(dim=1) for tensor in (before, after))
    assert (after - before).abs().mean() > 1
    if change == "brightness":
        ratio = grey_after.mean(dim=(1, 2)) / grey_before.mean(dim=(1, 2))
        assert ratio.std() > 0.05
    if change == "contrast":
        assert torch.allclose(grey_before.mean(dim=(1, 2)), grey_after.mean(dim=(1, 2)), atol=2)
    if change == "saturation":
        assert torch.allclose(grey_before, grey_after, atol=1.5)
    if change == "hue":
        assert torch.allclose(before.mean(dim=1), after.mean(dim=1), atol=8)


def test_normalize():
    images = torch.tensor([[[[0]], [[255]], [[51]]]], dtype=torch.uint8)
    normalized = normalize(images, (0.5, 0.5, 0.2), (0.5, 0.25, 0.1))
    torch.testing.assert_close(normalized, torch.tensor([[[[-1.0]], [[2.0]], [[0.0]]]]))


def test_grid_is_that_of_pytorch():
    maps = torch.randn(3, 2, 3, generator=seeded())
    expected = torch.nn.functional.affine_grid(maps, [3, 1, 5, 9], align_corners=False)
    torch.testing.assert_close(_grid(maps, 5, 9), expected)
