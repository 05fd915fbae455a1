"""FANet's training: which mask an image is shown with, and that a resumed run shows the same."""

import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from dermseg.data.splits import load_split
from dermseg.errors import ConfigError
from dermseg.models.registry import create_model
from dermseg.training.feedback_task import MASKS, FeedbackTask
from dermseg.training.history import Epoch, History
from dermseg.training.run import train
from dermseg.training.sources import load_images

pytestmark = pytest.mark.usefixtures("no_pictures")

FANET = {"model": "fa_net", "model_arguments": {"width": 4, "passes": 2}, "mask_feedback": True}


def run(arguments):
    return train(arguments, Console(file=io.StringIO(), width=200))


def test_masks_change_only_after_an_epoch_that_lowered_the_validation_loss(tiny, tmp_path):
    arguments = tiny(**FANET)
    images = load_images(arguments, tmp_path / "split.json", Console(quiet=True))
    task = FeedbackTask(create_model("fa_net", **arguments.model_arguments).eval(), arguments)
    task.begin(history := History(), images.train)
    names = images.train.identifiers
    for number, (loss, better) in enumerate([(1.0, True), (1.5, False), (0.5, True), (0.5, False)]):
        before = task.store.get(names)
        with torch.no_grad():
            task.network.head.bias.fill_(100.0 if number % 3 else -100.0)
        task.trainer = SimpleNamespace(callback_metrics={"val_loss": torch.tensor(loss)})
        with torch.no_grad():
            task.on_validation_epoch_end()
        history.epochs.append(Epoch(number + 1, 0.1, 1.0, loss, 0.5, 0.5))
        after = task.store.get(names)
        assert torch.equal(after, before) is not better
        assert not better or after.unique().tolist() == [int(number % 3 > 0)]


def test_a_resumed_run_shows_the_masks_of_the_unbroken_one(tiny_in, tmp_path):
    fields = {**FANET, "epochs": 3, "batch_size": 2, "schedule": "plateau", "schedule_epochs": 1}
    unbroken = run(tiny_in(tmp_path / "whole", **fields))
    run(tiny_in(tmp_path / "part", **fields, time_budget=1e-9))
    resumed = run(tiny_in(tmp_path / "part", **fields, resume=True))
    assert resumed.history.csv() == unbroken.history.csv()
    ours, theirs = (
        torch.load(result.folder / "checkpoints/last.ckpt", weights_only=True)
        for result in (resumed, unbroken)
    )
    assert ours[MASKS]["identifiers"] == theirs[MASKS]["identifiers"]
    assert set(ours[MASKS]["identifiers"]) == set(load_split(unbroken.folder / "split.json").train)
    assert torch.equal(ours[MASKS]["bits"], theirs[MASKS]["bits"])
    assert all(torch.equal(value, theirs["state_dict"][key]) for key, value in ours["state_dict"].items())


def test_a_network_that_is_shown_no_masks_is_refused(tiny):
    with pytest.raises(ConfigError, match="mask_feedback: vm_unet is a network that is shown no masks"):
        run(tiny(mask_feedback=True))
    assert not tiny().out.exists()


def test_the_mask_moves_with_the_image(tiny, monkeypatch):
    """The network is shown the mask of its image's view: Otsu's mask of a binary image follows that image."""
    pairs = []
    from dermseg.models.fa_net import FANet

    refine = FANet.refine

    def recording(network, images, masks):
        if network.training:
            pairs.append((images, masks))
        return refine(network, images, masks)

    monkeypatch.setattr(FANet, "refine", recording)
    monkeypatch.setattr(FANet, "first_masks", lambda _, images: (images[:, :1] > 0.5).to(images.dtype))
    moved = {"preset": "none", "mirror": True, "rotation": 180.0, "scale": 0.3, "elastic": 0.02}
    run(tiny(**FANET, epochs=1, batch_size=2, augmentation=moved))
    agreement = [((images[:, :1] > 0.5) == masks).float().mean().item() for images, masks in pairs]
    assert min(agreement) > 0.9
