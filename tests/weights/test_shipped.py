"""Weights by name: found, checked, and refused when they are not what was published."""

import hashlib
import json
from pathlib import Path

import pytest

import dermseg.weights as weights
from dermseg.errors import CheckpointError
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, save_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}


@pytest.fixture
def installation(tmp_path, monkeypatch) -> Path:
    """Return the folder of an installation that ships one tiny network as 'small'."""
    file = tmp_path / "small.safetensors"
    save_model(create_model("vm_unet", **SMALL), file, threshold=0.4)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "index.json").write_text(json.dumps({"small": {"sha256": checksum}}))
    monkeypatch.setattr(weights, "_FOLDER", tmp_path)
    weights.shipped.cache_clear()
    yield tmp_path
    weights.shipped.cache_clear()


def test_a_name_loads_the_shipped_network(installation):
    assert load_model("small").threshold == 0.4
    assert weights.weight_file("small") == installation / "small.safetensors"


def test_a_path_stays_a_path(installation, tmp_path):
    assert weights.weight_file(tmp_path / "mine.safetensors") == tmp_path / "mine.safetensors"


def test_a_changed_file_is_refused(installation):
    file = installation / "small.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not the file that was published.*install"):
        load_model("small")


def test_a_missing_file_is_named(installation):
    (installation / "small.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"'small' are missing.*install"):
        load_model("small")


def test_an_unknown_name_lists_those_that_ship(installation):
    with pytest.raises(CheckpointError, match="weights that ship with it: small"):
        load_model("smal")
    with pytest.raises(CheckpointError, match="there are: small"):
        weights.card_file("smal")
