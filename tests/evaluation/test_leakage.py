"""A network is not scored on what it learned from: the same names, lesions or pictures."""

import json
import shutil
from time import sleep

import numpy as np
import pytest
from PIL import Image

from dermseg.data import decoding
from dermseg.data.duplicates import fingerprint
from dermseg.data.duplicates.note import write_note
from dermseg.data.images import read_image
from dermseg.data.preprocessing.table import preprocess
from dermseg.data.splits import Split, save_split
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import CheckpointError, DataError
from dermseg.evaluation import leak_check, report
from dermseg.evaluation.evaluate import evaluate
from dermseg.evaluation.leakage import Learned, read_learned
from dermseg.models.ensemble import Ensemble
from dermseg.models.weights import load_model, read_notes, save_model
from inference.fakes import save_dark_model


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Leave out the pictures, which take most of an evaluation's time."""
    monkeypatch.setattr(report, "contact_sheet", lambda *_, **__: None)
    monkeypatch.setattr(report, "draw_reliability", lambda *_: None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return synthetic_collection(tmp_path_factory.mktemp("drawn"), 8, 96, 0)


@pytest.fixture
def data(drawn, tmp_path):
    """Copy the last four pairs to a data set of their own, under other names."""
    folder = tmp_path / "isic2017"
    for number, pair in enumerate(drawn.pairs[4:]):
        for source, part in ((pair.image, "images"), (pair.mask, "masks")):
            (folder / part).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / part / f"ISIC_000000{number}.png")
    return folder


@pytest.fixture
def weights_of(drawn, tmp_path, monkeypatch):
    """Return a function that saves a network trained on the first four pairs and on others."""

    def save(*, names=(), geometry="squash", steps=(), pictures=True, validation=0, **changed):
        images = {pair.identifier: read_image(pair.image) for pair in drawn.pairs[:4]}
        images |= changed | {name: read_image(drawn.pairs[0].image) for name in names}
        identifiers = sorted(images)
        cut = len(identifiers) - validation
        split = Split("mine", tuple(identifiers[:cut]), tuple(identifiers[cut:]), ())
        notes = {"split": {"train": list(split.train), "validation": list(split.validation), "test": []}}
        if pictures:
            prints = [fingerprint(name, preprocess(image, steps)) for name, image in images.items()]
            notes["fingerprints"] = write_note(split, prints, geometry, steps)
        return save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)

    return save


def summary(out):
    return json.loads((out / "summary.json").read_text())


def test_independent_images_are_scored(data, weights_of, tmp_path, capsys):
    evaluate(data, weights=weights_of(), out=tmp_path / "out")
    found = summary(tmp_path / "out")
    assert (found["trained_on_these"], found["leaks"]) == ([], [])
    assert found["leak_check"] == ["names", "pictures"]
    assert "fingerprints" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["ISIC_0000001", "isic_0000001", "ISIC_0000001_downsampled", "ISIC0000001"])
def test_names_of_the_archive_are_known_across_data_sets(data, weights_of, tmp_path, name):
    with pytest.raises(DataError, match=r"1 of the 4 images carry the names .*: ISIC_0000001\."):
        evaluate(data, weights=weights_of(names=[name]), out=tmp_path / "out")


def test_copies_under_other_names_are_refused_then_stamped(data, drawn, weights_of, tmp_path, capsys):
    image = read_image(drawn.pairs[5].image)
    copy = np.asarray(Image.fromarray(np.rot90(image)[3:, 3:]).resize((90, 100)))
    weights = weights_of(other=copy)
    with pytest.raises(
        DataError,
        match=r"1 of the 4 images are too close .*: ISIC_0000001 and other \(the same picture, corr",
    ):
        evaluate(data, weights=weights, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    evaluate(data, weights=weights, allow_leak=True, out=tmp_path / "out")
    [leak] = summary(tmp_path / "out")["leaks"]
    assert (leak["identifier"], leak["learned"]) == ("ISIC_0000001", "other")
    assert summary(tmp_path / "out")["trained_on_these"] == ["ISIC_0000001"]
    assert "NOT A TEST: 1 of these images" in capsys.readouterr().out


def test_images_are_compared_within_the_budget_of_pixels(data, weights_of, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", 1)
    reading, most, read = [], [], leak_check.read_resized

    def watched(path, *arguments):
        reading.append(path)
        sleep(0.01)
        most.append(len(reading))
        reading.remove(path)
        return read(path, *arguments)

    monkeypatch.setattr(leak_check, "read_resized", watched)
    evaluate(data, weights=weights_of(), out=tmp_path / "out")
    assert most == [1, 1, 1, 1]


def test_of_training_on_middles_the_middle_is_compared(drawn, weights_of, tmp_path):
    wide = np.concatenate([read_image(drawn.pairs[number].image) for number in (6, 5, 7)], axis=1)
    (tmp_path / "wide" / "images").mkdir(parents=True)
    (tmp_path / "wide" / "masks").mkdir()
    Image.fromarray(wide).save(tmp_path / "wide" / "images" / "w.png")
    Image.fromarray(wide[..., 0] < 99).save(tmp_path / "wide" / "masks" / "w.png")
    middle = read_image(drawn.pairs[5].image)
    evaluate(tmp_path / "wide", weights=weights_of(middle=middle), out=tmp_path / "squash")
    with pytest.raises(DataError, match="w and middle"):
        evaluate(tmp_path / "wide", weights=weights_of(geometry="crop", middle=middle), out=tmp_path / "crop")


def test_what_training_did_to_its_images_is_done_before_they_are_compared(drawn, weights_of, tmp_path):
    hairy = np.array(read_image(drawn.pairs[5].image))
    hairy[:, 3::12] = 10
    for part in ("images", "masks"):
        (tmp_path / "hairy" / part).mkdir(parents=True)
    Image.fromarray(hairy).save(tmp_path / "hairy" / "images" / "h.png")
    shutil.copy(drawn.pairs[5].mask, tmp_path / "hairy" / "masks" / "h.png")
    weights = weights_of(steps=["hair_removal", "shades_of_grey"], shaven=hairy)
    with pytest.raises(DataError, match="h and shaven"):
        evaluate(tmp_path / "hairy", weights=weights, out=tmp_path / "out")


def test_scoring_the_validation_side_compares_with_training_alone(data, drawn, weights_of, tmp_path):
    save_split(Split("s", (), ("ISIC_0000001",), ("ISIC_0000002",)), tmp_path / "s.json")
    copies = {f"z{number}": read_image(drawn.pairs[number].image) for number in (5, 6)}
    weights = weights_of(validation=2, **copies)
    evaluate(data, weights=weights, split=tmp_path / "s.json", part="validation", out=tmp_path / "validation")
    assert summary(tmp_path / "validation")["leaks"] == []
    with pytest.raises(DataError, match="ISIC_0000002 and z6"):
        evaluate(data, weights=weights, split=tmp_path / "s.json", out=tmp_path / "test")


@pytest.mark.parametrize("beside", [True, False])
def test_images_of_one_lesion_are_refused(data, drawn, weights_of, tmp_path, beside):
    name = drawn.identifiers[0]
    table = (data if beside else tmp_path) / ("lesions.csv" if beside else "given.txt")
    table.write_text(f"image_id,lesion_id\n{name},L1\nISIC_0000002,L1\nISIC_0000003,L2\n")
    with pytest.raises(DataError, match=rf"ISIC_0000002 and {name} \(lesion_id L1 in {table.name}\)"):
        evaluate(data, weights=weights_of(), groups=None if beside else table, out=tmp_path / "out")


def test_a_table_that_is_found_and_given_counts_once(data, drawn, weights_of, tmp_path):
    table = data / "lesions.csv"
    table.write_text(f"image_id,lesion_id\n{drawn.identifiers[0]},L1\nISIC_0000002,L1\n")
    evaluate(data, weights=weights_of(), groups=table, allow_leak=True, out=tmp_path / "out")
    assert len(summary(tmp_path / "out")["leaks"]) == 1
    assert summary(tmp_path / "out")["leak_check"] == ["names", "lesions and patients", "pictures"]


def test_pairs_of_one_lesion_that_the_package_knows_are_refused(data, drawn, weights_of, tmp_path):
    for part in ("images", "masks"):
        (data / part / "ISIC_0000003.png").rename(data / part / "ISIC_0016003.png")
    weights = weights_of(pictures=False, ISIC_0012222=read_image(drawn.pairs[0].image))
    with pytest.raises(DataError, match=r"ISIC_0016003 and ISIC_0012222 \(one lesion, by the list"):
        evaluate(data, weights=weights, out=tmp_path / "out")


def test_weights_without_fingerprints_are_scored_and_that_is_said(data, weights_of, tmp_path, capsys):
    evaluate(data, weights=weights_of(pictures=False), out=tmp_path / "out")
    assert summary(tmp_path / "out")["leak_check"] == ["names"]
    assert "carry no fingerprints of theirs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"hashes": "x"},
        {"signs": ""},
        {"geometry": "round"},
        {"geometry": None},
        {"preprocessing": "hair_removal"},
        {"preprocessing": [["hair_removal"]]},
    ],
)
def test_a_damaged_note_is_named(data, drawn, tmp_path, monkeypatch, change):
    pair = drawn.pairs[0]
    split = Split("mine", (pair.identifier,), (), ())
    note = write_note(split, [fingerprint(pair.identifier, read_image(pair.image))], "squash") | change
    notes = {"split": {"train": [pair.identifier], "validation": []}, "fingerprints": note}
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    with pytest.raises(CheckpointError, match=r"m\.safetensors is damaged: its note of the pictures"):
        evaluate(data, weights=weights, out=tmp_path / "out")


def trained_after(note, times):
    """Notes of a training that so many others came before."""
    for _ in range(times):
        note = {"split": {"train": ["a"]}, "earlier": note}
    return note


@pytest.mark.parametrize(
    ("notes", "fault"),
    [
        ({"split": {"train": ["a"], "checksum": ["x"]}}, "checksum .* is no text"),
        (trained_after({"split": {"train": ["a"], "checksum": 1}}, 2), "checksum .* is no text"),
        (trained_after({}, 200), "earlier trainings names more than 100"),
    ],
    ids=["checksum", "checksum of an earlier training", "earlier trainings"],
)
def test_a_damaged_note_of_the_split_is_named(tmp_path, monkeypatch, notes, fault):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    with pytest.raises(CheckpointError, match=rf"m\.safetensors is damaged: .*{fault}"):
        read_learned(weights)


def ensemble_notes(*trained):
    """Notes of an ensemble whose members learned from these images; None of one that does not say."""
    return {
        "members": [
            {} if names is None else {"split": {"train": names, "validation": []}} for names in trained
        ]
    }


def test_what_any_member_of_an_ensemble_learned_from_is_known(data, tmp_path, monkeypatch):
    notes = ensemble_notes(["ISIC_0000007"], ["ISIC_0000002"])
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    assert read_learned(weights).names("test") == ("ISIC_0000007", "ISIC_0000002")
    with pytest.raises(DataError, match="ISIC_0000002"):
        evaluate(data, weights=weights, out=tmp_path / "out")


def test_of_an_ensemble_with_a_silent_member_the_others_are_checked(data, tmp_path, monkeypatch, capsys):
    notes = ensemble_notes(None, ["ISIC_0000002"])
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    with pytest.raises(DataError, match="ISIC_0000002"):
        evaluate(data, weights=weights, out=tmp_path / "out")
    notes = ensemble_notes(["ISIC_0000007"], None)
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    evaluate(data, weights=weights, out=tmp_path / "out")
    assert summary(tmp_path / "out")["trained_on_these"] is None
    assert "do not say which images" in capsys.readouterr().out
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=ensemble_notes(None, None))
    assert read_learned(weights) is None


def test_a_member_that_left_no_note_at_all_is_a_silent_one(tmp_path, monkeypatch):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=ensemble_notes(["a"]))
    ensemble = Ensemble([load_model(weights), load_model(weights)])
    save_model(ensemble, weights, notes=read_notes(weights))
    assert not read_learned(weights).complete


def test_the_split_is_known_only_if_all_members_have_it(tmp_path, monkeypatch):
    notes = ensemble_notes(["a"], ["b"])
    for member, checksum in zip(notes["members"], "xx", strict=True):
        member["split"]["checksum"] = checksum
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    assert read_learned(weights).split == "x"
    notes["members"][1]["split"]["checksum"] = "y"
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    assert read_learned(weights).split is None


def test_of_networks_that_share_no_split_none_is_excused():
    nothing = {"train": (), "validation": ()}
    learned = Learned(nothing, split=None, others=(Learned({"train": ("a",), "validation": ()}, split="x"),))
    own, others = learned.divided("x")
    assert (own.names("test"), others.names("test")) == ((), ("a",))


def test_pictures_are_compared_only_if_those_of_every_member_are_known(data, drawn, tmp_path, monkeypatch):
    notes = ensemble_notes(["a"], ["b"])
    split, picture = Split("s", ("a",), (), ()), fingerprint("a", read_image(drawn.pairs[0].image))
    notes["members"][0]["fingerprints"] = write_note(split, [picture], "squash")
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    evaluate(data, weights=weights, out=tmp_path / "out")
    assert summary(tmp_path / "out")["leak_check"] == ["names"]


@pytest.mark.parametrize("members", [2, [], ["x"]])
def test_a_damaged_note_of_members_is_named(tmp_path, monkeypatch, members):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes={"members": members})
    with pytest.raises(CheckpointError, match=r"m\.safetensors: damaged: its note of the members"):
        read_learned(weights)


def test_a_warning_of_the_split_goes_with_the_scores(data, weights_of, tmp_path, capsys):
    names = [f"ISIC_000000{number}" for number in range(4)]
    split = Split(
        "odd", tuple(names[:2]), tuple(names[2:]), (), {"warning": "validation is test", "leaks": ["x"]}
    )
    save_split(split, tmp_path / "odd.json")
    evaluate(data, weights=weights_of(), split=tmp_path / "odd.json", part="validation", out=tmp_path / "out")
    assert summary(tmp_path / "out")["split"]["warning"] == "validation is test"
    assert summary(tmp_path / "out")["split"]["leaks"] == ["x"]
    assert "validation is test" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"odd has no test images; .*validation is test"):
        evaluate(data, weights=weights_of(), split=tmp_path / "odd.json", out=tmp_path / "test")


def test_pairs_that_the_split_of_the_training_names_are_noted(data, drawn, tmp_path, monkeypatch, capsys):
    image = read_image(drawn.pairs[5].image)
    line = "other in train, ISIC_0000001 in test (one lesion)"
    split = Split("frozen", ("other",), (), ("ISIC_0000001", "ISIC_0000002"), {"leaks": [line]})
    save_split(split, tmp_path / "frozen.json")
    notes = {
        "split": {"train": ["other"], "validation": [], "checksum": split.checksum},
        "fingerprints": write_note(split, [fingerprint("other", image)], "squash"),
    }
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    evaluate(data, weights=weights, split=tmp_path / "frozen.json", out=tmp_path / "out")
    assert summary(tmp_path / "out")["trained_on_these"] == ["ISIC_0000001"]
    assert summary(tmp_path / "out")["split"]["leaks"] == [line]
    assert "NOT INDEPENDENT: split frozen has related images on two sides" in capsys.readouterr().out
    with pytest.raises(DataError, match="ISIC_0000001 and other"):
        evaluate(data, weights=weights, out=tmp_path / "all")


@pytest.mark.parametrize("by_lesion", [True, False])
def test_the_split_of_the_training_excuses_nothing_of_the_weights_before(
    data, drawn, tmp_path, monkeypatch, by_lesion
):
    split = Split("mine", ("own",), (), ("ISIC_0000001", "ISIC_0000002"))
    save_split(split, tmp_path / "mine.json")
    pictures = {"own": drawn.pairs[0], "old": drawn.pairs[1 if by_lesion else 5]}
    notes = [
        {
            "split": {"train": [name], "validation": [], "checksum": checksum},
            "fingerprints": write_note(
                Split("s", (name,), (), ()), [fingerprint(name, read_image(pair.image))], "squash"
            ),
        }
        for (name, pair), checksum in zip(pictures.items(), (split.checksum, "another"), strict=True)
    ]
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes[0] | {"earlier": notes[1]})
    if by_lesion:
        table = "image_id,lesion_id\nold,L1\nISIC_0000001,L1\nown,L2\nISIC_0000002,L2\n"
        (data / "lesions.csv").write_text(table)
    scored = {"weights": weights, "split": tmp_path / "mine.json", "out": tmp_path / "out"}
    with pytest.raises(DataError, match=r"1 of the 2 images .*: ISIC_0000001 and old "):
        evaluate(data, **scored)
    evaluate(data, **scored, allow_leak=True)
    wanted = ["ISIC_0000001", "ISIC_0000002"] if by_lesion else ["ISIC_0000001"]
    assert summary(tmp_path / "out")["trained_on_these"] == wanted
