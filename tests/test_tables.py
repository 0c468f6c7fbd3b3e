import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosseyed import tables
from crosseyed.errors import InputError
from crosseyed.tables import kinds_of, read_table, require_columns, write_table


def test_a_table_with_the_columns_passes():
    require_columns(pd.DataFrame({"a": [1], "b": [2]}), ["a"], "the table")


def test_a_missing_column_is_named_with_the_table_and_its_columns():
    with pytest.raises(InputError, match=r"\['c'\] are missing from the table of rings, which has \['a'\]"):
        require_columns(pd.DataFrame({"a": [1]}), ["a", "c"], "the table of rings")


NAMES = [
    "null",
    "007",
    "1e5",
    "True",
    "NA",
    "nan",
    "`",
    "$x$",
    "{{x}}",
    "[b](c)",
    "a|b",
    "猫",
    "قطة",
    "🐱",
    "a,b",
    'a"b',
    "a\nb",
]
NAMES += [" a ", "a\rb", "a\r\nb", "inf", "-0", "'", "#", "\t", "<NA>", "None"]
REMEDY = "Make it anew."


def test_names_come_back_as_they_were_written(tmp_path):
    table = pd.DataFrame({"name": NAMES, "n": range(len(NAMES))})
    write_table(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", kinds_of(table), REMEDY), table)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1))
def test_any_names_come_back_as_they_were_written(tmp_path, names):
    table = pd.DataFrame({"name": pd.Series(names, dtype="str"), "n": range(len(names))})
    write_table(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", kinds_of(table), REMEDY), table)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_every_kind_comes_back_with_its_missing_values(tmp_path, suffix):
    table = pd.DataFrame(
        {
            "text": pd.Series(["1", None, "x"], dtype="str"),
            "whole": pd.Series([1, pd.NA, 2**53 + 1], dtype="Int64"),
            "number": [0.1, np.nan, np.inf],
            "truth": pd.Series([True, pd.NA, False], dtype="boolean"),
            "all": [True, True, False],
            "count": [1, 2, 3],
        }
    )
    kinds = {
        "text": "text",
        "whole": "whole",
        "number": "number",
        "truth": "truth",
        "all": "truth",
        "count": "whole",
    }
    assert kinds_of(table) == kinds
    write_table(table, tmp_path / f"t{suffix}")
    pd.testing.assert_frame_equal(read_table(tmp_path / f"t{suffix}", kinds, REMEDY, rows=3), table)


KINDS = {"name": "text", "n": "whole", "x": "number", "ok": "truth"}
WHOLE = "name,n,x,ok\na,1,0.5,True\nb,2,1.25,False\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[:-4], "cut off"),
        (WHOLE[: WHOLE.index("b,2")], "1 rows instead of 2"),
        (WHOLE.replace(",True", ""), "line 2 has 3 fields instead of 4"),
        (WHOLE.replace(",True", ",True,"), "line 2 has 5 fields"),
        (WHOLE.replace("1.25", "1,25"), "line 3 has 5 fields"),
        (WHOLE.replace("1.25", "much"), "'x' holds what is not a number"),
        (WHOLE.replace(",2,", ",2.0,"), "'n' holds what is not a whole number"),
        (WHOLE.replace("True", "yes"), "'ok' holds what is not True or False"),
        (WHOLE.replace("ok", "okay"), "lacks ['ok'] and it should not have ['okay']"),
        (WHOLE.replace("ok", "x"), "lacks ['ok']"),
        (WHOLE.replace("\na", '\n"a'), "unexpected end of data"),
        ("", "empty"),
        ("\x00" * 20, "cut off"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(tmp_path, content, words):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        read_table(tmp_path / "t.csv", KINDS, REMEDY, rows=2)
    assert "t.csv" in str(caught.value) and str(caught.value).endswith(REMEDY)


def test_a_compressed_table_that_is_cut_or_altered_is_refused(tmp_path):
    file = tmp_path / "t.csv.gz"
    write_table(pd.DataFrame({"n": range(1000)}), file)
    whole = file.read_bytes()
    for damaged in (whole[:100], whole[:60] + b"x" + whole[61:], b"no archive"):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="not a whole table"):
            read_table(file, {"n": "whole"}, REMEDY)


def test_an_archive_that_holds_too_much_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_LARGEST", 100)
    write_table(pd.DataFrame({"n": [7] * 100}), tmp_path / "t.csv.gz")
    with pytest.raises(InputError, match="more than"):
        read_table(tmp_path / "t.csv.gz", {"n": "whole"}, REMEDY)


def test_the_mark_and_line_ends_of_a_spreadsheet_do_not_matter(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfname,n\r\n007,1\r\n")
    table = read_table(tmp_path / "t.csv", {"name": "text", "n": "whole"}, REMEDY)
    assert table.to_dict("list") == {"name": ["007"], "n": [1]}


def test_a_missing_table_is_an_error_that_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match=f"There is no .*t.csv.*{REMEDY}"):
        read_table(tmp_path / "t.csv", {"n": "whole"}, REMEDY)


def test_half_a_character_is_written_by_its_code(tmp_path):
    write_table(pd.DataFrame({"name": ["a\udc80"]}), tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv", {"name": "text"}, REMEDY)["name"].tolist() == [r"a\udc80"]


def test_a_long_text_is_no_hindrance(tmp_path):
    table = pd.DataFrame({"name": ["x" * 10**6]})
    write_table(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv", {"name": "text"}, REMEDY), table)
