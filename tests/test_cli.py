"""The command line answers at once, explains itself, and fails with a message and a status."""

import subprocess
import sys
from pathlib import Path

import pytest

from dermseg import __version__
from dermseg.cli import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"  {name} " in printed


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"dermseg {__version__}"


def test_help_imports_nothing_heavy():
    heavy = ["torch", "numba", "matplotlib", "lightning", "scipy", "jsonargparse"]
    code = (
        "import sys; from dermseg.cli import main; main(['--help']); "
        f"sys.exit(' '.join(set({heavy}) & set(sys.modules)) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert f"usage: dermseg {name}" in capsys.readouterr().out


def test_a_misspelt_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]):
    assert main(["trian"]) == 2
    assert "Did you mean 'train'?" in capsys.readouterr().err


def test_predict_without_weights_says_how_to_get_some(capsys: pytest.CaptureFixture[str]):
    assert main(["predict", "a.jpg", "b.jpg"]) == 2
    assert "dermseg train" in capsys.readouterr().err


def test_a_missing_data_folder_is_named_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    printed = capsys.readouterr().err
    assert "nowhere" in printed
    assert "Traceback" not in printed


def test_several_paths_are_several_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    weights = tmp_path / "missing.safetensors"
    assert main(["predict", "a.jpg", "b.jpg", "--weights", str(weights), "--out", str(tmp_path / "out")]) == 2
    assert "missing.safetensors" in capsys.readouterr().err
