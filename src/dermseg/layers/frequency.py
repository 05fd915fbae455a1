"""A block that gates a map by a filter of its Fourier transform (the FFMB of SkinMamba)."""

import torch
from torch import Tensor, nn

from dermseg.layers.channel_norm import ChannelNorm


class FrequencyBlock(nn.Module):
    """Gates a map by the sigmoid of its filtered spectrum, then convolves.

    The real and imaginary parts of the spectrum are channels of one map, which two 1x1 convolutions filter,
    each frequency by itself. The transforms run in float32, or float64 if the map is.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_in = ChannelNorm(width)
        self.filter = nn.Sequential(
            nn.Conv2d(2 * width, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, 2 * width, 1)
        )
        self.norm_out = ChannelNorm(width)
        self.project = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.GELU(), nn.Conv2d(2 * width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        x = self.norm_in(x)
        gated = x * torch.sigmoid(self._filtered(x))
        projected: Tensor = self.project(self.norm_out(gated))
        return projected + gated

    def _filtered(self, x: Tensor) -> Tensor:
        computed = x if x.dtype == torch.float64 else x.float()
        spectrum = torch.fft.rfft2(computed)
        parts = torch.cat([spectrum.real, spectrum.imag], dim=1).to(x.dtype)
        real, imaginary = self.filter(parts).to(computed.dtype).chunk(2, dim=1)
        filtered: Tensor = torch.fft.irfft2(torch.complex(real, imaginary), s=x.shape[2:])
        return filtered.to(x.dtype)
