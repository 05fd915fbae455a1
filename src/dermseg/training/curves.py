"""The curves of a run as a picture."""

from pathlib import Path

from matplotlib.figure import Figure

from dermseg.figures import MADE_BY
from dermseg.files import replacing
from dermseg.training.history import History, Keep


def draw_curves(path: Path, history: History, keep: Keep = "best") -> None:
    """Write loss, overlap and learning rate over the epochs, with the epoch marked whose weights are kept."""
    epochs = [row.epoch for row in history.epochs]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    loss, overlap, rate = figure.subplots(1, 3)
    loss.plot(epochs, [row.train_loss for row in history.epochs], marker=".", label="training")
    loss.plot(epochs, [row.val_loss for row in history.epochs], marker=".", label="validation")
    loss.set(title="loss", xlabel="epoch")
    overlap.plot(epochs, [row.val_dice for row in history.epochs], marker=".", label="Dice")
    overlap.plot(epochs, [row.val_iou for row in history.epochs], marker=".", label="IoU")
    kept = history.kept(keep)
    overlap.axvline(
        kept.epoch, color="grey", linestyle=":", label=f"{keep}: {kept.val_dice:.4f}, epoch {kept.epoch}"
    )
    overlap.set(title="validation, per-image mean", xlabel="epoch")
    rate.plot(epochs, [row.learning_rate for row in history.epochs], marker=".")
    rate.set(title="learning rate", xlabel="epoch")
    loss.legend()
    overlap.legend()
    for axes in (loss, overlap, rate):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": MADE_BY})
