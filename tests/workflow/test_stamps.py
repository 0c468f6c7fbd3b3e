"""Which notes about an edition are taken back before it is made again."""

import pandas as pd
import pytest
from small_results import collected, write_results

from crosseyed.report import tables
from crosseyed.tables import write_table
from crosseyed.workflow.stamps import contents, forget_what_is_gone, stamp


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def write_junk(path):
    path.write_text("junk")


@pytest.fixture
def folder(tmp_path):
    """The folder of an edition whose first chapter and result are done."""
    write_table(collected(write_results(tmp_path / "results")), tmp_path / "result.csv")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01_center_bias.ipynb").touch()
    for name in ("01_center_bias", "result"):
        stamp(tmp_path, name)
    return tmp_path


def notes(folder):
    return {path.name for path in (folder / "done").iterdir()}


def test_what_is_whole_stays_done(folder):
    forget_what_is_gone(folder)
    assert notes(folder) == {"01_center_bias", "result"}


@pytest.mark.parametrize(
    ("file", "damage", "left"),
    [
        ("results/01_center_bias/bias.csv", cut, {"result"}),
        ("results/01_center_bias/bias.csv", lambda path: path.unlink(), {"result"}),
        (f"results/01_center_bias/{tables.RECORD}", write_junk, {"result"}),
        ("notebooks/01_center_bias.ipynb", lambda path: path.unlink(), {"result"}),
        ("result.csv", cut, {"01_center_bias"}),
        ("result.csv", lambda path: pd.read_csv(path)[:1].to_csv(path, index=False), {"01_center_bias"}),
    ],
)
def test_what_is_gone_or_cut_off_is_made_again(folder, file, damage, left):
    damage(folder / file)
    forget_what_is_gone(folder)
    assert notes(folder) == left


def test_what_was_made_from_something_else_is_made_again(folder):
    stamp(folder, "result", "one")
    stamp(folder, "01_center_bias", "two")
    forget_what_is_gone(folder, {"result": "one", "01_center_bias": "other"})
    assert notes(folder) == {"result"}


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"\xff"), lambda path: path.write_text("")])
def test_a_damaged_note_is_taken_back(folder, damage):
    damage(folder / "done" / "result")
    forget_what_is_gone(folder, {"result": "one", "01_center_bias": ""})
    assert notes(folder) == {"01_center_bias"}


def test_contents_are_told_by_name_and_content_alone(tmp_path):
    for name in "abc":
        (tmp_path / name).mkdir()
    for folder, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / folder / "file").write_text(text)
    digests = [contents([tmp_path / folder / "file", tmp_path / "missing"]) for folder in "aabc"]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
