"""The visual state space block (paper section 3.3)."""

from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from dermseg.layers.ss2d import SS2D


class VSSBlock(nn.Module):
    """x + DropPath(SS2D(LayerNorm(x))): no other layer, and no MLP, unlike a Transformer block.

    Args:
        width: Channels.
        drop_path: Probability with which training skips the branch, drawn per image.
        state: Size N of the scan's state.
    """

    def __init__(self, width: int, drop_path: float = 0.0, state: int = 16) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ss2d = SS2D(width, state)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to the same shape."""
        y: Tensor = x + self.drop_path(self.ss2d(self.norm(x)))
        return y
