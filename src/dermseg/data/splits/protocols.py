"""The divisions that published results use, by name, each with what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from dermseg.data.groups import Group
from dermseg.data.splits.draw import hold_out, k_fold
from dermseg.data.splits.split import SIDES, Split
from dermseg.errors import ConfigError

ISIC2018_TRAINING = 2594
"""Images of the training part of ISIC 2018 Task 1, which the published counts belong to."""


@dataclass(frozen=True)
class Material:
    """What is divided."""

    identifiers: tuple[str, ...]
    sides: Mapping[str, str] = field(default_factory=dict)
    """Side of each identifier, where the makers of the data chose it."""
    groups: tuple[Group, ...] = ()
    """Images that must stay on one side."""
    strata: Mapping[str, str] | None = None
    """Kind of each image."""

    @property
    def together(self) -> list[tuple[str, ...]]:
        """Identifiers of each group."""
        return [group.identifiers for group in self.groups]

    def hold_out(self, *, validation: int | float, test: int | float, seed: int) -> Split:
        """Draw one split by `dermseg.data.splits.hold_out`, with these groups and kinds."""
        return hold_out(
            self.identifiers,
            validation=validation,
            test=test,
            seed=seed,
            groups=self.together,
            strata=self.strata,
        )

    def k_fold(self, *, folds: int, validation: int | float, seed: int) -> list[Split]:
        """Draw several splits by `dermseg.data.splits.k_fold`, with these groups and kinds."""
        return k_fold(
            self.identifiers,
            folds=folds,
            validation=validation,
            seed=seed,
            groups=self.together,
            strata=self.strata,
        )


@dataclass(frozen=True)
class Protocol:
    """A way to divide data that results are published with."""

    summary: str
    source: str
    warning: str
    """What is wrong with it, printed when it is used and kept with the results; empty if nothing is."""
    draw: Callable[[Material, int], list[Split]]


def draw_protocol(name: str, material: Material, seed: int = 0) -> list[Split]:
    """Divide images by a named protocol.

    Groups stay on one side and kinds are spread evenly, whether or not the protocol's authors did so.

    Args:
        name: A key of `PROTOCOLS`.
        material: What is divided.
        seed: Another seed draws other sides, where any are drawn.

    Returns:
        One split, or one for each fold; origin says the protocol, its source and its warning.

    Raises:
        ConfigError: There is no such protocol, or it does not fit the data.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"There is no protocol {name!r}; choose {', '.join(PROTOCOLS)}.")
    protocol = PROTOCOLS[name]
    splits = protocol.draw(material, seed)
    stamp = {"protocol": name, "source": protocol.source, "warning": protocol.warning}
    return [
        replace(
            split,
            name=name if len(splits) == 1 else f"{name}-{number}",
            origin={**split.origin, **stamp},
        )
        for number, split in enumerate(splits, start=1)
    ]


def _five_folds(material: Material, seed: int) -> list[Split]:
    return material.k_fold(folds=5, validation=0.1, seed=seed)


def _seventy_thirty(material: Material, seed: int) -> list[Split]:
    return [material.hold_out(validation=0.3, test=0, seed=seed)]


def _ultralight(material: Material, seed: int) -> list[Split]:
    count = len(set(material.identifiers))
    # The published numbers where these are the published images, and their shares elsewhere.
    validation, test = (round(count * part / ISIC2018_TRAINING) for part in (259, 520))
    return [material.hold_out(validation=validation, test=test, seed=seed)]


def official_parts(material: Material, seed: int = 0, validation: int | float = 0.1) -> Split:
    """Take the parts as the makers of a data set published them.

    Args:
        material: What is divided.
        seed: Of the draw of validation images from the training part, where no part is for validation.
        validation: Number (int) or share (float) of the training part that is then drawn.

    Raises:
        ConfigError: There are no two parts.
    """
    parts = {
        side: tuple(name for name in material.identifiers if material.sides.get(name) == side)
        for side in SIDES
    }
    if sum(map(bool, parts.values())) < 2:
        raise ConfigError(
            "The protocol 'official' needs two of the parts (training, validation, test) that the makers of "
            "the data set published, each in its own folder."
        )
    origin = {"method": "official"}
    if not parts["validation"]:
        # Some images must choose the epoch, and those of the test may not.
        training = replace(material, identifiers=parts["train"])
        drawn = training.hold_out(validation=validation, test=0, seed=seed)
        parts |= {"train": drawn.train, "validation": drawn.validation}
        origin["validation"] = "drawn from training"
    return Split("official", origin=origin, **parts)


PROTOCOLS = {
    "paper-5-fold": Protocol(
        summary="5 folds; each is the test once, a tenth of the others chooses the epoch",
        source="XLSTM-VMUNet (paper, Table 1)",
        warning=(
            "The paper publishes no lists of its folds, and the released code has no cross-validation: it "
            "chooses the epoch on the images it reports. These folds are our own draw, with an epoch chosen "
            "on images that are not tested: scores are comparable among systems here, not with the paper's."
        ),
        draw=_five_folds,
    ),
    "vm-unet-70-30": Protocol(
        summary="70 % train, 30 % choose the epoch and are reported",
        source="VM-UNet and its descendants (JCruan519/VM-UNet, issues 3 and 53)",
        warning=(
            "VALIDATION IS TEST: the epoch is chosen on the images that are reported, so scores are too "
            "good. The lists of images are not published; this is another draw. For comparison with such "
            "tables only: score it with --part validation."
        ),
        draw=_seventy_thirty,
    ),
    "ultralight-1815-259-520": Protocol(
        summary="70 % train, 10 % choose the epoch, 20 % test: 1,815/259/520 of 2,594",
        source="UltraLight VM-UNet (wurenkai/UltraLight-VM-UNet, Prepare_ISIC2018.py)",
        warning=(
            "The authors divide the files in the order in which their file system lists them, which differs "
            "between machines, and publish no lists, so which images are theirs is unknown; this is another "
            "draw. They also resize masks with blurred borders. Scores are not comparable with theirs image "
            "by image."
        ),
        draw=_ultralight,
    ),
    "official": Protocol(
        summary="the parts that the makers of the data published, such as 2,594/100/1,000 of ISIC 2018",
        source="ISIC challenge 2018, Task 1",
        warning="",
        draw=lambda material, seed: [official_parts(material, seed)],
    ),
}
"""Protocols by name."""
