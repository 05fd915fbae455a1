"""From several weight files to one."""

import pytest
import torch

from dermseg.cli import main
from dermseg.errors import CheckpointError, ConfigError
from dermseg.evaluation.leakage import read_learned
from dermseg.models.base import Preprocessing
from dermseg.models.join import join
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, read_notes, save_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}
SPLIT = {"name": "mine", "checksum": "c", "train": ["a", "b"], "validation": ["c"], "test": []}


@pytest.fixture
def files(tmp_path):
    """Return a function that writes so many weight files of one form, with these notes."""

    def write(*notes):
        paths = []
        for seed, noted in enumerate(notes):
            torch.manual_seed(seed)
            model = create_model("vm_unet", **SMALL)
            model.preprocessing = Preprocessing(size=64)
            paths.append(tmp_path / f"{seed}.safetensors")
            save_model(model, paths[-1], threshold=0.4, notes=noted)
        return paths

    return write


def test_the_file_holds_the_mean_network(files, tmp_path):
    paths = files({}, {}, {})
    join(paths, tmp_path / "out.safetensors")
    images = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        mean = torch.stack([load_model(path)(images) for path in paths]).mean(dim=0)
        joined = load_model(tmp_path / "out.safetensors")
        torch.testing.assert_close(joined(images), mean)
    assert (joined.threshold, joined.preprocessing.size) == (pytest.approx(0.4), 64)


def test_joined_again_every_member_counts_and_keeps_its_notes(files, tmp_path):
    notes = [{"split": SPLIT | {"train": [name]}} for name in "abc"]
    notes[2]["earlier"] = {"split": SPLIT | {"train": ["before"]}}
    paths = files(*notes)
    two, three = tmp_path / "two.safetensors", tmp_path / "three.safetensors"
    join(paths[:2], two)
    again = join([two, paths[2]], three)
    assert len(again.members) == len(load_model(three).members) == 3
    assert read_notes(three) == {"members": notes}
    assert set(read_learned(three).names("train")) == {"a", "b", "c", "before"}


def test_a_file_that_cannot_be_read_leaves_nothing(files, tmp_path):
    paths = files({}, {})
    paths[1].write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match=r"1\.safetensors: damaged"):
        join(paths, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_one_file_is_not_enough(files, tmp_path):
    with pytest.raises(ConfigError, match="at least two"):
        join(files({}), tmp_path / "out.safetensors")


def test_a_file_that_is_given_twice_is_refused(files, tmp_path):
    one, two = files({}, {})
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(one.read_bytes())
    with pytest.raises(ConfigError, match=r"copy\.safetensors holds what .*0\.safetensors holds"):
        join([one, two, copy], tmp_path / "out.safetensors")


def test_nothing_is_lost_or_spoilt(files, tmp_path):
    one, two = files({}, {})
    before = one.read_bytes()
    with pytest.raises(ConfigError, match=r"0\.safetensors is one of the files to join"):
        join([one, two], tmp_path / "x" / ".." / one.name)
    assert one.read_bytes() == before
    broken = load_model(two)
    next(iter(broken.parameters())).data.fill_(float("nan"))
    save_model(broken, two)
    with pytest.raises(CheckpointError, match=r"1\.safetensors holds numbers that are not finite"):
        join([one, two], tmp_path / "out.safetensors")


def test_a_link_that_leads_to_itself_is_replaced(files, tmp_path):
    out = tmp_path / "out.safetensors"
    out.symlink_to(out)
    join(files({}, {}), out)
    assert load_model(out)


def test_the_command_says_what_it_made(files, tmp_path, capsys):
    out = tmp_path / "both.safetensors"
    assert main(["join", *map(str, files({}, {})), "--out", str(out)]) == 0
    assert "the mean of 2 networks, vm_unet" in capsys.readouterr().out
    assert len(load_model(out).members) == 2
    assert main(["join", str(tmp_path / "absent.safetensors"), str(out)]) == 2
    assert "absent.safetensors does not exist" in capsys.readouterr().err
