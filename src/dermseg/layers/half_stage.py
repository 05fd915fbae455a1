"""A decoder's stage at half of the image's size, where outlines are drawn finer than at a quarter."""

from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.patch import PatchExpand


class HalfStage(nn.Module):
    """Expands a map at 1/4 of the image to 1/2, adds the encoder's map there, and mends the sum locally.

    The block is that of ConvNeXt (Liu et al., arXiv 2201.03545), with a 3x3 kernel and twice the channels in
    between. There is no scan: it would take as long as those of all other stages together, and how lesion
    and skin lie to each other is known by now.

    Args:
        width: Channels of the map at 1/4.
        out: Channels at 1/2.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.expand = PatchExpand(width, out)
        self.conv = nn.Conv2d(out, out, 3, padding=1, groups=out)
        self.norm = nn.LayerNorm(out)
        self.widen = nn.Linear(out, 2 * out)
        self.narrow = nn.Linear(2 * out, out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, H, W, width), with `skip` (B, 2H, 2W, out), to (B, 2H, 2W, out)."""
        x = self.expand(x) + skip
        local = self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        mended: Tensor = x + self.narrow(F.gelu(self.widen(self.norm(local))))
        return mended
