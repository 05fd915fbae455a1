"""Binary cross-entropy plus Dice (Eqs 17-18), on logits."""

import torch.nn.functional as F
from torch import Tensor, nn

from dermseg.layers.checks import check_flag, check_not_negative
from dermseg.losses.checks import comparable


class BCEDiceLoss(nn.Module):
    """Weighted sum of the pixel-wise cross-entropy and one minus the soft Dice of each image (Eqs 17-18).

    Both terms are computed per image and then averaged, unless `pooled`, so that an image contributes the
    same whatever else is in its batch. Eq 18 has no smoothing; `smooth` is added to the numerator and the
    denominator, as the released code does, because without it an image without lesion has no gradient at all.

    Args:
        bce_weight: lambda_1 of Eq 17.
        dice_weight: lambda_2 of Eq 17.
        smooth: Pixels added above and below in the Dice ratio; 1 is negligible beside a real lesion.
        pooled: One Dice over the pixels of the whole batch, as some releases train with, where large lesions
            outweigh small ones.
    """

    def __init__(
        self,
        bce_weight: float = 1.0,
        dice_weight: float = 1.0,
        smooth: float = 1.0,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        check_not_negative("bce_weight", bce_weight)
        check_not_negative("dice_weight", dice_weight)
        check_not_negative("smooth", smooth)
        check_flag("pooled", pooled)
        self.bce_weight = bce_weight
        self.dice_weight = dice_weight
        self.smooth = smooth
        self.pooled = pooled

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of the images of a batch.

        Args:
            logits: (B, 1, H, W). Half-precision logits are computed in float32.
            target: (B, 1, H, W), 0 or 1 (between them where a mask was resized), of any dtype.

        Returns:
            A scalar.

        Raises:
            ValueError: The shapes differ.
        """
        logits, target = comparable(logits, target)
        return self.bce_weight * self._bce(logits, target) + self.dice_weight * self._dice(logits, target)

    @staticmethod
    def _bce(logits: Tensor, target: Tensor) -> Tensor:
        # All images of a batch have the same number of pixels: the mean over pixels is the mean over images.
        return F.binary_cross_entropy_with_logits(logits, target)

    def _dice(self, logits: Tensor, target: Tensor) -> Tensor:
        first = 0 if self.pooled else 1
        probability = logits.sigmoid().flatten(first)
        target = target.flatten(first)
        overlap = (probability * target).sum(-1)
        size = probability.sum(-1) + target.sum(-1)
        return (1 - (2 * overlap + self.smooth) / (size + self.smooth)).mean()
