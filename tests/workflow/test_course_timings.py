"""The kept table of what the labs take, as the teachers' page shows it."""

from pathlib import Path

import pandas as pd
import pytest

from crosseyed.course import source
from crosseyed.errors import InputError
from crosseyed.provenance import stamp
from crosseyed.tables import read_table, write_table
from crosseyed.workflow import course_timings

LABS = Path(__file__).parents[2] / source.LABS


def kept(folder, **changed):
    about = {"lab": ["a", "b"], "title": ["First", "A|b"], "chapter": ["01_center_bias", "07_origins"]}
    times = {"minutes": [60, 45], "seconds": [20.4, 100.6], "graded_seconds": [4.0, 9.6], "cores": [2, 2]}
    write_table(stamp(pd.DataFrame(about | times | changed), "cpu"), folder / "timings.csv")
    return folder / "timings.csv"


def test_each_lab_has_a_row_with_what_was_measured(tmp_path):
    shown = course_timings.tabulate(kept(tmp_path)).splitlines()
    assert shown[2] == "| First | {doc}`/notebooks/01_center_bias` | 60 min | 20 s | 4 s |"
    assert shown[3].endswith("| {doc}`/notebooks/07_origins` | 45 min | 101 s | 10 s |")
    assert shown[3].count("|") - shown[3].count("\\|") == 6
    assert "2 cores" in shown[-1]


def test_without_a_table_the_page_says_so(tmp_path):
    assert "bench_labs.py" in course_timings.tabulate(tmp_path / "timings.csv")


def test_a_table_that_is_not_whole_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"timings\.csv.*Make it anew"):
        course_timings.tabulate(kept(tmp_path, seconds=[0.0, 1.0]))
    kept(tmp_path).write_text("lab\na\n")
    with pytest.raises(InputError, match=r"timings\.csv.*Make it anew"):
        course_timings.tabulate(tmp_path / "timings.csv")


def test_the_kept_table_has_the_labs_that_there_are():
    labs = source.read_all(LABS)
    table = read_table(course_timings.TABLE, course_timings.KINDS, "Make it anew.")
    found = list(table[["lab", "title", "chapter", "minutes"]].itertuples(index=False, name=None))
    assert found == [(lab.name, lab.title, lab.chapter, lab.minutes) for lab in labs]
