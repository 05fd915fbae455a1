"""The text and tables of a model card, from its facts; how they are written is elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dermseg.evaluation.metrics import METRICS

Facts = Mapping[str, Any]
_ROBUSTNESS = "Robustness"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells."""

    titles: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: tuple[str, ...] = ()
    """Titles of the columns of numbers."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the card."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figure: str = ""
    """Name of the drawing that belongs here, a key of `dermseg.card.drawings.DRAWINGS`; empty for none."""


_UNMEASURED = Section(_ROBUSTNESS, ("Not measured for these weights.",))


def sections(facts: Facts) -> list[Section]:
    """Lay out the card of some weights.

    Args:
        facts: As `dermseg.card.measure.card_facts` collects them.
    """
    return [
        _use(facts),
        _network(facts),
        _data(facts),
        _recipe(facts),
        _scores(facts),
        *(_details(scores) for scores in facts["scores"]),
        *(_robustness(facts) if facts["effects"] else [_UNMEASURED]),
        _calibration(facts),
        _expected(facts),
        _limits(),
    ]


def _use(facts: Facts) -> Section:
    return Section(
        "What it is for",
        (
            "Outlining one pigmented skin lesion in a dermoscopic image: research, annotation that a person "
            "corrects, and a start for training on other data.",
            "It is not a medical device. It does not say what a lesion is, and its outline is no basis for a "
            "diagnosis or a treatment.",
            f"dermseg predict photo.jpg --weights {facts['name']}",
        ),
    )


def _network(facts: Facts) -> Section:
    model, file = facts["model"], facts["file"]
    latency = [
        (
            entry["runtime"],
            str(entry["size"]),
            str(entry["threads"]),
            f"{entry['milliseconds']:.0f}",
            f"{entry['fastest']:.0f}",
        )
        for entry in facts["latency"]
    ]
    titles = ("runtime", "size", "threads", "median ms", "fastest ms")
    arguments = ", ".join(f"{key} {value}" for key, value in model["arguments"].items())
    mirrors = ", the mean over the image and its three mirror images" if model["mirrors"] else ""
    networks = f"the mean of {model['members']} networks, " if model["members"] > 1 else ""
    return Section(
        "The network",
        (
            f"{networks}{model['name']} ({arguments}), {file['parameters'] / 1e6:.2f} million parameters, "
            f"predicting at {model['size']} px{mirrors}; {file['bytes'] / 2**20:.1f} MiB in half precision, "
            "computed in full.",
            f"SHA-256 {file['sha256']}",
            f"Time for one image, network alone, on {facts['latency'][0]['processor']}:"
            if latency
            else "The time for one image was not measured yet.",
        ),
        (Table(titles, latency, titles[1:]),) if latency else (),
    )


def _data(facts: Facts) -> Section:
    training = facts["training"]
    images = training["images"]
    if facts["calibration"]["networks"] > 1:
        others = "validated it; none were left for a test, which other networks of the same recipe stood"
    else:
        others = f"chose the epoch and what was fitted; {images['test']:,} were left for the test"
    return Section(
        "The images it learned from",
        (
            f"{images['train']:,} pairs of ISIC 2018 Task 1, split {training['split']['name']} (checksum "
            f"{training['split']['checksum'][:12]}); {images['validation']:,} more {others}. They are crops "
            "of 512 px, whose long side was cut, of 2,094 of the 2,594 images: do not set scores beside "
            "numbers for full frames.",
            "PH2 was never trained on and chose nothing.",
            "Sources disagree on the licence of the ISIC images: the challenge's own folder says CC0, other "
            "pages CC BY-NC 4.0. The weights therefore are under CC BY-NC 4.0; the program is Apache-2.0.",
        ),
    )


def _recipe(facts: Facts) -> Section:
    training = facts["training"]
    parts, seeds = training["parts"], training["seeds"]
    machine = parts[-1]["environment"]
    each = f"Each of {len(seeds)} networks, from its own seed ({', '.join(map(str, seeds))}), so:"
    return Section(
        "How it was trained",
        (
            *((each,) if len(seeds) > 1 else ()),
            *(_part(number, part) for number, part in enumerate(parts, 1)),
            f"{training['seconds'] / 60:.0f} minutes in all on {machine['processor']}, "
            f"threads: {machine['threads']}, shared with other work. Again: python scripts/train_default.py "
            f"--network {facts['name']} (configs/{facts['name']}.yaml).",
        ),
    )


def _part(number: int, part: Mapping[str, Any]) -> str:
    a = part["arguments"]
    start = "the weights of the part before" if number > 1 else "an encoder with ImageNet weights"
    return (
        f"Part {number}, from {start}: {part['epochs']} epochs at {a['size']} px, batch {a['batch_size']}; "
        f"BCE + Dice; AdamW at {a['learning_rate']:g}, cosine, epochs of warm-up: {a['warmup_epochs']}; "
        f"gradient norm cut at {a['gradient_clip']}; running average of the weights, {a['weight_average']}; "
        f"augmentation {a['augmentation']}. Weights of epoch {part['kept']['epoch']}."
    )


def _scores(facts: Facts) -> Section:
    measured = facts["scores"]
    lines: dict[str, Callable[[Facts], str]] = {
        "images": lambda scores: f"{scores['images']:,}",
        "per-image Dice": lambda scores: interval(scores["per_image"]["dice"]),
        "per-image IoU": lambda scores: interval(scores["per_image"]["iou"]),
        METRICS["threshold_jaccard"].label: lambda scores: interval(scores["per_image"]["threshold_jaccard"]),
        METRICS["hd95"].label: lambda scores: f"{scores['per_image']['hd95']['mean']:.1f}",
        "pooled Dice": lambda scores: interval(scores["pooled"]["dice"]),
        "pooled IoU": lambda scores: interval(scores["pooled"]["iou"]),
        METRICS["failure"].label: lambda scores: f"{scores['failures']:.1%}",
    }
    sets = tuple(scores["title"] for scores in measured)
    lesions = any(scores.get("intervals_over") == "lesions" for scores in measured)
    rows = [(name, *(write(scores) for scores in measured)) for name, write in lines.items()]
    return Section(
        "Scores",
        (
            "At native resolution. Per image: the mean over images with its 95 % bootstrap interval. Pooled: "
            "over the pixels of all images together, so that large lesions weigh more; its interval, too, is "
            f"over images.{' Images of one lesion were drawn together.' if lesions else ''}",
        ),
        (Table(("", *sets), rows, sets),),
    )


def _details(scores: Facts) -> Section:
    tables = [_groups("lesion's share of the image", scores["by_size"])]
    tables += [_groups(kind, groups) for kind, groups in scores["by_label"].items()]
    return Section(f"By group: {scores['title']}", (), tuple(tables))


def _groups(title: str, groups: Sequence[Facts]) -> Table:
    rows = [(group["group"], str(group["images"]), interval(group["dice"])) for group in groups]
    return Table((title, "n", "per-image Dice"), rows, ("n", "per-image Dice"))


def _robustness(facts: Facts) -> list[Section]:
    measured = facts["effects"]
    return [
        Section(
            _ROBUSTNESS,
            (
                f"Mean per-image Dice of the same {measured['images']:,} images, none of them learned from, "
                f"shrunk to squares of 384 px and changed; unchanged it is {measured['dice']:.3f}.",
            ),
            (_effects(measured["robustness"]),),
            "robustness",
        ),
        Section(
            "What should not matter",
            ("The same for changes that keep all there is to see.",),
            (_effects(measured["invariance"]),),
        ),
    ]


def _effects(measured: Sequence[Facts]) -> Table:
    rows = [
        (
            entry["change"],
            f"{entry['level']:g} ({entry['meaning']})",
            f"{entry['dice']:.3f}",
            f"{entry['difference']:+.4f}",
            f"{entry['movement']:.4f}",
        )
        for entry in measured
    ]
    titles = ("change", "level", "per-image Dice", "mean change", "mean size of the change")
    return Table(titles, rows, titles[2:])


def _calibration(facts: Facts) -> Section:
    fitted = facts["calibration"]
    tried = ", ".join(f"{dice:.4f} at {size} px" for size, dice in fitted["dice_by_size"].items())
    chosen = f"the size of {fitted['size']} px was chosen (per-image Dice {tried}); " if tried else ""
    return Section(
        "Calibration",
        (
            f"On {_fitted_on(fitted)}: {chosen}the logits are divided by a temperature of "
            f"{fitted['temperature']:.2f}, which is part of the last layer; a pixel is lesion from a "
            f"probability of {fitted['threshold']:g}, where the mean per-image Dice is highest.",
        ),
        (),
        "reliability",
    )


def _fitted_on(fitted: Facts) -> str:
    images = f"{fitted['images']:,}"
    if fitted["networks"] == 1:
        return f"the {images} validation images"
    return f"out-of-fold predictions of {images} images, by {fitted['networks']} networks of the same recipe"


def _expected(facts: Facts) -> Section:
    fitted = facts["calibration"]
    rows = [(f"{point['share']:.0%}", f"{point['dice']:.3f}") for point in fitted["risk_coverage"][1::2]]
    line = fitted["expected_dice"]
    return Section(
        "Expected Dice",
        (
            "For every image the Dice of its outline is estimated from the probability map alone (column "
            f"expected_dice): {line['intercept']:.3f} + {line['slope']:.3f} x soft Dice. On "
            f"{_fitted_on(fitted)}, its correlation with the real Dice is {fitted['correlation']:.2f}. "
            "Below: the mean Dice of the share of images of which most is expected.",
        ),
        (Table(("share of images", "per-image Dice"), rows, ("share of images", "per-image Dice")),),
        "coverage",
    )


def _limits() -> Section:
    return Section(
        "Limits",
        (
            "Skin: the training images are mostly of light skin; nothing was measured on dark skin.",
            "Devices: dermatoscopes of the ISIC archive, and PH2's. Photographs without a dermatoscope, "
            "several lesions in one image, nails, mucosa and scalp were not measured.",
            "The true borders were drawn by people, who differ: pairs of annotators of ISIC images reach a "
            "mean Dice of 0.78, median 0.86 (IMA++, arXiv 2512.21472).",
            "What was tried, and what is owed: docs/default-weights.md.",
            "No gallery of failures: no patient's image is in this repository. `dermseg evaluate` draws one "
            "of your data.",
        ),
    )


def interval(entry: Facts) -> str:
    """Write a mean with its interval."""
    if entry["low"] is None:
        return f"{entry['mean']:.3f}"
    return f"{entry['mean']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"
