import os
from pathlib import Path

import pytest

from dermseg.errors import DataError
from dermseg.inference.inputs import find_images, result_names

from .fakes import write_lesion


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.JPG", "deep/er/c.tif", ".hidden.png", "._a.jpg", ".git/d.png"):
        write_lesion(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def found(*arguments):
    inputs = find_images(arguments)
    return [path.name for path in inputs.images], inputs.problems


def test_folders_are_searched_with_their_sub_folders(folder):
    assert found(folder) == (["a.JPG", "b.png", "c.tif"], [])


def test_pictures_of_formats_that_are_not_read_are_problems(folder):
    (folder / "deep" / "IMG_1.HEIC").write_bytes(b"phone")
    (folder / ".hidden.heic").write_bytes(b"phone")
    names, [problem] = found(folder)
    assert names == ["a.JPG", "b.png", "c.tif"]
    assert problem.path.name == "IMG_1.HEIC"
    assert "export it as PNG or JPEG" in problem.reason


def test_globs(folder):
    assert found(f"{folder}/*.png")[0] == ["b.png"]
    assert found(f"{folder}/**/*.tif")[0] == ["c.tif"]
    assert found(f"{folder}/d*")[0] == ["c.tif"]


def test_a_name_with_glob_characters_is_a_name_first(tmp_path):
    assert found(write_lesion(tmp_path / "x[1].png"))[0] == ["x[1].png"]


def test_each_image_is_taken_once(folder):
    assert found(folder / "b.png", folder, f"{folder}/*.png")[0] == ["b.png", "a.JPG", "c.tif"]


def test_named_files_are_taken_whatever_their_ending(folder):
    assert found(folder / "notes.txt")[0] == ["notes.txt"]


def test_arguments_that_stand_for_nothing_are_problems(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    names, problems = found(folder / "b.png", folder / "gone.png", f"{folder}/*.bmp", tmp_path / "empty")
    assert names == ["b.png"]
    assert [problem.path.name for problem in problems] == ["gone.png", "*.bmp", "empty"]
    assert ["does not exist" in problems[0].reason, "matches no" in problems[1].reason] == [True, True]


@pytest.mark.parametrize(
    ("argument", "reason"),
    [("", "empty argument"), ("a" * 300 + ".jpg", "too long"), ("a" * 300 + "*.jpg", "")],
    ids=["empty", "too long", "too long a pattern"],
)
def test_an_argument_that_cannot_be_a_name_does_not_stop_the_others(folder, monkeypatch, argument, reason):
    monkeypatch.chdir(folder)
    names, [problem] = found(argument, folder / "b.png")
    assert names == ["b.png"]
    assert reason in problem.reason


def test_folders_that_cannot_be_searched_are_problems(folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    names, [problem] = found(folder)
    assert names == ["a.JPG", "b.png"]
    assert (problem.path, problem.reason) == (folder / "deep", "cannot be searched (Permission denied)")


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", ["masks"]),
        ("Img", ["GroundTruth", "labels"]),
        ("ISIC2018_Task1-2_Test_Input", ["ISIC2018_Task1_Test_GroundTruth"]),
        ("ISBI2016_ISIC_Part1_Test_Data", ["ISBI2016_ISIC_Part1_Test_GroundTruth"]),
        ("ISIC-2017_Validation_Data", ["ISIC-2017_Validation_Part1_GroundTruth"]),
        ("HAM10000_images_part_2", ["HAM10000_segmentations_lesion_tschandl"]),
        ("IMD002_Dermoscopic_Image", ["IMD002_lesion", "IMD002_roi"]),
    ],
)
def test_masks_of_a_data_set_are_passed_over(tmp_path, images, masks):
    for folder in (images, *masks, "IMD003_lesion", "ISIC2018_Task1_Training_GroundTruth"):
        write_lesion(tmp_path / "data" / folder / f"{folder}.png")
    inputs = find_images([tmp_path])
    assert {path.stem for path in inputs.images} == {
        images,
        "IMD003_lesion",
        "ISIC2018_Task1_Training_GroundTruth",
    }
    assert [path.name for path in inputs.mask_folders] == masks
    assert found(tmp_path / "data" / masks[0])[0] == [f"{masks[0]}.png"]


def test_a_folder_of_masks_alone_is_a_folder_of_images(tmp_path):
    write_lesion(tmp_path / "masks" / "a.png")
    assert found(tmp_path)[0] == ["a.png"]


def test_nothing_at_all_is_an_error_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"No image found in: .*\.jpg"):
        find_images([tmp_path])
    with pytest.raises(DataError, match="No image found in: nothing"):
        find_images([])


def test_names_are_stems_unless_they_meet():
    paths = [Path(name) for name in ("in/a/x.jpg", "in/b/x.jpg", "in/b/x.png", "in/y.jpg", "in/a/X.bmp")]
    assert result_names(paths) == ["a-x-jpg", "b-x-jpg", "b-x-png", "y", "a-X-bmp"]


def test_names_tell_folders_above_the_working_folder_apart(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert result_names([Path("../x.jpg"), Path("x.jpg")]) == ["x-jpg", "work-x-jpg"]
    assert result_names([Path("../work/x.jpg"), Path("x.png")]) == ["x-jpg", "x-png"]


def test_names_that_still_meet_are_numbered():
    paths = [Path("a/x.jpg"), Path("b/x.jpg"), Path("c/a-x-jpg.png"), Path("d/a-x-jpg-2.png")]
    names = result_names(paths)
    assert names == ["a-x-jpg", "b-x-jpg", "a-x-jpg-2", "a-x-jpg-2-2"]


def test_names_that_are_no_text_become_text_and_stay_apart():
    paths = [Path(os.fsdecode(name)) for name in (b"caf\xe9.jpg", b"caf\xe8.jpg", b"\xe9" * 150 + b".jpg")]
    names = result_names(paths)
    assert names[:2] == ["caf\N{REPLACEMENT CHARACTER}", "caf\N{REPLACEMENT CHARACTER}-2"]
    assert len(names[2].encode()) < 255 - len("_probability.png")


def test_long_names_fit_a_file_system():
    # 120 letters of two bytes each are a legal name that leaves no room for an ending.
    names = result_names([Path(f"{'ع' * 120}.jpg"), Path(f"{'ع' * 119}ل.jpg")])
    assert len(set(names)) == 2
    assert all(len(os.fsencode(name)) < 255 - len("_probability.png") for name in names)
