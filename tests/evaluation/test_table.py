"""Tables of numbers, read again."""

import pytest

from dermseg.errors import DataError
from dermseg.evaluation.table import read_columns


def test_the_key_names_the_lines_and_the_rest_are_numbers(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("identifier,dice,tp\na,0.5,10\nb,1,0\n")
    keys, columns = read_columns(path, "identifier")
    assert keys == ("a", "b")
    assert {name: list(values) for name, values in columns.items()} == {"dice": [0.5, 1], "tp": [10, 0]}


@pytest.mark.parametrize(
    "text",
    ["", "identifier,dice\n", "name,dice\na,1\n", "identifier,dice\na,nan\n", "identifier,dice\na,x\n"],
)
def test_what_is_no_such_table_is_named(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"scores\.csv"):
        read_columns(path, "identifier")


def test_a_line_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("identifier,dice\na,1\na,0\n")
    with pytest.raises(DataError, match="twice"):
        read_columns(path, "identifier")
