import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.errors import DataError
from dermseg.evaluation.metrics import COUNTS, METRICS, pool, score, surface_scores
from evaluation.test_surface import mask_pairs


@settings(max_examples=60)
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
    assert found.failure == (found.iou < 0.65)
    surface = surface_scores(prediction, target)
    assert (found.hd95, found.assd, found.nsd) == (surface.hd95, surface.assd, surface.nsd)


EMPTY, FULL = np.zeros((3, 4), bool), np.ones((3, 4), bool)


@pytest.mark.parametrize(
    ("prediction", "target", "overlap", "sensitivity", "specificity", "distance"),
    [
        (EMPTY, EMPTY, 1, 1, 1, 0),
        (EMPTY, FULL, 0, 0, 1, 5),
        (FULL, EMPTY, 0, 1, 0, 5),
        (FULL, FULL, 1, 1, 1, 0),
    ],
)
def test_empty_and_full_masks(prediction, target, overlap, sensitivity, specificity, distance):
    found = score(prediction, target)
    assert found.dice == found.iou == found.threshold_jaccard == found.nsd == overlap
    assert found.failure == 1 - overlap
    assert (found.sensitivity, found.specificity) == (sensitivity, specificity)
    assert (found.hd95, found.assd) == (distance, distance)


def test_threshold_jaccard_and_failure_count_from_the_threshold_on():
    target = np.ones((1, 100), bool)
    for hits, wanted, failure in ((65, 0.65, 0), (64, 0.0, 1)):
        found = score(np.arange(100)[None] < hits, target)
        assert (found.threshold_jaccard, found.failure) == (wanted, failure)


def counts(scores):
    return [[getattr(one, name) for one in scores] for name in COUNTS]


@settings(max_examples=30)
@given(st.lists(mask_pairs(), min_size=1, max_size=4))
def test_pooled_scores_are_those_of_one_large_image(masks):
    predictions, targets = zip(*masks, strict=True)
    whole = score(*(np.concatenate([m.ravel() for m in side])[None] for side in (predictions, targets)))
    found = pool(*counts([score(prediction, target) for prediction, target in masks]))
    assert (found.dice, found.iou) == (whole.dice, whole.iou)


def test_without_a_pixel_of_lesion_pooled_scores_are_perfect():
    assert pool([0, 0], [0, 0], [0, 0]) == pool(0, 0, 0)
    assert pool([0], [0], [0]).dice == pool([0], [0], [0]).iou == 1


def test_every_metric_is_a_score_that_turns_the_way_the_table_says():
    target = np.zeros((20, 20), bool)
    target[5:15, 5:15] = True
    good, bad = score(target, target), score(~target, target)
    for name, metric in METRICS.items():
        better, worse = getattr(good, name), getattr(bad, name)
        assert better < worse if metric.lower_is_better else better > worse, name
        assert metric.pixels == (worse > 1), name


def test_pooled_and_mean_differ_on_lesions_of_different_size():
    small, large = np.ones((1, 10), bool), np.ones((1, 1000), bool)
    scores = [score(~small, small), score(large, large)]
    assert pool(*counts(scores)).dice == pytest.approx(2000 / 2010)
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
