"""Tables in four forms: the same values, nothing of a name becomes markup, the best in bold."""

import csv
import io

import pytest

from dermseg.benchmark.tables import Column, Table, as_csv, as_html, as_latex, as_markdown, text
from dermseg.evaluation.statistics import MeanInterval


def with_ends(mean, low=None, high=None):
    return MeanInterval(low, high, 0.95, "single value" if low is None else "BCa", mean)


COLUMNS = (
    Column("name", "system"),
    Column("paper", "DSC", 4, "printed", "highest"),
    Column("dice", "Dice", 3, "here", "highest"),
    Column("hd95", "HD95", 1, "here", "lowest"),
    Column("failure", "failures", 1, "here", percent=True),
)
ROWS = (
    {"name": "a_b|<i>&", "paper": 0.91, "dice": with_ends(0.8764, 0.85, 0.9), "hd95": 3.0, "failure": 0.125},
    {"name": "plain", "dice": with_ends(0.9), "hd95": 4.0, "failure": 0.0},
    {"name": "not run", "paper": 0.5},
)


@pytest.fixture
def table():
    return Table("table-x", "Scores_1", "50 % of {all}", COLUMNS, ROWS)


@pytest.mark.parametrize(
    ("value", "column", "written"),
    [
        (None, Column("a", "a"), ""),
        (12345, Column("a", "a"), "12,345"),
        (0.5, Column("a", "a", 2), "0.50"),
        (0.065, Column("a", "a", 1, percent=True), "6.5 %"),
        (0.00002, Column("a", "a", p_value=True), "< 0.0001"),
        (0.0312, Column("a", "a", p_value=True), "0.0312"),
        (with_ends(0.5, 0.25, 0.75), Column("a", "a", 2), "0.50 (0.25 to 0.75)"),
        (with_ends(0.5), Column("a", "a", 1), "0.5"),
    ],
)
def test_values_as_text(value, column, written):
    assert text(value, column) == written


def test_csv_has_all_digits_and_the_ends_of_intervals(table):
    rows = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert rows[0]["name"] == "a_b|<i>&"
    assert [float(rows[0][key]) for key in ("dice", "dice_low", "dice_high")] == [0.8764, 0.85, 0.9]
    assert float(rows[0]["failure"]) == 0.125
    assert rows[2] == {**dict.fromkeys(rows[0], ""), "name": "not run", "paper": "0.5"}


def test_markdown_has_one_line_a_row_and_escapes_names(table):
    lines = as_markdown(table).splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("| system"))
    assert "printed: DSC" in lines[head]
    assert lines[head + 1] == "|---|---:|---:|---:|---:|"
    assert lines[head + 2] == r"| a\_b\|\<i\>& | **0.9100** | 0.876 (0.850 to 0.900) | **3.0** | 12.5 % |"
    assert lines[head + 4] == "| not run | 0.5000 |  |  |  |"


def test_latex_escapes_and_groups(table):
    latex = as_latex(table)
    assert r"a\_b|\textless{}i\textgreater{}\& & \textbf{0.9100} & 0.876 (0.850 to 0.900)" in latex
    assert r"\caption{Scores\_1. 50 \% of \{all\}}" in latex
    assert r" & \multicolumn{1}{c}{printed} & \multicolumn{3}{c}{here} \\" in latex
    assert r"\cmidrule(lr){2-2} \cmidrule(lr){3-5}" in latex
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert [line.count(" & ") for line in body.strip().splitlines()] == [4, 4, 4]
    assert latex.count("{") == latex.count("}")


def test_html_escapes_and_groups(table):
    html = as_html(table)
    assert "<td>a_b|&lt;i&gt;&amp;</td>" in html
    assert '<th class="group" colspan="3">here</th>' in html
    assert '<td class="number"><b>0.900</b></td>' in html
    assert '<td class="number"></td>' in html


def test_bold_is_for_the_best_of_several():
    columns = (Column("name", "system"), Column("dice", "Dice", best="highest"))
    assert not Table("x", "", "", columns, [{"name": "a", "dice": 0.5}, {"name": "b"}]).strong
    tied = Table("x", "", "", columns, [{"name": "a", "dice": 0.5}, {"name": "b", "dice": 0.5}])
    assert as_markdown(tied).count("**0.500**") == 2
