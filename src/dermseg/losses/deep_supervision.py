"""A loss on every head of a network."""

from torch import Tensor, nn

from dermseg.models.base import Outputs

REDUCTIONS = ("mean", "sum")


class DeepSupervision(nn.Module):
    """The mean or the sum of one loss over the logits of all heads, each compared with the same mask.

    U-Net++ takes the mean of its four heads (Zhou et al., arXiv 1807.10165), PraNet and CaraNet the sum.

    Args:
        loss: Maps logits (B, 1, H, W) and a target of that shape to a scalar.
        reduction: "mean" or "sum".

    Raises:
        ValueError: The reduction is neither.
    """

    def __init__(self, loss: nn.Module, reduction: str) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction is {reduction!r}; choose one of {', '.join(REDUCTIONS)}")
        self.loss = loss
        self.reduction = reduction

    def forward(self, outputs: Outputs, target: Tensor) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            outputs: Of `SegmentationModel.outputs`.
            target: (B, 1, H, W), values from 0 to 1.
        """
        heads = (outputs.logits, *outputs.auxiliary)
        total: Tensor = sum(self.loss(logits, target) for logits in heads)
        return total / len(heads) if self.reduction == "mean" else total
