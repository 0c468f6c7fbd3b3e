import numpy as np
import pytest
from PIL import Image

from crosseyed.data.captions import read_captions
from crosseyed.data.left_out import LeftOutWarning, NothingUsableError
from crosseyed.errors import InputError


@pytest.fixture
def photographs(tmp_path):
    """A folder with two photographs of 80 × 60 pixels, and a function that writes a table of captions there."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 60)).save(tmp_path / name)

    def write(*rows, header="image,caption,x,y"):
        (tmp_path / "captions.csv").write_text("\n".join([header, *rows]), encoding="utf-8")
        return tmp_path / "captions.csv"

    return write


def test_captions_take_the_place_of_objects_and_positions_give_eccentricity(photographs):
    file = photographs('a.png,"a dog, asleep",1,0', "b.png,a Schlüssel,0.5,0.6")
    table = read_captions(file).table
    assert table["object"].tolist() == ["a dog, asleep", "a Schlüssel"]
    assert table["path"].tolist() == [str(file.parent / name) for name in ("a.png", "b.png")]
    np.testing.assert_allclose(table["eccentricity"], [1, 6 / 50])  # half the diagonal is 50 pixels
    assert table["center"].tolist() == [False, True]


def test_further_columns_are_carried_along_and_the_photographs_may_lie_elsewhere(photographs, tmp_path):
    file = photographs("1,0.5,a.png,a dog,0.5,wolf", header="seed,y,image,caption,x,object")
    (tmp_path / "tables").mkdir()
    table = read_captions(file.rename(tmp_path / "tables" / "captions.csv"), tmp_path).table
    assert table["seed"].tolist() == ["1"]
    assert table["object"].tolist() == ["a dog"]
    assert table["eccentricity"].tolist() == [0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("b.png,a key,1.2,0.5", "'1.2' is not between 0 and 1"),
        ("b.png,a key,nan,0.5", "'nan' is not between 0 and 1"),
        ("b.png,a key,,0.5", "'' is not between 0 and 1"),
        ("b.png,a key,left,0.5", "'left' is not between 0 and 1"),
        ("b.png, ,0.5,0.5", "the caption is empty"),
        (",a key,0.5,0.5", "the image is empty"),
        ("c.png,a key,0.5,0.5", "there is no image 'c.png'"),
        ("captions.csv,a key,0.5,0.5", "not an image"),
        ("a.png,A  dog,0.5,0.5", "'a.png' is listed above"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_counted(photographs, row, reason):
    with pytest.warns(LeftOutWarning) as caught:
        data = read_captions(photographs("a.png,a dog,0.5,0.5", row))
    assert data.table["image"].tolist() == ["a.png"]
    (left_out,) = data.left_out.to_dict("records")
    assert left_out["row"] == 2 and left_out["image"] == (row.split(",")[0] or None)
    assert reason in left_out["detail"]
    assert len(caught) == 1
    assert f"1 × {left_out['reason']} (row 2)" in str(caught[0].message)
    assert data.summary == f"1 of 2 rows are used (left out: 1 × {left_out['reason']})."


@pytest.mark.filterwarnings("ignore::crosseyed.data.left_out.LeftOutWarning")
@pytest.mark.parametrize("other", ["a key,0.5,0.5", "a dog,0.5,0.6"])
def test_an_image_with_two_captions_or_places_is_left_out(photographs, other):
    data = read_captions(photographs("a.png,a dog,0.5,0.5", "b.png,a key,0.1,0.1", f"./a.png,{other}"))
    assert data.table["image"].tolist() == ["b.png"]
    assert data.left_out["row"].tolist() == [1, 3]
    assert set(data.left_out["reason"]) == {"image with several captions or places"}


def test_captions_that_differ_in_case_and_blanks_alone_are_one(photographs):
    table = read_captions(photographs("a.png,A  Dog ,0.5,0.5", "b.png,a dog,0.1,0.1")).table
    assert table["object"].tolist() == ["A Dog", "A Dog"]


def test_the_faults_of_a_table_without_a_usable_row_are_listed(photographs):
    with pytest.raises(NothingUsableError, match=r"row 1: image file missing.*row 3: ") as caught:
        read_captions(photographs(*["gone.png,a dog,0.5,0.5"] * 4))
    assert caught.value.left_out["row"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("hint", ["sep=;", "SEP=;", '"sep=;"', "sep=|"])
def test_a_decimal_comma_and_the_hint_of_a_separator_are_read(photographs, hint):
    mark = hint.strip('"')[-1]
    file = photographs(
        "a.png;a dog;0,25;0,75".replace(";", mark),
        header=f"{hint}\n{mark.join(('image', 'caption', 'x', 'y'))}",
    )
    assert read_captions(file).table[["x", "y"]].to_numpy().tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,caption,x\na.png,a dog,0.5\n", "no column 'y'"),
        (b"", "is not a table"),
        (b"image,caption,x,y\n\xff\xfe,a,0,0\n", "is not text in UTF-8"),
        (b"image,caption,x,y\na.png,a dog,0.5,0.5,1,2\n,,,,,,,\n", "Row 1 .* has 6 fields and the header 4"),
        (b"image,caption,x,y\na.png,a dog, asleep,0.5,0.5\n", "Row 1 .*quotes"),
        (b"image,caption,x,y\na.png,a dog\n", "Row 1 .*has 2 fields .*cut off"),
        (b"image|caption|x|y\na.png|a dog|0.5|0.5\n", "no column 'image'"),
        (
            b"image,caption,x,y\na.png,a dog,-0.4,0\nb.png,a key,0.1,-0.2\n",
            "2 of 2 .*distances from the center",
        ),
        (b"image,captions,x,y\na.png,a dog,0.5,0.5\n", "no column 'caption'.*did you mean 'captions'"),
        (
            b"image,caption,x,x\na.png,a dog,0.5,0.5\n",
            r"more than one column 'x'; expected image, caption, x, y\.$",
        ),
        (b"image,caption,x,y\na.png,a\x00dog,0.5,0.5\n", "NUL"),
        (b"image,caption,x,y\na.png,a dog,40,30\nb.png,a key,10,20\n", "2 of 2 rows .* pixels or percent"),
        (b"image,caption,x,y\n", "None of the 0 rows"),
        (b"image,caption,x,y\ngone.png,a dog,0.5,0.5\n", "None of the 1 rows.*gone.png"),
    ],
)
def test_a_table_without_a_usable_row_is_refused(tmp_path, content, message):
    (tmp_path / "captions.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_captions(tmp_path / "captions.csv")


def test_a_missing_table_of_captions_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*captions\.csv"):
        read_captions(tmp_path / "captions.csv")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_are_read_as_office_programs_write_them(photographs, encoding, separator):
    file = photographs("a.png,a Schlüssel,0.5,0.75", header=" Image,CAPTION,x,y ")
    file.write_bytes(file.read_text(encoding="utf-8").replace(",", separator).encode(encoding))
    table = read_captions(file).table
    assert table["object"].tolist() == ["a Schlüssel"]


def test_the_name_of_a_further_column_does_not_change_the_separator(photographs):
    data = read_captions(photographs("a.png,a dog,0.5,0.5,2", header="image,caption,x,y,a;b;c;d;e;f"))
    assert data.table["a;b;c;d;e;f"].tolist() == ["2"]


def test_what_a_further_column_says_stays_text(photographs):
    file = photographs("a.png,a dog,0.5,0.5,007", "b.png,a key,0.5,0.5,null", header="image,caption,x,y,code")
    assert read_captions(file).table["code"].tolist() == ["007", "null"]


def test_no_image_outside_the_folder_is_read(photographs, tmp_path):
    file = photographs("../outside.png,a dog,0.5,0.5")
    Image.new("RGB", (8, 6)).save(tmp_path.parent / "outside.png")
    with pytest.raises(InputError, match="there is no image"):
        read_captions(file)
