"""How much it flatters to choose the epoch on the images that are then called the test.

    python scripts/selection.py --data ISIC_DIR --work RUNS [--out results/selection]

Two trainings on every fold of the reduced benchmark (results/benchmark-reduced/splits) that draw the same
weights, batches and augmentation. One watches the fold's validation images, the other its test images, as the
released training scripts of this family do. So they make the same network after every epoch, and differ only
in which epoch is kept:

- honest: the test Dice of the epoch that is best on validation;
- flattering: the test Dice of the epoch that is best on the test.

Both per image, at training size. Resumable: finished trainings are read, not run again. Writes selection.csv.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path
from statistics import mean

from rich.console import Console

from dermseg.data.splits import Split, load_split, save_split
from dermseg.files import replacing
from dermseg.training.arguments import TrainArguments
from dermseg.training.history import History
from dermseg.training.run import train

ROOT = Path(__file__).parents[1]
SPLITS = ROOT / "results" / "benchmark-reduced" / "splits"
TRAINING = TrainArguments(
    model="unext", size=64, epochs=20, batch_size=8, learning_rate=1e-3, gradient_clip=1.0
)
SHOWN = ("model", "size", "epochs", "batch_size", "learning_rate", "gradient_clip")
"""What of it goes into the table."""


def curve(data: Path, work: Path, split: Split, threads: int) -> History:
    """Train on a split, or read the training that is there; return its curve on the validation side."""
    path = work / f"{split.name}.json"
    save_split(split, path)
    run = replace(
        TRAINING, data=str(data), split=str(path), threads=threads, out=work / split.name, resume=True
    )
    return train(run, Console()).history


def compare(data: Path, work: Path, split: Split, threads: int) -> dict[str, float]:
    """Return the row of one fold."""
    watched = Split(f"{split.name}-watching-test", split.train, split.test, (), split.origin)
    on_validation, on_test = (curve(data, work, each, threads) for each in (split, watched))
    for ours, theirs in zip(on_validation.epochs, on_test.epochs, strict=True):
        if ours.train_loss != theirs.train_loss:
            raise SystemExit(f"epoch {ours.epoch} of {split.name}: the two trainings are not the same")
    honest = on_test.epochs[on_validation.best.epoch - 1]
    return {
        "images": len(split.test),
        "honest_epoch": honest.epoch,
        "honest_dice": honest.val_dice,
        "flattering_epoch": on_test.best.epoch,
        "flattering_dice": on_test.best.val_dice,
        "flattery": on_test.best.val_dice - honest.val_dice,
    }


def main() -> None:
    """Run all folds and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="ISIC 2018 Task 1, the 2,094 pairs")
    parser.add_argument("--work", type=Path, required=True, help="folder for the trainings")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "selection")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folds = [load_split(path) for path in sorted(SPLITS.glob("fold-*.json"))]
    found = [compare(options.data, options.work, split, options.threads) for split in folds]
    training = {name: getattr(TRAINING, name) for name in SHOWN}
    rows = [{**training, "fold": number, **row} for number, row in enumerate(found, 1)]
    options.out.mkdir(parents=True, exist_ok=True)
    with replacing(options.out / "selection.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(
        f"flattery: {mean(row['flattery'] for row in found):.4f} per-image Dice, mean of {len(found)} folds"
    )


if __name__ == "__main__":
    main()
