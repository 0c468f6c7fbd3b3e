"""The declared tables of the chapters: read, missing, unavailable, complete."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.report import tables
from crosseyed.report.tables import (
    RECORD,
    TABLES,
    MissingTableError,
    UnavailableTableError,
    check_complete,
    check_declared,
    read,
)
from crosseyed.tables import write_table

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a chapter that wrote `one`, could not make `two` and forgot `three`."""
    monkeypatch.setitem(tables.TABLES, "chapter", ("one", "two", "three"))
    write_table(pd.DataFrame({"gap": [1.5]}), tmp_path / "chapter" / "one.csv")
    (tmp_path / "chapter" / RECORD).write_text(json.dumps({"two": "the tower has no class token"}))
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
    write_table(pd.DataFrame({"gap": [1.5]}), folder / "two.csv")
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
    write_table(pd.DataFrame({"gap": [2.0]}), folder / "three.csv")
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
