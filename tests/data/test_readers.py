import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermseg.data.images import read_mask
from dermseg.data.layouts import LAYOUTS
from dermseg.data.pairs import identifier_of
from dermseg.data.readers import read_collection, read_folders
from dermseg.errors import ConfigError, DataError


def draw(path: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, "white").save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A `folder` layout with the good pairs a and b."""
    for name in ("a", "b"):
        draw(tmp_path / "images" / f"{name}.png")
        draw(tmp_path / "masks" / f"{name}.png", mode="L")
    return tmp_path


def problems(path: Path) -> dict[str, str]:
    collection = read_collection(path)
    assert collection.identifiers == ("a", "b")
    return {problem.path.name: problem.reason for problem in collection.problems}


class TestLayouts:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_every_name_is_read_and_says_what_is_missing(self, tmp_path, layout):
        with pytest.raises(DataError, match=rf"^{tmp_path} "):
            read_collection(tmp_path, layout)

    def test_isic2018_reads_all_parts(self, tmp_path):
        for part, name in (("Training", "ISIC_0000001"), ("Validation", "ISIC_0000002")):
            draw(tmp_path / f"ISIC2018_Task1-2_{part}_Input" / f"{name}.jpg")
            draw(tmp_path / f"ISIC2018_Task1_{part}_GroundTruth" / f"{name}_segmentation.png", mode="L")
        draw(tmp_path / "ISIC2018_Task1-2_Training_Input" / "ISIC_0000001_superpixels.png")
        (tmp_path / "ISIC2018_Task1-2_Training_Input" / "LICENSE.txt").touch()
        draw(tmp_path / "ISIC2018_Task1-2_Test_Input" / "ISIC_0000003.jpg")
        collection = read_collection(tmp_path)
        assert (collection.name, collection.identifiers) == (
            "isic2018_task1",
            ("ISIC_0000001", "ISIC_0000002"),
        )
        assert collection.sides == {"ISIC_0000001": "train", "ISIC_0000002": "validation"}
        [problem] = collection.problems
        assert problem.path.name == "ISIC2018_Task1-2_Test_Input"
        assert "ISIC2018_Task1_Test_GroundTruth" in problem.reason

    @pytest.mark.parametrize(
        ("layout", "images", "masks", "ending"),
        [
            (
                "isic2016_task1",
                "ISBI2016_ISIC_Part1_Training_Data",
                "ISBI2016_ISIC_Part1_Training_GroundTruth",
                "_Segmentation",
            ),
            (
                "isic2017_task1",
                "ISIC-2017_Training_Data",
                "ISIC-2017_Training_Part1_GroundTruth",
                "_segmentation",
            ),
        ],
    )
    @pytest.mark.parametrize("doubled", [False, True])
    def test_earlier_years(self, tmp_path, layout, images, masks, ending, doubled):
        def folder(name: str) -> Path:
            return tmp_path / name / name if doubled else tmp_path / name

        draw(folder(images) / "ISIC_0000001.jpg")
        draw(folder(images) / "ISIC_0000001_superpixels.png")
        draw(folder(masks) / f"ISIC_0000001{ending}.png", mode="L")
        collection = read_collection(tmp_path)
        assert (collection.name, collection.identifiers) == (layout, ("ISIC_0000001",))
        assert collection.sides == {"ISIC_0000001": "train"}
        assert not collection.problems

    def test_the_test_part_of_2017_is_its_second_version(self, tmp_path):
        draw(tmp_path / "ISIC-2017_Test_v2_Data" / "ISIC_0000001.jpg")
        draw(tmp_path / "ISIC-2017_Test_v2_Part1_GroundTruth" / "ISIC_0000001_segmentation.png", mode="L")
        assert read_collection(tmp_path).sides == {"ISIC_0000001": "test"}

    def test_ham10000_joins_its_two_folders_of_images(self, tmp_path):
        for part, name in (("1", "ISIC_0024306"), ("2", "ISIC_0029325")):
            draw(tmp_path / f"HAM10000_images_part_{part}" / f"{name}.jpg")
            draw(tmp_path / "HAM10000_segmentations_lesion_tschandl" / f"{name}_segmentation.png", mode="P")
        collection = read_collection(tmp_path)
        assert (collection.name, collection.identifiers) == ("ham10000", ("ISIC_0024306", "ISIC_0029325"))
        assert not collection.problems

    def test_masks_of_ham10000_with_an_inverted_palette(self, tmp_path):
        mask = Image.fromarray(np.array([[0, 1], [1, 1]], np.uint8), "P")
        mask.putpalette([255, 255, 255, 0, 0, 0])
        mask.save(tmp_path / "mask.png")
        assert read_mask(tmp_path / "mask.png").tolist() == [[True, False], [False, False]]

    def test_several_official_data_sets_in_one_folder_must_be_told_apart(self, tmp_path):
        draw(tmp_path / "ISIC-2017_Training_Data" / "ISIC_0000001.jpg")
        draw(tmp_path / "ISIC-2017_Training_Part1_GroundTruth" / "ISIC_0000001_segmentation.png", mode="L")
        draw(tmp_path / "ISIC2018_Task1-2_Training_Input" / "ISIC_0000002.jpg")
        with pytest.raises(
            DataError, match=r"several data sets \(isic2017_task1, isic2018_task1\).*--layout"
        ):
            read_collection(tmp_path)
        assert read_collection(tmp_path, "isic2017_task1").identifiers == ("ISIC_0000001",)

    @pytest.mark.parametrize("inside", [False, True])
    def test_ph2_nested(self, tmp_path, inside):
        root = tmp_path / "PH2 Dataset images"
        for name in ("IMD002", "IMD003"):
            draw(root / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
            draw(root / name / f"{name}_lesion" / f"{name}_lesion.bmp", mode="1")
            draw(root / name / f"{name}_roi" / f"{name}_R1_Label2.bmp", mode="1")
        collection = read_collection(root if inside else tmp_path)
        assert (collection.name, collection.identifiers) == ("ph2", ("IMD002", "IMD003"))
        assert not collection.problems

    def test_ph2_nested_folder_without_image_is_named(self, tmp_path):
        for name in ("IMD002", "IMD003", "IMD004"):
            draw(tmp_path / name / f"{name}_Dermoscopic_Image" / f"{name}.bmp")
            draw(tmp_path / name / f"{name}_lesion" / f"{name}_lesion.bmp", mode="1")
        (tmp_path / "IMD003" / "IMD003_Dermoscopic_Image").rename(tmp_path / "IMD003" / "image")
        (tmp_path / "IMD005").mkdir()
        collection = read_collection(tmp_path)
        assert collection.identifiers == ("IMD002", "IMD004")
        named = {problem.path.name for problem in collection.problems}
        assert named >= {"IMD003", "IMD005"}

    def test_ph2_flat(self, tmp_path):
        draw(tmp_path / "images" / "IMD002.jpg")
        draw(tmp_path / "masks" / "IMD002_lesion.png", mode="L")
        collection = read_collection(tmp_path)
        assert (collection.name, collection.identifiers) == ("ph2", ("IMD002",))

    def test_folder_with_other_names_and_endings(self, tmp_path):
        draw(tmp_path / "Images" / "x1.JPG")
        draw(tmp_path / "GroundTruth" / "x1_Segmentation.PNG", mode="L")
        [pair] = read_collection(tmp_path, "folder").pairs
        assert (pair.image.name, pair.mask.name) == ("x1.JPG", "x1_Segmentation.PNG")

    def test_two_folders_anywhere(self, tmp_path):
        draw(tmp_path / "p" / "x.png")
        draw(tmp_path / "q" / "deep" / "x_mask.png", mode="L")
        assert read_folders(tmp_path / "p", tmp_path / "q" / "deep").identifiers == ("x",)

    def test_masks_elsewhere(self, folder):
        (folder / "masks").rename(folder / "outlines")
        assert read_collection(folder / "images", masks=folder / "outlines").identifiers == ("a", "b")
        with pytest.raises(DataError, match=r"masks: .*absent is not a folder"):
            read_collection(folder / "images", masks=folder / "absent")

    def test_a_name_that_ends_like_a_mask_matches_itself_first(self, folder):
        for name in ("x_seg.png", "y.png"):
            draw(folder / "images" / name)
        for name in ("x_seg.png", "y_seg.png"):
            draw(folder / "masks" / name, mode="L")
        collection = read_collection(folder)
        assert collection.identifiers == ("a", "b", "x_seg", "y")
        assert not collection.problems

    def test_pairs_match_by_identifier_not_order(self, tmp_path):
        for name in ("a", "c", "d"):
            draw(tmp_path / "images" / f"{name}.png")
        for name in ("b", "c", "d"):
            draw(tmp_path / "masks" / f"{name}.png", mode="L")
        collection = read_collection(tmp_path)
        assert [(pair.image.stem, pair.mask.stem) for pair in collection.pairs] == [("c", "c"), ("d", "d")]
        assert {problem.path.stem for problem in collection.problems} == {"a", "b"}


class TestProblems:
    def test_good_data_have_none(self, folder):
        assert problems(folder) == {}

    def test_unmatched(self, folder):
        draw(folder / "images" / "x.png")
        draw(folder / "masks" / "y_lesion.png", mode="L")
        found = problems(folder)
        assert found.keys() == {"x.png", "y_lesion.png"}
        assert "no mask" in found["x.png"]
        assert "no image" in found["y_lesion.png"]

    def test_a_folder_beside_the_one_that_is_read(self, folder):
        draw(folder / "IMG" / "c.png")
        draw(folder / "Labels" / "a.png", mode="L")
        (folder / "gt").mkdir()
        (folder / "image").symlink_to("images")
        found = problems(folder)
        assert found == {
            "IMG": "is passed over, since images is read; move its files there, or rename it",
            "Labels": "is passed over, since masks is read; move its files there, or rename it",
        }

    def test_two_folders_whose_names_differ_in_case_alone(self, folder):
        draw(folder / "IMAGES" / "c.png")
        if (folder / "images" / "c.png").exists():
            pytest.skip("the file system takes them for one")
        assert problems(folder) == {
            "IMAGES": "is passed over, since images is read; move its files there, or rename it"
        }

    def test_duplicates_are_all_left_out(self, folder):
        for name in ("x.png", "x.jpg"):
            draw(folder / "images" / name)
        draw(folder / "masks" / "x.png", mode="L")
        found = read_collection(folder).problems
        assert [problem.path.name for problem in found] == ["x.jpg", "x.png", "x.png"]
        assert all("2 images and 1 masks for identifier x; keep one" in problem.reason for problem in found)

    def test_mask_of_another_size(self, folder):
        draw(folder / "images" / "x.png", (6, 4))
        draw(folder / "masks" / "x.png", (5, 6), "L")
        assert problems(folder) == {"x.png": "is 5 x 6 pixels but its image is 6 x 4; export it at that size"}

    def test_image_turned_by_its_exif_and_mask_not(self, folder):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (6, 4)).save(folder / "images" / "x.jpg", exif=exif)
        draw(folder / "masks" / "x.png", (6, 4), "L")
        assert "turned on its side: does only the image have an EXIF orientation" in problems(folder)["x.png"]

    def test_unreadable(self, folder):
        for name in ("zero", "text", "loop"):
            draw(folder / "masks" / f"{name}.png", mode="L")
        (folder / "images" / "zero.png").touch()
        (folder / "images" / "text.png").write_text("hello")
        (folder / "images" / "loop.png").symlink_to("loop.png")
        found = problems(folder)
        assert found.keys() == {"zero.png", "text.png", "loop.png"}
        assert "0 bytes" in found["zero.png"]
        assert "not an image" in found["text.png"]
        assert "broken link" in found["loop.png"]

    def test_hidden_files_and_folder_loops_are_passed_over(self, folder):
        (folder / "images" / "._a.png").write_text("resource fork")
        (folder / "images" / "Thumbs.db").write_text("thumbnails")
        (folder / "images" / "loop").symlink_to(folder)
        (folder / "loop").symlink_to(folder)
        assert problems(folder) == {}

    def test_arabic_names_match_across_unicode_forms(self, tmp_path):
        composed, decomposed = "\u0622\u0641\u0629", "\u0627\u0653\u0641\u0629"
        draw(tmp_path / "images" / f"{composed}.png")
        draw(tmp_path / "masks" / f"{decomposed}_mask.png", mode="L")
        assert read_collection(tmp_path).identifiers == (composed,)

    def test_a_name_that_is_only_an_ending_is_kept(self):
        assert identifier_of(Path("_mask.png"), ("_mask",)) == "_mask"


class TestUnusableFolders:
    def test_no_pair(self, tmp_path):
        draw(tmp_path / "images" / "a.png")
        (tmp_path / "masks").mkdir()
        with pytest.raises(DataError, match=r"no usable pair.*a\.png has no mask"):
            read_collection(tmp_path)

    def test_no_layout_says_what_was_expected_and_found(self, tmp_path):
        draw(tmp_path / "photos" / "a.png")
        with pytest.raises(DataError, match=r"Expected sub-folders images and masks.*Found: photos/"):
            read_collection(tmp_path)
        with pytest.raises(DataError, match=r"needs the sub-folders images and masks.*Found: photos/"):
            read_collection(tmp_path, "folder")

    def test_wrong_layout_has_no_pair(self, folder):
        with pytest.raises(DataError, match=r"no usable pair.*Found: nothing"):
            read_collection(folder, "isic2018_task1")

    def test_missing_folder_and_file(self, tmp_path):
        for path in (tmp_path / "missing", draw(tmp_path / "a.png")):
            with pytest.raises(DataError, match="is not a folder"):
                read_collection(path)

    def test_unknown_layout(self, folder):
        with pytest.raises(
            ConfigError, match=r"'coco'; choose auto, isic2016_task1, .*isic2018_task1, ham10000, ph2, folder"
        ):
            read_collection(folder, "coco")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
    def test_forbidden_folder(self, folder):
        (folder / "images").chmod(0)
        with pytest.raises(DataError, match="check its permissions"):
            read_collection(folder)


def test_select_keeps_the_order_asked_for_and_names_what_is_missing(folder):
    collection = read_collection(folder)
    assert [pair.identifier for pair in collection.select(["b", "a"])] == ["b", "a"]
    with pytest.raises(DataError, match="lacks x, y"):
        collection.select(["a", "x", "y"])


def test_pixels_are_not_decoded(folder):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    cut = folder / "images" / "cut.png"
    Image.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:200])
    draw(folder / "masks" / "cut.png", (64, 64), "L")
    assert "cut" in read_collection(folder).identifiers
