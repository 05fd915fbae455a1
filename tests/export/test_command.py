"""`dermseg export`: one file, and what ONNX Runtime makes of it."""

import copy
from pathlib import Path

import onnx
import pytest
import torch

from dermseg.cli import main
from dermseg.errors import CheckpointError
from dermseg.export import check
from dermseg.models.base import SegmentationModel
from dermseg.models.weights import save_model


@pytest.fixture
def weights(vm_unet: SegmentationModel, tmp_path: Path) -> Path:
    save_model(vm_unet, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_the_command_writes_one_file_and_prints_the_comparison(weights: Path, capsys):
    out = weights.parent / "new" / "small.onnx"
    assert main(["export", str(weights), "--out", str(out), "--fixed-size", "--opset", "21"]) == 0
    assert [path.name for path in out.parent.iterdir()] == ["small.onnx"]
    assert onnx.load(out).opset_import[0].version == 21
    printed = capsys.readouterr().out
    assert "vm_unet" in printed
    assert "batch 1, 32 x 32" in printed
    assert "largest difference of a logit: " in printed
    assert "ONNX Runtime" in printed
    assert " MB" in printed


def test_that_the_file_leaves_mirror_images_out_is_said(vm_unet: SegmentationModel, tmp_path: Path, capsys):
    averaging = copy.deepcopy(vm_unet)
    averaging.mirrors = True
    save_model(averaging, tmp_path / "model.safetensors")
    out = tmp_path / "small.onnx"
    assert main(["export", str(tmp_path / "model.safetensors"), "--out", str(out), "--fixed-size"]) == 0
    assert "as predict --no-tta does" in capsys.readouterr().out


def test_a_missing_package_ends_it_before_anything_is_read(monkeypatch, capsys, tmp_path: Path):
    monkeypatch.setattr("dermseg.export.onnx.PACKAGES", ("a_package_nobody_has",))
    assert main(["export", str(tmp_path / "absent.safetensors")]) == 2
    assert "install a_package_nobody_has" in capsys.readouterr().err


def test_absent_weights_are_named(capsys, tmp_path: Path):
    assert main(["export", str(tmp_path / "absent.safetensors"), "--out", str(tmp_path / "x.onnx")]) == 2
    assert "absent.safetensors" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_network_fails_the_comparison(vm_unet: SegmentationModel, written: Path):
    assert check.compare(vm_unet, written).difference < 1e-4
    other = copy.deepcopy(vm_unet)
    with torch.no_grad():
        other.get_parameter("decoder.head.bias").add_(0.01)
    with pytest.raises(CheckpointError, match=r"differs from PyTorch by 1\.0e-02"):
        check.compare(other, written)
