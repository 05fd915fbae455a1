"""The command line: each sub-command is one typed function, whose docstring is its help.

Nothing heavy is imported before a sub-command runs, so that `dermseg --help` answers at once.

Exit status: 0 done; 1 done, but some inputs failed and were named; 2 nothing done, the message says why;
130 interrupted; 141 whoever read the output has left.
"""

import inspect
import io
import os
import re
import signal
import sys
from argparse import ArgumentError
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dermseg import __version__
from dermseg.benchmark.command_line import benchmark_report, benchmark_run, benchmark_status
from dermseg.card.command import card
from dermseg.data.command_line import (
    data_check,
    data_download,
    data_list,
    data_prepare,
    data_preview,
    data_show,
    data_split,
    data_splits,
    data_synthesize,
    data_verify,
)
from dermseg.data.layouts import Layout
from dermseg.errors import ConfigError, DermsegError
from dermseg.export.command import export
from dermseg.no_memory import is_out_of_memory
from dermseg.words import one_line, underscored


def demo(out: Path = Path("dermseg-demo"), seed: int = 0, train: bool = False) -> int:
    """Draw synthetic lesions, outline them, evaluate, and write a page with pictures.

    Args:
        out: Folder for the images, the outlines and the page. An earlier demo there is replaced.
        seed: The same seed draws the same images and trains the same network.
        train: Train a small network on such images first, a minute or two, and show that one.
    """
    from dermseg.demo import run_demo

    run_demo(out, seed, train)
    return 0


def evaluate(
    data: str,
    weights: Path | None = None,
    predictions: Path | None = None,
    layout: Layout = "auto",
    masks: Path | None = None,
    split: str | None = None,
    part: Literal["test", "validation", "train"] = "test",
    out: Path = Path("evaluation"),
    device: str = "auto",
    groups: Path | None = None,
    allow_leak: bool = False,
    tta: bool | None = None,
) -> int:
    """Score predictions against masks, per image at native resolution and pooled over all pixels.

    Args:
        data: Folder of a data set with masks.
        weights: A `model.safetensors` of `dermseg train`, or default or tiny; predicts, then scores.
        predictions: Instead of weights: a folder of predicted masks, matched by identifier.
        layout: How the data folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        split: A split file or the name of a frozen split; without it every image is scored.
        part: Which side of the split to score.
        out: Gets per_image.csv, summary.json, worst.png, gallery.png, calibration.json, reliability.png.
        device: cpu, cuda, mps or auto.
        groups: CSV with lesion_id or patient_id by image; one beside the data is found without this.
        allow_leak: Score images the network learned from, or copies of them; the summary says so.
        tta: Let the network average each image and its mirror images; by default as the weights say.
    """
    from dermseg.evaluation.evaluate import evaluate as run

    report = run(
        data,
        weights=weights,
        predictions=predictions,
        layout=layout,
        masks=masks,
        split=split,
        part=part,
        out=out,
        device=device,
        groups=groups,
        allow_leak=allow_leak,
        tta=tta,
    )
    return 1 if report.problems else 0


def predict(
    paths: list[str],
    weights: Path = Path("default"),
    out: Path = Path("predictions"),
    threshold: float | None = None,
    device: str = "auto",
    tta: bool | None = None,
) -> int:
    """Outline the lesion in images of any size: mask, probability map, overlay and a table.

    Args:
        paths: Image files, folders (searched with their sub-folders) or glob patterns.
        weights: A `model.safetensors` written by `dermseg train`, or weights that ship: default or tiny.
        out: Folder for the results. Results of an earlier run for the same images are replaced.
        threshold: Probability from which a pixel belongs to the lesion; by default the network's own.
        device: cpu, cuda, mps or auto.
        tta: Average each image and its mirror images, in four times the time; by default as the weights say.
    """
    from dermseg.inference.predict import predict as run
    from dermseg.weights import DEFAULT

    if str(weights) == DEFAULT:
        print(
            "Using the weights that ship with dermseg (what they can and cannot do: dermseg card)",
            file=sys.stderr,
        )
    with _termination_as_interrupt():  # so that the table lists what is finished
        report = run(paths, weights, out=out, threshold=threshold, device=device, tta=tta)
    if not report.images:
        return 2
    return 1 if report.problems else 0


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def join(weights: list[str], out: Path = Path("ensemble.safetensors")) -> int:
    """Join trained networks of one form, of other seeds or folds, to one file, whose answer is their mean.

    Args:
        weights: Two or more `model.safetensors` written by `dermseg train`, or weights that ship.
        out: The file to write; every command takes it as it takes that of one network.
    """
    from dermseg.models.join import join as run

    ensemble = run([Path(path) for path in weights], out)
    print(f"{out}: the mean of {len(ensemble.members)} networks, {ensemble.name}")
    return 0


def models(patterns: list[str] | None = None) -> int:
    """List the networks that `dermseg train --model NAME` accepts, or tell all about one of them.

    Args:
        patterns: One name for its stages and costs; wildcards such as '*vm*' or several names for a table.
    """
    patterns = patterns or []
    if len(patterns) == 1 and not set(patterns[0]) & set("*?["):
        from dermseg.models.summary import print_summary

        print_summary(patterns[0])
        return 0
    from dermseg.models.table import print_models

    print_models(patterns)
    return 0


def train(arguments: list[str]) -> int:
    """Train a network; its options are the fields of `dermseg.training.arguments.TrainArguments`."""
    from dermseg.training.command import parse

    parsed = parse(arguments)
    # Not before: help and mistakes need no torch.
    from dermseg.training.run import train as run

    run(parsed)
    return 0


def _run(function: Callable[..., int], name: str, words: list[str]) -> int:
    """Call a typed function with command-line words; parameters without a default have no flag."""
    from jsonargparse import ActionYesNo

    from dermseg.parser import Parser

    documentation = inspect.getdoc(function) or ""
    summary = documentation.split("\n\n")[0]
    parser = Parser(name, summary)
    # jsonargparse reads a list as one bracketed word, a flag with a value, and a path as text: in a shell, a
    # list is any number of words, a flag stands alone, and a name may be any bytes.
    by_hand: set[str | int] = set()
    for key, parameter in inspect.signature(function).parameters.items():
        explanation = re.search(rf"^ *{key}: (.*)$", documentation, re.MULTILINE)
        options: dict[str, Any] = {"help": explanation[1] if explanation else None}
        if parameter.annotation in (list[str], list[str] | None):
            words_needed = "+" if parameter.default is parameter.empty else "*"
            parser.add_argument(key, nargs=words_needed, type=str, **options)
            by_hand.add(key)
        elif parameter.annotation is bool:
            parser.add_argument(f"--{key}", action="store_true", **options)
            by_hand.add(key)
        elif parameter.annotation == bool | None:
            parser.add_argument(f"--{key}", action=ActionYesNo(no_prefix="no_"), default=None, **options)
            by_hand.add(key)
        elif parameter.annotation in (Path, Path | None):
            if parameter.default is parameter.empty:
                parser.add_argument(key, type=_path, **options)
            else:
                parser.add_argument(f"--{key}", type=_path, default=parameter.default, **options)
            by_hand.add(key)
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip=by_hand)
    try:
        given = parser.parse_args(underscored(words))
    except ArgumentError as error:
        raise ConfigError(f"{one_line(error)}. See dermseg {name} --help") from error
    return function(**given.as_dict())


def _path(word: str) -> Path:
    """Take any name that a file system allows; the parser's own type wants text."""
    return Path(word)


COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "demo": ("see it work: draw images, outline them, evaluate, write a page", partial(_run, demo, "demo")),
    "train": ("train a network", train),
    "evaluate": ("score a network, or masks, against a data set", partial(_run, evaluate, "evaluate")),
    "predict": ("outline the lesion in images", partial(_run, predict, "predict")),
    "card": ("what the weights that ship can and cannot do", partial(_run, card, "card")),
    "join": ("make one file of several trainings: an ensemble", partial(_run, join, "join")),
    "export": ("write a network as one ONNX file", partial(_run, export, "export")),
    "models": ("list the networks, or tell about one", partial(_run, models, "models")),
    "data list": ("list the data sets of the catalogue", partial(_run, data_list, "data list")),
    "data show": ("tell all about one of them", partial(_run, data_show, "data show")),
    "data download": ("fetch one of them", partial(_run, data_download, "data download")),
    "data verify": (
        "compare what is there with the catalogue",
        partial(_run, data_verify, "data verify"),
    ),
    "data check": (
        "name every file of a data set that cannot be used, and report on its quality",
        partial(_run, data_check, "data check"),
    ),
    "data split": (
        "divide a data set so that nothing related is on two sides",
        partial(_run, data_split, "data split"),
    ),
    "data splits": ("list the splits and protocols there are", partial(_run, data_splits, "data splits")),
    "data prepare": (
        "decode a data set once, for faster training",
        partial(_run, data_prepare, "data prepare"),
    ),
    "data preview": (
        "draw images as a training sees them",
        partial(_run, data_preview, "data preview"),
    ),
    "data synthesize": (
        "draw synthetic images with exact masks",
        partial(_run, data_synthesize, "data synthesize"),
    ),
    "benchmark run": ("train and test many networks on every fold, or go on with it", benchmark_run),
    "benchmark status": (
        "show what of a benchmark is done, and how long the rest takes",
        partial(_run, benchmark_status, "benchmark status"),
    ),
    "benchmark report": (
        "write the tables, figures and page of a benchmark",
        partial(_run, benchmark_report, "benchmark report"),
    ),
}
"""Sub-command: its line in `dermseg --help`, and what runs it."""


_HELP = ("-h", "--help", "help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command and return the exit status.

    Args:
        arguments: Words after the program's name; those of this process when None.
    """
    words = _with_run(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File systems allow names that are no text.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _dispatch(words)
        # Here, where a reader who has left is noticed without a traceback.
        sys.stdout.flush()
        return status
    except (BrokenPipeError, SystemExit) as end:
        # rich makes SystemExit of a broken pipe.
        if isinstance(end, SystemExit) and not isinstance(end.__context__, BrokenPipeError):
            raise
        # Python writes what is still buffered on its way out, which would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print(f"dermseg {_name(words)}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if is_out_of_memory(error):
            said = f"needs more memory than there is; {_less_memory(_name(words))}"
        elif isinstance(error, (DermsegError, OSError)):
            said = str(error)
        else:
            raise
        print(f"dermseg {_name(words)}: {said}", file=sys.stderr)
        return 2


def _less_memory(name: str) -> str:
    """Say how a command gets by with less memory."""
    if name == "train":
        return "choose a smaller --batch_size or a smaller --size"
    return "make the images smaller, end other programs, or take a machine with more"


def _with_run(words: Sequence[str]) -> list[str]:
    """Read `benchmark --models ...`, a group and then an option, as `benchmark run --models ...`."""
    runs = len(words) > 1 and f"{words[0]} run" in COMMANDS
    if runs and words[1].startswith("-") and words[1] not in _HELP:
        return [words[0], "run", *words[1:]]
    return list(words)


def _members(group: str) -> list[str]:
    """List the commands of two words that begin with this one."""
    return [name for name in COMMANDS if name.startswith(f"{group} ")]


def _name(words: Sequence[str]) -> str:
    """Join the words that name a command: one, or two in a group such as `data`."""
    return " ".join(words[: 2 if words and _members(words[0]) else 1])


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in _HELP:
        print(_help("COMMAND", list(COMMANDS)))
        return 0
    if words[0] in ("-V", "--version"):
        print(f"dermseg {__version__}")
        return 0
    name, members = _name(words), _members(words[0])
    if name in COMMANDS:
        return COMMANDS[name][1](words[len(name.split()) :])
    if members and (len(words) == 1 or words[1] in _HELP):
        print(_help(f"{words[0]} COMMAND", members))
        return 0
    close = get_close_matches(name, COMMANDS, n=1, cutoff=0.5)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    print(f"dermseg: no command '{name}'.{hint}\n\n{_help('COMMAND', list(COMMANDS))}", file=sys.stderr)
    return 2


def _help(command: str, names: Sequence[str]) -> str:
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {COMMANDS[name][0]}" for name in names]
    return "\n".join(
        [
            f"usage: dermseg {command} ...",
            "",
            "The border of a skin lesion in a dermoscopic image. A research tool, not a medical device.",
            "",
            "commands:",
            *lines,
            "",
            f"`dermseg {command} --help` explains a command; `dermseg --version` prints the version.",
        ]
    )
