"""Networks as ONNX files: self-describing, whole or absent."""

import copy
import importlib.util
import json
from pathlib import Path

import onnx
import pytest
import torch

from dermseg.errors import ConfigError
from dermseg.export import onnx as exporter
from dermseg.export.check import compare
from dermseg.export.onnx import export_onnx
from dermseg.models.base import SegmentationModel
from dermseg.models.ensemble import Ensemble


def test_a_fixed_size_is_in_the_file_and_only_standard_operators(vm_unet: SegmentationModel, written: Path):
    network = onnx.load(written)
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*network.graph.input, *network.graph.output)
    }
    assert shapes == {"images": [1, 3, 32, 32], "logits": [1, 1, 32, 32]}
    assert {(domain.domain, domain.version) for domain in network.opset_import} == {("", 20)}
    assert {node.domain for node in network.graph.node} == {""}
    assert not network.functions
    # PyTorch itself is 1e-5 from float64 here: the last norm of a network as narrow as this has two channels.
    assert compare(vm_unet, written).difference < 1e-4


def test_the_file_says_how_to_use_it_and_nothing_of_this_machine(written: Path):
    network = onnx.load(written)
    metadata = {entry.key: entry.value for entry in network.metadata_props}
    assert metadata["dermseg.model"] == "vm_unet"
    assert json.loads(metadata["dermseg.arguments"])["width"] == 8
    prepared = json.loads(metadata["dermseg.preprocessing"])
    assert prepared == {
        "size": 32,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "geometry": "squash",
        "steps": [],
    }
    assert json.loads(metadata["dermseg.threshold"]) == 0.3
    assert json.loads(metadata["dermseg.mirrors"]) is False
    assert "not a medical device" in metadata["dermseg.notice"]
    assert str(Path(exporter.__file__).parents[1]).encode() not in written.read_bytes()


def test_an_ensemble_is_one_file(vm_unet: SegmentationModel, tmp_path: Path):
    other = copy.deepcopy(vm_unet)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.1)
    ensemble = Ensemble([vm_unet, other]).eval()
    path = tmp_path / "both.onnx"
    export_onnx(ensemble, path, fixed_size=True)
    assert compare(ensemble, path).difference < 1e-4
    assert {entry.key: entry.value for entry in onnx.load(path).metadata_props}["dermseg.members"] == "2"


def test_a_failed_check_leaves_what_was_there(vm_unet: SegmentationModel, tmp_path: Path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("before")
    seen = []

    def check(temporary: Path) -> None:
        seen.append(temporary.stat().st_size)
        raise ConfigError("differs")

    with pytest.raises(ConfigError, match="differs"):
        export_onnx(vm_unet, path, fixed_size=True, check=check)
    assert seen[0] > 1000
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "model.pt"}, "end in .onnx"),
        ({"opset": 17}, "from 18 to 23, got 17"),
        ({"form": "loop"}, "one of: scan, chunked"),
    ],
)
def test_impossible_arguments_are_refused(options, message, vm_unet: SegmentationModel, tmp_path: Path):
    path = tmp_path / options.pop("path", "model.onnx")
    with pytest.raises(ConfigError, match=message):
        export_onnx(vm_unet, path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [lambda model: model.train(), lambda model: model.double()])
def test_a_network_in_another_state_is_refused(change, vm_unet: SegmentationModel, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cpu\(\).float\(\).eval\(\)"):
        export_onnx(change(copy.deepcopy(vm_unet)), tmp_path / "model.onnx")


def test_a_network_that_does_not_export_is_refused(vm_unet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(type(vm_unet), "exports_to_onnx", False)
    with pytest.raises(ConfigError, match="vm_unet cannot be written"):
        export_onnx(vm_unet, tmp_path / "model.onnx")


def test_a_forced_back_end_is_refused(vm_unet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "reference")
    with pytest.raises(ConfigError, match="unset DERMSEG_BACKEND"):
        export_onnx(vm_unet, tmp_path / "model.onnx")


def test_a_missing_package_is_named_with_its_remedy(vm_unet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    with pytest.raises(ConfigError, match=r"onnxscript not installed; .* install onnxscript"):
        export_onnx(vm_unet, tmp_path / "model.onnx")
