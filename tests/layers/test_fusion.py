import torch
from torch.nn import functional as F

from dermseg.layers.fusion import MultiLevelFusion, RowFusion

WIDTHS = (4, 8, 16)


def levels(batch=2, coarsest=(2, 3)):
    sizes = [(coarsest[0] * 2**up, coarsest[1] * 2**up) for up in (2, 1, 0)]
    return [
        torch.randn(batch, *size, width, dtype=torch.float64)
        for size, width in zip(sizes, WIDTHS, strict=True)
    ]


def fusion(layers="sm"):
    torch.manual_seed(0)
    made = MultiLevelFusion(WIDTHS, 8, layers, heads=2).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


@torch.no_grad()
def test_each_cell_reads_its_levels_as_equation_16_says():
    made, maps = fusion(), levels()
    fused = made(maps)
    for image in range(2):
        for row in range(2):
            for column in range(3):
                # Projected before it is averaged, as section 3.5.2 words it: the same by linearity.
                steps = []
                for level, norm, into in zip(maps, made.norms, made.into, strict=True):
                    side = level.shape[1] // 2
                    rows, columns = (
                        slice(row * side, row * side + side),
                        slice(column * side, column * side + side),
                    )
                    steps.append(into(norm(level[image, rows, columns])).mean(dim=(0, 1)))
                hidden = made.xlstm(torch.stack(steps)[None])[0]
                expected = made.alpha[2] * maps[2][image, row, column] + made.beta[2] * made.back[2](
                    hidden[2]
                )
                torch.testing.assert_close(fused[2][image, row, column], expected)


@torch.no_grad()
def test_finer_levels_receive_the_hidden_map_bilinearly():
    made, maps = fusion(), levels()
    hidden = []
    made.xlstm.register_forward_hook(lambda *call: hidden.append(call[2]))
    fused = made(maps)
    back = made.back[0](hidden[0].view(2, 2, 3, 3, 8)[:, :, :, 0]).permute(0, 3, 1, 2)
    resized = F.interpolate(back, size=(8, 12), mode="bilinear").permute(0, 2, 3, 1)
    torch.testing.assert_close(fused[0], made.alpha[0] * maps[0] + made.beta[0] * resized)


@torch.no_grad()
def test_time_runs_from_fine_to_coarse():
    made, maps = fusion(), levels()
    fused = made(maps)
    changed = made([maps[0], maps[1] + 1.5 * torch.randn_like(maps[1]), maps[2]])
    torch.testing.assert_close(changed[0], fused[0])
    assert (changed[2] - fused[2]).abs().max() > 1e-6


@torch.no_grad()
def test_fusion_starts_near_the_plain_maps():
    torch.manual_seed(0)
    maps = levels()
    fused = MultiLevelFusion(WIDTHS, 8, "sm", heads=2).double()(maps)
    for before, after in zip(maps, fused, strict=True):
        assert 0 < (after - before).std() < 0.2 * before.std()


def rows(columns=16):
    torch.manual_seed(0)
    made = RowFusion(columns, "sm", heads=2).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


@torch.no_grad()
def test_on_maps_of_its_own_width_rows_are_the_xlstm_itself():
    made = rows()
    logits = torch.randn(2, 1, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(made(logits), made.xlstm(logits[:, 0])[:, None])


@torch.no_grad()
def test_rows_are_read_from_top_to_bottom():
    made = rows()
    for width in (16, 10, 40):
        logits = torch.randn(1, 1, 6, width, dtype=torch.float64)
        changed = logits.clone()
        changed[:, :, 3] += torch.randn(width)  # a constant would vanish in the blocks' normalisation
        difference = (made(logits) - made(changed)).abs().amax(dim=(0, 1, 3))
        assert (difference[:3] < 1e-12).all()
        assert (difference[3:] > 1e-9).all()


@torch.no_grad()
def test_rows_of_different_images_do_not_meet():
    made = rows()
    logits = torch.randn(3, 1, 6, 20, dtype=torch.float64)
    alone = torch.cat([made(image[None]) for image in logits])
    torch.testing.assert_close(made(logits), alone)
