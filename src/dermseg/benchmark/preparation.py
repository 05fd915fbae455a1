"""Before any cell runs: the plan is made or continued, the folds are drawn, the images are prepared once."""

import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from rich.console import Console

from dermseg.benchmark.arguments import BenchmarkArguments, Request
from dermseg.benchmark.plan import Data, Plan, plan_file, read_plan, split_file, write_plan
from dermseg.benchmark.settings import changes_results, system_arguments
from dermseg.benchmark.sources import Images, draw_folds, read_images
from dermseg.benchmark.state import now
from dermseg.benchmark.systems import System, read_systems
from dermseg.data.decoding import usable_cores
from dermseg.data.splits import save_split
from dermseg.errors import ConfigError, DataError
from dermseg.models.registry import create_model
from dermseg.paths import require_writable
from dermseg.training.arguments import TrainArguments
from dermseg.training.configuration import overlay


def prepare_benchmark(request: Request, console: Console) -> Plan:
    """Begin the benchmark that is asked for, or take up the one in its folder, and prepare its images.

    Args:
        request: What a command asks for.
        console: Where files that cannot be used are named, and progress is shown.

    Raises:
        ConfigError: An argument is wrong, or is not that of the benchmark in the folder.
        DataError: The data cannot be used, or are others than those of the benchmark in the folder.
    """
    out = request.arguments.out
    if out.exists() and not out.is_dir():
        raise ConfigError(f"out: {out} is a file; name a folder")
    there = _plan_in(out)
    plan = _wanted(there, request)
    images = read_images(plan.data, _arguments(plan), console)
    require_writable(out)
    # Of several processes that begin one benchmark, the first writes the folds, and the others find them.
    with FileLock(out / ".lock"):
        if _plan_in(out) != there:
            there = _plan_in(out)
            plan = _wanted(there, request)
        plan = replace(plan, data=_checked(plan, images))
        if there is None:
            _write_folds(request, plan, images, console)
        write_plan(out, plan)
    return plan


def _plan_in(out: Path) -> Plan | None:
    return read_plan(out) if plan_file(out).exists() else None


def _wanted(there: Plan | None, request: Request) -> Plan:
    plan = _begun(request) if there is None else _continued(there, request)
    epochs = [arguments.epochs for arguments in _arguments(plan)]
    return replace(plan, epochs={s.label: count for s, count in zip(plan.systems, epochs, strict=True)})


def _arguments(plan: Plan) -> list[TrainArguments]:
    return [system_arguments(system, plan.recipe, plan.settings) for system in plan.systems]


def _begun(request: Request) -> Plan:
    a = request.arguments
    if not a.models:
        raise ConfigError(f"{a.out} holds no benchmark yet; to begin one, name its networks with --models")
    if a.data is None:
        raise ConfigError(
            f"{a.out} holds no benchmark yet; to begin one, name the folder of a data set with --data "
            "(`dermseg data synthesize` draws one)"
        )
    systems = read_systems(a.models)
    settings = dict(a.settings)
    # Sums depend on the number of threads: it is fixed here, so that every engine computes the same.
    settings.setdefault("threads", max(1, usable_cores() // max(1, a.workers)))
    _check_systems(systems, a.recipe, settings)
    return Plan(
        name=a.name or Path(os.path.realpath(a.data)).name,
        systems=systems,
        epochs={},
        recipe=a.recipe,
        folds=a.folds,
        seeds=a.seeds,
        data=_location(a, Data("", "", 0, "", "auto", None)),
        settings=settings,
        allow_leak=a.allow_leak,
        command=shlex.join(["dermseg", "benchmark", "run", *request.words]),
        created=now(),
    )


def _continued(plan: Plan, request: Request) -> Plan:
    """Take up a plan: systems and seeds may be added, and what does not change the scores may change."""
    a, given = request.arguments, request.given
    for name in ("folds", "recipe", "allow_leak"):
        if name in given and getattr(a, name) != getattr(plan, name):
            raise _other(a.out, name, getattr(plan, name), getattr(a, name))
    if "seeds" in given and a.seeds < plan.seeds:
        raise _other(a.out, "seeds", plan.seeds, a.seeds)
    settings = _continued_settings(plan, a)
    known = {system.label: system for system in plan.systems}
    added = []
    for system in read_systems(a.models):
        if system.label not in known:
            added.append(system)
        elif system != known[system.label]:
            raise _other(
                a.out, system.label, dict(known[system.label].model_arguments), system.model_arguments
            )
    read_systems([{"label": s.label, "model": s.model} for s in (*plan.systems, *added)])
    _check_systems(added, plan.recipe, settings)
    return replace(
        plan,
        name=a.name or plan.name,
        systems=(*plan.systems, *added),
        seeds=max(plan.seeds, a.seeds),
        data=_location(a, plan.data),
        settings=settings,
    )


def _continued_settings(plan: Plan, arguments: BenchmarkArguments) -> dict[str, Any]:
    """Take up settings that leave every training as it was, by whatever recipe."""
    settings = overlay(plan.settings, arguments.settings)
    for system in plan.systems if settings != plan.settings else ():
        there = system_arguments(system, plan.recipe, plan.settings)
        wanted = system_arguments(system, plan.recipe, settings)
        for name in filter(changes_results, TrainArguments.__dataclass_fields__):
            if getattr(wanted, name) != getattr(there, name):
                has = f"{getattr(there, name)} for {system.label}"
                raise _other(arguments.out, f"settings.{name}", has, getattr(wanted, name))
    return settings


def _other(out: Path, name: str, there: object, given: object) -> ConfigError:
    return ConfigError(
        f"{name} is {given}, but the benchmark in {out} has {there}; leave it out to continue that one "
        "(systems and seeds may be added), or begin another with --out"
    )


def _location(arguments: BenchmarkArguments, data: Data) -> Data:
    """Take up where the data lie now, if that is given."""
    if arguments.data is None:
        return data
    # Path.resolve raises where links form a loop.
    folder = os.path.realpath(arguments.data)
    masks = None if arguments.masks is None else os.path.realpath(arguments.masks)
    return replace(data, folder=folder, layout=arguments.layout, masks=masks)


def _check_systems(systems: Iterable[System], recipe: str, settings: Mapping[str, Any]) -> None:
    """Refuse a mistake now, not when its cell comes up; networks are built without memory."""
    for system in systems:
        arguments = system_arguments(system, recipe, settings)
        plain = {key: value for key, value in arguments.model_arguments.items() if key != "pretrained"}
        try:
            with torch.device("meta"):
                create_model(arguments.model, **plain)
        except TypeError as error:
            raise ConfigError(f"model_arguments do not fit {system.label}: {error}") from error


def _checked(plan: Plan, images: Images) -> Data:
    """Describe the images; those of a benchmark that goes on must be the same."""
    lines = "\n".join(sorted(images.identifiers)).encode("utf-8", "surrogatepass")
    found = replace(
        plan.data,
        name=images.collection.name,
        sha256=hashlib.sha256(lines).hexdigest(),
        images=len(images.identifiers),
        # Of systems that are added now, the forms may be new.
        pixels={**plan.data.pixels, **images.pixels},
    )
    if plan.data.sha256 not in ("", found.sha256):
        raise DataError(
            f"{plan.data.folder} has {found.images:,} usable images that are not the {plan.data.images:,} of "
            "the benchmark; restore the data, name their folder with --data, or begin another with --out"
        )
    if changed := [form for form, checksum in plan.data.pixels.items() if found.pixels[form] != checksum]:
        raise DataError(
            f"{plan.data.folder} has the names of the benchmark's images, but other pixels "
            f"(at {changed[0]}): images or masks have changed; restore them, name their folder with --data, "
            "or begin another benchmark with --out"
        )
    return found


def _write_folds(request: Request, plan: Plan, images: Images, console: Console) -> None:
    a = request.arguments
    validation = plan.settings.get("validation", TrainArguments.validation)
    splits = draw_folds(images, plan.folds, validation, a.groups, plan.allow_leak, console)
    for fold, split in enumerate(splits, start=1):
        save_split(split, split_file(a.out, fold))
