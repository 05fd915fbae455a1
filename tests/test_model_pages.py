"""The generated pages and the table of costs are what the script would write today."""

import importlib.util
from functools import cache
from pathlib import Path

import pytest

from dermseg.costs.table import stored_costs
from dermseg.models.registry import list_models
from dermseg.models.summary import summarize

ROOT = Path(__file__).parents[1]
REMEDY = "run python scripts/model_pages.py"

specification = importlib.util.spec_from_file_location("model_pages", ROOT / "scripts" / "model_pages.py")
assert specification is not None
assert specification.loader is not None
pages = importlib.util.module_from_spec(specification)
specification.loader.exec_module(pages)
summary = cache(summarize)


@pytest.mark.parametrize("name", list_models())
def test_regenerating_changes_nothing(name):
    assert pages.cost_row(summary(name)) == stored_costs()[name], REMEDY
    assert pages.page(summary(name)) == (pages.PAGES / f"{name}.md").read_text(encoding="utf-8"), REMEDY


def test_the_index_and_the_folder_are_complete():
    assert {path.stem for path in pages.PAGES.glob("*.md")} == {*list_models(), "README"}
    assert pages.index([summary(name) for name in list_models()]) == (pages.PAGES / "README.md").read_text(
        encoding="utf-8"
    ), REMEDY


def test_figures_are_those_recorded():
    page = pages.page(summary("xlstm_vmunet"))
    assert "| 300 of isic2018 | 0.875 (0.855 to 0.891) | 0.804 | 0.894 |" in page
    assert "(../../results/benchmark-reduced/README.md)" in pages.page(summary("vm_unet"))
    assert "Not measured yet." in pages.page(summary("pra_net"))


def test_a_page_shows_the_released_training():
    assert "gradient_clip_by: value" in pages.page(summary("pra_net"))
