"""How far, and how often, the images of a training are changed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from dermseg.errors import ConfigError


@dataclass(frozen=True)
class Augmentation:
    """Ranges and shares of all changes. Lengths are shares of the image's side.

    A share is the probability that an image gets a change; changes without one happen to every image. Where
    nothing else is said, a range is drawn from uniformly, and one of 0 turns its change off.

    Raises:
        ConfigError: A value is outside its range; the message names the field.
    """

    mirror: bool = True
    """Mirror half of the images left to right, and half upside down."""
    rotation: float = 180.0
    """Largest angle in degrees, either way."""
    scale: float = 0.3
    """Largest zoom in or out: 0.3 shows 1/1.3 (a crop) to 1.3 times the side (with a margin)."""
    shift: float = 0.1
    """Largest shift along each axis."""
    aspect: float = 0.15
    """Largest stretch of one axis against the other: 0.15 is 1/1.15 to 1.15."""
    elastic: float = 0.02
    """Largest displacement of the control points of a smooth warp, along each axis."""

    brightness: float = 0.2
    """Largest relative change of all values."""
    contrast: float = 0.2
    """Largest relative change of the distance to the image's mean grey."""
    saturation: float = 0.2
    """Largest relative change of the distance to the pixel's own grey."""
    hue: float = 0.03
    """Largest turn of the colours about the grey axis, in full turns."""
    white_balance: float = 0.08
    """Largest relative change of red, and of blue, against green."""
    gamma: float = 0.2
    """Largest bend of the scale of brightness: 0.2 is an exponent from 1/1.2 to 1.2."""
    gradient: float = 0.1
    """Largest relative change of the light from the middle to an edge, along each axis."""
    vignette: float = 0.3
    """Share of images that darken towards their corners."""
    vignette_loss: float = 0.5
    """Largest loss of light in a corner."""

    corners: float = 0.15
    """Share of images seen through a round opening, dark beyond it; its edge never covers the lesion."""
    corner_radius: float = 0.45
    """Smallest radius of the opening; the largest is 0.72, which only just reaches into the corners."""
    hair: float = 0.15
    """Share of images with hair."""
    hair_count: int = 25
    """Largest number of hairs."""
    bubbles: float = 0.04
    """Share of images with air bubbles in the gel."""
    bubble_count: int = 8
    """Largest number of bubbles."""
    ruler: float = 0.04
    """Share of images with a ruler."""
    ink: float = 0.03
    """Share of images with marks of a pen."""

    blur: float = 0.08
    """Share of blurred images."""
    blur_sigma: float = 0.006
    """Largest standard deviation of the blur."""
    noise: float = 0.1
    """Share of images with noise of the sensor."""
    noise_sigma: float = 0.03
    """Largest standard deviation of the noise, as a share of the range of values."""
    jpeg: float = 0.08
    """Share of images compressed as JPEG once more."""
    jpeg_quality: int = 40
    """Lowest quality, 1 to 100; the highest is 95."""

    frame: float = 0.0
    """Share of images set into a frame, of one colour or of their outermost pixels: a margin, or bars."""
    frame_margin: float = 0.4
    """Widest margin on each side of the image, as a share of its own side."""

    def __post_init__(self) -> None:
        if not isinstance(self.mirror, bool):
            raise ConfigError(f"augmentation: mirror is {self.mirror!r}; it must be true or false")
        for field in fields(self):
            if field.type is not bool:
                low, high = _LIMITS.get(field.name, (0, 1))
                _check(field.name, getattr(self, field.name), low, high, whole=field.type is int)


_LIMITS: dict[str, tuple[float, float]] = {
    "rotation": (0, 180),
    # From here on, neighbouring control points could change places, and the warp would fold.
    "elastic": (0, 0.08),
    "hue": (0, 0.5),
    "brightness": (0, 0.9),
    "white_balance": (0, 0.9),
    "gradient": (0, 0.45),
    "corner_radius": (0.2, 0.72),
    "hair_count": (1, 200),
    "bubble_count": (1, 100),
    "blur_sigma": (0, 0.05),
    "jpeg_quality": (1, 95),
}
"""Smallest and largest value of each field where these are not 0 and 1."""


def _check(name: str, value: object, low: float, high: float, *, whole: bool) -> None:
    number = value if isinstance(value, int if whole else (int, float)) else None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        kind = "a whole number" if whole else "a number"
        raise ConfigError(f"augmentation: {name} is {value!r}; it must be {kind} from {low:g} to {high:g}")


DEFAULT = Augmentation()
"""For most trainings: what cameras, hands and dermatoscopes do, within the bounds of a data set."""

STRONG = Augmentation(
    scale=0.5,
    shift=0.12,
    aspect=0.3,
    elastic=0.03,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    hue=0.04,
    white_balance=0.15,
    gamma=0.4,
    gradient=0.2,
    vignette_loss=0.7,
    corners=0.25,
    hair=0.25,
    bubbles=0.06,
    ruler=0.08,
    ink=0.06,
    blur=0.15,
    blur_sigma=0.01,
    noise=0.2,
    noise_sigma=0.05,
    jpeg=0.15,
    jpeg_quality=25,
    frame=0.2,
)
"""For weights that must hold up on pictures of other places and cameras than those trained on."""

NONE = Augmentation(
    mirror=False,
    rotation=0,
    scale=0,
    shift=0,
    aspect=0,
    elastic=0,
    brightness=0,
    contrast=0,
    saturation=0,
    hue=0,
    white_balance=0,
    gamma=0,
    gradient=0,
    vignette=0,
    corners=0,
    hair=0,
    bubbles=0,
    ruler=0,
    ink=0,
    blur=0,
    noise=0,
    jpeg=0,
)
"""Changes nothing. Single changes can be turned on, by their share alone where they have one."""

PRESETS = {"default": DEFAULT, "strong": STRONG, "none": NONE}


def create_augmentation(values: Mapping[str, Any]) -> Augmentation:
    """Create the augmentation of a configuration.

    Args:
        values: Fields of `Augmentation` that differ from those of the preset; under `preset` the name of one
            of `PRESETS`, without which it is `default`.

    Raises:
        ConfigError: There is no such field or preset, or a value is outside its range.
    """
    changes = dict(values)
    preset = changes.pop("preset", "default")
    # A configuration may hold anything there, also what no dictionary can be asked for.
    if not isinstance(preset, str) or preset not in PRESETS:
        raise ConfigError(f"augmentation: no preset {preset!r}; choose {', '.join(PRESETS)}")
    known = {field.name for field in fields(Augmentation)}
    unknown = [name for name in changes if name not in known]
    if unknown:
        raise ConfigError(f"augmentation: no field {unknown[0]!r}; choose from {', '.join(sorted(known))}")
    return replace(PRESETS[preset], **changes)
