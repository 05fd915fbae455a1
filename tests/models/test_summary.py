"""What `dermseg models NAME` says about one network."""

import pytest

from dermseg.cli import main
from dermseg.models.summary import print_summary, summarize


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "160")


def test_a_network_is_told_stage_by_stage_with_its_totals(capsys: pytest.CaptureFixture[str]):
    print_summary("vm_unet")
    printed = capsys.readouterr().out
    assert "VM-UNet (vm_unet), 2024, Mamba" in printed
    assert "https://arxiv.org/abs/2402.02491" in printed
    assert "https://github.com/JCruan519/VM-UNet (Apache-2.0)" in printed
    (row,) = (line for line in printed.splitlines() if " encoder.stages.0 " in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("encoder.stages.0", "64 x 64 x 96", "210.8 k", "1.66 G", "32.9 MiB")
    ]
    for label, value in (
        ("parameters released", "27,427,561"),
        ("of these dead, and not built", "0"),
        ("parameters of ours", "27,427,561"),
        ("multiply-adds", "8.25 G"),
        ("of these in scans", "2.96 G"),
        ("multiply-adds as papers count them", "4.11 G (layers alone, without scans and einsum)"),
        ("for one image of", "256 x 256 px"),
        ("default input size", "256 px"),
    ):
        assert any(line.startswith(label) and line.endswith(value) for line in printed.splitlines()), label


@pytest.mark.parametrize(
    ("name", "exported"),
    [
        ("vm_unet", "any number of images of any size"),
        ("swin_unet", "one image of 224 x 224 px"),
        ("swin_unet_256", "one image of 256 x 256 px"),
    ],
)
def test_what_compiles_and_exports_is_told(name: str, exported: str, capsys: pytest.CaptureFixture[str]):
    print_summary(name)
    lines = capsys.readouterr().out.splitlines()
    for label, value in (
        ("an image's result depends on its batch", "no"),
        ("torch.compile to one graph", "yes"),
        ("ONNX export", exported),
    ):
        assert any(line.startswith(label) and line.endswith(f"  {value}") for line in lines), label


def test_dead_parameters_and_departures_are_told(capsys: pytest.CaptureFixture[str]):
    print_summary("vm_unet_v2")
    lines = capsys.readouterr().out.splitlines()
    assert [
        line.split()[-1] for line in lines if line.startswith(("of these dead", "parameters of ours"))
    ] == [
        "8,948,834",
        "13,822,100",
    ]
    assert any(line.startswith("Departures: ") for line in lines)


def test_another_form_than_the_released_one_is_named():
    summary = summarize("xlstm_vmunet")
    assert ("parameters of ours", "29,140,633, of another form than the released one") in summary.totals


def test_the_docstring_is_split_from_its_arguments_and_departures():
    summary = summarize("vm_unet_v2")
    assert summary.departures
    text = " ".join(summary.description)
    assert "Departures" not in text
    assert "Args" not in text


def test_one_name_is_a_summary_and_a_wildcard_a_table(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "vm_unet"]) == 0
    assert "encoder.stages.0" in capsys.readouterr().out
    assert main(["models", "vm_une?"]) == 0
    assert "encoder.stages.0" not in capsys.readouterr().out


def test_a_misspelt_name_gets_a_suggestion(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "vm_umet"]) == 2
    assert "did you mean vm_unet" in capsys.readouterr().err
