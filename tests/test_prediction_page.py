"""The lines of docs/prediction.md run as they are written."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dermseg
from dermseg.export.onnx import export_onnx
from dermseg.inference.predict import COLUMNS
from dermseg.models.base import Preprocessing

PAGE = (Path(__file__).parents[1] / "docs" / "prediction.md").read_text(encoding="utf-8")


def run(code: str) -> dict[str, Any]:
    named: dict[str, Any] = {}
    exec(code, named)  # it is our own page
    return named


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held on its side
    picture = Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)
    picture.save("photo.jpg", quality=95, exif=turned)
    return dermseg.read_image("photo.jpg")


def test_another_program_outlines_what_dermseg_does(photo: np.ndarray):
    torch.manual_seed(0)
    small = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}
    model = dermseg.create_model("vm_unet", **small).eval()
    model.preprocessing = Preprocessing(size=64)
    with torch.inference_mode():
        model.threshold = float(dermseg.Predictor(model).predict(photo).probability.mean())
    export_onnx(model, "default.onnx", fixed_size=True)
    (code,) = re.findall(r"<!-- onnx -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    theirs, ours = run(code), dermseg.Predictor(model).predict(photo)
    np.testing.assert_allclose(theirs["probability"], ours.probability, atol=1e-4)
    assert 0 < ours.mask.mean() < 1
    assert (theirs["mask"] == ours.mask).mean() > 0.999


def test_the_lines_of_python_run(photo: np.ndarray):
    first, second, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    named = run(first + second)
    assert named["segmentation"].mask.shape == photo.shape[:2]
    assert not named["report"].problems
    assert named["report"].table.is_file()


def test_every_column_of_the_table_is_explained():
    assert [column for column in COLUMNS if column not in PAGE and not column.startswith("box")] == []
