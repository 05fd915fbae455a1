"""Words of a command line."""

import pytest

from dermseg.cli import main
from dermseg.words import one_line, underscored


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("--batch-size", "--batch_size"),
        ("--out=my-run", "--out=my-run"),
        ("--allow-leak=a-b", "--allow_leak=a-b"),
        ("my-photo.jpg", "my-photo.jpg"),
        ("-v", "-v"),
        ("--", "--"),
    ],
)
def test_hyphens_of_options_become_underscores_and_no_others(word, read):
    assert underscored([word]) == [read]


def test_after_two_hyphens_words_stay_as_they_are():
    assert underscored(["--a-b", "--", "--my-photo.png"]) == ["--a_b", "--", "--my-photo.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "x.png", "--threshold", "abc"], 'option "threshold": expected float, got abc.'),
        (["train", "--learning_rate", "fast"], 'option "learning_rate": expected float, got fast.'),
        (["export", "tiny", "--form", "x"], "option \"form\": expected one of 'scan', 'chunked', got x."),
        (["predict"], "the following arguments are required: paths."),
        (
            ["predict", "x.png", "--treshold", "3"],
            "unrecognized arguments: --treshold 3 (did you mean --threshold?).",
        ),
    ],
)
def test_a_mistaken_option_is_one_line_and_says_where_help_is(capsys, words, said):
    assert main(words) == 2
    assert capsys.readouterr().err == f"dermseg {words[0]}: {said} See dermseg {words[0]} --help\n"


def test_an_error_is_one_line_without_the_parsers_words():
    assert one_line(ValueError('Parser key "epochs":\n  not a number.')) == 'option "epochs": not a number'


def test_a_long_value_is_cut_short():
    said = one_line(ValueError('Parser key "epochs": not a number: ' + "9" * 100_000))
    assert said.startswith('option "epochs": not a number: 999')
    assert len(said) < 600
