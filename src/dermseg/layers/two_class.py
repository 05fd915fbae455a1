"""One logit out of two scores."""

from torch import Tensor


def lesion_logits(scores: Tensor) -> Tensor:
    """Map scores of skin and of lesion (B, 2, H, W) to logits (B, 1, H, W).

    The sigmoid of their difference is the softmax of lesion.
    """
    skin, lesion = scores.chunk(2, dim=1)
    return lesion - skin
