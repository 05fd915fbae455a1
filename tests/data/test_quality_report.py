"""The quality report: what is suspicious, the page, the JSON file, and the command that writes them."""

import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from PIL import Image

from dermseg.cli import main
from dermseg.data.commands import check
from dermseg.data.pairs import Collection
from dermseg.data.quality import examination
from dermseg.data.quality.examination import examine
from dermseg.data.quality.measures import measure_pair
from dermseg.data.quality.record import record
from dermseg.data.readers import read_collection
from dermseg.errors import ConfigError, DataError

SIDE = 96
SKIN, LESION = (222, 184, 160), (110, 70, 55)


def disc(radius, row=SIDE / 2, column=SIDE / 2):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return np.hypot(rows - row, columns - column) <= radius


def write_pair(folder: Path, name: str, mask, lesion=LESION, skin=SKIN, seed=None):
    """Write a pair whose texture is its own, so that only planted copies are near-duplicates."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogateescape")) if seed is None else seed)
    coarse = rng.integers(0, 256, (16, 16), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255 - 0.5
    flat = np.where(mask[..., None], lesion, skin)
    image = np.clip(flat + 60 * texture[..., None], 0, 255).astype(np.uint8)
    Image.fromarray(image).save(folder / "images" / f"{name}.png")
    Image.fromarray(mask).save(folder / "masks" / f"{name}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One pair for everything that can be suspicious, and sound ones."""
    folder = tmp_path / "data"
    sound, pieces, holed, left_open = disc(24), disc(24), disc(24), np.ones((SIDE, SIDE), bool)
    pieces[2:5, 2:5] = True
    holed[46:50, 46:50] = False
    left_open[30:60, 30:60] = False
    write_pair(folder, "sound", sound, seed=1)
    write_pair(folder, "lighter", sound, lesion=SKIN, skin=LESION, seed=2)
    write_pair(folder, "pieces", pieces, seed=3)
    write_pair(folder, "holed", holed, seed=4)
    write_pair(folder, "full", np.ones((SIDE, SIDE), bool), seed=5)
    write_pair(folder, "framed", left_open, seed=6)
    write_pair(folder, "faint", sound, lesion=(218, 181, 157), seed=7)
    write_pair(folder, "copied", sound, seed=8)
    Image.open(folder / "images" / "copied.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        folder / "images" / "copy.png"
    )
    Image.open(folder / "masks" / "copied.png").save(folder / "masks" / "copy.png")
    return folder


class Page(HTMLParser):
    """Collects tags and text, and fails on tags that do not match."""

    VOID = ("meta", "img", "br", "link", "input")

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch):
    """Leave the figures out, which take most of the time: one test looks at them."""
    monkeypatch.setattr("dermseg.data.quality.page.section_of_images", lambda _: "")


def test_each_suspicion_is_raised_about_its_pair_alone(data: Path):
    facts = record(examine(read_collection(data)), "data")
    assert facts["suspicious"] == {
        "lesion_lighter": ["lighter"],
        "low_contrast": ["faint"],
        "touches_all_sides": ["full", "framed"],
        "full": ["full"],
        "several_components": ["pieces"],
        "holes": ["framed", "holed"],
    }
    assert [(pair["first"], pair["second"]) for pair in facts["near_duplicates"]] == [("copied", "copy")]
    assert facts["sizes"] == [{"height": SIDE, "width": SIDE, "images": 9}]
    assert facts["counts"]["usable_pairs"] == len(facts["pairs"]) == 9


def test_the_worst_comes_first(tmp_path: Path):
    for name, corner in (("a", 3), ("b", 9), ("c", 5)):
        mask = disc(20)
        mask[:corner, :corner] = True
        write_pair(tmp_path, name, mask)
    found = examine(read_collection(tmp_path)).suspicious["several_components"][1]
    assert [pair.identifier for pair in found] == ["b", "c", "a"]


def test_the_mean_mask_is_the_share_of_lesions(tmp_path: Path):
    left, top = np.zeros((SIDE, SIDE), bool), np.zeros((SIDE, SIDE), bool)
    left[:, : SIDE // 2] = True
    top[: SIDE // 2] = True
    write_pair(tmp_path, "left", left)
    write_pair(tmp_path, "top", top)
    mean = examine(read_collection(tmp_path)).mean_mask
    quarter = mean.shape[0] // 4
    corners = [mean[row, column] for row in (quarter, 3 * quarter) for column in (quarter, 3 * quarter)]
    assert corners == [1, 0.5, 0.5, 0]


def test_the_page_is_one_file_that_shows_every_kind(data: Path, tmp_path: Path):
    assert check(str(data), "auto", out=tmp_path / "out") == 0
    text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    for heading in ("Lesion lighter than skin: 1", "Masks with holes: 2", "Near-duplicates: 1"):
        assert heading in page.text
    for plot in ("outside the border; suspicious above 0", "across the border; suspicious below 3"):
        assert plot in text
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe"}
    addresses = [
        value
        for _, attributes in page.tags
        for key, value in attributes.items()
        if key in ("src", "href", "xlink:href") and value
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(identifiers)
    # Eight suspicious pairs and both images of the duplicate.
    assert sum(tag == "img" for tag, _ in page.tags) == 10


@pytest.mark.usefixtures("undrawn")
def test_pictures_are_small_and_encoded_anew(data: Path, tmp_path: Path):
    name = "lighter"
    wide = np.asarray(Image.open(data / "images" / f"{name}.png").resize((900, 900)))
    Image.fromarray(wide).save(data / "images" / f"{name}.png")
    Image.open(data / "masks" / f"{name}.png").resize((900, 900)).save(data / "masks" / f"{name}.png")
    check(str(data), "auto", out=tmp_path / "out")
    page = Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    sides = [int(attributes["width"] or 0) for tag, attributes in page.tags if tag == "img"]
    assert max(sides) == 160


def test_json_has_the_same_facts(data: Path, tmp_path: Path):
    check(str(data), "auto", record=tmp_path / "new" / "facts.json")
    facts = json.loads((tmp_path / "new" / "facts.json").read_text(encoding="utf-8"))
    assert facts["version"] == 1
    assert facts["counts"]["full"] == 1
    pair = next(pair for pair in facts["pairs"] if pair["identifier"] == "full")
    assert pair["area_share"] == 1
    assert pair["sides"] == ["top", "bottom", "left", "right"]
    assert pair["colours"] is None


@pytest.mark.usefixtures("undrawn")
def test_broken_files_are_named_and_do_not_stop_the_page(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    whole = (data / "images" / "sound.png").read_bytes()
    (data / "images" / "sound.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((SIDE, SIDE), bool)).save(data / "masks" / "holed.png")
    (data / "masks" / "faint.png").unlink()
    assert check(str(data), "auto", out=tmp_path / "out", record=tmp_path / "facts.json") == 3
    facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    assert facts["empty_masks"] == ["holed"]
    assert facts["counts"]["usable_pairs"] == 6
    page = Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    printed = capsys.readouterr().out
    assert len(facts["problems"]) == 3
    for problem in facts["problems"]:
        assert problem["path"] in page.text
        assert problem["reason"] in page.text
        assert problem["path"] in printed


def test_what_does_not_fit_into_memory_is_named(data: Path, monkeypatch: pytest.MonkeyPatch):
    def measure(identifier, *rest):
        if identifier == "sound":
            raise MemoryError
        return measure_pair(identifier, *rest)

    monkeypatch.setattr(examination, "measure_pair", measure)
    found = examine(read_collection(data))
    assert [(problem.path.stem, "memory" in problem.reason) for problem in found.problems] == [
        ("sound", True)
    ]
    assert len(found.measures) == 8


def test_an_interrupt_does_not_wait_for_what_has_not_begun(data: Path, monkeypatch: pytest.MonkeyPatch):
    begun = []

    def look(pair):
        begun.append(pair)
        sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(examination, "_look", look)
    pairs = read_collection(data).pairs * 50
    with pytest.raises(KeyboardInterrupt):
        examine(Collection("many", pairs))
    assert len(begun) < len(pairs) // 2


def test_data_without_a_usable_pair_still_get_a_page(tmp_path: Path):
    write_pair(tmp_path / "data", "empty", np.zeros((SIDE, SIDE), bool))
    assert check(str(tmp_path / "data"), "auto", out=tmp_path / "out") == 1
    assert "marks no lesion" in Page((tmp_path / "out" / "index.html").read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    "name", ['<script>alert("x")<', "شامة & 'نقطة'", b"caf\xe9".decode("utf-8", "surrogateescape")]
)
@pytest.mark.usefixtures("undrawn")
def test_hostile_names_are_shown_as_text(tmp_path: Path, name: str):
    mask = disc(24)
    mask[2:5, 2:5] = True
    try:
        write_pair(tmp_path / name, name.replace("/", ""), mask, seed=1)
    except OSError:
        pytest.skip("this file system refuses such a name")
    check(str(tmp_path / name), "auto", out=tmp_path / "out", record=tmp_path / "facts.json")
    page = Page((tmp_path / "out" / "index.html").read_bytes().decode("utf-8"))
    assert not any(tag == "script" for tag, _ in page.tags)
    assert name.encode("utf-8", "replace").decode().replace("?", "\N{REPLACEMENT CHARACTER}") in page.text
    facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    assert facts["suspicious"]["several_components"] == [name]


@pytest.mark.usefixtures("undrawn")
def test_a_page_of_ours_is_replaced_and_another_is_kept(data: Path, tmp_path: Path):
    out = tmp_path / "out"
    check(str(data), "auto", out=out)
    check(str(data), "auto", out=out)
    (out / "index.html").write_text("<h1>my home page</h1>", encoding="utf-8")
    with pytest.raises(ConfigError, match="choose another folder"):
        check(str(data), "auto", out=out)
    assert "my home page" in (out / "index.html").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_found_out_before_the_work(data: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        check(str(data), "auto", out=tmp_path / "file" / "out")


@pytest.mark.usefixtures("undrawn")
def test_the_command_takes_both_options(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, facts = tmp_path / "out", tmp_path / "facts.json"
    assert main(["data", "check", str(data), "--out", str(out), "--json", str(facts)]) == 0
    assert facts.is_file()
    printed = capsys.readouterr().out
    assert "9 usable pairs" in printed
    assert f"Open {out / 'index.html'}" in printed
