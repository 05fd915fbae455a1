"""SS2D, written as its definition: unfold the map along four directions, scan each, put back, add."""

import torch
from torch import Tensor

from dermseg.ops.selective_scan.reference import selective_scan


def ss2d_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan a map along its rows, its columns, and both in reverse, and add the four results pixel by pixel.

    Args:
        x: Map (batch, H, W, channels).
        delta: Step sizes before bias and softplus, per pixel and direction (batch, H, W, 4, channels).
        A: State matrices (4, channels, N); negative.
        B: Input matrices per pixel and direction (batch, H, W, 4, N).
        C: Output matrices per pixel and direction (batch, H, W, 4, N).
        D: Direct paths (4, channels).
        delta_bias: Added to `delta` (4, channels).

    Returns:
        Map (batch, H, W, channels).
    """
    _, height, width, _ = x.shape
    total = torch.zeros_like(x)
    for direction, order in enumerate(_orders(height, width, x.device)):

        def unfold(per_pixel: Tensor, order: Tensor = order) -> Tensor:
            return per_pixel.flatten(1, 2)[:, order]

        y = selective_scan(
            unfold(x),
            unfold(delta[:, :, :, direction]),
            A[direction],
            unfold(B[:, :, :, direction]),
            unfold(C[:, :, :, direction]),
            D[direction],
            delta_bias[direction],
        )
        total = total + y[:, torch.argsort(order)].view_as(x)
    return total


def _orders(height: int, width: int, device: torch.device) -> list[Tensor]:
    """Pixel visited at every step, per direction, in the order of the released parameters."""
    rows = torch.arange(height * width, device=device)
    columns = rows.view(height, width).T.flatten()
    return [rows, columns, rows.flip(0), columns.flip(0)]
