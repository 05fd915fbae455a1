"""Words of a command line."""

import pytest

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


def test_an_error_is_one_line_without_the_parsers_words():
    assert one_line(ValueError('Parser key "epochs":\n  not a number.')) == 'option "epochs": not a number'
