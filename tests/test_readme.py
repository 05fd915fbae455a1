"""The commands of the README run as they are written."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermseg.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)

# What makes training on the README's drawn images a matter of seconds.
SMALL = {
    "data synthesize": ["--count", "16", "--size", "32"],
    "train": [
        *("--epochs", "1", "--size", "32", "--batch_size", "4"),
        *("--model_arguments.width", "8", "--model_arguments.fusion_width", "8"),
    ],
}


def lines_of_use() -> list[list[str]]:
    (block,) = [block for block in BLOCKS if "dermseg train" in block]
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_the_lines_of_use_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "PHOTOS").mkdir()
    Image.fromarray(np.full((40, 50, 3), 180, np.uint8)).save(tmp_path / "PHOTOS" / "photo.jpg")

    for words in lines_of_use():
        extra = next((more for name, more in SMALL.items() if " ".join(words).startswith(name)), [])
        assert main([*words, *extra]) == 0, words

    assert (tmp_path / "outlines" / "predictions.csv").is_file()
    assert (tmp_path / "evaluation" / "summary.json").is_file()


def test_the_lines_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((40, 50, 3), 180, np.uint8)).save("photo.jpg")
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    named: dict[str, Any] = {}
    exec(code, named)  # it is our own page
    assert named["segmentation"].mask.shape == (40, 50)
    assert 0 <= named["segmentation"].expected_dice <= 1


def test_the_first_two_blocks_are_the_whole_set_up():
    run, test = BLOCKS[:2]
    assert run.strip().endswith(".venv/bin/dermseg demo")
    assert test.strip().endswith(".venv/bin/python -m pytest")
    assert run.count("\n") == test.count("\n") == 1


def test_every_linked_file_is_there():
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    missing = [link for link in linked if not (ROOT / link).exists()]
    assert linked
    assert not missing
