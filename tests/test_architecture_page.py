"""docs/architecture.md names everything that lies at the top of the package; its lines of Python run."""

import re
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

import dermseg
from dermseg.data.synthetic import synthetic_collection
from dermseg.losses.table import LOSSES
from dermseg.models import registry
from dermseg.training.arguments import TrainArguments
from dermseg.training.run import train

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_lists_every_file_and_folder_of_the_package():
    tree = PAGE.split("src/dermseg/\n")[1].split("\nconfigs/")[0]
    listed = set(re.findall(r"^  (\w+(?:\.py|/))", tree, re.MULTILINE))
    package = ROOT / "src" / "dermseg"
    files = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert listed == files | folders


def test_a_network_and_a_loss_of_ones_own_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    synthetic_collection(Path("DATA"), 16, 32, seed=0)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    small = ["--size", "32", "--batch_size", "4", "--epochs", "1"]
    command = ["train", "--model", "mine", "--data", "DATA", "--out", "runs/mine", *small]
    monkeypatch.setattr(sys, "argv", ["mine.py", *command])
    registry.list_models()  # so that the package's own networks stay when the new one is forgotten
    with patch.dict(registry._entries), patch.dict(LOSSES):
        with pytest.raises(SystemExit) as ended:
            exec(code, {"__name__": "__main__"})  # it is our own page
        assert ended.value.code == 0
        assert dermseg.load_model("runs/mine/model.safetensors").name == "mine"
        arguments = {"size": 32, "batch_size": 4, "epochs": 1, "data": "DATA", "out": Path("runs/focal")}
        assert train(TrainArguments(model="mine", loss="focal", **arguments)).weights.is_file()
