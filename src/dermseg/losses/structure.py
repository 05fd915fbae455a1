"""PraNet's structure loss: cross-entropy plus an overlap that counts pixels near the border more.

Fan et al., "PraNet: Parallel Reverse Attention Network for Polyp Segmentation", arXiv 2006.11392.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from dermseg.losses.checks import comparable

WINDOW = 31
"""Side in pixels of the neighbourhood that a pixel is compared with."""
EMPHASIS = 5.0
"""Weight that a pixel gains where its whole neighbourhood is of the other class."""


class StructureLoss(nn.Module):
    """Mean cross-entropy plus one minus the weighted soft IoU of each image.

    A pixel weighs 1 + 5 |mean of the mask in a 31 x 31 window - mask|; beyond the image's edge the mask
    counts as 0, so that lesion at the edge weighs more as well. One pixel is added above and below in the
    IoU.

    The paper weighs the cross-entropy in the same way. The released code means to, but its cross-entropy is
    averaged before the weights are applied, so that they cancel; this class follows the release.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of the images of a batch.

        Args:
            logits: (B, 1, H, W). Half-precision logits are computed in float32.
            target: (B, 1, H, W), 0 or 1, of any dtype.

        Returns:
            A scalar.

        Raises:
            ValueError: The shapes differ.
        """
        logits, target = comparable(logits, target)
        weight = border_weight(target)
        probability = logits.sigmoid()
        overlap = (weight * probability * target).flatten(1).sum(1)
        union = (weight * (probability + target)).flatten(1).sum(1) - overlap
        iou = (overlap + 1) / (union + 1)
        return F.binary_cross_entropy_with_logits(logits, target) + (1 - iou).mean()


def border_weight(mask: Tensor) -> Tensor:
    """Return the weight of every pixel, between 1 and 6, of masks (B, 1, H, W) of floats 0 or 1."""
    around = F.avg_pool2d(mask, WINDOW, stride=1, padding=WINDOW // 2)
    return 1 + EMPHASIS * (around - mask).abs()
