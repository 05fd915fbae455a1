"""What the data commands print and return."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from dermseg.data.commands import check, prepare, synthesize
from dermseg.errors import ConfigError
from dermseg.training.command import parse
from dermseg.training.sources import load_images


@pytest.fixture
def drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    synthesize(tmp_path / "drawn [b]", 4, 32, 0)
    capsys.readouterr()
    return tmp_path / "drawn [b]"


def test_synthesize_says_where_the_pairs_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to rich
    synthesize(tmp_path / "[new]", 3, 32, 0)
    assert len(list((tmp_path / "[new]" / "images").iterdir())) == 3
    printed = capsys.readouterr()
    assert f"3 pairs in {tmp_path}/[new]/images and {tmp_path}/[new]/masks" in printed.out
    assert "Drawing" in printed.err


def test_synthesize_says_what_is_there_beside_what_it_was_asked_for(
    drawn: Path, capsys: pytest.CaptureFixture[str]
):
    capsys.readouterr()
    synthesize(drawn, 3, 32, 0)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("4 pairs in ")
    assert second == "1 of them were there before; for 3 alone, name another folder"


def test_check_of_a_sound_data_set(drawn: Path, capsys: pytest.CaptureFixture[str]):
    assert check(str(drawn), "auto") == 0
    assert "drawn [b]: 4 usable pairs" in capsys.readouterr().out


def test_check_decodes_every_file_and_names_the_broken_ones(drawn: Path, capsys: pytest.CaptureFixture[str]):
    images, masks = sorted((drawn / "images").iterdir()), sorted((drawn / "masks").iterdir())
    whole = images[0].read_bytes()
    images[0].write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((32, 32), bool)).save(masks[1])
    masks[2].unlink()
    assert check(str(drawn), "auto") == 3
    printed = capsys.readouterr().out
    assert "1 usable pairs" in printed
    for path in (images[0], masks[1], images[2]):
        assert f"{path} " in printed


def test_masks_may_lie_elsewhere(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (drawn / "masks").rename(tmp_path / "elsewhere")
    assert check(str(drawn / "images"), "auto", tmp_path / "elsewhere") == 0
    assert "4 usable pairs" in capsys.readouterr().out


def test_prepare_names_problems_and_says_where_the_cache_is(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    broken = sorted((drawn / "images").iterdir())[0]
    broken.write_bytes(b"")
    assert prepare(str(drawn), 16, "fit", (), "auto", None, tmp_path / "caches") == 1
    printed = capsys.readouterr().out
    assert f"{broken} is empty" in printed
    said = re.search(r"3 pairs at 16 px \(fit\) in (.*)", printed)
    assert said is not None
    assert Path(said[1]).is_relative_to(tmp_path / "caches")
    assert (Path(said[1]) / "index.json").is_file()


@pytest.mark.parametrize("steps", [(), ("shades_of_grey", "hair_removal")])
def test_training_takes_the_prepared_cache(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], steps: tuple[str, ...]
):
    assert prepare(str(drawn), 16, "fit", steps, "auto", None, tmp_path / "caches") == 0
    printed = capsys.readouterr().out
    said = re.search(rf"px \({', '.join(['fit', *steps])}\) in (.*)", printed)
    command = re.search("train on it: dermseg train (.*)", printed)
    assert said is not None
    assert command is not None
    arguments = parse([*shlex.split(command[1]), "--validation", "0.25", "--test", "0.25"])
    images = load_images(arguments, tmp_path / "split.json", Console())
    assert images.train.cache.directory == Path(said[1])
    assert images.train.cache.preprocessing == steps
    assert len(list((tmp_path / "caches").glob("*/*/index.json"))) == 1


def test_prepare_refuses_an_unknown_step(drawn: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"preprocessing.*'shades'.*choose from shades_of_grey"):
        prepare(str(drawn), 16, "fit", ["shades"], "auto", None, tmp_path / "caches")


def test_prepare_names_outdated_caches(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    prepare(str(drawn), 16, "squash", (), "auto", None, tmp_path / "caches")
    [first] = (tmp_path / "caches").glob("*/*/index.json")
    sorted((drawn / "masks").iterdir())[0].touch()
    capsys.readouterr()
    prepare(str(drawn), 16, "squash", (), "auto", None, tmp_path / "caches")
    assert re.search(f"made of other files .*: {re.escape(str(first.parent))}", capsys.readouterr().out)
