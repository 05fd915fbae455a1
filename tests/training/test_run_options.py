"""What options of precision, clipping, scales, loss and augmentation do to a run."""

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model
from dermseg.training.module import SegmentationTask
from dermseg.training.run import train

QUIET = Console(quiet=True)


def test_half_precision_trains(tiny):
    assert train(tiny(precision="bf16-mixed", gradient_clip=1.0, epochs=1), QUIET).complete


def test_gradients_are_clipped_by_norm_or_element_by_element(tiny_in, tmp_path):
    moved = {}
    for by in ("norm", "value"):
        a = tiny_in(
            tmp_path / by,
            epochs=1,
            batch_size=6,
            optimizer="sgd",
            momentum=0.0,
            weight_decay=0.0,
            learning_rate=1.0,
            gradient_clip=1e-4,
            gradient_clip_by=by,
        )
        result = train(a, QUIET)
        torch.manual_seed(a.seed)
        before = create_model(a.model, **a.model_arguments).state_dict()
        after = load_file(result.weights)
        moved[by] = torch.cat([(after[key] - value).flatten() for key, value in before.items()])
    # One step of length 1 along the clipped gradient, to the rounding of weights of size 1 and more.
    assert moved["norm"].norm().item() == pytest.approx(1e-4, rel=0.02)
    assert moved["value"].abs().max().item() == pytest.approx(1e-4, rel=0.02)
    assert moved["value"].norm() > 10 * moved["norm"].norm()


def test_every_batch_is_trained_on_at_every_scale(tiny, monkeypatch):
    sides = []
    forward = SegmentationTask.forward
    monkeypatch.setattr(
        SegmentationTask,
        "forward",
        lambda task, images: sides.append(images.shape[-1] if task.training else 0) or forward(task, images),
    )
    train(tiny(epochs=1, scales=(1.0, 2.0)), QUIET)
    assert [side for side in sides if side] == [32, 64, 32, 64]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss_arguments": {"smoth": 1.0}}, "loss_arguments do not fit the loss bce_dice"),
        ({"augmentation": {"twist": 1.0}}, "augmentation"),
    ],
)
def test_mistaken_arguments_of_loss_and_augmentation_leave_no_folder(tiny, fields, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny(**fields), QUIET)
    assert not tiny().out.exists()
