"""A run from arguments to its folder, and again after every kind of end."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image, ImageOps
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_file

from dermseg.data.splits import load_split
from dermseg.errors import ConfigError, DataError
from dermseg.models.weights import HEADER, load_model
from dermseg.training.command import parse
from dermseg.training.configuration import save_configuration
from dermseg.training.folder import open_run
from dermseg.training.module import SegmentationTask
from dermseg.training.record import EpochRecord
from dermseg.training.run import train


class Killed(BaseException):
    """Ends a run from within, without the clean-up that an error would get from the code under test."""


def report(arguments):
    """Train; return the result and what was printed."""
    text = io.StringIO()
    result = train(arguments, Console(file=text, width=200))
    return result, text.getvalue()


def assert_same_run(folder, other):
    assert (folder / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    for name in ("last", "best"):
        ours, theirs = (
            torch.load(each / f"checkpoints/{name}.ckpt", weights_only=True) for each in (folder, other)
        )
        assert ours["epoch"] == theirs["epoch"]
        for key, value in theirs["state_dict"].items():
            assert torch.equal(ours["state_dict"][key], value), key
    ours, theirs = (load_file(each / "model.safetensors") for each in (folder, other))
    assert all(torch.equal(ours[key], value) for key, value in theirs.items())


@pytest.fixture(scope="module")
def unbroken(tiny_in, tmp_path_factory):
    """Return the folder of a run of four epochs that nothing interrupted."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    return train(tiny_in(out, epochs=4), Console(quiet=True)).folder


def test_a_run_leaves_everything_in_its_folder(tiny):
    result, text = report(tiny())
    folder = result.folder
    assert result.complete
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert rows[0] == "epoch,learning_rate,train_loss,val_loss,val_dice,val_iou"
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2"]
    assert Image.open(folder / "curves.png").size[0] > 500
    assert Image.open(folder / "samples.png").size[0] > 200
    assert list((folder / "tensorboard").glob("events.out.*"))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["best"]["epoch"] == result.history.best.epoch
    assert summary["environment"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert parse(["--config", str(folder / "config.yaml")]) == replace(tiny(), out=None)
    assert "epoch 2/2" in text
    assert f"weights: {folder / 'model.safetensors'}" in text


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_are_those_of_the_epoch_that_is_kept(tiny, keep, monkeypatch):
    measured = EpochRecord._row
    monkeypatch.setattr(  # an epoch that is worse than the one before
        EpochRecord,
        "_row",
        lambda record, trainer: replace(row := measured(record, trainer), val_dice=1 / row.epoch),
    )
    result, text = report(tiny(keep=keep))
    model = load_model(result.weights)
    assert model.preprocessing.size == 32
    kept = torch.load(result.folder / f"checkpoints/{keep}.ckpt", weights_only=True)
    assert kept["epoch"] + 1 == result.history.kept(keep).epoch == {"best": 1, "last": 2}[keep]
    for key, value in model.state_dict().items():
        assert torch.equal(value, kept["state_dict"][f"network.{key}"]), key
    summary = json.loads((result.folder / "summary.json").read_text())
    assert summary["kept"]["epoch"] == result.history.kept(keep).epoch
    assert f"{keep} epoch {summary['kept']['epoch']} of 2" in text
    split = load_split(result.folder / "split.json")
    with safe_open(result.weights, framework="pt") as file:
        notes = json.loads(file.metadata()[HEADER])["notes"]
    assert notes["split"]["train"] == list(split.train)
    assert notes["split"]["checksum"] == split.checksum
    # A weight file is passed on; it should not tell where it was made.
    assert str(result.folder.parent) not in json.dumps(notes)


def test_test_images_are_never_read_by_the_network(tiny, monkeypatch):
    seen = []
    forward = SegmentationTask.forward
    monkeypatch.setattr(
        SegmentationTask, "forward", lambda task, images: seen.append(images) or forward(task, images)
    )
    result, _ = report(tiny(augment=False, epochs=1, batch_size=1))
    split = load_split(result.folder / "split.json")
    from dermseg.data.images import read_image

    shown = {image.permute(1, 2, 0).numpy().tobytes() for batch in seen for image in batch}
    folder = tiny().data
    sides = {
        side: [read_image(path).tobytes() in shown for path in _images(folder, getattr(split, side))]
        for side in ("train", "validation", "test")
    }
    assert all(sides["train"])
    assert all(sides["validation"])
    assert sides["test"]
    assert not any(sides["test"])


def _images(folder, identifiers):
    from pathlib import Path

    return [next((Path(folder) / "images").glob(f"{identifier}.*")) for identifier in identifiers]


def test_same_seed_same_curve_other_seed_another(tiny_in, tmp_path):
    curves = [
        report(tiny_in(tmp_path / name, seed=seed, epochs=1))[0].history.csv()
        for seed, name in ((0, "a"), (0, "b"), (1, "c"))
    ]
    assert curves[0] == curves[1] != curves[2]


@pytest.mark.parametrize(
    "moment", ["in epoch 2", "after best.ckpt", "after last.ckpt", "after the last epoch"]
)
def test_an_interrupted_run_continues_with_the_unbroken_curve(tiny, unbroken, monkeypatch, moment):
    with monkeypatch.context() as patch:
        _die(patch, moment)
        with pytest.raises(Killed):
            report(tiny(epochs=4))
    result, text = report(tiny(epochs=4, resume=True))
    assert result.complete
    assert "continuing after epoch" in text
    assert_same_run(result.folder, unbroken)


def test_the_last_epoch_is_kept_where_a_kill_came_before_its_checkpoint(tiny, monkeypatch):
    with monkeypatch.context() as patch:
        _die(patch, "after best.ckpt")
        with pytest.raises(Killed):
            report(tiny(epochs=1, keep="last"))
    result, _ = report(tiny(epochs=1, keep="last", resume=True))
    assert result.complete
    assert load_model(result.weights).preprocessing.size == 32


def _raise_killed(*_):
    raise Killed


def _die(patch, moment, die=_raise_killed):
    step, save = SegmentationTask.training_step, pl.Trainer.save_checkpoint

    def dying_step(task, batch, index):
        if (task.current_epoch, index) == (2, 1):
            die()
        return step(task, batch, index)

    def dying_save(trainer, path):
        save(trainer, path)
        # The first epoch is always the best so far.
        epoch = {"after best.ckpt": 0, "after last.ckpt": 1, "after the last epoch": 3}[moment]
        name = "best" if moment == "after best.ckpt" else "last"
        if trainer.current_epoch == epoch and path.stem == name:
            die()

    if moment == "in epoch 2":
        patch.setattr(SegmentationTask, "training_step", dying_step)
    else:
        patch.setattr(pl.Trainer, "save_checkpoint", dying_save)


KILLED_RUN = """
import os, signal, sys
from dermseg.training.command import parse
from dermseg.training.module import SegmentationTask
from dermseg.training.run import train

step = SegmentationTask.training_step

def dying_step(task, batch, index):
    if (task.current_epoch, index) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(task, batch, index)

SegmentationTask.training_step = dying_step
train(parse(sys.argv[1:]))
"""


def test_a_killed_process_continues_with_the_unbroken_curve(tiny, unbroken, tmp_path):
    arguments = tiny(epochs=4)
    save_configuration(tmp_path / "run.yaml", arguments)
    words = ["--config", str(tmp_path / "run.yaml"), "--out", str(arguments.out)]
    done = subprocess.run([sys.executable, "-c", KILLED_RUN, *words], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (arguments.out / "metrics.csv").read_text().count("\n") == 2
    result, _ = report(parse(["--resume", str(arguments.out)]))
    assert_same_run(result.folder, unbroken)


def test_ctrl_c_says_how_to_continue(tiny, unbroken, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    text = io.StringIO()
    with monkeypatch.context() as patch:
        _die(patch, "in epoch 2", lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            train(tiny(epochs=4), Console(file=text, width=200))
    out = tiny().out
    assert f"Stopped after 2 finished epochs. Continue with: dermseg train --resume {out}" in text.getvalue()
    assert signal.getsignal(signal.SIGINT) is handler
    assert f"weights of the best epoch so far: {out / 'model.safetensors'}" in text.getvalue()
    assert load_model(out / "model.safetensors")
    assert not json.loads((out / "summary.json").read_text())["complete"]
    result, _ = report(tiny(epochs=4, resume=True))
    assert_same_run(result.folder, unbroken)


def test_resume_starts_where_nothing_was_finished(tiny, unbroken, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", _raise_killed)
        with pytest.raises(Killed):
            report(tiny(epochs=4))
    result, _ = report(tiny(epochs=4, resume=True))
    assert_same_run(result.folder, unbroken)


def test_results_that_are_missing_are_written_on_resume(tiny):
    result, _ = report(tiny(epochs=1))
    weights = result.weights.read_bytes()
    for lost in (
        ("summary.json", "model.safetensors"),
        ("model.safetensors", "curves.png"),
        ("samples.png",),
    ):
        for name in lost:
            (result.folder / name).unlink()
        _, text = report(tiny(epochs=1, resume=True))
        assert "nothing to resume" not in text
        assert all((result.folder / name).is_file() for name in lost)
        assert result.weights.read_bytes() == weights


def test_resuming_a_finished_run_says_so(tiny):
    report(tiny(epochs=1))
    before = (tiny().out / "model.safetensors").stat().st_mtime_ns
    result, text = report(tiny(epochs=1, resume=True))
    assert "is finished; there is nothing to resume" in text
    assert result.complete
    assert result.weights.stat().st_mtime_ns == before


def test_tensorboard_continues_without_doubled_epochs(tiny, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as patch:
        _die(patch, "after best.ckpt")
        with pytest.raises(Killed):
            report(tiny(epochs=4))
    result, _ = report(tiny(epochs=4, resume=True))
    events = EventAccumulator(str(result.folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("val_dice")] == [1, 2, 3, 4]


def test_an_occupied_folder_is_refused_with_a_remedy(tiny):
    report(tiny(epochs=1))
    with pytest.raises(ConfigError, match=r"not empty; continue it with --resume .*run, or name another"):
        report(tiny(epochs=1))


def test_a_curve_that_cannot_be_written_is_named_with_a_remedy(tiny):
    arguments = tiny(resume=True)
    (arguments.out / "metrics.csv").mkdir(parents=True)
    save_configuration(arguments.out / "config.yaml", arguments)
    with pytest.raises(
        ConfigError, match=r"metrics\.csv cannot be written .*if it is a folder, move it away"
    ):
        report(arguments)


def test_resume_refuses_another_experiment(tiny):
    report(tiny(epochs=1))
    with pytest.raises(ConfigError, match=r"learning_rate is 0.5, but the run in .* was started with 0.01"):
        report(tiny(epochs=1, learning_rate=0.5, resume=True))


def test_patience_ends_a_run(tiny):
    # At this rate nothing is learned, so that no epoch beats the first by much, if at all.
    result, _ = report(tiny(epochs=6, patience=1, learning_rate=1e-12, minimum_learning_rate=0.0))
    assert result.complete
    assert len(result.history.epochs) == result.history.best.epoch + 1 < 6


def test_the_time_budget_ends_a_run_that_can_be_resumed(tiny, unbroken):
    result, text = report(tiny(epochs=4, time_budget=1e-9))
    assert not result.complete
    assert len(result.history.epochs) == 1
    assert result.weights.exists()
    assert f"dermseg train --resume {result.folder}" in text
    result, _ = report(tiny(epochs=4, resume=True))
    assert_same_run(result.folder, unbroken)


def test_a_loss_that_is_not_a_number_stops_the_run(tiny, monkeypatch):
    report(tiny(epochs=2, time_budget=1e-9))
    monkeypatch.setattr(SegmentationTask, "forward", _not_a_number)
    with pytest.raises(
        ConfigError, match=r"the loss became nan in epoch 2.*Start a new run with a lower learning_rate"
    ):
        report(tiny(epochs=2, resume=True))
    assert (tiny().out / "metrics.csv").read_text().count("\n") == 2
    assert load_model(tiny().out / "model.safetensors")


def _not_a_number(task, images):
    return images[:, :1] * next(task.parameters()).sum() * torch.nan


def test_unusable_files_are_named(tiny, drawn, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(drawn, data)
    broken = next((data / "images").iterdir())
    broken.write_bytes(broken.read_bytes()[:200])
    _, text = report(tiny(epochs=1, data=str(data)))
    assert f"left out: {broken}" in text


def test_a_mistake_is_corrected_in_the_same_folder(tiny, tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        report(tiny(data=str(tmp_path / "mistyped"), epochs=1))
    with pytest.raises(DataError, match="isic2018-2094"):
        report(tiny(split="isic2018-2094", epochs=1))
    assert not tiny().out.exists()
    result, _ = report(tiny(epochs=1))
    assert result.complete


def test_a_run_goes_on_with_data_that_moved(tiny, unbroken, drawn, tmp_path):
    moved = shutil.copytree(drawn, tmp_path / "moved")
    report(tiny(epochs=4, data=str(moved), time_budget=1e-9))
    moved.rename(tmp_path / "again")
    (tiny().out / "checkpoints" / ".last-x1y2z3.ckpt").write_bytes(b"half")
    result, _ = report(tiny(epochs=4, data=str(tmp_path / "again"), resume=True))
    assert_same_run(result.folder, unbroken)
    assert {path.name for path in (result.folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_run_goes_on_with_the_pixels_that_it_began_with(tiny, drawn, no_pictures, tmp_path):
    data = shutil.copytree(drawn, tmp_path / "data")
    report(tiny(data=str(data), time_budget=1e-9))
    # Images that come to the folder take no part.
    for part in ("images", "masks"):
        [first, *_] = sorted((data / part).iterdir())
        shutil.copy(first, first.with_name(f"more{first.suffix}"))
    report(tiny(data=str(data), time_budget=1e-9, epochs=2, resume=True))
    mask = data / "masks" / f"{load_split(tiny().out / 'split.json').train[0]}.png"
    ImageOps.invert(Image.open(mask).convert("L")).save(mask)
    (tiny().out / "summary.json").unlink()
    with pytest.raises(DataError, match=r"data has the names .* but other pixels: .*; restore them"):
        report(tiny(data=str(data), resume=True))
    # As a run of an earlier version.
    (tiny().out / "images.json").unlink()
    assert report(tiny(data=str(data), resume=True))[0].complete


def test_a_batch_too_small_for_a_norm_is_named(tiny):
    with pytest.raises(ConfigError, match=r"a batch of 1 at 32 px .* of unext .*; raise batch_size or size"):
        report(tiny(model="unext", model_arguments={}, size=32, batch_size=1))


def test_one_process_at_a_time_trains_in_a_folder(tiny):
    with open_run(tiny()) as run:
        with pytest.raises(ConfigError, match=r"another process is training in .*run"):
            report(tiny(resume=True))
        assert run.path.exists()
    assert not tiny().out.exists()


def test_names_of_any_bytes_and_with_brackets(tiny_in, drawn, tmp_path):
    data = shutil.copytree(drawn, tmp_path / "[left]data")
    for number, path in enumerate(sorted([*(data / "images").iterdir(), *(data / "masks").iterdir()])):
        # An accent in Latin-1, as old archives have it.
        path.rename(path.with_name(os.fsdecode(b"[b] L\xe9sion %d.png" % (number % 12))))
    (data / "images" / "[b].png").touch()
    result, text = report(tiny_in(tmp_path / "[/b]", data=str(data), epochs=1))
    assert f"left out: {data}/images/[b].png has no mask" in text
    assert f"weights: {tmp_path}/[/b]/model.safetensors" in text
    names = load_split(result.folder / "split.json").train
    assert all(os.fsencode(name).startswith(b"[b] L\xe9sion") for name in names)
    resumed, _ = report(tiny_in(tmp_path / "[/b]", data=str(data), epochs=1, resume=True))
    assert resumed.complete


def test_a_run_may_live_in_a_thread(tiny):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(report, tiny(epochs=1)).result()[0].complete


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "vm_umet"}, "vm_umet"),
        ({"model_arguments": {"wideness": 8}}, "wideness"),
        ({"model_arguments": {"width": "broad"}}, "width must be a whole number"),
        ({"device": "cuda"}, "'cuda' is not available"),
    ],
)
def test_mistakes_leave_no_folder_behind(tiny, monkeypatch, fields, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=message):
        report(tiny(**fields))
    assert not tiny().out.exists()


def test_the_terminal_stays_free_of_noise(tiny, capfd, recwarn):
    _, text = report(tiny(epochs=1))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert [str(warning.message) for warning in recwarn] == []
    assert len(text.splitlines()) < 10


def test_synthetic_data_needs_no_folder(tiny):
    result, text = report(tiny(data="synthetic", synthetic_images=8, epochs=1))
    assert result.weights.exists()
    assert "takes days" not in text


def test_a_large_network_on_a_cpu_is_warned_of(tiny, monkeypatch):
    monkeypatch.setattr("dermseg.training.run._LARGE", 0.0)
    _, text = report(tiny(epochs=1))
    assert "takes days on a CPU; --preset fast is made for one" in text
