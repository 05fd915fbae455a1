"""Released key names on small networks; `test_parity.py` compares outputs at full size."""

import re
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dermseg.errors import CheckpointError, ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model
from dermseg.models.released import load_released, read_released

SMALL = {"width": 8, "depths": (1, 2, 1, 1), "depths_decoder": (1, 1, 2, 1), "state": 2}


def vss_block(prefix, width, norm="ln_1", scan="self_attention", state=2):
    inner, rank = 2 * width, -(-width // 16)
    shapes = {
        f"{norm}.weight": (width,), f"{norm}.bias": (width,),
        f"{scan}.x_proj_weight": (4, rank + 2 * state, inner),
        f"{scan}.dt_projs_weight": (4, inner, rank), f"{scan}.dt_projs_bias": (4, inner),
        f"{scan}.A_logs": (4 * inner, state), f"{scan}.Ds": (4 * inner,),
        f"{scan}.in_proj.weight": (2 * inner, width),
        f"{scan}.conv2d.weight": (inner, 1, 3, 3), f"{scan}.conv2d.bias": (inner,),
        f"{scan}.out_norm.weight": (inner,), f"{scan}.out_norm.bias": (inner,),
        f"{scan}.out_proj.weight": (width, inner),
    }  # fmt: skip
    return {prefix + key: shape for key, shape in shapes.items()}


def vmamba(depths, *, newer):
    """Entries of a VMamba classifier of 8 to 64 channels, in its older or newer names."""
    merging, names = (
        (("1", "2"), ("norm", "op")) if newer else (("norm", "reduction"), ("ln_1", "self_attention"))
    )
    embedding = ("0", "2") if newer else ("proj", "norm")
    shapes = {
        f"patch_embed.{embedding[0]}.weight": (8, 3, 4, 4), f"patch_embed.{embedding[0]}.bias": (8,),
        f"patch_embed.{embedding[1]}.weight": (8,), f"patch_embed.{embedding[1]}.bias": (8,),
        "classifier.head.weight": (10, 64),
    }  # fmt: skip
    for stage, depth in enumerate(depths):
        width = 8 * 2**stage
        for block in range(depth):
            shapes |= vss_block(f"layers.{stage}.blocks.{block}.", width, *names)
        if stage < 3:
            shapes[f"layers.{stage}.downsample.{merging[0]}.weight"] = (4 * width,)
            shapes[f"layers.{stage}.downsample.{merging[0]}.bias"] = (4 * width,)
            shapes[f"layers.{stage}.downsample.{merging[1]}.weight"] = (2 * width, 4 * width)
    return {key: torch.randn(shape) for key, shape in shapes.items()}


def vm_unet():
    """Entries of the released VM-UNet of the size of `SMALL`."""
    encoder = vmamba(SMALL["depths"], newer=False)
    shapes = {"final_up.expand.weight": (32, 8), "final_up.norm.weight": (2,), "final_up.norm.bias": (2,)}
    shapes |= {"final_conv.weight": (1, 2, 1, 1), "final_conv.bias": (1,)}
    for stage, depth in enumerate(SMALL["depths_decoder"]):
        width = 64 // 2**stage
        for block in range(depth):
            shapes |= vss_block(f"layers_up.{stage}.blocks.{block}.", width)
        if stage:
            shapes[f"layers_up.{stage}.upsample.expand.weight"] = (4 * width, 2 * width)
            shapes[f"layers_up.{stage}.upsample.norm.weight"] = (width,)
            shapes[f"layers_up.{stage}.upsample.norm.bias"] = (width,)
    del encoder["classifier.head.weight"]
    entries = encoder | {key: torch.randn(shape) for key, shape in shapes.items()}
    return {f"vmunet.{key}": value for key, value in entries.items()}


def test_every_entry_of_vm_unet_finds_its_place():
    model, released = create_model("vm_unet", **SMALL), vm_unet()
    report = load_released(model, released)
    ours = model.state_dict()
    assert set(report.loaded) == set(ours)
    assert report.skipped == report.untouched == ()
    for theirs, our in {
        "patch_embed.proj.weight": "encoder.patch_embed.projection.weight",
        "layers.1.blocks.1.ln_1.bias": "encoder.stages.1.1.norm.bias",
        "layers.2.downsample.norm.weight": "encoder.merges.2.norm.weight",
        "layers_up.2.blocks.1.self_attention.dt_projs_bias": "decoder.stages.2.blocks.1.ss2d.step_bias",
        "layers_up.3.upsample.expand.weight": "decoder.stages.3.expand.expand.weight",
        "final_up.norm.bias": "decoder.final.norm.bias",
        "final_conv.bias": "decoder.head.bias",
    }.items():
        assert torch.equal(ours[our], released[f"vmunet.{theirs}"])
    # Released rows are ordered by direction, then channel.
    A_log = ours["encoder.stages.0.0.ss2d.A_log"]
    assert torch.equal(A_log.flatten(0, 1), released["vmunet.layers.0.blocks.0.self_attention.A_logs"])


@pytest.mark.parametrize(
    "wrapper", [None, "model", "state_dict", "model_state_dict", "network_weights", "net"]
)
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_wrappers_of_training_scripts_are_taken_off(wrapper, prefix):
    model = create_model("vm_unet", **SMALL)
    weights = vm_unet()
    named = {prefix + key: value for key, value in weights.items()}
    load_released(model, named if wrapper is None else {"epoch": 3, wrapper: named})
    assert torch.equal(model.decoder.head.bias, weights["vmunet.final_conv.bias"])


@pytest.mark.parametrize("twin", ["final_conv.bias", "module.vmunet.final_conv.bias"])
def test_a_parameter_under_two_names_is_refused(twin):
    with pytest.raises(CheckpointError, match=rf"vmunet\.final_conv\.bias and {twin}"):
        load_released(create_model("vm_unet", **SMALL), vm_unet() | {twin: torch.zeros(1)})


@pytest.mark.parametrize(
    ("layers", "lacking"),
    [("s", "xLSTM.layers.0.Wi.blocks.0.weight"), ("m", "xLSTM.layers.0.Wi.weight")],
)
@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
def test_a_missing_key_of_the_xlstm_has_its_released_name(layers, lacking):
    model = create_model("xlstm_vmunet", **SMALL, fusion="released", xlstm_layers=layers)
    theirs = {f"xLSTM.{theirs}": f"xlstm.{ours}" for ours, theirs in model.xlstm.released_keys().items()}
    weights = vm_unet() | {key: model.state_dict()[ours] for key, ours in theirs.items()}
    load_released(model, weights)
    del weights[lacking]
    with pytest.raises(CheckpointError, match=f"missing key {lacking}"):
        load_released(model, weights)


def test_a_network_of_the_papers_wiring_is_not_the_released_one():
    model = create_model("xlstm_vmunet", **SMALL, xlstm_layers="")
    with pytest.raises(CheckpointError, match=r"multilevel.*vm_unet"):
        load_released(model, vm_unet())
    load_released(create_model("xlstm_vmunet", **SMALL, xlstm_layers="", fusion="rows"), vm_unet())


def test_dead_counters_are_listed():
    weights = vm_unet() | dict.fromkeys(("vmunet.total_ops", "total_ops", "total_params"), torch.zeros(1))
    report = load_released(create_model("vm_unet", **SMALL), weights)
    assert set(report.skipped) == {"vmunet.total_ops", "total_ops", "total_params"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vmunet.final_conv.scale": torch.zeros(1)}, r"unknown key vmunet\.final_conv\.scale"),
        ({"xLSTM.layers.0.Wz.blocks.0.weight": torch.zeros(64, 256)}, r"unknown key xLSTM\.layers\.0\.Wz"),
        ({"vmunet.layers.0.blocks.1.ln_1.bias": torch.zeros(8)}, r"unknown key vmunet\.layers\.0\.blocks\.1"),
        ({"vmunet.final_conv.bias": None}, r"missing key vmunet\.final_conv\.bias"),
        ({"vmunet.final_conv.bias": torch.zeros(2)}, r"wrong shape of vmunet\.final_conv\.bias \(2,\)"),
    ],
)
def test_a_network_must_fit_completely_or_nothing_is_loaded(change, message):
    model = create_model("vm_unet", **SMALL)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    weights = {key: value for key, value in (vm_unet() | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        load_released(model, weights)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("name", ["vm_unet", "xlstm_vmunet"])
def test_vmamba_fills_the_encoder_and_mirrored_the_decoder(name, newer):
    model = create_model(name, **SMALL)
    weights = vmamba((1, 2, 3, 1), newer=newer)
    report = load_released(model, weights)
    norm = "norm" if newer else "ln_1"
    ours = model.state_dict()
    assert torch.equal(ours["encoder.stages.1.1.norm.weight"], weights[f"layers.1.blocks.1.{norm}.weight"])
    for stage in range(4):
        mirrored = ours[f"decoder.stages.{3 - stage}.blocks.0.norm.weight"]
        assert torch.equal(mirrored, weights[f"layers.{stage}.blocks.0.{norm}.weight"])
    # VMamba is deeper in stage 2 and has a classifier; our decoder stage 2 mirrors its stage 1.
    assert {key.split(".")[3] for key in report.skipped if key.startswith("layers.2.")} == {"1", "2"}
    assert "classifier.head.weight" in report.skipped
    assert not any(key.startswith("encoder.") or ".blocks." in key for key in report.untouched)
    assert {"decoder.head.bias", "decoder.final.expand.weight"} <= set(report.untouched)
    assert set(report.loaded) | set(report.untouched) == set(ours)


def test_a_shallower_vmamba_leaves_the_deeper_blocks_random():
    report = load_released(create_model("vm_unet", **SMALL), vmamba((1, 1, 1, 1), newer=True))
    assert "encoder.stages.1.1.norm.weight" in report.untouched
    assert "decoder.stages.2.blocks.1.norm.weight" in report.untouched


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers.0.blocks.0.mlp.fc1.weight": torch.zeros(8, 8)}, r"unknown key layers\.0\.blocks\.0\.mlp"),
        ({"patch_embed.0.weight": torch.zeros(16, 3, 4, 4)}, r"wrong shape of patch_embed\.0\.weight"),
        ({"patch_embed.0.weight": None}, r"missing key patch_embed\.proj\.weight"),
        ({"layers.1.blocks.1.norm.bias": None}, r"missing key layers\.1\.blocks\.1\.ln_1\.bias"),
        ({"layers.0.downsample.2.weight": None}, r"missing key layers\.0\.downsample\.reduction"),
        (
            {"layers.0.blocks.0.ln_1.weight": torch.zeros(8)},
            r"twice, as layers\.0\.blocks\.0\.norm\.weight and layers\.0\.blocks\.0\.ln_1\.weight",
        ),
    ],
)
def test_a_vmamba_of_another_kind_is_refused(change, message):
    weights = vmamba((1, 2, 1, 1), newer=True) | change
    with pytest.raises(CheckpointError, match=message):
        load_released(
            create_model("vm_unet", **SMALL), {key: x for key, x in weights.items() if x is not None}
        )


@pytest.mark.parametrize("start", ["patch_embed.", "layers.3.", "layers.1.blocks.0."])
def test_a_vmamba_that_lacks_a_part_is_refused(start):
    weights = {key: x for key, x in vmamba((1, 2, 1, 1), newer=False).items() if not key.startswith(start)}
    with pytest.raises(CheckpointError, match=f"missing key {start}"):
        load_released(create_model("vm_unet", **SMALL), weights)


@pytest.mark.parametrize(
    "content",
    [{}, {"epoch": 3}, {"model": {}}, {3: torch.zeros(1)}, {"model": {3: torch.zeros(1)}}, None, [1]],
)
def test_what_holds_no_weights_is_refused(content):
    with pytest.raises(CheckpointError, match="state_dict"):
        load_released(create_model("vm_unet", **SMALL), content)


def system() -> tuple[SegmentationModel, dict[str, Tensor]]:
    """A small network with batch counters and a table of names, and other weights under released names."""
    model = create_model("unext", widths=(8, 8, 8, 16, 16))
    weights = {}
    for key, value in model.state_dict().items():
        for pattern, replacement in model.release.names:
            key = re.sub(pattern, replacement, key)
        weights[key] = torch.randn_like(value) if value.is_floating_point() else value + 1
    return model, weights


NETWORKS = {"vm_unet": lambda: (create_model("vm_unet", **SMALL), vm_unet()), "unext": system}


@pytest.mark.filterwarnings("ignore:.*quantize:UserWarning", "ignore:.*Quantized:UserWarning")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda x: torch.complex(x, x), "complex64"),
        (lambda x: x > 0, "bool"),
        (lambda x: x.long(), "int64"),
        (lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "qint8"),
        (lambda x: x.to("meta"), "meta"),
        (lambda x: x.to_sparse(), "not dense"),
        (lambda x: x * float("nan"), "NaN"),
        (lambda x: x.double() + 1e300, "infinite"),
    ],
    ids=["complex", "bool", "int64", "quantised", "meta", "sparse", "nan", "too large"],
)
def test_a_tensor_that_can_be_no_weight_is_named_and_changes_nothing(name: str, spoil: Any, named: str):
    model, weights = NETWORKS[name]()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    last = [key for key, value in weights.items() if value.is_floating_point()][-1]
    with pytest.raises(CheckpointError, match=f"{re.escape(last)} as .*{named}"):
        load_released(model, weights | {last: spoil(weights[last])})
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_weights_of_any_precision_are_taken(name: str, dtype: torch.dtype):
    model, weights = NETWORKS[name]()
    stored = {key: x.to(dtype) if x.is_floating_point() else x for key, x in weights.items()}
    report = load_released(model, stored)
    assert set(report.loaded) == set(model.state_dict())
    expected = sum(value.double().abs().sum() for value in stored.values())
    loaded = sum(value.double().abs().sum() for value in model.state_dict().values())
    torch.testing.assert_close(loaded, expected)


def test_names_of_training_on_several_devices_are_kept_in_messages_and_report():
    model, weights = system()
    parallel = {f"module.{key}": value for key, value in weights.items()} | {
        "module.total_ops": torch.ones(1)
    }
    assert load_released(model, parallel).skipped == ("module.total_ops",)
    assert load_released(model, {f"_orig_mod.{key}": value for key, value in parallel.items()}).skipped
    compiled_part = {key.replace(".", "._orig_mod.", 1): value for key, value in weights.items()}
    assert set(load_released(model, compiled_part).loaded) == set(model.state_dict())
    key = next(iter(weights))
    with pytest.raises(CheckpointError, match=rf"twice, as module\.{re.escape(key)} and {re.escape(key)}"):
        load_released(model, parallel | {key: weights[key]})
    with pytest.raises(CheckpointError, match=r"unknown key module\.surplus"):
        load_released(model, parallel | {"module.surplus": torch.ones(1)})
    with pytest.raises(CheckpointError, match=rf"wrong shape of module\.{re.escape(key)}"):
        load_released(model, parallel | {f"module.{key}": torch.ones(7, 7, 7)})


def test_a_timm_encoder_has_no_released_weights():
    model = create_model("xlstm_vmunet", **SMALL, encoder="test_resnet")
    with pytest.raises(ConfigError, match="vssm"):
        load_released(model, vm_unet())


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)


def test_a_released_file_is_read_without_running_its_code(tmp_path):
    torch.save({"model": vm_unet()}, tmp_path / "good.pth")
    load_released(create_model("vm_unet", **SMALL), read_released(tmp_path / "good.pth"))

    torch.save({"model": vm_unet(), "config": Touch(tmp_path / "ran")}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match=r"code\.pth: cannot be read as plain .*\([^\x1b]*getattr"):
        read_released(tmp_path / "code.pth")
    assert not (tmp_path / "ran").exists()

    (tmp_path / "broken.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"broken\.pth"):
        read_released(tmp_path / "broken.pth")


@pytest.mark.parametrize("core", ["core", "_core"])
def test_numbers_of_numpy_beside_the_weights_are_read(tmp_path, core):
    weights = vm_unet()
    beside = {"loss": np.float64(0.5), "losses": [np.float32(0.25)], "step": np.int64(3)}
    ours, theirs = tmp_path / "ours.pth", tmp_path / "theirs.pth"
    torch.save(beside | {"model_state_dict": weights}, ours)
    # NumPy 1 and 2 keep them under different names.
    with zipfile.ZipFile(ours) as saved, zipfile.ZipFile(theirs, "w") as renamed:
        for name in saved.namelist():
            entry = re.sub(rb"numpy\._?core\.", b"numpy.%b." % core.encode(), saved.read(name))
            renamed.writestr(name, entry)
    content = read_released(theirs)
    assert {key: content[key] for key in beside} == beside
    model = create_model("vm_unet", **SMALL)
    load_released(model, content)
    assert torch.equal(model.decoder.head.bias, weights["vmunet.final_conv.bias"])
