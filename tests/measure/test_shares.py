"""Shares against values worked by hand and draws made one by one."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crosseyed.measure.shares import share


def parts():
    rows = [
        ("cup", "a", 1, 4),
        ("dog", "a", 2, 2),
        ("key", "a", 3, 3),
        ("cup", "b", 0, 4),
        ("dog", "b", 1, 4),
        ("key", "b", 1, 4),
    ]
    return pd.DataFrame(rows, columns=["object", "part", "moved", "whole"])


def test_a_share_is_the_ratio_of_means_and_not_the_mean_of_ratios():
    found = share(parts(), "moved", "whole", "part").set_index("part")
    assert found["share"].tolist() == pytest.approx([6 / 9, 1 / 6])
    assert found["moved"].tolist() == pytest.approx([2, 2 / 3])
    assert found["whole"].tolist() == pytest.approx([3, 4])
    assert found["n_objects"].tolist() == [3, 3]


def test_part_and_whole_are_drawn_together():
    rng = np.random.default_rng(0)
    whole = rng.uniform(1, 5, 40)
    table = pd.DataFrame({"object": np.arange(40), "moved": 0.3 * whole, "whole": whole})
    row = share(table, "moved", "whole").iloc[0]
    assert (row["share_low"], row["share_high"]) == pytest.approx((0.3, 0.3))  # in every draw
    assert row["moved_high"] - row["moved_low"] > 0.1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_interval_holds_the_ratios_that_a_test_of_part_minus_ratio_times_whole_does_not_reject(sign):
    """Fieller's definition: at both ends the mean of part − ratio × whole is just as far from zero as t allows."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"object": np.arange(20), "whole": sign * rng.normal(5, 4, 20)})
    table["moved"] = rng.normal(2, 2, 20) + 0.2 * table["whole"]
    row = share(table, "moved", "whole", resamples=20_000).iloc[0]
    assert row["share_low"] < row["share"] < row["share_high"]
    for end in (row["share_low"], row["share_high"]):
        left = table["moved"] - end * table["whole"]
        assert abs(left.mean()) / stats.sem(left) == pytest.approx(stats.t.ppf(0.975, 19), rel=0.03)


def test_there_is_no_share_of_what_may_be_nothing():
    table = pd.DataFrame(
        {"object": range(6), "moved": [1.0, 2, 1, 2, 1, 2], "whole": [-3.0, 3, -2, 2.5, -1, 1]}
    )
    row = share(table, "moved", "whole").iloc[0]
    assert row["whole_low"] < 0 < row["whole_high"]
    assert np.isnan([row["share"], row["share_low"], row["share_high"]]).all()
    assert row["moved"] == 1.5
