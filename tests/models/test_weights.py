import json
import pickle
import resource

import pytest
import torch
from safetensors.torch import load_file, save_file

from dermseg.errors import CheckpointError, ConfigError
from dermseg.models.expected_dice import ExpectedDice
from dermseg.models.registry import create_model
from dermseg.models.weights import HEADER, load_model, read_notes, save_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(create_model("vm_unet", **SMALL), path, threshold=0.3, notes={"data": "synthetic"})
    return path


def rewrite(path, *, change=None, remove=None, tensors=None):
    """Write the file again with another description or other tensors."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        description = json.loads(opened.metadata()[HEADER])
    description |= change or {}
    description.pop(remove, None)
    kept = load_file(path)
    save_file(
        kept if tensors is None else tensors(kept),
        path,
        metadata={HEADER: json.dumps(description)},
    )


def test_the_file_describes_itself(file):
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        description = json.loads(opened.metadata()[HEADER])
    assert description["model"] == "vm_unet"
    assert description["arguments"]["width"] == 8
    assert description["arguments"]["drop_path"] == 0.2  # a default: kept, in case it changes
    assert description["preprocessing"]["size"] == 256
    assert description["threshold"] == 0.3
    assert description["notes"] == {"data": "synthetic"}


def test_weights_that_began_from_imagenet_are_loaded_without_a_download(tmp_path, monkeypatch):
    monkeypatch.setattr("dermseg.models.encoders.downloading", None)
    model = create_model("xlstm_vmunet", encoder="test_resnet", fusion_width=8, **SMALL)
    model.arguments["pretrained"] = True
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def fail(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("dermseg.models.weights.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(create_model("vm_unet", **SMALL), file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_the_threshold_is_the_models_own_unless_given(tmp_path):
    model = create_model("vm_unet", **SMALL)
    model.threshold = 0.7
    save_model(model, tmp_path / "model.safetensors")
    assert load_model(tmp_path / "model.safetensors").threshold == 0.7
    with pytest.raises(ConfigError, match="threshold"):
        save_model(model, tmp_path / "model.safetensors", threshold=1.0)


def test_whether_mirror_images_are_averaged_is_kept_and_older_files_do_not_say(file, tmp_path):
    model = create_model("vm_unet", **SMALL)
    model.mirrors = True
    save_model(model, tmp_path / "mirrors.safetensors")
    assert load_model(tmp_path / "mirrors.safetensors").mirrors
    rewrite(file, remove="mirrors")
    assert not load_model(file).mirrors


@pytest.mark.parametrize("members", [0, 2, 10**9, "two", True, None])
def test_a_wrong_number_of_members_is_refused_by_name(file, members):
    rewrite(file, change={"members": members})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
        load_model(file)


def test_a_file_of_before_there_were_ensembles_is_one_network(file):
    rewrite(file, remove="members")
    assert load_model(file).name == "vm_unet"


def test_a_compiled_network_is_not_saved(tmp_path):
    compiled = torch.compile(create_model("vm_unet", **SMALL), backend="eager")
    with pytest.raises(ConfigError, match="OptimizedModule"):
        save_model(compiled, tmp_path / "model.safetensors")


def test_only_safetensors_are_written(tmp_path):
    with pytest.raises(ConfigError, match=r"\.safetensors"):
        save_model(create_model("vm_unet", **SMALL), tmp_path / "model.pth")


def test_notes_must_fit_into_json(tmp_path):
    with pytest.raises(ConfigError, match="JSON"):
        save_model(create_model("vm_unet", **SMALL), tmp_path / "model.safetensors", notes={"when": object()})


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_file_is_refused_by_name(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        load_model(file)


def test_garbage_is_refused_by_name(file):
    file.write_bytes(bytes(range(256)) * 64)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: damaged"):
        load_model(file)


def test_the_safetensors_of_others_are_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "theirs.safetensors")
    with pytest.raises(CheckpointError, match=r"theirs\.safetensors.*did not write"):
        load_model(tmp_path / "theirs.safetensors")


@pytest.mark.parametrize("name", ["run.ckpt", "weights.pth"])
def test_pickles_are_refused_with_a_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match=rf"{name}.*model\.safetensors.*load_released"):
        load_model(tmp_path / name)


def test_names_and_folders_are_no_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"vm_unet\.isic2018 does not exist.*name of weights that ship"):
        load_model("vm_unet.isic2018")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "vm_net"}, "vm_unet"),
        ({"arguments": {"size": 3}}, "size"),
        ({"arguments": {"width": "large"}}, "cannot rebuild"),
        ({"arguments": [8]}, "cannot rebuild"),
        ({"arguments": {"depths": [10**8] * 4}}, "blocks"),
        ({"model": "trans_unet", "arguments": {"layers": 10**7}}, "blocks"),
        ({"model": "r2_unet", "arguments": {"steps": 10**9}}, "steps must be"),
        ({"model": "fa_net", "arguments": {"passes": 10**9}}, "passes must be"),
        ({"arguments": SMALL | {"width": 40_000, "state": 10**6}}, "expected"),
        ({"arguments": {"width": 4 * 10**400}}, "cannot rebuild"),
        ({"model": "xlstm_vmunet", "arguments": {"encoder": 5}}, "cannot rebuild"),
        ({"model": "xlstm_vmunet", "arguments": {"encoder": None}}, "cannot rebuild"),
        ({"model": ["vm_unet"]}, "cannot rebuild"),
        ({"preprocessing": {"size": 0}}, "size"),
        ({"preprocessing": {"colour": "red"}}, "colour"),
        ({"preprocessing": {"mean": ["a", "b", "c"]}}, "means"),
        ({"preprocessing": {"std": [10**400, 1, 1]}}, "cannot rebuild"),
        ({"threshold": 7}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"threshold": 10**400}, "threshold"),
        ({"mirrors": "yes"}, "mirrors must be True or False"),
    ],
)
def test_an_impossible_description_is_refused(file, change, message):
    rewrite(file, change=change)
    with pytest.raises(CheckpointError, match=message) as refusal:
        load_model(file)
    assert "model.safetensors" in str(refusal.value)


@pytest.mark.parametrize("entry", ["model", "arguments", "preprocessing", "threshold"])
def test_an_incomplete_description_is_refused(file, entry):
    rewrite(file, remove=entry)
    with pytest.raises(CheckpointError, match=f"lacks '{entry}'"):
        load_model(file)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            lambda kept: {key: kept[key] for key in kept if key != "decoder.head.bias"},
            "missing decoder.head.bias",
        ),
        (lambda kept: kept | {"extra": torch.zeros(1)}, "unknown extra"),
        (
            lambda kept: kept | {"decoder.head.bias": torch.zeros(2)},
            r"decoder\.head\.bias is \(2,\), expected \(1,\)",
        ),
        (
            lambda kept: kept | {"decoder.head.bias": torch.zeros(1, dtype=torch.int32)},
            r"decoder\.head\.bias holds torch\.int32, expected floating-point",
        ),
        (
            lambda kept: {key: value.to(torch.complex64) for key, value in kept.items()},
            r"holds torch\.complex64.* and \d+ more",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(file, tensors, message):
    rewrite(file, tensors=tensors)
    with pytest.raises(CheckpointError, match=message):
        load_model(file)


def test_half_precision_halves_the_file_and_is_undone_by_loading(tmp_path):
    torch.manual_seed(0)
    model = create_model("vm_unet", **SMALL).eval()
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_model(model, full)
    save_model(model, half, half=True)
    assert all(value.dtype == torch.float16 for value in load_file(half).values())
    assert half.stat().st_size < 0.7 * full.stat().st_size
    loaded = load_model(half)
    assert all(parameter.dtype == torch.float32 for parameter in loaded.parameters())
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(loaded(images), model(images), atol=0.02)


def test_what_half_precision_cannot_hold_stays_in_full(tmp_path):
    model = create_model("unet", width=2)
    name, statistic = next((n, b) for n, b in model.named_buffers() if n.endswith("running_var"))
    counts = {n for n, b in model.named_buffers() if not b.is_floating_point()}
    statistic[0] = 1e6
    save_model(model, tmp_path / "half.safetensors", half=True)
    kept = load_file(tmp_path / "half.safetensors")
    assert {n for n, value in kept.items() if value.dtype != torch.float16} == counts | {name}
    assert load_model(tmp_path / "half.safetensors").state_dict()[name][0] == 1e6


def test_the_expected_dice_comes_back(tmp_path):
    model = create_model("vm_unet", **SMALL)
    save_model(model, tmp_path / "model.safetensors")
    assert load_model(tmp_path / "model.safetensors").expected_dice is None
    model.expected_dice = ExpectedDice(-0.1, 1.1)
    save_model(model, tmp_path / "model.safetensors")
    assert load_model(tmp_path / "model.safetensors").expected_dice == ExpectedDice(-0.1, 1.1)


@pytest.mark.parametrize(
    "damage",
    [
        {"slope": 1.0},
        {"intercept": 0, "slope": float("inf")},
        {"intercept": [1, 2], "slope": [1, 2]},
        [1, 2],
        "good",
    ],
)
def test_a_damaged_expectation_is_refused_by_name(file, damage):
    rewrite(file, change={"expected_dice": damage})
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*cannot rebuild"):
        load_model(file)


def test_notes_are_read_back(file):
    assert read_notes(file) == {"data": "synthetic"}


def test_a_file_that_the_disk_does_not_hold_is_named(tmp_path):
    model = create_model("unet", width=4)
    # As at the end of a disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"m\.safetensors cannot be written \(.*free space"):
            save_model(model, tmp_path / "m.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
