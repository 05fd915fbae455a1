"""Patch embedding, merging and expansion: how VM-UNet changes resolution. All maps are (B, H, W, C)."""

from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """Cuts the image into square patches and projects each to one vector, then normalises it.

    Args:
        width: Channels of the result.
        patch: Side of a patch in pixels; height and width of the image must be multiples of it.
        channels: Channels of the image, or of the map that stands in for it.
    """

    def __init__(self, width: int, patch: int = 4, channels: int = 3) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, width, patch, stride=patch)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, channels, H, W) to (B, H/patch, W/patch, width)."""
        embedded: Tensor = self.norm(self.projection(images).permute(0, 2, 3, 1))
        return embedded


class PatchMerging(nn.Module):
    """Halves the resolution and doubles the channels: each 2x2 neighbourhood becomes one vector.

    The four neighbours are joined column by column, (0,0), (1,0), (0,1), (1,1) as (row, column), the order
    that Swin and VMamba weights expect.

    Args:
        width: Channels of the input; the result has twice as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) with even H and W to (B, H/2, W/2, 2 width)."""
        batch, height, width, channels = x.shape
        cells = x.view(batch, height // 2, 2, width // 2, 2, channels)
        joined = cells.permute(0, 1, 3, 4, 2, 5).reshape(batch, height // 2, width // 2, 4 * channels)
        merged: Tensor = self.reduction(self.norm(joined))
        return merged


class PatchExpand(nn.Module):
    """Raises the resolution: a linear map makes the channels of scale x scale pixels out of each vector.

    Args:
        width: Channels of the input.
        out: Channels of the result.
        scale: Factor by which height and width grow.
    """

    def __init__(self, width: int, out: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.expand = nn.Linear(width, scale * scale * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to (B, scale H, scale W, out)."""
        batch, height, width, _ = x.shape
        scale, out = self.scale, self.norm.normalized_shape[0]
        pixels = self.expand(x).view(batch, height, width, scale, scale, out)
        spread = pixels.permute(0, 1, 3, 2, 4, 5).reshape(batch, height * scale, width * scale, out)
        expanded: Tensor = self.norm(spread)
        return expanded
