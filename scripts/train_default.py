"""Make the weights that ship as `default` or `tiny`, and the measurements that their card is made from.

    python scripts/train_default.py --isic ISIC_DIR --ph2 PH2_DIR --work RUNS [--stages STAGE ...]
    python scripts/train_default.py --network tiny ... --work OTHER_RUNS

After a kill or a spent time budget the same command goes on: trainings and the scores of folds are resumed
where they stopped, the stages from `fit` on, minutes each, begin again. The stages, in order:

- folds: the recipe (configs/NETWORK.yaml, then what `recipe`, below, adds) on each of the five folds in
  results/default/splits; `tiny` is the first; `default` is the mean of two networks, of two seeds;
- peer-folds: the same with the peer (scripts/peer_unet.py) in the network's place;
- alone: the first network of each fold without the others, as the peer is one;
- holdout: the same on the train side of the frozen split `isic2018-2094`;
- final: the same on all pairs but 168, which choose the epoch of its first part; `default` is this one;
- fit: size, temperature, threshold and expected Dice, on images that were not learned from;
- evaluate: scores on the test side, or out of fold (under the threshold that the others chose), and on PH2;
- effects: Dice under graded changes;
- latency: of PyTorch and ONNX Runtime;
- compare: ours and the peer on the same images, paired, on the folds that both have;
- curves: loss and validation Dice of every epoch of all trainings that are there;
- ship: weights, checksum and card into src/dermseg/weights, scores into results/NETWORK.

PH2 is never trained on, and chooses nothing.
"""

import argparse
import csv
import json
import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

from rich.console import Console

from dermseg.card.calibrate import calibrate
from dermseg.card.fitting import HEAD, fold_temperature
from dermseg.card.latency import measure_latency
from dermseg.card.measure import card_facts, effects
from dermseg.card.scores import Row, read_rows, summarise
from dermseg.card.traits import traits
from dermseg.data.pairs import Pair
from dermseg.data.readers import read_collection
from dermseg.data.splits import load_split, save_split
from dermseg.evaluation.calibration import Calibration, read_calibration
from dermseg.evaluation.evaluate import evaluate
from dermseg.evaluation.statistics.comparisons import paired_wilcoxon, rank_biserial
from dermseg.files import copy, read_json, sha256_of, write_json, write_text
from dermseg.models.join import join
from dermseg.models.weights import load_model, read_notes, save_model
from dermseg.training.arguments import TrainArguments
from dermseg.training.command import parse
from dermseg.training.run import train

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
NETWORKS = {"default": "final", "tiny": "ours-1"}
"""By the network's name: the run that ships."""
SEEDS = {"default": (0, 1), "tiny": (0,), "peer": (0,)}
"""Of the networks whose mean each of them is."""
ALL_FOLDS = (1, 2, 3, 4, 5)
SIZES = (160,)
MIRRORS = {"default": True, "tiny": False}
"""Whether the network averages an image and its mirror images by default; `tiny` is to be fast."""
PEER_HEAD = "network.segmentation_head.0"
"""Name of the peer's last convolution."""
RUNS = {"ours": "ours-{}", "alone": "ours-{}-seed0/alone", "peer": "peer-{}"}
"""Where the scores of a fold are: of the mean of our networks, of the first of them, and of the peer."""
CROSSED = "ours-{}/crossed"
"""Where those of our networks are under the threshold that the other folds chose."""
SOURCES = ("ours-1", "holdout", "final")
HOLDOUT_TITLE = "ISIC 2018, test side of the frozen split isic2018-2094 (crops, 512 px)"
OWN_TITLE = "ISIC 2018, the images of its fold, which it never saw (crops, 512 px)"
FOLDS_TITLE = "ISIC 2018, out of fold: networks of the same recipe, each on the crops that it never saw"
PH2_TITLE = "PH2, never trained on (whole frames)"


@dataclass(frozen=True)
class Plan:
    """Where everything is."""

    network: str
    """One of `NETWORKS`: the name of its recipe in configs/, and that under which it ships."""
    isic: Path
    ph2: Path
    work: Path
    minutes: float | None
    threads: int
    source: str
    """Run whose weights ship, one of `SOURCES`."""
    folds: tuple[int, ...]
    """Those that are trained and scored."""

    @property
    def weights(self) -> Path:
        """The fitted file."""
        return self.work / f"{self.network}.safetensors"


def recipe(
    plan: Plan, name: str, split: str, seed: int = 0, peer: bool = False
) -> tuple[TrainArguments, ...]:
    """Return the parts of the recipe: `NAME-first`, `NAME-second`, and `NAME`, which holds the result."""
    first = parse(["--config", str(ROOT / "configs" / f"{plan.network}.yaml")])
    if peer:
        import peer_unet  # noqa: F401 (registers the network)

        first = replace(first, model="peer_unet", model_arguments={"pretrained": True})
    first = replace(
        first,
        data=str(plan.isic),
        split=split,
        seed=seed,
        threads=plan.threads,
        time_budget=plan.minutes,
        out=plan.work / f"{name}-first",
        resume=True,
    )
    # From there the recipe goes on with larger images. The 168 validation images choose no epoch any more:
    # they are too few for that.
    second = replace(
        first,
        weights=str(plan.work / f"{name}-first" / "model.safetensors"),
        size=160,
        epochs=6,
        learning_rate=4e-4,
        frozen_norms=True,
        keep="last",
        out=plan.work / f"{name}-second",
    )
    # Under strong augmentation the network does no better on the images that it learned from than on others:
    # at the end it is shown what images are like.
    third = replace(
        second,
        weights=str(plan.work / f"{name}-second" / "model.safetensors"),
        epochs=12,
        augmentation={"preset": "default", "scale": 0.2, "frame": 0.15},
        out=plan.work / name,
    )
    return first, second, third


def run(plan: Plan, name: str, split: str, peer: bool = False) -> None:
    """Train all parts of the recipe from every seed, or continue them, and join what came out in NAME."""
    seeds = SEEDS["peer" if peer else plan.network]
    for seed in seeds:
        for part in recipe(plan, member(name, seed), split, seed, peer):
            if not train(part, Console()).complete:
                raise SystemExit(f"{part.out}: the time budget is spent; the same command goes on")
    folders = [plan.work / member(name, seed) for seed in seeds]
    made = plan.work / f"{name}.safetensors"
    if len(folders) > 1:
        join([folder / "model.safetensors" for folder in folders], made)
    else:
        copy(folders[0] / "model.safetensors", made)
    out = plan.work / name
    if not (out / "model.safetensors").exists() or sha256_of(out / "model.safetensors") != sha256_of(made):
        shutil.rmtree(out, ignore_errors=True)  # a fit and scores there are of another network
    copy(folders[0] / "split.json", out / "split.json")
    made.replace(out / "model.safetensors")


def member(name: str, seed: int) -> str:
    """Name of the run of one seed."""
    return f"{name}-seed{seed}"


def fold_file(number: int) -> Path:
    """Where a fold is on record; both networks are trained and scored on the same."""
    return RESULTS / "default" / "splits" / f"fold-{number}.json"


def folds(plan: Plan, peer: bool = False) -> None:
    """Train every fold, fit it on its validation images, and score it on those that it never saw."""
    for number in plan.folds:
        name = f"{'peer' if peer else 'ours'}-{number}"
        run(plan, name, str(fold_file(number)), peer)
        score_fold(plan, plan.work / name, plan.work / name, PEER_HEAD if peer else HEAD)


def alone(plan: Plan) -> None:
    """Fit and score the network of the first seed of every fold, and keep their scores on all folds."""
    for number in plan.folds:
        out = plan.work / RUNS["alone"].format(number)
        score_fold(plan, out.parent, out)
    together = plan.work / "alone"
    gather_folds(plan, RUNS["alone"], together)
    keep_scores(plan, together, RESULTS / plan.network / "alone" / "isic2018-folds")


def score_fold(plan: Plan, run: Path, out: Path, head: str = HEAD) -> None:
    """Fit the network of a run on its validation images, and score it on those that it never saw."""
    fitted = out / "fitted.safetensors"
    split = run / "split.json"
    if not fitted.exists():
        weights = run / "model.safetensors"
        pairs = read_collection(plan.isic).select(load_split(split).validation)
        calibrate(weights, [(weights, pairs)], fitted, SIZES, head, mirrors=MIRRORS[plan.network])
    score(plan.isic, fitted, str(split), out / "isic2018")
    score(plan.ph2, fitted, None, out / "ph2")


def final(plan: Plan) -> None:
    """Train on all pairs but the validation images of the first fold, which choose the epoch."""
    first = load_split(fold_file(1))
    split = replace(first, name="isic2018-2094-all", train=first.train + first.test, test=())
    path = plan.work / "splits" / "final.json"
    save_split(split, path)
    run(plan, "final", str(path))


def unseen(plan: Plan, weights: str, step: int = 1) -> list[tuple[Path, tuple[Pair, ...]]]:
    """Return the network of every fold with the images that it never saw, or every so manyth of them."""
    collection = read_collection(plan.isic)
    found = []
    for number in plan.folds:
        folder = plan.work / f"ours-{number}"
        split = load_split(folder / "split.json")
        found.append((folder / weights, collection.select(sorted(split.test)[::step])))
    return found


def fit(plan: Plan) -> None:
    """Fit on the validation images of the run, or, where it learned from nearly all, out of fold."""
    weights = plan.work / plan.source / "model.safetensors"
    if plan.source == "final":
        networks = unseen(plan, "model.safetensors")
    else:
        split = load_split(plan.work / plan.source / "split.json")
        pairs = read_collection(plan.isic).select(split.validation)
        networks = [(weights, pairs)]
    calibrate(weights, networks, plan.weights, SIZES, mirrors=MIRRORS[plan.network])


def score(data: Path, weights: Path, split: str | None, out: Path) -> None:
    """Score a network, unless its scores are there."""
    if not (out / "summary.json").exists():
        evaluate(data, weights=weights, split=split, out=out)


def evaluations(plan: Plan) -> dict[str, Path]:
    """Return the folders of the scores that the card shows, by their titles.

    Out-of-fold scores are among them where several folds were trained.
    """
    folder = plan.work / "evaluation"
    isic = {
        "ours-1": {OWN_TITLE: folder / "isic2018"},
        "holdout": {HOLDOUT_TITLE: folder / "isic2018"},
        "final": {FOLDS_TITLE: folder / "isic2018-folds"},
    }[plan.source]
    scored = [number for number in plan.folds if (plan.work / f"ours-{number}" / "isic2018").exists()]
    if scored != list(plan.folds) or len(scored) < 2:
        isic.pop(FOLDS_TITLE, None)
    return isic | {PH2_TITLE: folder / "ph2"}


def scores(plan: Plan) -> None:
    """Score the fitted weights on what they never saw, and gather the scores of the folds."""
    shutil.rmtree(plan.work / "evaluation", ignore_errors=True)
    split = str(plan.work / plan.source / "split.json")
    for title, out in evaluations(plan).items():
        if title == FOLDS_TITLE:
            gather_folds(plan, score_crossed(plan), out)
        else:
            data, part = (plan.ph2, None) if title == PH2_TITLE else (plan.isic, split)
            score(data, plan.weights, part, out)


def score_crossed(plan: Plan) -> str:
    """Score the network of every fold under what ships, its threshold chosen without the images of the fold.

    Of the 168 validation images, on which `folds` chooses it, the best threshold is mostly chance.
    """
    fitted = read_notes(plan.weights)["calibration"]
    for number, threshold in zip(plan.folds, fitted["crossed_thresholds"], strict=True):
        run, out = plan.work / RUNS["ours"].format(number), plan.work / CROSSED.format(number)
        shutil.rmtree(out, ignore_errors=True)
        model = load_model(run / "model.safetensors")
        model.preprocessing = replace(model.preprocessing, size=fitted["size"])
        model.mirrors, model.threshold = fitted["mirrors"], threshold
        fold_temperature(model, fitted["temperature"])
        weights = out / "fitted.safetensors"
        save_model(model, weights, notes=read_notes(run / "model.safetensors"), half=True)
        score(plan.isic, weights, str(run / "split.json"), out / "isic2018")
    return CROSSED


def gather_folds(plan: Plan, runs: str, out: Path) -> None:
    """Put the scores of the folds into one table: every image by the network that never saw it."""
    folders = [plan.work / runs.format(number) / "isic2018" for number in plan.folds]
    header, rows = "", list[str]()
    calibration = Calibration.none()
    for folder in folders:
        header, *found = (folder / "per_image.csv").read_text(encoding="utf-8").splitlines()
        rows += found
        calibration += read_calibration(folder / "calibration.json")
    write_text(out / "per_image.csv", "\n".join([header, *sorted(rows)]) + "\n")
    write_json(out / "calibration.json", calibration.to_json())
    networks = [read_json(folder / "summary.json") or {} for folder in folders]
    scored = summarise(read_rows(out / "per_image.csv"))
    summary = {
        "command": shlex.join(sys.argv),
        "model": {"name": networks[0]["model"]["name"]},
        "folds": [{key: network[key] for key in ("split", "model")} for network in networks],
        "images": scored["images"],
        "intervals_over": scored["intervals_over"],
        "per_image_mean": scored["per_image"],
        "pooled": {metric: entry["mean"] for metric, entry in scored["pooled"].items()},
        "pooled_interval": scored["pooled"],
    }
    write_json(out / "summary.json", summary)


def measure(plan: Plan) -> None:
    """Measure robustness and invariance on images that were not learned from."""
    if plan.source == "final":
        found = effects(unseen(plan, "fitted.safetensors", step=5 * len(plan.folds)))
    else:
        test = load_split(plan.work / plan.source / "split.json").test
        found = effects([(plan.weights, read_collection(plan.isic).select(sorted(test)[::4]))])
    write_json(plan.work / "effects.json", found)


def latency(plan: Plan) -> None:
    """Measure PyTorch and ONNX Runtime; wants a quiet machine."""
    found = measure_latency(load_model(plan.weights), threads=plan.threads)
    write_json(plan.work / "latency.json", {"latency": [asdict(entry) for entry in found]})


def compare(plan: Plan) -> None:
    """Test the difference to the peer image by image, on every fold that both were trained on.

    Writes the result and the scores of all into results/NETWORK/peer.
    """
    folder = RESULTS / plan.network / "peer"
    numbers = [n for n in plan.folds if (plan.work / f"peer-{n}" / "ph2" / "summary.json").exists()]
    found: dict[str, object] = {"folds": numbers}
    for data in ("isic2018", "ph2"):
        tables: dict[str, list[list[Row]]] = {name: [] for name in RUNS}
        for name, n in product(tables, numbers):
            table = folder / f"{data}-{name}-{n}.csv"
            copy(plan.work / RUNS[name].format(n) / data / "per_image.csv", table)
            tables[name].append(read_rows(table))
        dice = {name: mean_dice(rows) for name, rows in tables.items()}
        found[data] = {"images": len(dice["peer"])} | {
            name: beside(values, dice["peer"]) for name, values in dice.items()
        }
    write_json(folder / "compare.json", found)


def beside(dice: Sequence[float], peer: Sequence[float]) -> dict[str, float]:
    """Return the mean Dice and, but for the peer itself, the paired test of the difference to the peer's."""
    mean = {"dice": sum(dice) / len(dice)}
    if dice == peer:
        return mean
    return mean | {"p": paired_wilcoxon(dice, peer)[1], "rank_biserial": rank_biserial(dice, peer)}


def mean_dice(tables: Sequence[Sequence[Row]]) -> list[float]:
    """Return the Dice of every image, in the order of the identifiers; the mean, where several scored it."""
    of_image = defaultdict[str, list[float]](list)
    for row in (row for table in tables for row in table):
        of_image[row.identifier].append(row.values["dice"])
    return [sum(of_image[name]) / len(of_image[name]) for name in sorted(of_image)]


def curves(plan: Plan) -> None:
    """Put the curves of all trainings into one table, results/NETWORK/curves.csv."""
    rows: list[str] = []
    for table in sorted(plan.work.glob("*-seed*/metrics.csv")):
        header, *epochs = table.read_text(encoding="utf-8").splitlines()
        rows = rows or [f"run,{header}"]
        rows += [f"{table.parent.name},{epoch}" for epoch in epochs]
    write_text(RESULTS / plan.network / "curves.csv", "\n".join(rows) + "\n")


def ship(plan: Plan) -> None:
    """Put weights, checksum, card and scores into the repository."""
    folder = ROOT / "src" / "dermseg" / "weights"
    results = RESULTS / plan.network
    copy(plan.weights, folder / plan.weights.name)
    for source in evaluations(plan).values():
        keep_scores(plan, source, results / source.name)
    copy(plan.work / plan.source / "split.json", results / "split.json")
    for seed in SEEDS[plan.network]:
        for number, part in enumerate(recipe(plan, member(plan.source, seed), "", seed), 1):
            copy_curves(plan, part.out, results / f"seed-{seed}" / f"part-{number}")
    titles = evaluations(plan)
    of_image = traits(read_collection(plan.isic).pairs)
    labels = {title: {} if title == OWN_TITLE else of_image for title in titles}
    facts = card_facts(
        plan.weights,
        plan.network,
        titles,
        read_json(plan.work / "effects.json") or {},
        (read_json(plan.work / "latency.json") or {}).get("latency", []),
        labels | {PH2_TITLE: {"diagnosis": diagnoses(plan.ph2)}},
    )
    write_json(folder / f"{plan.network}.json", json.loads(without_folders(plan, json.dumps(facts))))
    index = read_json(folder / "index.json") or {}
    write_json(folder / "index.json", index | {plan.network: {"sha256": facts["file"]["sha256"]}})


def keep_scores(plan: Plan, source: Path, out: Path) -> None:
    """Copy per-image scores and their summary into the repository."""
    for file in ("per_image.csv", "summary.json"):
        write_text(out / file, without_folders(plan, (source / file).read_text(encoding="utf-8")))


def without_folders(plan: Plan, text: str) -> str:
    """Name the data and the runs in place of the folders where they lie on this machine."""
    for folder, name in ((plan.isic, "ISIC2018_TASK1"), (plan.ph2, "PH2"), (plan.work, "RUNS")):
        text = text.replace(str(folder), name)
    return text


def copy_curves(plan: Plan, run: Path, out: Path) -> None:
    """Keep what a training was and how it went."""
    for file in ("metrics.csv", "curves.png"):
        copy(run / file, out / file)
    for file, name in (("config.yaml", "config.yaml"), ("summary.json", "training.json")):
        write_text(out / name, without_folders(plan, (run / file).read_text(encoding="utf-8")))


def diagnoses(ph2: Path) -> dict[str, str]:
    """Diagnosis of every image of PH2."""
    with (ph2 / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row["diagnosis"] for row in csv.DictReader(file)}


STAGES: dict[str, Callable[[Plan], None]] = {
    "folds": folds,
    "peer-folds": partial(folds, peer=True),
    "alone": alone,
    "holdout": partial(run, name="holdout", split="isic2018-2094"),
    "final": final,
    "fit": fit,
    "evaluate": scores,
    "effects": measure,
    "latency": latency,
    "compare": compare,
    "curves": curves,
    "ship": ship,
}


def main() -> None:
    """Run the stages asked for, in their order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--network", choices=NETWORKS, default="default")
    parser.add_argument("--isic", type=Path, required=True, help="ISIC 2018 Task 1, the 2,094 pairs")
    parser.add_argument("--ph2", type=Path, required=True, help="PH2")
    parser.add_argument("--work", type=Path, required=True, help="folder for runs and measurements")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--minutes", type=float, help="time budget of every training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--source", choices=SOURCES, help="run that ships, if another than usual")
    parser.add_argument(
        "--folds", nargs="+", type=int, choices=ALL_FOLDS, default=ALL_FOLDS, help="folds to work on (all)"
    )
    options = parser.parse_args()
    plan = Plan(
        options.network,
        options.isic,
        options.ph2,
        options.work,
        options.minutes,
        options.threads,
        options.source or NETWORKS[options.network],
        tuple(options.folds),
    )
    plan.work.mkdir(parents=True, exist_ok=True)
    for name, stage in STAGES.items():
        if name in options.stages:
            stage(plan)


if __name__ == "__main__":
    main()
