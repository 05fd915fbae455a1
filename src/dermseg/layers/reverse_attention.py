"""Reverse attention: look where a coarser prediction saw nothing, and correct it there.

Fan et al., "PraNet: Parallel Reverse Attention Network for Polyp Segmentation", arXiv 2006.11392.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class ReverseAttention(nn.Module):
    """Add to a coarser map of logits what convolutions find in features weighted by 1 - sigmoid(logits).

    Args:
        correction: Maps the weighted features (B, C, H, W) to logits (B, 1, H, W).
    """

    def __init__(self, correction: nn.Module) -> None:
        super().__init__()
        self.correction = correction

    def forward(self, features: Tensor, coarser: Tensor) -> Tensor:
        """Correct logits.

        Args:
            features: (B, C, H, W).
            coarser: Logits (B, 1, H', W') of any size.

        Returns:
            Logits (B, 1, H, W).
        """
        coarser = resize(coarser, features.shape[-2:])
        corrected: Tensor = self.correction((1 - coarser.sigmoid()) * features) + coarser
        return corrected


def resize(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize a map bilinearly to (height, width), without averaging where it shrinks."""
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
