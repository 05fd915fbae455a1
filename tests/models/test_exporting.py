"""Networks written to ONNX at a free size, run by ONNX Runtime at several."""

from typing import Any

import pytest
import torch
from exporting import assert_exports

from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model
from dermseg.ops.ss2d import export as scan_export

SIZES = [(64, 64), (37, 70), (1, 1)]
SMALL: dict[str, Any] = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 4}
MULTILEVEL: dict[str, Any] = {"fusion_width": 16}


def small_network(name: str, **arguments: Any) -> SegmentationModel:
    """A network with weights far from their initial values, so that no part is nearly silent."""
    torch.manual_seed(0)
    model = create_model(name, **(SMALL | arguments)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("form", ["scan", "chunked"])
def test_the_flagship_takes_any_batch_and_size(form: str, monkeypatch: pytest.MonkeyPatch):
    # So that the small network's scans are of several blocks.
    monkeypatch.setattr(scan_export, "STATES", 4096)
    monkeypatch.setattr(scan_export, "BLOCK", 4096)
    assert_exports(small_network("xlstm_vmunet", **MULTILEVEL), SIZES, form=form)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["scan", "chunked"])
def test_vm_unet_takes_any_batch_and_size_in_both_forms(form: str):
    assert_exports(small_network("vm_unet"), SIZES, form=form)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
@pytest.mark.parametrize(
    "arguments",
    [
        *(MULTILEVEL | {"xlstm_layers": layers} for layers in ("", "s", "m")),
        *(MULTILEVEL | {"encoder": encoder} for encoder in ("test_resnet", "test_efficientnet")),
        {"fusion": "rows"},
    ],
    ids=str,
)
def test_every_variant_of_the_flagship_takes_any_batch_and_size(arguments: dict[str, Any]):
    assert_exports(small_network("xlstm_vmunet", **arguments), SIZES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
def test_the_released_form_is_written_for_one_image_of_256_pixels():
    model = small_network("xlstm_vmunet", fusion="released")
    assert_exports(model, [])
