import numpy as np
import pytest

from dermseg.models.expected_dice import ExpectedDice, soft_dice


def test_a_sure_map_expects_a_perfect_outline():
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:7] = True
    assert soft_dice(mask.astype(np.float32), mask) == 1.0


def test_soft_dice_is_twice_what_is_inside_over_both_areas():
    probability = np.array([[0.8, 0.6, 0.2, 0.0]], np.float32)
    assert soft_dice(probability, probability >= 0.5) == pytest.approx(2 * 1.4 / (2 + 1.6))


def test_nothing_found_expects_nothing():
    assert soft_dice(np.full((4, 4), 0.3, np.float32), np.zeros((4, 4), bool)) == 0.0


def test_the_estimate_stays_a_dice():
    sure = np.ones((4, 4), np.float32)
    assert ExpectedDice(0.5, 0.9)(sure, sure > 0) == 1.0
    assert ExpectedDice(-2.0, 0.9)(sure, sure > 0) == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1, 2], "1", True, None])
def test_each_coefficient_is_one_finite_number(value):
    with pytest.raises(ValueError, match="intercept of the expected Dice must be one finite number"):
        ExpectedDice(value, 1.0)
    with pytest.raises(ValueError, match="slope of the expected Dice must be one finite number"):
        ExpectedDice(1.0, value)


def test_coefficients_of_numpy_are_numbers():
    assert (
        ExpectedDice(np.float32(0.5), np.float64(0))(np.ones((1, 1), np.float32), np.ones((1, 1), bool))
        == 0.5
    )
