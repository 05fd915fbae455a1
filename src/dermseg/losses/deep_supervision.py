"""A loss on every head of a network."""

from torch import Tensor, nn

from dermseg.models.base import Outputs

REDUCTIONS = ("mean", "sum", "halving")


class DeepSupervision(nn.Module):
    """One loss over the logits of all heads, each compared with the same mask.

    U-Net++ takes the mean of its four heads (Zhou et al., arXiv 1807.10165), PraNet and CaraNet the sum. The
    trainers of nnU-Net (Isensee et al., arXiv 1809.10486) halve the weight from head to head, fine to coarse,
    and give the coarsest of several none; the weights sum to 1.

    Args:
        loss: Maps logits (B, 1, H, W) and a target of that shape to a scalar.
        reduction: "mean", "sum" or "halving".

    Raises:
        ValueError: The reduction is none of these.
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
            outputs: Of `SegmentationModel.outputs`, whose auxiliary logits go from fine to coarse.
            target: (B, 1, H, W), values from 0 to 1.
        """
        heads = (outputs.logits, *outputs.auxiliary)
        if self.reduction == "halving":
            heads = heads[:-1] or heads
        weights = [0.5**head if self.reduction == "halving" else 1.0 for head in range(len(heads))]
        losses = (weight * self.loss(logits, target) for weight, logits in zip(weights, heads, strict=True))
        total: Tensor = sum(losses)
        return total if self.reduction == "sum" else total / sum(weights)
