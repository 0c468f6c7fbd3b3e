"""The declared tables of the chapters: read, missing, unavailable, complete."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.report import tables
from crosseyed.report.tables import (
    RECORD,
    TABLES,
    MissingTableError,
    Record,
    UnavailableTableError,
    check_complete,
    check_declared,
    read,
)

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a chapter that wrote `one`, could not make `two` and forgot `three`."""
    monkeypatch.setitem(tables.TABLES, "chapter", ("one", "two", "three"))
    tables.write_record(tmp_path / "chapter", Record(unavailable={"two": "the tower has no class token"}))
    tables.write(tmp_path / "chapter", "one", pd.DataFrame({"gap": [1.5]}))
    return tmp_path / "chapter"


def test_every_notebook_is_a_chapter_with_tables():
    assert list(TABLES) == sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    assert all(len(names) == len(set(names)) > 0 for names in TABLES.values())


@pytest.mark.parametrize("chapter", TABLES)
def test_a_notebook_that_begins_a_chapter_names_only_its_declared_tables(chapter):
    source = (NOTEBOOKS / f"{chapter}.ipynb").read_text(encoding="utf-8")
    written = set(re.findall(r'chapter\.write\(\s*\\"(\w+)\\"', source))
    assert written <= set(TABLES[chapter])


def test_a_table_is_read_as_it_was_written(folder):
    pd.testing.assert_frame_equal(read(folder.parent, "chapter", "one"), pd.DataFrame({"gap": [1.5]}))


def test_a_table_that_cannot_be_made_gives_the_reason(folder):
    with pytest.raises(UnavailableTableError, match=r"^the tower has no class token$"):
        read(folder.parent, "chapter", "two")


def test_a_table_about_other_models_alone_gives_the_reason(folder):
    tables.write(folder, "two", pd.DataFrame({"gap": [1.5]}))
    with pytest.raises(UnavailableTableError, match="class token"):
        read(folder.parent, "chapter", "two")


def test_a_table_that_is_missing_is_named_with_its_place(folder):
    with pytest.raises(
        MissingTableError, match=r"'three' of the chapter chapter is not at .*three\.csv.*make book"
    ):
        read(folder.parent, "chapter", "three")


def test_unknown_chapters_and_tables_are_refused_with_a_suggestion(folder):
    with pytest.raises(InputError, match="chapter '01_centre_bias'; did you mean '01_center_bias'"):
        check_declared("01_centre_bias", "bias")
    with pytest.raises(InputError, match="table of the chapter chapter 'thre'; did you mean 'three'"):
        read(folder.parent, "chapter", "thre")


def test_a_chapter_is_complete_when_each_table_is_there_or_explained(folder):
    with pytest.raises(MissingTableError, match=r"ended without its table\(s\) three\."):
        check_complete(folder, "chapter")
    tables.write(folder, "three", pd.DataFrame({"gap": [2.0]}))
    check_complete(folder, "chapter")


def test_rows_are_put_in_the_order_of_another_table():
    pattern = pd.DataFrame({"control": ["size", "size", "crop"], "condition": ["b", "b", "a"], "n": 1})
    table = pd.DataFrame({"control": ["crop", "size"], "condition": ["a", "b"], "gap": [1.0, 2.0]})
    ordered = tables.in_order_of(pattern, ["control", "condition"], table)
    assert ordered.to_dict("list") == {
        "control": ["size", "crop"],
        "condition": ["b", "a"],
        "gap": [2.0, 1.0],
    }


def test_rows_are_put_in_a_given_order():
    table = pd.DataFrame({"model": ["b", "a", "b", "a"], "source": ["x", "x", "y", "y"], "n": range(4)})
    ordered = tables.in_order(table, model=["b", "a"], source=["y", "x"])
    assert list(ordered["n"]) == [2, 0, 3, 1]


def test_names_in_a_table_of_a_chapter_stay_text(folder):
    table = pd.DataFrame({"object": ["007", "null", "1e5"], "row": [0.0, np.nan, 1.0], "n": [1, 2, 3]})
    tables.write(folder, "three", table)
    pd.testing.assert_frame_equal(read(folder.parent, "chapter", "three"), table)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text[: text.index("b,")],
        lambda text: text.replace("gap", "gaps"),
        lambda text: text.replace("2.5", "much"),
        lambda text: text.replace("2.5", "2.6"),  # as in the table of another run
        lambda text: "",
    ],
)
def test_a_table_that_was_cut_or_altered_is_refused(folder, damage):
    tables.write(folder, "three", pd.DataFrame({"model": ["a", "b", "c"], "gap": [1.5, 2.5, 3.5]}))
    assert tables.are_whole(folder)
    file = folder / "three.csv"
    file.write_text(damage(file.read_text()))
    assert not tables.are_whole(folder)
    with pytest.raises(InputError, match=r"three\.csv.*cut off, altered, or of another run.*make book"):
        read(folder.parent, "chapter", "three")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "null", '{"rows": 1}', "\0", '{"two": "the old form"}', '{"tables": ["one"]}'),
        '{"tables": {"one": {"rows": 1, "kinds": {"gap": "number"}}}}',
    ],
)
def test_a_damaged_record_is_refused(folder, content):
    (folder / RECORD).write_text(content)
    with pytest.raises(InputError, match=r"tables\.json.*damaged"):
        read(folder.parent, "chapter", "one")
    assert not tables.are_whole(folder)


def test_a_file_that_the_chapter_did_not_write_is_left(folder):
    (folder / "three.csv").write_text("mine")
    with pytest.raises(InputError, match=r"three\.csv.*left as it is"):
        tables.write(folder, "three", pd.DataFrame({"gap": [1.0]}))
    assert (folder / "three.csv").read_text() == "mine"


def test_an_earlier_execution_is_cleared_but_not_what_is_not_its_own(folder):
    (folder / "mine.csv").write_text("mine")
    tables.clear(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.csv"]
