"""YAML that repeats itself is refused before it is built."""

import pytest

from dermseg.yaml_text import load_yaml


def test_plain_values_and_merged_aliases_are_read():
    text = "a: &a {width: 32, state: 8}\nb: {<<: *a, width: 64}\nc: [*a, 1.5, null]"
    narrow = {"width": 32, "state": 8}
    assert load_yaml(text) == {"a": narrow, "b": {"width": 64, "state": 8}, "c": [narrow, 1.5, None]}
    assert load_yaml("# nothing") is None


@pytest.mark.parametrize(
    "text", ["epochs: 3\nsize: 64\nepochs: 4", "a: [{epochs: 3, 'epochs': 4}]"], ids=["top", "inside"]
)
def test_a_key_that_stands_twice_is_refused(text):
    with pytest.raises(ValueError, match=r"line \d sets 'epochs' again"):
        load_yaml(text)


@pytest.mark.parametrize("text", ["a: &a {x: *a}", "&a [*a]", "a: &a {<<: *a}"])
def test_what_holds_itself_is_refused(text):
    with pytest.raises(ValueError, match="alias"):
        load_yaml(text)


@pytest.mark.parametrize("opening", ["[%s]", "{<<: [%s]}"], ids=["lists", "merged"])
def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(opening):
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {opening % ', '.join([f'*a{n - 1}'] * 10)}" for n in range(1, 11)]
    with pytest.raises(ValueError, match="more than 10,000 values"):
        load_yaml("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    ["a: !!bool maybe", "a: !!int ''", "a: !!timestamp now", f"a: 1{':59' * 250}.5", r'a: "\UFFFFFFFF"'],
    ids=["bool", "int", "timestamp", "too large", "no character"],
)
def test_a_value_that_is_not_what_it_says_is_refused(text):
    with pytest.raises(ValueError, match="a value is not what its tag or its form says"):
        load_yaml(text)
