"""Training against the outlines of a teacher, beside the masks."""

import io

import pytest
import torch
from rich.console import Console

from dermseg.errors import ConfigError
from dermseg.losses.bce_dice import BCEDiceLoss
from dermseg.models.weights import load_model
from dermseg.training.distillation_task import DistillationTask
from dermseg.training.history import History
from dermseg.training.run import train
from dermseg.training.sources import load_images

pytestmark = pytest.mark.usefixtures("no_pictures")


def run(arguments):
    return train(arguments, Console(file=io.StringIO(), width=200))


@pytest.fixture(scope="module")
def first(tiny_in, tmp_path_factory):
    """Return an earlier run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("draw_curves", "_draw_samples"):
            patch.setattr(f"dermseg.training.results.{name}", lambda *_, **__: None)
        return run(tiny_in(tmp_path_factory.mktemp("distillation") / "first"))


@pytest.fixture
def taught(tiny, first):
    """Return a function that makes arguments of a run with the earlier one as its teacher."""

    def arguments(**fields):
        split = str(first.folder / "split.json")
        return tiny(weights=str(first.weights), split=split, **{"distillation": 0.5} | fields)

    return arguments


def begun(arguments, folder):
    images = load_images(arguments, folder / "split.json", Console(quiet=True))
    task = DistillationTask(load_model(arguments.weights), arguments)
    task.begin(History(), images.train)
    return task, images.train


def test_outlines_are_the_mean_over_mirror_images_in_the_order_of_the_images(taught, first):
    task, pairs = begun(taught(batch_size=2), first.folder)
    teacher = load_model(first.weights).eval()
    for row in range(len(pairs)):
        images = task._standardised(pairs[[row]][0])
        with torch.no_grad():
            views = [teacher(images.flip(axes)).flip(axes) for axes in ((), (2,), (3,), (2, 3))]
        expected = 255 * torch.stack(views).mean(0).sigmoid()
        assert (task.outlines[[row]].float() - expected).abs().max() <= 0.51


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_loss_is_against_the_blend_of_mask_and_outline(taught, first, share):
    task, pairs = begun(taught(distillation=share, augment=False), first.folder)
    task.log = lambda *_, **__: None
    rows = [2, 0]
    images, masks = pairs[rows]
    loss = task.training_step((images, masks, torch.tensor(rows)), 0)
    target = (1 - share) * masks + share * task.outlines[rows] / 255
    torch.testing.assert_close(loss, BCEDiceLoss()(task(images), target))


def test_outlines_move_with_the_images(taught, first, monkeypatch):
    task, pairs = begun(taught(distillation=1.0, augmentation={"corners": 0}), first.folder)
    compared = []
    monkeypatch.setattr(task, "training_loss", lambda _, target: compared.append(target))
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    monkeypatch.setattr(task, "_trainer", None)
    images, masks = pairs[list(range(len(pairs)))]
    task.outlines = 255 * masks
    _, moved = task.views(images, masks, 0)
    task.training_step((images, masks, torch.arange(len(pairs))), 0)
    assert torch.equal(compared[0], moved.float())
    assert not torch.equal(moved, masks)


def test_a_resumed_run_goes_on_as_the_unbroken_one(tiny_in, first, tmp_path):
    fields = {"weights": str(first.weights), "distillation": 0.5, "split": str(first.folder / "split.json")}
    unbroken = run(tiny_in(tmp_path / "whole", **fields))
    run(tiny_in(tmp_path / "part", **fields, time_budget=1e-9))
    resumed = run(tiny_in(tmp_path / "part", **fields, resume=True))
    assert resumed.history.csv() == unbroken.history.csv()
    alone = run(tiny_in(tmp_path / "alone", **fields | {"distillation": 0.0}))
    assert alone.history.csv() != unbroken.history.csv()


def test_what_it_cannot_do_is_said(tiny, taught):
    with pytest.raises(ConfigError, match="distillation takes the outlines of the weights"):
        run(tiny(distillation=0.5))
    with pytest.raises(ConfigError, match="distillation and mask_feedback"):
        run(taught(mask_feedback=True))
    with pytest.raises(ConfigError, match=r"distillation is 1.5; it is a share"):
        tiny(distillation=1.5)
