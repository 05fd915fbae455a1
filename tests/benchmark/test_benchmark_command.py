"""The words that start a benchmark."""

from types import SimpleNamespace

import pytest

from dermseg.cli import main

WORDS = ["--models", "unet", "--data", "DATA"]


@pytest.mark.parametrize(("failed", "status"), [([], 0), (["one"], 1)])
def test_a_group_and_then_an_option_mean_run(monkeypatch, failed, status):
    asked = []

    def run(request):
        asked.append(request)
        return SimpleNamespace(having={"failed": failed}.__getitem__)

    monkeypatch.setattr("dermseg.benchmark.run.run_benchmark", run)
    assert main(["benchmark", "run", *WORDS]) == main(["benchmark", *WORDS]) == status
    assert asked[0] == asked[1]
    assert asked[0].arguments.models == ["unet"]


def test_the_group_alone_lists_its_commands(capsys):
    for words in (["benchmark"], ["benchmark", "--help"]):
        assert main(words) == 0
        assert "  benchmark status " in capsys.readouterr().out


def test_a_mistake_has_status_2_and_no_traceback(capsys, tmp_path):
    assert main(["benchmark", "--models", "unet", "--out", str(tmp_path / "results")]) == 2
    assert "--data" in capsys.readouterr().err
    assert main(["benchmark", "status", str(tmp_path)]) == 2
    assert "holds no benchmark" in capsys.readouterr().err
