"""The model card: every fact of a small made-up set is on it, as Markdown and as a page."""

import json

import numpy as np
import pytest

from dermseg.card.command import card
from dermseg.card.drawings import reliability
from dermseg.card.markdown import write
from dermseg.card.sections import sections
from dermseg.errors import CheckpointError, ConfigError
from dermseg.evaluation.calibration import Calibration


def mean(value):
    return {"mean": value, "low": value - 0.01, "high": value + 0.01, "confidence": 0.95, "method": "BCa"}


def effect(change, level, dice):
    return {
        "change": change,
        "level": level,
        "meaning": "grey | levels",
        "dice": dice,
        "difference": dice - 0.91,
        "movement": 0.02,
        "images": 7,
    }


@pytest.fixture
def facts():
    score = {
        "title": "Lesions <b>of</b> somewhere",
        "command": "dermseg evaluate",
        "images": 7,
        "per_image": {
            name: mean(0.8 + number / 100)
            for number, name in enumerate(
                ("dice", "iou", "threshold_jaccard", "sensitivity", "specificity", "hd95")
            )
        },
        "pooled": {"dice": mean(0.923), "iou": mean(0.857)},
        "failures": 0.125,
        "by_size": [{"group": "below 5 %", "images": 3, "dice": mean(0.71)}],
        "by_label": {"diagnosis": [{"group": "melanoma", "images": 2, "dice": mean(0.66)}]},
        "reliability": Calibration.of(np.linspace(0, 1, 96).reshape(8, 12), np.eye(8, 12) > 0).to_json(),
    }
    return {
        "version": 5,
        "name": "small",
        "file": {"sha256": "abc123", "bytes": 2**21, "parameters": 1_250_000},
        "model": {
            "name": "vm_unet",
            "arguments": {"width": 8},
            "size": 192,
            "mirrors": False,
            "members": 1,
        },
        "training": {
            "split": {"name": "mine", "checksum": "0123456789abcdef"},
            "images": {"train": 1234, "validation": 56, "test": 78},
            "seconds": 3600.0,
            "seeds": [0],
            "parts": [
                {
                    "arguments": {
                        "size": size,
                        "batch_size": 8,
                        "learning_rate": 1e-3,
                        "warmup_epochs": 1,
                        "gradient_clip": 1.0,
                        "weight_average": 0.998,
                        "augmentation": {"preset": "strong"},
                    },
                    "epochs": 12,
                    "kept": {"epoch": 11},
                    "seconds": 1800.0,
                    "environment": {"processor": "a processor", "threads": 2},
                }
                for size in (160, 192)
            ],
        },
        "calibration": {
            "images": 56,
            "networks": 1,
            "size": 192,
            "dice_by_size": {"192": 0.9},
            "temperature": 1.25,
            "threshold": 0.45,
            "expected_dice": {"intercept": -0.1, "slope": 1.1},
            "correlation": 0.77,
            "risk_coverage": [{"share": 0.5, "dice": 0.95}, {"share": 1.0, "dice": 0.9}],
        },
        "scores": [score],
        "effects": {
            "images": 7,
            "dice": 0.91,
            "invariance": [effect("flip", 1, 0.909)],
            "robustness": [effect("noise", level, 0.9 - level / 100) for level in (1, 2, 3)],
        },
        "latency": [
            {
                "runtime": "PyTorch",
                "size": 256,
                "threads": 2,
                "milliseconds": 81.2,
                "fastest": 75.0,
                "processor": "a processor",
            }
        ],
    }


@pytest.fixture
def installed(facts, tmp_path, monkeypatch):
    path = tmp_path / "small.json"
    path.write_text(json.dumps(facts))
    monkeypatch.setattr("dermseg.weights.card_file", lambda _: path)
    return path


def test_a_card_says_that_mirror_images_are_averaged(facts):
    assert "mirror images" not in write("card", sections(facts))
    averaging = facts | {"model": facts["model"] | {"mirrors": True}}
    assert "mean over the image and its three mirror images" in write("card", sections(averaging))


def test_a_card_says_that_it_is_of_several_networks(facts):
    assert "networks, from" not in write("card", sections(facts))
    several = facts | {
        "model": facts["model"] | {"members": 2},
        "training": facts["training"] | {"seeds": [0, 7]},
    }
    written = write("card", sections(several))
    assert "the mean of 2 networks, vm" in written
    assert "Each of 2 networks, from its own seed (0, 7)" in written


def test_every_number_is_on_the_markdown_card(installed, tmp_path):
    assert card(["small"], tmp_path / "card") == 0
    text = (tmp_path / "card" / "small.md").read_text()
    for fact in (
        "1,234 pairs", "0.800 (0.790 to 0.810)", "0.923", "12.5%", "melanoma", "0.710 (0.700 to 0.720)",
        "1.25", "0.45", "abc123", "1.25 million", "2.0 MiB", "| PyTorch | 256 | 2 | 81 | 75 |", "-0.0010",
        "not a medical device", "CC BY-NC 4.0",
    ):  # fmt: skip
        assert fact in text, fact


def test_text_cannot_break_the_markup(installed, tmp_path):
    card(["small"], tmp_path / "card")
    page = (tmp_path / "card" / "small.html").read_text()
    assert "Lesions &lt;b&gt;of&lt;/b&gt; somewhere" in page
    assert "<b>of</b>" not in page
    text = (tmp_path / "card" / "small.md").read_text()
    assert r"grey \| levels" in text
    assert r"| Lesions \<b\>of\</b\> somewhere |" in text
    assert r"## By group: Lesions \<b\>of\</b\> somewhere" in text


def test_the_page_is_one_file_with_its_drawings(installed, tmp_path):
    card(["small"], tmp_path / "card")
    page = (tmp_path / "card" / "small.html").read_text()
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_a_card_has_room_for_more_evaluations_than_colours(facts):
    [scores] = facts["scores"]
    figure = reliability(facts | {"scores": [scores | {"title": f"set {number}"} for number in range(7)]})
    _, *curves = figure.axes[0].lines
    assert [curve.get_label() for curve in curves] == [f"set {number}" for number in range(7)]
    probability, lesion = Calibration.from_json(scores["reliability"], "facts").curve()
    assert curves[6].get_xdata() == pytest.approx(probability)
    assert curves[6].get_ydata() == pytest.approx(lesion)


def test_what_was_not_measured_is_said_to_be_missing(facts):
    text = write("card", sections(facts | {"effects": {}, "latency": []}))
    assert "Not measured" in text
    assert "not measured yet" in text


def test_a_card_says_that_images_of_one_lesion_were_drawn_together(facts):
    said = "Images of one lesion were drawn together."
    assert said not in write("small", sections(facts))
    facts["scores"][0]["intervals_over"] = "lesions"
    assert said in write("small", sections(facts))


def test_weights_without_a_test_side_say_who_stood_the_test(facts):
    out_of_fold = facts["calibration"] | {"networks": 5, "images": 1290}
    text = write("card", sections(facts | {"calibration": out_of_fold}))
    assert "other networks of the same recipe stood" in text
    assert text.count("out-of-fold predictions of 1,290 images, by 5 networks") == 2
    alone = write("card", sections(facts))
    assert "78 were left for the test" in alone
    assert alone.count("the 56 validation images") == 2


def test_without_a_folder_it_is_printed(installed, capsys):
    assert card([], None) == 0
    assert "Robustness" in capsys.readouterr().out


def test_a_file_that_is_no_card_is_not_replaced(installed, tmp_path):
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "small.html").write_text("mine")
    with pytest.raises(ConfigError, match="was not written by dermseg"):
        card(["small"], tmp_path / "card")
    assert (tmp_path / "card" / "small.html").read_text() == "mine"


def test_a_damaged_card_is_named(installed, tmp_path):
    installed.write_text("{")
    with pytest.raises(CheckpointError, match=r"small\.json is missing or damaged"):
        card(["small"], tmp_path)


@pytest.mark.parametrize("printed", [True, False])
@pytest.mark.parametrize("change", ["empty", "no effects", "scores", "arguments"])
def test_a_card_that_lacks_facts_is_named_too(installed, facts, tmp_path, change, printed):
    changed = {
        "empty": {},
        "no effects": {key: value for key, value in facts.items() if key != "effects"},
        "scores": facts | {"scores": 5},
        "arguments": facts | {"model": facts["model"] | {"arguments": [8]}},
    }
    installed.write_text(json.dumps(changed[change]))
    with pytest.raises(CheckpointError, match=r"small\.json is damaged; install dermseg again"):
        card(["small"], None if printed else tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_a_card_whose_facts_cannot_be_drawn_is_named_too(installed, facts, tmp_path):
    facts["scores"][0]["reliability"] = [1]
    installed.write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match=r"small\.json is damaged; install dermseg again"):
        card(["small"], tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_sections_have_distinct_titles(facts):
    titles = [section.title for section in sections(facts)]
    assert len(set(titles)) == len(titles)
