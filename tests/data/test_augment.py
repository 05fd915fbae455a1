"""Random views of a batch: what holds for all of their parts together."""

from dataclasses import replace

import pytest
import torch

from dermseg.data.augment import DEFAULT, NONE, STRONG, augment, normalize
from dermseg.data.augmentation import device
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.views import draw_plan, write_views

GEOMETRY = replace(NONE, mirror=True, rotation=180.0, scale=0.3, shift=0.1, aspect=0.15, elastic=0.02)
EVERYTHING = replace(
    STRONG, **dict.fromkeys(["corners", "hair", "bubbles", "ruler", "ink", "blur", "noise", "jpeg"], 1.0)
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


@pytest.mark.parametrize("augmentation", [DEFAULT, EVERYTHING])
@pytest.mark.parametrize("size", [(32, 32), (17, 40), (1, 1)])
def test_shapes_types_and_binary_masks(augmentation, size):
    images, masks = batch(6, 40)
    images, masks = images[:, :, : size[0], : size[1]], masks[:, :, : size[0], : size[1]]
    views, moved = augment(images, masks, seeded(), augmentation)
    assert (views.shape, views.dtype) == (images.shape, torch.uint8)
    assert (moved.shape, moved.dtype) == (masks.shape, torch.uint8)
    assert set(moved.unique().tolist()) <= set(masks.unique().tolist())


def test_an_empty_batch_stays_one():
    images, masks = batch(1)
    views, moved = augment(images[:0], masks[:0], seeded(), EVERYTHING)
    assert (len(views), len(moved)) == (0, 0)


def test_threads_and_tensors_that_are_not_contiguous_change_nothing():
    images, masks = batch(6, 64)
    threads = torch.get_num_threads()
    expected = augment(images, masks, seeded(), EVERYTHING)
    strided = (x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for x in (images, masks))
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        results = augment(*strided, seeded(), EVERYTHING)
    finally:
        torch.set_num_threads(threads)
    assert all(map(torch.equal, results, expected))


def test_a_cpu_and_a_device_agree():
    images, masks = batch(6, 64)
    # Of JPEG, one grey level more may make many.
    augmentation = replace(EVERYTHING, jpeg=0)
    plan = draw_plan(Draws(6, seeded()), augmentation, 64, 64)
    expected, expected_masks = torch.empty_like(images), torch.empty_like(masks)
    write_views(images, masks, plan, device, expected, expected_masks)
    result, moved = augment(images, masks, seeded(), augmentation)
    difference = (result.short() - expected.short()).abs()
    assert torch.equal(moved, expected_masks)
    assert difference.max() <= 2
    assert (difference > 1).float().mean() < 0.001


def test_no_operator_of_pytorch_touches_images_on_a_cpu():
    # Its threads would spin after it, on the processors that the compiled operators need.
    images, masks = batch(2)
    augment(images, masks, seeded(), EVERYTHING)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.profiler.profile() as profile:
            augment(images, masks, seeded(), EVERYTHING)
    finally:
        torch.set_num_threads(threads)
    used = {event.key for event in profile.key_averages() if event.key.startswith("aten::")}
    drawing = {"aten::rand", "aten::uniform_", "aten::randn", "aten::normal_"}
    allocating = {"aten::empty", "aten::empty_like", "aten::empty_strided"}
    # What `Tensor.numpy` asks for, which copies nothing.
    viewing = {"aten::to", "aten::detach", "aten::resolve_conj", "aten::resolve_neg"}
    assert used <= drawing | allocating | viewing


def test_only_the_first_layer_is_the_lesion():
    images, masks = batch(4, 48)
    images[:] = 255
    layers = torch.cat([masks, torch.ones_like(masks)], dim=1)
    views, _ = augment(images, layers, seeded(), replace(NONE, corners=1.0))
    assert views.min() < 100
    assert (views[(masks > 0).expand_as(views)] == 255).all()


def test_inputs_are_left_alone():
    images, masks = batch()
    before = images.clone(), masks.clone()
    augment(images, masks, seeded(), EVERYTHING)
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


@pytest.mark.parametrize("augmentation", [DEFAULT, EVERYTHING])
def test_reproducible_by_the_generator_alone(augmentation):
    images, masks = batch()
    first = augment(images, masks, seeded(1), augmentation)
    torch.manual_seed(99)
    assert all(map(torch.equal, first, augment(images, masks, seeded(1), augmentation)))
    assert not torch.equal(first[0], augment(images, masks, seeded(2), augmentation)[0])


def test_drawn_per_image():
    images, masks = batch(8)
    views, moved = augment(images[:1].expand(8, -1, -1, -1), masks, seeded())
    for tensor in (views, moved):
        assert len({bytes(item.flatten().tolist()) for item in tensor}) == 8


@pytest.mark.parametrize("augmentation", [DEFAULT, EVERYTHING])
def test_an_image_is_changed_alone_as_in_any_batch(augmentation):
    images, masks = batch(3)
    others, other_masks = images.clone(), masks.clone()
    others[:2], other_masks[:2] = 7, 0
    expected = augment(images, masks, seeded(), augmentation)
    results = augment(others, other_masks, seeded(), augmentation)
    assert all(torch.equal(ours[2], theirs[2]) for ours, theirs in zip(results, expected, strict=True))
    fewer = augment(images[:1], masks[:1], seeded(), augmentation)
    assert all(torch.equal(ours[0], theirs[0]) for ours, theirs in zip(fewer, expected, strict=True))


def test_nothing_drawn_changes_nothing():
    images, masks = batch()
    same, same_masks = augment(images, masks, seeded(), NONE)
    assert torch.equal(same_masks, masks)
    assert (same.int() - images.int()).abs().max() <= 1


def test_draws_from_the_middle_of_every_range_show_the_image(monkeypatch):
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
    views, moved = augment(images, masks, seeded(), GEOMETRY)
    disc = views.float().mean(dim=1, keepdim=True) > 105
    union = (disc | moved.bool()).sum(dim=(1, 2, 3))
    overlap = (disc & moved.bool()).sum(dim=(1, 2, 3))
    assert (overlap / union).min() > 0.9


def test_all_layers_of_a_mask_move_together():
    images, masks = batch(8)
    unframed = replace(EVERYTHING, frame=0.0)  # in a frame, no layer is anything
    _, moved = augment(images, torch.cat([masks, 1 - masks, masks], dim=1), seeded(), unframed)
    assert torch.equal(moved[:, 0], moved[:, 2])
    assert torch.equal(moved[:, 0], 1 - moved[:, 1])


def test_rotation_covers_all_angles():
    images, masks = batch(400, 16)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    moved = augment(images, masks, seeded(), replace(NONE, rotation=180.0))[1][:, 0]
    angles = torch.atan2((moved * y).sum(dim=(1, 2)), (moved * x).sum(dim=(1, 2)))
    assert (torch.histc(angles, 8, -torch.pi, torch.pi) > 20).all()


def test_scale_shows_crops_and_margins():
    images, masks = batch(200, 32)
    moved = augment(images, masks, seeded(), replace(NONE, scale=0.5))[1]
    areas = moved.float().mean(dim=(1, 2, 3)) / masks[0].float().mean()
    assert areas.min() < 0.6
    assert areas.max() > 1.8


def test_aspect_stretches_one_axis_against_the_other():
    images, masks = batch(200, 64)
    moved = augment(images, masks, seeded(), replace(NONE, aspect=0.5))[1][:, 0]
    wide, tall = moved.amax(dim=1).sum(dim=1), moved.amax(dim=2).sum(dim=1)
    ratio = wide / tall
    assert ratio.min() < 0.75
    assert ratio.max() > 1.33


def test_what_lies_beyond_the_frame_is_skin_not_black_and_no_second_lesion():
    images, masks = batch(50, 64)
    images[:] = 200 - 100 * masks
    far = replace(NONE, rotation=180.0, scale=1.0, shift=0.0)
    views, moved = augment(images, masks, seeded(), far)
    assert views.min() >= 99
    smallest = moved.float().mean(dim=(1, 2, 3)).min() / masks[0].float().mean()
    assert 0.2 < smallest < 0.5


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "hue"])
def test_colour_changes_images_and_not_masks(change):
    images, masks = batch(8)
    # Away from 0 and 255, where values are cut off.
    images = images // 2 + 60
    images[:, 0] += 30
    changed, same = augment(images, masks, seeded(), replace(NONE, **{change: 0.3}))
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


def test_gamma_bends_the_middle_and_keeps_the_ends():
    images = torch.tensor([0, 128, 255], dtype=torch.uint8).expand(40, 3, 5, 3).contiguous()
    views, _ = augment(
        images, torch.zeros(40, 1, 5, 3, dtype=torch.uint8), seeded(), replace(NONE, gamma=0.5)
    )
    assert (views[..., 0] == 0).all()
    assert (views[..., 2] == 255).all()
    assert views[..., 1].min() < 105
    assert views[..., 1].max() > 150


@pytest.mark.parametrize(
    "change", ["vignette", "corners", "hair", "bubbles", "ruler", "ink", "blur", "noise", "jpeg"]
)
def test_a_share_of_the_images_is_changed_and_no_mask(change):
    images, masks = batch(200, 48)
    images = images // 2 + 60
    for share, least, most in ((1.0, 160, 200), (0.3, 30, 90), (0.0, 0, 0)):
        only = replace(NONE, blur_sigma=0.05, **{change: share})
        views, moved = augment(images, masks, seeded(), only)
        assert torch.equal(moved, masks)
        changed = ((views.int() - images.int()).abs() > 1).any(dim=3).any(dim=2).any(dim=1)
        assert least <= changed.sum() <= most


def test_normalize():
    images = torch.tensor([[[[0]], [[255]], [[51]]]], dtype=torch.uint8)
    normalized = normalize(images, (0.5, 0.5, 0.2), (0.5, 0.25, 0.1))
    torch.testing.assert_close(normalized, torch.tensor([[[[-1.0]], [[2.0]], [[0.0]]]]))
