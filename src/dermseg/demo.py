"""The demo: synthetic lesions, the outlines of a network, their scores, and a page of it all.

The network is the one that ships; or a small one that learns from such images first, to see training work.
"""

import json
import os
import platform
import shlex
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from rich.console import Console

from dermseg import __version__
from dermseg.console import say
from dermseg.data.images import read_image, read_mask
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import ConfigError
from dermseg.evaluation.evaluate import evaluate
from dermseg.evaluation.metrics import METRICS
from dermseg.evaluation.results import Evaluation, ScoredImage
from dermseg.evaluation.statistics import Interval
from dermseg.figures import PREDICTION_COLOUR, TARGET_COLOUR, outlined_thumbnail
from dermseg.files import write_json
from dermseg.inference.predict import predict
from dermseg.pages import data_uri, escaped, gallery, table, thumbnail, write_page
from dermseg.paths import printable
from dermseg.training.arguments import TrainArguments
from dermseg.training.configuration import read_preset
from dermseg.training.run import TrainResult, train
from dermseg.weights import DEFAULT

IMAGES = 240
"""Images drawn when a network learns from some of them."""
TESTED = 24
"""Images drawn when the network that ships is shown."""
DRAWN = 256
"""Side of the images in pixels."""
SIZE = 96
"""Side at which the network trains; it predicts, and is scored, at the images' own size."""
EPOCHS = 14
MARKER = "dermseg-demo.json"
"""Says that a folder is a demo's own, so that the next demo may replace it."""
PARTS = ("data", "cache", "run", "evaluation", "predictions", "index.html")
"""What a demo writes beside the marker."""
_SHOWN = 4
"""Images shown from each end of the ranking."""


def run_demo(out: Path, seed: int = 0, training: bool = False) -> Path:
    """Draw images, train if asked to, evaluate, predict, and write `out/index.html`.

    Args:
        out: Folder for everything. What an earlier demo left there is replaced; a folder that holds files
            but is no demo's is refused.
        seed: Seeds the images and the training.
        training: Train a small network, instead of showing the one that ships.

    Returns:
        The path of the page.

    Raises:
        ConfigError: `out` holds files that no demo wrote.
    """
    console = Console()
    _make_room(out)
    images = IMAGES if training else TESTED
    console.print(f"[bold]Drawing[/] {images} synthetic images", highlight=False)
    synthetic_collection(out / "data", images, DRAWN, seed)
    trained = None
    if training:
        console.print("[bold]Training[/] a small XLSTM-VMUNet, a minute or two on a laptop", highlight=False)
        trained = train(_arguments(out, seed), console)
    weights = trained.weights if trained else DEFAULT
    split = out / "run" / "split.json" if trained else None
    console.print("[bold]Scoring[/] it on images it never saw", highlight=False)
    scored = evaluate(out / "data", weights=weights, split=split, out=out / "evaluation")
    console.print("[bold]Outlining[/] those images and writing the page", highlight=False)
    predicted = predict([image.pair.image for image in scored.images], weights, out=out / "predictions")
    masks = {image.source: image.files.mask for image in predicted.images}
    page = out / "index.html"
    _write_page(page, trained, scored, masks)
    say(console, f"\nOpen {page.resolve()}")
    return page


def _make_room(out: Path) -> None:
    """Remove what an earlier demo left."""
    if out.exists() and not (out.is_dir() and ((out / MARKER).is_file() or not any(out.iterdir()))):
        raise ConfigError(f"{out} holds files that no demo wrote; choose another folder with --out")
    # First, so that a demo killed at any moment leaves a folder that the next one may use.
    write_json(out / MARKER, {"dermseg": __version__})
    for name in PARTS:
        if (out / name).is_dir() and not (out / name).is_symlink():
            shutil.rmtree(out / name)
        else:
            (out / name).unlink(missing_ok=True)


def _arguments(out: Path, seed: int) -> TrainArguments:
    return TrainArguments(
        **{
            **read_preset("fast"),
            "data": str(out / "data"),
            "cache": out / "cache",
            "out": out / "run",
            "seed": seed,
            "size": SIZE,
            "epochs": EPOCHS,
        }
    )


def _write_page(
    path: Path, trained: TrainResult | None, scored: Evaluation, masks: Mapping[Path, Path]
) -> None:
    ranked = scored.ranked()
    # An image whose second prediction failed has no outline to show.
    drawn = [image for image in ranked if image.pair.image in masks]
    shown = [*drawn[:_SHOWN], *drawn[-_SHOWN:]] if len(drawn) > 2 * _SHOWN else drawn
    titles = ("metric", "how it is aggregated", "value", "95\N{NARROW NO-BREAK SPACE}% interval")
    template = Template(resources.files("dermseg").joinpath("demo.html").read_text(encoding="utf-8"))
    body = template.substitute(
        lead=escaped(_lead(trained, len(ranked))),
        scores=table(titles, _rows(scored), numeric=titles[2:]),
        outlines=gallery(_figure(image, masks[image.pair.image]) for image in shown),
        count=len(ranked),
        training=_curves(trained) if trained else "",
        commands=escaped(_commands(trained.weights if trained else None)),
    )
    write_page(path, "dermseg demo", body)


def _lead(trained: TrainResult | None, tested: int) -> str:
    if trained is None:
        return (
            f"{TESTED} synthetic images of {DRAWN} px were drawn and outlined by the network that ships with "
            "dermseg, which learned from dermoscopic images, not from drawn ones."
        )
    run = json.loads((trained.folder / "summary.json").read_text(encoding="utf-8"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    return (
        f"{IMAGES} synthetic images of {DRAWN} px were drawn; a small XLSTM-VMUNet learned from some of "
        f"them in {run['epochs']} epochs on this machine ({machine}), and was tested on {tested} others."
    )


def _curves(trained: TrainResult) -> str:
    address = data_uri((trained.folder / "curves.png").read_bytes(), "PNG")
    return f'<h2>Training</h2>\n<img alt="Training curves" src="{address}">'


def _rows(scored: Evaluation) -> list[tuple[str, str, str, str]]:
    per_image = [
        (METRICS[name].label, "mean over images", f"{interval.mean:.3f}", _ends(interval))
        for name, interval in scored.means.items()
    ]
    pooled = scored.pooled
    return [
        *per_image,
        ("Dice", "pooled over all pixels", f"{pooled.dice:.3f}", ""),
        ("IoU", "pooled over all pixels", f"{pooled.iou:.3f}", ""),
    ]


def _ends(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _figure(image: ScoredImage, mask: Path) -> str:
    outlines = [(read_mask(image.pair.mask), TARGET_COLOUR), (read_mask(mask), PREDICTION_COLOUR)]
    picture = outlined_thumbnail(read_image(image.pair.image), outlines)
    return thumbnail(picture, f"{image.pair.identifier}: Dice {image.scores.dice:.3f}", "PNG")


def _commands(trained: Path | None) -> str:
    if trained is None:
        outline = ["# outline your own images", "dermseg predict PHOTOS"]
    else:
        outline = [
            "# outline your own images with the network of this demo (expect little: it has seen no skin)",
            f"dermseg predict PHOTOS --weights {shlex.quote(printable(trained))}",
        ]
    return "\n".join(
        [
            *outline,
            "",
            "# train on ISIC 2018 Task 1, PH2, or any folder with images/ and masks/",
            "dermseg train --data DATA --preset fast --out runs/mine",
            "dermseg evaluate DATA --weights runs/mine/model.safetensors --split runs/mine/split.json",
        ]
    )
