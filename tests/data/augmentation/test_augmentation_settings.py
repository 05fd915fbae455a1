"""Ranges, shares and presets of the augmentation."""

import pytest

from dermseg.data.augmentation.settings import (
    DEFAULT,
    NONE,
    PRESETS,
    STRONG,
    Augmentation,
    create_augmentation,
)
from dermseg.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mirror", 1),
        ("rotation", 181),
        ("scale", -0.1),
        ("hue", 0.6),
        ("elastic", 0.2),
        ("hair", 1.1),
        ("hair", True),
        ("hair", "0.5"),
        ("noise_sigma", float("nan")),
        ("noise_sigma", float("inf")),
        ("noise_sigma", 10**400),
        ("hair_count", 2.5),
        ("hair_count", 0),
        ("jpeg_quality", 100),
    ],
)
def test_values_outside_their_range_are_named(field, value):
    with pytest.raises(ConfigError, match=f"augmentation: {field} is "):
        Augmentation(**{field: value})
    with pytest.raises(ConfigError, match=f"augmentation: {field} is "):
        create_augmentation({field: value})


def test_values_come_on_top_of_a_preset():
    assert create_augmentation({}) == DEFAULT
    assert create_augmentation({"preset": "strong"}) == STRONG
    mixed = create_augmentation({"preset": "none", "rotation": 90, "mirror": True})
    assert (mixed.rotation, mixed.mirror, mixed.hair, mixed.scale) == (90, True, 0, 0)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"augmentation: no field 'twist'; choose from .*rotation"):
        create_augmentation({"twist": 1.0})
    with pytest.raises(ConfigError, match="augmentation: no preset 'wild'; choose default, strong, none"):
        create_augmentation({"preset": "wild"})
    with pytest.raises(ConfigError, match=r"no preset \['strong'\]"):
        create_augmentation({"preset": ["strong"]})


def test_strong_is_nowhere_weaker_than_default_and_none_is_nothing():
    fallen = {"corner_radius", "jpeg_quality"}
    for name in vars(DEFAULT):
        weak, strong = getattr(DEFAULT, name), getattr(STRONG, name)
        assert strong <= weak if name in fallen else strong >= weak
    shares = ("vignette", "corners", "hair", "bubbles", "ruler", "ink", "blur", "noise", "jpeg")
    assert not any(getattr(NONE, name) for name in shares)
    assert set(PRESETS.values()) == {DEFAULT, STRONG, NONE}
