"""`dermseg data split` and `dermseg data splits`, as a user types them."""

import pytest

from dermseg.cli import main
from dermseg.data.splits import SIDES, load_split
from dermseg.data.splits.protocols import PROTOCOLS
from dermseg.data.synthetic import synthetic_collection


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic_collection(folder, 20, 32, 0)
    return folder


def split(data, tmp_path, *words):
    return main(
        ["data", "split", str(data), "--out", str(tmp_path / "s"), "--cache", str(tmp_path / "c"), *words]
    )


def test_a_split_is_written_and_described(data, tmp_path, capsys):
    assert split(data, tmp_path, "--seed", "3") == 0
    found = load_split(tmp_path / "s" / "hold-out.json")
    assert [len(getattr(found, side)) for side in SIDES] == [14, 2, 4]
    printed = capsys.readouterr().out
    assert "14 train, 2 validation, 4 test" in printed
    assert found.checksum[:16] in printed


def test_another_division_is_not_replaced(data, tmp_path, capsys):
    assert split(data, tmp_path) == 0
    before = (tmp_path / "s" / "hold-out.json").read_bytes()
    assert split(data, tmp_path) == 0
    assert split(data, tmp_path, "--seed", "3") == 2
    assert "hold-out.json holds another division" in capsys.readouterr().err
    assert (tmp_path / "s" / "hold-out.json").read_bytes() == before


def test_folds_and_protocols(data, tmp_path, capsys):
    assert split(data, tmp_path, "--folds", "4") == 0
    assert len({name for number in range(1, 5) for name in fold(tmp_path, number).test}) == 20
    assert split(data, tmp_path, "--protocol", "vm-unet-70-30") == 0
    assert "warning: VALIDATION IS TEST" in capsys.readouterr().out
    assert split(data, tmp_path, "--protocol", "paper-5-fold", "--folds", "3") == 2
    assert "leave folds out" in capsys.readouterr().err


def fold(tmp_path, number):
    return load_split(tmp_path / "s" / f"k-fold-{number}-of-4.json")


def test_lesions_are_kept_together(data, tmp_path, capsys):
    names = sorted(path.stem for path in (data / "images").iterdir())
    table = tmp_path / "lesions.txt"
    table.write_text(
        "image_id,lesion_id\n" + "".join(f"{name},{index // 2}\n" for index, name in enumerate(names))
    )
    assert split(data, tmp_path, "--groups", str(table)) == 0
    found = load_split(tmp_path / "s" / "hold-out.json")
    for pair in zip(names[::2], names[1::2], strict=True):
        assert any(set(pair) <= set(getattr(found, side)) for side in SIDES)
    assert "20 of them kept together" in capsys.readouterr().out
    table.write_text("a,b\n")
    assert split(data, tmp_path, "--groups", str(table)) == 2
    assert "lesions.txt does not say which images belong together" in capsys.readouterr().err


def test_the_list_names_all_and_warns(capsys):
    assert main(["data", "splits"]) == 0
    printed = capsys.readouterr().out
    for name, protocol in PROTOCOLS.items():
        assert name in printed
        assert protocol.warning in printed
    assert "isic2018-2094: 1,594 train, 200 validation, 300 test" in printed
