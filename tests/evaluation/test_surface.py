import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dermseg.evaluation.metrics import (
    NSD_TOLERANCE,
    border,
    border_distances,
    bounding_box,
    surface,
    surface_scores,
)


@st.composite
def mask_pairs(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


def border_by_definition(mask):
    height, width = mask.shape
    points = []
    for y, x in np.argwhere(mask):
        beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        if any(not (0 <= j < height and 0 <= i < width) or not mask[j, i] for j, i in beside):
            points.append((y, x))
    return points


def distances_by_definition(prediction, target):
    ours, theirs = border_by_definition(prediction), border_by_definition(target)
    table = np.array([[np.hypot(a[0] - b[0], a[1] - b[1]) for b in theirs] for a in ours])
    return table.min(axis=1), table.min(axis=0)


@pytest.mark.parametrize("dense", [0, 2], ids=["maps", "trees"])
@settings(max_examples=60)
@given(masks=mask_pairs(), tolerance=st.sampled_from([None, 0.0, 1.0, 1.5, 3.0]))
def test_scores_follow_their_definitions(dense, masks, tolerance):
    prediction, target = masks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface, "_DENSE", dense)
        found = surface_scores(prediction, target, tolerance)
    diagonal = np.hypot(*target.shape)
    if prediction.any() and target.any():
        forth, back = distances_by_definition(prediction, target)
        wanted = max(np.percentile(forth, 95), np.percentile(back, 95))
        assert found.hd95 == pytest.approx(wanted)
        assert found.assd == pytest.approx((forth.sum() + back.sum()) / (len(forth) + len(back)))
        limit = 0.01 * diagonal if tolerance is None else tolerance
        right = (forth <= limit).sum() + (back <= limit).sum()
        assert found.nsd == pytest.approx(right / (len(forth) + len(back)))
    elif prediction.any() or target.any():
        assert (found.hd95, found.assd, found.nsd) == (diagonal, diagonal, 0)
    else:
        assert (found.hd95, found.assd, found.nsd) == (0, 0, 1)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@settings(max_examples=40)
@given(mask_pairs(), st.floats(0, 5))
def test_monai_agrees(masks, tolerance):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    prediction, target = masks
    if not (prediction.any() and target.any()):
        return  # MONAI leaves these undefined
    tensors = [torch.from_numpy(mask)[None, None].float() for mask in masks]
    found = surface_scores(prediction, target, tolerance)
    both = {"include_background": True}
    wanted = (
        metrics.compute_hausdorff_distance(*tensors, percentile=95, **both),
        metrics.compute_average_surface_distance(*tensors, symmetric=True, **both),
        metrics.compute_surface_dice(*tensors, [tolerance], **both),
    )
    assert (found.hd95, found.assd, found.nsd) == pytest.approx([float(value) for value in wanted], rel=1e-5)


@pytest.mark.parametrize("dense", [0, 2], ids=["maps", "trees"])
@settings(max_examples=30)
@given(masks=mask_pairs())
def test_distances_come_row_by_row(dense, masks):
    if all(mask.any() for mask in masks):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(surface, "_DENSE", dense)
            distances = border_distances(*masks)
        for found, wanted in zip(distances, distances_by_definition(*masks), strict=True):
            assert found == pytest.approx(wanted)


@settings(max_examples=40)
@given(mask_pairs())
def test_scores_are_symmetric_and_do_not_depend_on_where_the_lesion_is(masks):
    a, b = masks
    found = surface_scores(a, b, 1.5)
    swapped = surface_scores(b, a, 1.5)
    assert (found.hd95, found.nsd) == (swapped.hd95, swapped.nsd)
    assert found.assd == pytest.approx(swapped.assd)
    if a.any() and b.any():
        moved = surface_scores(*(np.pad(mask, ((3, 5), (2, 0))) for mask in masks), 1.5)
        assert (moved.hd95, moved.assd, moved.nsd) == pytest.approx((found.hd95, found.assd, found.nsd))


@settings(max_examples=40)
@given(mask_pairs())
def test_border_is_by_definition_and_leaves_the_mask_alone(masks):
    mask = masks[0]
    before = mask.copy()
    assert [tuple(point) for point in np.argwhere(border(mask))] == border_by_definition(mask)
    assert np.array_equal(mask, before)


@settings(max_examples=40)
@given(mask_pairs())
def test_the_bounding_box_is_the_smallest_that_holds_the_mask(masks):
    mask = masks[0]
    if mask.any():
        box = bounding_box(mask)
        assert mask[box].sum() == mask.sum()
        assert all(side.any() for side in (mask[box][0], mask[box][-1], mask[box][:, 0], mask[box][:, -1]))


def squares_apart(columns, size=(300, 400)):
    a, b = np.zeros((2, *size), bool)
    a[100:150, 100:150] = True
    b[100:150, 100 + columns : 150 + columns] = True
    return a, b


def test_known_squares():
    found = surface_scores(*squares_apart(7))
    # 196 border pixels each. The 50 of the far side are 7 away, which is the 95th percentile; of both rows
    # the 6 beside them 6 to 1; the 48 of the near side as far as the other border or its nearer row.
    near = sum(min(7, row, 49 - row) for row in range(1, 49))
    assert found.hd95 == 7.0
    assert found.assd == pytest.approx((50 * 7 + 2 * sum(range(1, 7)) + near) / 196)


def test_the_tolerance_is_a_share_of_the_diagonal_and_holds_at_its_end():
    assert NSD_TOLERANCE == 0.01
    # The diagonal is 500 pixels, so that 5 are forgiven.
    assert surface_scores(*squares_apart(5)).nsd == 1.0
    assert surface_scores(*squares_apart(6)).nsd < 1.0


def test_five_percent_of_stray_border_do_not_count_and_the_larger_direction_does():
    target = np.zeros((100, 100), bool)
    target[20:60, 20:60] = True
    stray = target.copy()
    stray[95, 95] = True
    assert surface_scores(stray, target).hd95 == 0.0
    stray[90:98, 90:98] = True
    # 28 of 184 border pixels are stray: the way there is long, the way back is nothing.
    assert surface_scores(stray, target).hd95 > 40
