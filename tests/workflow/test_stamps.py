"""Which notes about an edition are taken back before it is made again."""

import pandas as pd
import pytest
from small_results import collected, write_results

from crosseyed.report import tables
from crosseyed.tables import write_table
from crosseyed.workflow.stamps import forget_what_is_gone, stamp


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
