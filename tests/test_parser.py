"""Options are taken by their whole names."""

import argparse

import pytest

from dermseg.parser import Parser


@pytest.fixture
def parser():
    parser = Parser("fake", "Pretends.")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--settings", type=dict, default={})
    return parser


def test_whole_names_and_keys_below_them_are_taken(parser):
    given = parser.parse_args(["--epochs", "5", "--settings.size", "64"])
    assert (given.epochs, given.settings) == (5, {"size": "64"})


@pytest.mark.parametrize("words", [["--epoch", "5"], ["--epoch=5"], ["--eopchs", "5"]])
def test_a_shortened_or_misspelt_name_is_refused_with_the_one_that_is_near(parser, words):
    with pytest.raises(argparse.ArgumentError) as caught:
        parser.parse_args(words)
    assert str(caught.value) == f"unrecognized arguments: {' '.join(words)} (did you mean --epochs?)"


@pytest.mark.parametrize("word", ["--zzz", "stray"])
def test_a_word_that_is_near_to_nothing_gets_no_suggestion(parser, word):
    with pytest.raises(argparse.ArgumentError, match=f"unrecognized arguments: {word}$"):
        parser.parse_args([word])
