"""What tables of metadata say about images of one lesion or patient, and what is wrong with some tables."""

import pytest

from dermseg.data.groups import Group, crossing, crossing_lines, find_groups, published_groups, read_groups
from dermseg.data.splits import Split
from dermseg.errors import DataError

NAMES = ("ISIC_0000001", "ISIC_0000002", "ISIC_0000003", "ISIC_0000004", "ISIC_0000005")


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def members(groups):
    return [group.identifiers for group in groups]


def test_ham10000(tmp_path):
    path = table(
        tmp_path / "HAM10000_metadata",
        "lesion_id,image_id,dx,age\n"
        "HAM_1,ISIC_0000002,nv,40\nHAM_1,ISIC_0000001,nv,40\nHAM_2,ISIC_0000003,mel,\nHAM_2,ISIC_9999999,mel,\n",
    )
    [group] = read_groups(path, NAMES)
    assert group == Group(("ISIC_0000001", "ISIC_0000002"), "lesion_id HAM_1 in HAM10000_metadata")
    assert members(find_groups(tmp_path, NAMES)) == [group.identifiers]


def test_isic_archive_has_lesions_and_patients(tmp_path):
    path = table(
        tmp_path / "metadata.csv",
        "\ufeffISIC_ID;Patient_ID;lesion_id\r\n"
        "ISIC_0000001;P1;L1\r\nISIC_0000002;P1;L2\r\nISIC_0000003;;L2\r\nISIC_0000004;;\r\nISIC_0000005;NA;nan\r\n",
    )
    assert members(read_groups(path, NAMES)) == [
        ("ISIC_0000002", "ISIC_0000003"),
        ("ISIC_0000001", "ISIC_0000002"),
    ]


def test_names_may_be_paths(tmp_path):
    text = "image,lesion_id\nimages/ISIC_0000001.jpg,1\nD:\\data\\images\\ISIC_0000002.jpg,1\n"
    assert members(read_groups(table(tmp_path / "t.csv", text), NAMES)) == [("ISIC_0000001", "ISIC_0000002")]


def test_names_may_end_as_files_do(tmp_path):
    path = table(
        tmp_path / "t.csv", "image,lesion_id\nISIC_0000001.jpg,1\nISIC_0000002.JPG,1\nb.c,2\nb.d,2\n"
    )
    assert members(read_groups(path, [*NAMES, "b.c", "b.d"])) == [
        ("ISIC_0000001", "ISIC_0000002"),
        ("b.c", "b.d"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_encodings_in_which_programs_save_tables(tmp_path, encoding, end):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = f"{mark}image_id,lesion_id{end}ISIC_0000001,1{end}ISIC_0000002,1{end}é,2{end}"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert members(find_groups(tmp_path, NAMES)) == [("ISIC_0000001", "ISIC_0000002")]


@pytest.mark.parametrize(
    "above", ["sep=;\n", "SEP=;\r\n", "\n", " \n\n", "# of the archive, 2024\n#\n", "\nsep=;\n# a\n"]
)
def test_what_programs_write_above_a_table_is_passed_over(tmp_path, above):
    path = table(tmp_path / "t.csv", f"{above}image_id;lesion_id\nISIC_0000001;1\nISIC_0000002;1\n")
    assert members(find_groups(tmp_path, NAMES)) == [("ISIC_0000001", "ISIC_0000002")]
    table(path, f"{above}image_id;lesion_id\nISIC_0000001\n")
    with pytest.raises(DataError, match=rf"line {above.count(chr(10)) + 2} has 1 of 2 values"):
        read_groups(path, NAMES)


def test_a_column_may_be_named_by_the_sign_of_a_comment(tmp_path):
    table(tmp_path / "t.csv", "#,image_id,lesion_id\n1,ISIC_0000001,1\n2,ISIC_0000002,1\n")
    assert members(find_groups(tmp_path, NAMES)) == [("ISIC_0000001", "ISIC_0000002")]


def test_tables_lie_in_the_data_folder_or_beside_it(tmp_path):
    data = tmp_path / "images"
    data.mkdir()
    table(tmp_path / "beside.csv", "image_id,lesion_id\nISIC_0000001,1\nISIC_0000002,1\n")
    table(data / "inside.tab", "image_id\tpatient_id\nISIC_0000003\t1\nISIC_0000004\t1\n")
    table(data / "other-images.csv", "image_id,lesion_id\nx,1\ny,1\n")
    table(data / "diagnosis.csv", "image_id,diagnosis\nISIC_0000003,nevus\n")
    (data / "binary.csv").write_bytes(b"\x00\xff\xfe,\x00")
    (data / "empty.csv").touch()
    (data / "folder.csv").mkdir()
    assert sorted(members(find_groups(data, NAMES))) == [
        ("ISIC_0000001", "ISIC_0000002"),
        ("ISIC_0000003", "ISIC_0000004"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "needs a column image_id or isic_id.*its columns are none"),
        (
            b"image_id,diagnosis\nISIC_0000001,nevus\n",
            "needs a column .* and a column lesion_id or patient_id",
        ),
        (b"lesion_id,patient_id\n1,2\n", "needs a column image_id"),
        (b"image_id,lesion_id,lesion_id\nISIC_0000001,1,2\n", "several columns of one name"),
        (b"image_id,lesion_id\nx,1\n", "names none of the 5 images"),
        (b"image_id,lesion_id\nISIC_0000001\n", "line 2 has 1 of 2 values"),
        (b"image_id,lesion_id\nISIC_0000001,\xff\n", "cannot be read as a table"),
        (b"image_id,lesion_id\nISIC_0000001," + b"x" * 200_000 + b"\n", "is no table"),
        (b"x" * 200_000, "is no table"),
        (
            b"image_id,lesion_id\n" + b"".join(f"{name},same\n".encode() for name in NAMES),
            "puts 5 of 5 images together",
        ),
    ],
)
def test_other_tables_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"odd\.csv .*{message}"):
        read_groups(path, NAMES)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_groups(tmp_path / "none.csv", NAMES)


def test_published_pairs_of_the_data_alone():
    kept, later = ("ISIC_0012222", "ISIC_0016003"), ("ISIC_0000240", "ISIC_0009998")
    assert members(published_groups([*kept, *later, "ISIC_0000157"])) == [kept, later]
    assert published_groups(["a"]) == []


def test_groups_on_several_sides():
    split = Split("s", ("a", "b"), ("c",), ("d", "e"))
    groups = [
        Group(("a", "b"), "1"),
        Group(("a", "d", "e"), "2"),
        Group(("c", "x"), "3"),
        Group(("b", "c"), "4"),
    ]
    assert crossing(groups, split) == [groups[1], groups[3]]
    assert crossing_lines(crossing(groups, split), split, limit=1) == [
        "a in train, d, e in test (2)",
        "and 1 more",
    ]
