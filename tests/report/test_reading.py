"""Tables as readers see them."""

import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.report import reading

ROWS = pd.DataFrame(
    {
        "model": ["a|b <i>", "$x$"],
        "gap": [64.04, -0.02],
        "gap_low": [62.0, np.nan],
        "gap_high": [66.16, np.nan],
        "bias_index": [0.904, np.nan],
        "p_corrected": [0.00004, 0.0451],
        "n": [12800, 7],
        "harmless": [True, False],
        "low": [0.0, 0.0],
        "high": [1.0, 1.0],
    }
)


def test_cells_hold_what_a_reader_needs():
    shown = reading.table(ROWS, ["model", "gap", "bias_index", "p_corrected", "n", "harmless"]).data
    assert list(shown) == ["model", "gap (points)", "index", "p, corrected", "images", "harmless"]
    assert shown.iloc[0].tolist() == ["a|b <i>", "64.0 [62.0,\xa066.2]", "0.90", "< 0.001", "12,800", "yes"]
    assert shown.iloc[1].tolist() == ["$x$", "0.0", "–", "0.045", "7", "no"]


def test_the_interval_without_a_name_belongs_to_the_estimate():
    rows = ROWS.rename(columns={"bias_index": "mean"})
    shown = reading.table(rows, {"n": "n", "mean": "share", "p_corrected": "p"}, digits=2).data
    assert shown.iloc[0].tolist() == ["12,800", "0.90 [0.00,\xa01.00]", "< 0.001"]
    assert list(shown) == ["n", "share", "p"]
    own = reading.table(ROWS, ["gap", "bias_index"], digits=0).data
    assert own.iloc[0].tolist() == ["64 [62,\xa066]", "0.90"]


def test_a_minus_is_a_minus_and_numbers_stand_at_the_right():
    page = reading.table(pd.DataFrame({"object": ["cup"], "change": [-3.25]}), ["object", "change"]).to_html()
    assert "−3.2" in page and "-3.2" not in page
    assert page.count("text-align: right") == 1


def test_sides_stand_with_a_cross_between_them():
    rows = pd.DataFrame({"grid": [(7, 10), (1200, 1)]})
    assert reading.table(rows, ["grid"]).data["grid"].tolist() == ["7 × 10", "1,200 × 1"]


def test_names_are_text_and_the_page_is_the_same_each_time():
    first, second = (reading.table(ROWS, ["model", "gap"], caption="<b>all</b>").to_html() for _ in range(2))
    assert first == second
    assert "a|b &lt;i&gt;" in first and "<caption><b>all</b></caption>" in first
    assert "mathjax_ignore" in first and "<th" in first and ">0</th>" not in first


def test_too_many_columns_and_unknown_ones_are_refused():
    with pytest.raises(InputError, match="7 columns are too many"):
        reading.table(ROWS, list(ROWS)[:7])
    with pytest.raises(InputError, match="rank"):
        reading.table(ROWS, ["rank"])


def test_without_rows_there_are_headings_only():
    assert reading.table(ROWS[:0], ["model", "gap"]).data.empty
