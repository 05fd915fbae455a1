"""What every loss asks of its arguments."""

import pytest
import torch

from dermseg.losses.checks import comparable


@pytest.mark.parametrize("given", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_float32_and_the_target_follows(given):
    mask = torch.ones(1, 1, 2, 2, dtype=torch.uint8)
    logits, target = comparable(torch.zeros(1, 1, 2, 2, dtype=given), mask)
    assert logits.dtype == target.dtype == (torch.float64 if given == torch.float64 else torch.float32)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 1, 2, 2\) and target \(1, 2, 2\) differ"):
        comparable(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2))
