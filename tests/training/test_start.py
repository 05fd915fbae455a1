"""Runs that start from weights."""

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from dermseg.data.splits import Split, load_split, save_split
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import CheckpointError, ConfigError, DataError
from dermseg.evaluation.evaluate import evaluate
from dermseg.evaluation.leakage import read_learned
from dermseg.models.join import join
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, read_notes, save_model
from dermseg.training.run import train
from dermseg.training.start import create_network

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def run(tiny):
    """Return a function that trains one epoch; it takes fields to override."""

    def begin(**fields):
        return train(replace(tiny(epochs=1), **fields), Console(quiet=True))

    return begin


@pytest.fixture
def first(run, tmp_path):
    """Return the weights of an earlier run."""
    return run(out=tmp_path / "first").weights


def renamed(folder):
    """Draw other images under other names, and return their folder."""
    others = synthetic_collection(folder / "others", 12, 32, 1)
    for pair in others.pairs:
        for source, part in ((pair.image, "images"), (pair.mask, "masks")):
            (folder / "renamed" / part).mkdir(parents=True, exist_ok=True)
            source.rename(folder / "renamed" / part / f"other_{pair.identifier}.png")
    return folder / "renamed"


def test_a_run_starts_from_the_weights_alone(tiny, first):
    kept = load_model(first)
    kept.mirrors = True
    save_model(kept, first, threshold=0.3, notes=read_notes(first))
    network = create_network(tiny(weights=str(first), model_arguments={}))
    for key, value in kept.state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key
    assert (network.threshold, network.expected_dice, network.mirrors) == (0.5, None, False)


@pytest.mark.parametrize("frozen", [False, True])
def test_from_weights_a_network_learns_in_training_mode(run, tmp_path, frozen):
    normed = {"model": "unet", "model_arguments": {"width": 2}}
    first = run(out=tmp_path / "first", **normed).weights
    second = run(
        weights=str(first), split=str(first.parent / "split.json"), frozen_norms=frozen, **normed
    ).weights
    before, after = (load_model(weights).state_dict() for weights in (first, second))
    moved = {key.rsplit(".")[-1] for key, value in before.items() if not torch.equal(value, after[key])}
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    assert moved & statistics == (set() if frozen else statistics)
    assert "weight" in moved


def test_of_an_ensemble_the_first_member_goes_on(run, tiny, tmp_path, first):
    second = run(out=tmp_path / "second", seed=1, split=str(first.parent / "split.json")).weights
    joined = tmp_path / "joined.safetensors"
    join([first, second], joined)
    network = create_network(tiny(weights=str(joined), model_arguments={}))
    for key, value in load_model(first).state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key


def test_a_run_from_weights_goes_on_where_they_are(run, tmp_path, first):
    again = run(weights=str(first), learning_rate=1e-5, split=str(first.parent / "split.json"))
    fresh = run(out=tmp_path / "fresh", learning_rate=1e-5, split=str(first.parent / "split.json"))
    assert again.history.best.train_loss < fresh.history.best.train_loss
    assert str(tmp_path) not in (again.folder / "summary.json").read_text()


def test_arguments_of_another_network_are_refused(tiny, first):
    with pytest.raises(ConfigError, match=r"is of vm_unet, but model is unet; add --model vm_unet"):
        create_network(tiny(weights=str(first), model="unet", model_arguments={}))
    with pytest.raises(ConfigError, match=r"width is 16, but the network of .*model.safetensors has 8"):
        create_network(tiny(weights=str(first), model_arguments={"width": 16}))
    with pytest.raises(CheckpointError, match="does not exist"):
        create_network(tiny(weights="absent.safetensors"))


def test_images_of_the_earlier_run_are_not_tested_on(run, tiny, first, tmp_path):
    split = load_split(first.parent / "split.json")
    turned = Split("turned", split.test, split.validation, split.train)
    save_split(turned, tmp_path / "turned.json")
    fields = {"weights": str(first), "split": str(tmp_path / "turned.json")}
    with pytest.raises(
        DataError, match=rf"{len(split.train)} of the .* test images of split turned have shaped"
    ):
        run(**fields)
    second = run(**fields, allow_leak=True)
    assert set(read_learned(second.weights).names("test")) == set(split.identifiers)
    with pytest.raises(DataError, match="shaped this network"):
        evaluate(tiny().data, weights=second.weights, split=fields["split"], out=tmp_path / "scores")


def test_other_images_of_its_lesions_are_not_tested_on(run, first, tmp_path):
    data = renamed(tmp_path)
    names = sorted(path.stem for path in (data / "images").iterdir())
    save_split(Split("apart", names[:8], names[8:10], names[10:]), tmp_path / "apart.json")
    old, new = load_split(first.parent / "split.json").train[0], names[10]
    (tmp_path / "given.csv").write_text(f"image_id,lesion_id\n{old},L1\n{new},L1\n")
    fields = {
        "weights": str(first),
        "data": str(data),
        "groups": str(tmp_path / "given.csv"),
        "split": str(tmp_path / "apart.json"),
    }
    with pytest.raises(DataError, match=rf"1 of the 2 test images of split apart .*too good: {new}\."):
        run(**fields)
    assert run(**fields, allow_leak=True).complete


def test_a_lesion_on_two_sides_that_the_split_names_does_not_end_the_next_training(
    run, first, monkeypatch, tmp_path
):
    split = load_split(first.parent / "split.json")
    (tmp_path / "given.csv").write_text(f"image_id,lesion_id\n{split.train[0]},L1\n{split.test[0]},L1\n")
    fields = {"groups": str(tmp_path / "given.csv"), "split": str(first.parent / "split.json")}
    monkeypatch.setattr("dermseg.training.division.frozen_splits", lambda: [fields["split"]])
    assert run(weights=str(first), **fields).complete


def test_images_of_the_earlier_run_stay_known(run, first, tmp_path):
    data = str(renamed(tmp_path))
    second = run(weights=str(first), data=data)
    learned, split = read_learned(second.weights), load_split(second.folder / "split.json")
    assert learned.pictured
    assert learned.names("test")[: len(split.train)] == split.train
    assert set(load_split(first.parent / "split.json").train) < set(learned.names("test"))
    third = run(
        weights=str(second.weights),
        data=data,
        split=str(second.folder / "split.json"),
        out=tmp_path / "third",
    )
    assert set(read_learned(third.weights).names("test")) == set(learned.names("test"))


def test_how_the_weights_came_to_be_is_noted_and_the_same_images_once(run, first, tmp_path):
    split = str(first.parent / "split.json")
    second = run(weights=str(first), split=split)
    third = run(weights=str(second.weights), split=split, size=64, out=tmp_path / "third")
    sizes, notes = [], read_notes(third.weights)
    while notes:
        sizes.append(notes["arguments"]["size"])
        notes = notes.get("earlier")
        assert notes is None or "split" not in notes
    assert sizes == [64, 32, 32]


def test_weights_that_do_not_say_what_shaped_them_are_taken(run, tiny, tmp_path):
    network = create_model("vm_unet", **tiny().model_arguments)
    save_model(network, tmp_path / "silent.safetensors")
    result = run(weights=str(tmp_path / "silent.safetensors"))
    assert result.complete


def gone(weights, _):
    weights.unlink()


def replaced(weights, second):
    weights.write_bytes(second.read_bytes())


def there(*_):
    pass


@pytest.mark.parametrize("fate", [there, gone, replaced])
def test_a_run_from_weights_is_resumed_whatever_became_of_their_file(tiny, run, first, tmp_path, fate):
    split = str(first.parent / "split.json")
    arguments = tiny(weights=str(first), split=split, epochs=2)
    whole = train(arguments, Console(quiet=True))
    parted = replace(arguments, out=tmp_path / "parted", time_budget=1e-6)
    assert not train(parted, Console(quiet=True)).complete
    fate(first, run(out=tmp_path / "second", seed=1).weights)
    done = train(replace(parted, resume=True, time_budget=None), Console(quiet=True))
    assert (done.folder / "metrics.csv").read_text() == (whole.folder / "metrics.csv").read_text()
    ours, theirs = load_model(done.weights), load_model(whole.weights)
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())
    assert read_notes(done.weights)["earlier"] == read_notes(whole.weights)["earlier"]
    text = io.StringIO()
    train(replace(parted, resume=True, time_budget=None), Console(file=text))
    assert "nothing to resume" in text.getvalue()


def test_without_a_finished_epoch_the_weights_must_be_those_of_the_beginning(
    tiny, run, first, tmp_path, monkeypatch
):
    arguments = tiny(weights=str(first), split=str(first.parent / "split.json"), epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr("dermseg.training.run.fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(arguments, Console(quiet=True))
    kept, other = first.read_bytes(), run(out=tmp_path / "second", seed=1).weights
    first.write_bytes(other.read_bytes())
    resumed = replace(arguments, resume=True)
    with pytest.raises(ConfigError, match=r"other weights than the run in .* began with"):
        train(resumed, Console(quiet=True))
    first.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        train(resumed, Console(quiet=True))
    first.write_bytes(kept)
    assert train(resumed, Console(quiet=True)).complete


def interrupted(*_):
    raise KeyboardInterrupt


def test_a_run_that_an_earlier_version_began_goes_on_with_the_file(tiny, first):
    arguments = tiny(weights=str(first), split=str(first.parent / "split.json"), epochs=2, time_budget=1e-6)
    begun = train(arguments, Console(quiet=True))
    (begun.folder / "origin.json").unlink()
    resumed = replace(arguments, resume=True, time_budget=None)
    assert train(resumed, Console(quiet=True)).complete
    assert read_notes(begun.weights)["earlier"]["model"] == "vm_unet"
