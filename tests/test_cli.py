"""The command line answers at once, explains itself, and fails with a message and a status."""

import io
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dermseg import __version__
from dermseg.cli import COMMANDS, main
from dermseg.errors import ConfigError


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


def test_help_of_a_command_needs_no_torch():
    code = (
        "import sys, contextlib\nfrom dermseg.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    with contextlib.suppress(SystemExit): main([*name.split(), '--help'])\n"
        "    if 'torch' in sys.modules: sys.exit(name)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("words", [["data"], ["data", "--help"], ["data", "-h"]])
def test_a_group_lists_its_commands(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert all(f"  data {name} " in printed for name in ("check", "prepare", "synthesize"))
    assert "predict" not in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert f"usage: dermseg {name}" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "meant"), [("trian --out x", "train"), ("data chekc x", "data check")])
def test_a_misspelt_command_gets_a_suggestion(words: str, meant: str, capsys: pytest.CaptureFixture[str]):
    assert main(words.split()) == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


def test_a_terminated_prediction_ends_as_by_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "dermseg.inference.predict.predict", lambda *_, **__: signal.raise_signal(signal.SIGTERM)
    )
    assert main(["predict", "x.png", "--weights", "tiny"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_wrong_option_is_named(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "check", "DATA", "--layuot", "ph2"]) == 2
    assert "--layuot" in capsys.readouterr().err


def test_a_missing_data_folder_is_named_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "check", str(tmp_path / "nowhere")]) == 2
    printed = capsys.readouterr().err
    assert "nowhere" in printed
    assert "Traceback" not in printed


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch):
    """Replace what the commands call, and return the arguments of every call."""
    calls: list[tuple[object, ...]] = []

    def replace(target: str, result: object) -> list[tuple[object, ...]]:
        def called(*arguments, **options):
            calls.append((*arguments, *options.items()))
            return result

        monkeypatch.setattr(target, called)
        return calls

    return replace


@pytest.mark.parametrize("flag", ["--allow-leak", "--allow_leak"])
def test_a_flag_stands_alone_and_takes_hyphens(calls, flag: str):
    made = calls("dermseg.evaluation.evaluate.evaluate", SimpleNamespace(problems=()))
    assert main(["evaluate", "DATA", flag, "--masks=a-b/MASKS", "--part", "validation"]) == 0
    [call] = made
    assert call[0] == "DATA"
    assert {("allow_leak", True), ("masks", Path("a-b/MASKS")), ("part", "validation")} < set(call[1:])
    assert main(["evaluate", "DATA"]) == 0
    assert ("allow_leak", False) in made[1]


@pytest.mark.parametrize(("words", "tta"), [([], None), (["--tta"], True), (["--no-tta"], False)])
def test_a_flag_that_the_weights_decide_can_be_set_either_way(calls, words, tta):
    made = calls("dermseg.inference.predict.predict", SimpleNamespace(images="a", problems=""))
    assert main(["predict", "a.jpg", "--weights", "w.safetensors", *words]) == 0
    assert ("tta", tta) in made[0]


def test_an_evaluation_and_a_prediction_pass_their_options_on(calls):
    made = calls("dermseg.evaluation.evaluate.evaluate", SimpleNamespace(problems=()))
    words = (
        "--weights w --predictions p --layout folder --masks m --split s --part train --out o --device cpu"
    )
    assert main(["evaluate", "DATA", *words.split(), "--groups", "g", "--allow-leak", "--tta"]) == 0
    calls("dermseg.inference.predict.predict", SimpleNamespace(images="a", problems=""))
    words = "--weights w --out o --threshold 0.3 --device cpu --no-tta"
    assert main(["predict", "a.jpg", *words.split()]) == 0
    paths = {name: Path(name[0]) for name in ("weights", "predictions", "masks", "out", "groups")}
    choices = {"layout": "folder", "split": "s", "part": "train", "device": "cpu"}
    assert made[0][0] == "DATA"
    assert dict(made[0][1:]) == paths | choices | {"allow_leak": True, "tta": True}
    assert made[1][:2] == (["a.jpg"], Path("w"))
    assert dict(made[1][2:]) == {"out": Path("o"), "threshold": 0.3, "device": "cpu", "tta": False}


def test_an_evaluation_with_problems_has_status_1(calls):
    calls("dermseg.evaluation.evaluate.evaluate", SimpleNamespace(problems=("one",)))
    assert main(["evaluate", "DATA"]) == 1


@pytest.mark.parametrize(("images", "problems", "status"), [("ab", "", 0), ("a", "b", 1), ("", "ab", 2)])
def test_status_of_a_prediction_says_whether_all_some_or_none_failed(calls, images, problems, status: int):
    made = calls("dermseg.inference.predict.predict", SimpleNamespace(images=images, problems=problems))
    assert main(["predict", "a", "b", "--weights", "w.safetensors"]) == status
    assert made[0][:2] == (["a", "b"], Path("w.safetensors"))


def test_predict_without_weights_takes_those_that_ship_and_says_so(calls, capsys, monkeypatch):
    made = calls("dermseg.inference.predict.predict", SimpleNamespace(images="a", problems=""))
    monkeypatch.setattr("dermseg.weights.shipped", lambda: {"default": {}})
    assert main(["predict", "a.jpg"]) == 0
    assert made[0][:2] == (["a.jpg"], Path("default"))
    assert "weights that ship with dermseg" in capsys.readouterr().err


def test_data_commands_pass_their_options_on(calls):
    made = calls("dermseg.data.commands.check", 1)
    assert main(["data", "check", "DATA", "--masks", "MASKS", "--layout", "folder"]) == 1
    calls("dermseg.data.commands.prepare", 0)
    assert main(["data", "prepare", "DATA", "--size", "64", "--out", "CACHE", "--geometry", "fit"]) == 0
    assert main(["data", "prepare", "DATA", "--preprocessing", "[shades_of_grey, hair_removal]"]) == 0
    assert made == [
        ("DATA", "folder", Path("MASKS"), None, None),
        ("DATA", 64, "fit", (), "auto", None, Path("CACHE")),
        ("DATA", 256, "squash", ["shades_of_grey", "hair_removal"], "auto", None, None),
    ]


def test_models_takes_any_number_of_patterns(calls):
    made = calls("dermseg.models.table.print_models", None)
    for words in ([], ["*vm*"], ["vm*", "x*"]):
        assert main(["models", *words]) == 0
    assert made == [([],), (["*vm*"],), (["vm*", "x*"],)]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ConfigError("do this"), 2, "dermseg fake: do this\n"),
        (
            PermissionError(13, "Permission denied", "x"),
            2,
            "dermseg fake: [Errno 13] Permission denied: 'x'\n",
        ),
        (KeyboardInterrupt(), 130, "dermseg fake: interrupted\n"),
    ],
)
def test_errors_are_messages_with_a_status(
    error: BaseException,
    status: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def fail(words: list[str]) -> int:
        raise error

    monkeypatch.setitem(COMMANDS, "fake", ("", fail))
    assert main(["fake"]) == status
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
@pytest.mark.parametrize(
    ("name", "remedy"), [("train", "smaller --batch_size"), ("predict", "images smaller")]
)
def test_a_lack_of_memory_is_one_line_with_a_remedy(error, name, remedy, monkeypatch, capsys):
    def fail(words: list[str]) -> int:
        raise error

    monkeypatch.setitem(COMMANDS, name, ("", fail))
    assert main([name]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"dermseg {name}: needs more memory")
    assert remedy in line


def test_mistakes_in_the_program_keep_their_traceback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(COMMANDS, "fake", ("", lambda _: int("mistake")))
    with pytest.raises(ValueError, match="mistake"):
        main(["fake"])


def test_names_that_are_no_text_can_be_printed(monkeypatch: pytest.MonkeyPatch):
    strict = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", strict)
    monkeypatch.setitem(COMMANDS, "fake", ("", lambda _: print("caf\udce9.jpg") or 0))
    assert main(["fake"]) == 0
    assert strict.buffer.getvalue() == b"caf\\udce9.jpg\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "words", ["--help", "data synthesize drawn --count 1 --size 32"], ids=["printed", "printed by rich"]
)
def test_a_reader_who_leaves_ends_it_quietly(words: str, tmp_path: Path):
    command = [sys.executable, "-m", "dermseg", *words.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (141, b"")


def test_a_module_is_a_program_too():
    words = [sys.executable, "-m", "dermseg", "--version"]
    finished = subprocess.run(words, capture_output=True, text=True, check=True)
    assert finished.stdout == f"dermseg {__version__}\n"
