"""The peers of our scans: what released code of this family runs where its compiled package is missing."""

import torch
from torch import Tensor
from torch.nn import functional as F


def plain_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor, **_: object
) -> Tensor:
    """S6 as a loop over L, in mamba-ssm's layout: u, delta (batch, D, L); B, C (batch, groups, N, L).

    It repeats B and C for every channel, discretises all L steps into tensors with N entries per element of
    u, and then loops over them. Written from those facts; nothing of the released code is part of it.
    """
    delta = F.softplus(delta + delta_bias[:, None])
    B, C = (matrix.repeat_interleave(u.shape[1] // matrix.shape[1], dim=1) for matrix in (B, C))
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))
    entering = torch.einsum("bdl,bdnl,bdl->bdln", delta, B, u)
    state = torch.zeros_like(decay[:, :, 0])
    read = []
    for t in range(u.shape[2]):
        state = decay[:, :, t] * state + entering[:, :, t]
        read.append(torch.einsum("bdn,bdn->bd", state, C[..., t]))
    return torch.stack(read, dim=2) + u * D[:, None]


def plain_selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """`dermseg.ops.selective_scan.selective_scan` by the plain scan."""
    first = plain_scan(u.mT.contiguous(), delta.mT, A, B.mT[:, None], C.mT[:, None], D, delta_bias)
    return first.mT


def mambapy_selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """`dermseg.ops.selective_scan.selective_scan` by the parallel scan of the package mambapy."""
    from mambapy.pscan import pscan

    step = F.softplus(delta + delta_bias)
    decay = torch.exp(step[..., None] * A)
    entering = (step * u)[..., None] * B[:, :, None]
    states = pscan(decay, entering)
    return (states @ C[..., None]).squeeze(-1) + u * D


def plain_ss2d_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """`dermseg.ops.ss2d.ss2d_scan` by one plain scan over four copies of the map."""
    batch, height, width, channels = x.shape
    rows = torch.arange(height * width)
    columns = rows.view(height, width).T.flatten()
    orders = torch.stack([rows, columns, rows.flip(0), columns.flip(0)])

    def unfold(per_pixel: Tensor) -> Tensor:
        """From (batch, H, W, 4, n) to (batch, 4, n, L), each direction in its own order."""
        flat = per_pixel.flatten(1, 2)
        return torch.stack([flat[:, order, k] for k, order in enumerate(orders)], dim=1).transpose(2, 3)

    u = unfold(x.unsqueeze(3).expand(-1, -1, -1, 4, -1)).flatten(1, 2)
    y = plain_scan(
        u,
        unfold(delta).flatten(1, 2),
        A.flatten(0, 1),
        unfold(B),
        unfold(C),
        D.flatten(),
        delta_bias.flatten(),
    )
    directions = y.view(batch, 4, channels, -1)
    put_back = [directions[:, k, :, torch.argsort(order)] for k, order in enumerate(orders)]
    return sum(put_back).transpose(1, 2).view_as(x)
