"""Entries of `models`: words and mappings, and what is refused."""

import pytest

from dermseg.benchmark.systems import System, read_system, read_systems
from dermseg.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("unet", System("unet", "unet", {})),
        (
            "xlstm_vmunet+xlstm_layers=s+heads=2",
            System("xlstm_vmunet+xlstm_layers=s+heads=2", "xlstm_vmunet", {"xlstm_layers": "s", "heads": 2}),
        ),
        (
            "xlstm_vmunet+xlstm_layers=",
            System("xlstm_vmunet+xlstm_layers=", "xlstm_vmunet", {"xlstm_layers": ""}),
        ),
        ({"model": "unet"}, System("unet", "unet", {})),
        ({"model": "unet", "model_arguments": {"width": 8}}, System("unet+width=8", "unet", {"width": 8})),
        (
            {"label": "v1", "model": "xlstm_vmunet", "model_arguments": {"xlstm_layers": ""}},
            System("v1", "xlstm_vmunet", {"xlstm_layers": ""}),
        ),
    ],
)
def test_an_entry_is_a_word_or_a_mapping(given, expected):
    assert read_system(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "neither a name nor a mapping"),
        ({"label": "x"}, "neither a name nor a mapping"),
        ({"model": "unet", "width": 3}, "'width'; there are label"),
        ({"model": "unet", "model_arguments": [1]}, "model_arguments of unet"),
        ("unet+width", "NAME or NAME\\+ARGUMENT=VALUE"),
        ("unet+width=[", "width in"),
        ("", "cannot name a folder"),
        ("../outside", "cannot name a folder"),
        ({"label": "a/b", "model": "unet"}, "cannot name a folder"),
        ({"label": ".", "model": "unet"}, "cannot name a folder"),
        ({"label": "x\n", "model": "unet"}, "cannot name a folder"),
        ({"label": "x" * 101, "model": "unet"}, "cannot name a folder"),
        ({"model": "vm_unet", "model_arguments": {"depths": [1, 1, 1, 1]}}, "label: ..."),
    ],
)
def test_what_cannot_be_understood_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        read_system(given)


@pytest.mark.parametrize("labels", [("unet", "unet"), ("unet", "UNet")])
def test_two_systems_need_two_labels(labels):
    with pytest.raises(ConfigError, match="labelled unet"):
        read_systems([{"label": label, "model": "unet"} for label in labels])
