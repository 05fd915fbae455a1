"""The file in which a run notes what it needs of the weights that it starts from."""

from dataclasses import replace

import pytest

from dermseg.errors import CheckpointError
from dermseg.models.registry import create_model
from dermseg.training.origin import checksum, read_origin, write_origin


@pytest.fixture
def network():
    network = create_model("vm_unet", width=8, depths=(1, 1, 1, 1), depths_decoder=(1, 1, 1, 1), state=2)
    network.preprocessing = replace(network.preprocessing, mean=(0.5, 0.4, 0.3), steps=("hair_removal",))
    return network


def test_the_network_is_built_again_as_it_was(network, tmp_path):
    write_origin(tmp_path, network, {"epochs": 3})
    (tmp_path / "config.yaml").touch()
    origin = read_origin(tmp_path)
    again = origin.network()
    assert (again.name, again.arguments, again.preprocessing) == (
        network.name,
        network.arguments,
        network.preprocessing,
    )
    assert origin.earlier == {"epochs": 3}
    assert origin.sha256 == checksum(network) != checksum(again)


def test_what_a_kill_left_of_a_run_that_never_began_counts_for_nothing(network, tmp_path):
    assert read_origin(tmp_path) is None
    write_origin(tmp_path, network, {})
    assert read_origin(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", '{"model": "vm_unet"}', "[1]"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "origin.json").write_text(content)
    (tmp_path / "config.yaml").touch()
    with pytest.raises(CheckpointError, match=r"origin\.json is damaged; restore it, or delete it"):
        read_origin(tmp_path)
