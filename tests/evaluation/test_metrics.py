import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dermseg.errors import DataError
from dermseg.evaluation.metrics import border, hausdorff95, pool, score


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


def hausdorff95_by_definition(prediction, target):
    ours, theirs = border_by_definition(prediction), border_by_definition(target)
    if not ours or not theirs:
        return 0.0 if not ours and not theirs else float(np.hypot(*target.shape))
    distances = np.array([[np.hypot(a[0] - b[0], a[1] - b[1]) for b in theirs] for a in ours])
    return max(np.percentile(distances.min(axis=1), 95), np.percentile(distances.min(axis=0), 95))


@settings(max_examples=200, deadline=None)
@given(mask_pairs())
def test_scores_follow_their_definitions(masks):
    prediction, target = masks
    found = score(prediction, target)
    pairs = list(zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True))
    tp, fp, fn, tn = (
        pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))
    )
    assert (found.tp, found.fp, found.fn, found.tn) == (tp, fp, fn, tn)
    both, union = prediction.sum() + target.sum(), (prediction | target).sum()
    assert found.dice == pytest.approx(2 * tp / both if both else 1)
    assert found.iou == pytest.approx(tp / union if union else 1)
    assert found.sensitivity == pytest.approx(tp / target.sum() if target.any() else 1)
    assert found.specificity == pytest.approx(tn / (~target).sum() if not target.all() else 1)
    assert found.accuracy == pytest.approx((prediction == target).mean())
    assert found.threshold_jaccard == (found.iou if found.iou >= 0.65 else 0)
    assert found.hd95 == pytest.approx(hausdorff95_by_definition(prediction, target))


@given(mask_pairs())
def test_hausdorff_is_symmetric_and_does_not_depend_on_where_the_lesion_is(masks):
    a, b = masks
    assert hausdorff95(a, b) == hausdorff95(b, a)
    if a.any() and b.any():
        inside = [np.pad(mask, ((3, 5), (2, 0))) for mask in (a, b)]
        assert hausdorff95(*inside) == pytest.approx(hausdorff95(a, b))


@given(mask_pairs())
def test_border_is_by_definition(masks):
    assert [tuple(point) for point in np.argwhere(border(masks[0]))] == border_by_definition(masks[0])


def test_hausdorff_of_known_squares():
    a, b = np.zeros((2, 40, 50), bool)
    a[10:20, 10:20] = True
    b[10:20, 17:27] = True
    # 36 border pixels each: the ten on the far side are 7 away, so is the 95th percentile.
    assert hausdorff95(a, b) == 7.0


def test_five_percent_of_stray_border_do_not_count_and_the_larger_direction_does():
    target = np.zeros((100, 100), bool)
    target[20:60, 20:60] = True
    stray = target.copy()
    stray[95, 95] = True
    assert hausdorff95(stray, target) == 0.0
    stray[90:98, 90:98] = True
    # 28 of 184 border pixels are stray: the way there is long, the way back is nothing.
    assert hausdorff95(stray, target) > 40


EMPTY, FULL = np.zeros((3, 4), bool), np.ones((3, 4), bool)


@pytest.mark.parametrize(
    ("prediction", "target", "overlap", "sensitivity", "specificity", "hd95"),
    [
        (EMPTY, EMPTY, 1, 1, 1, 0),
        (EMPTY, FULL, 0, 0, 1, 5),
        (FULL, EMPTY, 0, 1, 0, 5),
        (FULL, FULL, 1, 1, 1, 0),
    ],
)
def test_empty_and_full_masks(prediction, target, overlap, sensitivity, specificity, hd95):
    found = score(prediction, target)
    assert found.dice == found.iou == found.threshold_jaccard == overlap
    assert (found.sensitivity, found.specificity, found.hd95) == (sensitivity, specificity, hd95)


def test_threshold_jaccard_counts_from_the_threshold_on():
    target = np.ones((1, 100), bool)
    for hits, wanted in ((65, 0.65), (64, 0.0)):
        prediction = np.arange(100)[None] < hits
        assert score(prediction, target).threshold_jaccard == wanted


@given(st.lists(mask_pairs(), min_size=1, max_size=4))
def test_pooled_scores_are_those_of_one_large_image(masks):
    predictions, targets = zip(*masks, strict=True)
    whole = score(*(np.concatenate([m.ravel() for m in side])[None] for side in (predictions, targets)))
    found = pool(score(prediction, target) for prediction, target in masks)
    assert (found.dice, found.iou) == (whole.dice, whole.iou)


def test_pooled_and_mean_differ_on_lesions_of_different_size():
    small, large = np.ones((1, 10), bool), np.ones((1, 1000), bool)
    scores = [score(~small, small), score(large, large)]
    assert pool(scores).dice == pytest.approx(2000 / 2010)
    assert np.mean([one.dice for one in scores]) == 0.5


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (np.zeros((2, 3), bool), np.zeros((3, 2), bool), "3 x 2 pixels but the target 2 x 3"),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 3), bool), "prediction must be a boolean"),
        (np.zeros((2, 3), bool), np.zeros((2, 3)), "target must be a boolean"),
        (np.zeros((0, 3), bool), np.zeros((0, 3), bool), "must be a boolean array"),
        (np.zeros((1, 2, 3), bool), np.zeros((1, 2, 3), bool), "must be a boolean array"),
    ],
)
def test_unusable_masks_are_refused(prediction, target, message):
    with pytest.raises(DataError, match=message):
        score(prediction, target)
