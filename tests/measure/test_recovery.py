"""Intervals of differences and ratios against closed forms of others, definitions and cases by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crosseyed.measure import bootstrap, recovery


def test_of_two_symmetric_intervals_the_difference_is_that_of_variances():
    low, high = recovery.difference((5.0, 2.0, 8.0), (1.0, -3.0, 5.0), 0.0)
    assert (low, high) == (-1, 9)  # 3-4-5
    low, high = recovery.difference((5.0, 2.0, 8.0), (1.0, -3.0, 5.0), 1.0)
    assert (low, high) == (3, 5)


@pytest.mark.parametrize("related", [-0.6, 0.0, 0.9])
@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ((40.0, 30.0, 52.0), (90.0, 70.0, 97.0)),
        ((0.0, 0.0, 9.0), (50.0, 40.0, 60.0)),
        ((3.0, 1.0, 12.0), (5.0, 2.0, 14.0)),
        ((100.0, 92.0, 100.0), (100.0, 92.0, 100.0)),
    ],
)
def test_at_the_ends_of_a_ratio_the_interval_of_part_minus_ratio_times_whole_ends_at_zero(
    part, whole, related
):
    low, high = recovery.ratio(part, whole, related)
    assert low <= part[0] / whole[0] <= high
    for theta, end in ((low, 0), (high, 1)):
        times = tuple(theta * each for each in whole)
        assert recovery.difference(part, times, related)[end] == pytest.approx(0, abs=1e-9)


def test_there_is_no_ratio_of_what_may_be_nothing():
    ends = recovery.ratio((1.0, 0.5, 1.5), (1.0, -0.1, 2.1), 0.0)
    assert np.isnan(ends).all()
    part, whole = np.array([[1.0] * 2, [0.5] * 2, [1.5] * 2]), np.array([[2.0] * 2, [1.0] * 2, [3.0] * 2])
    several = recovery.ratio(tuple(part), tuple(whole), np.zeros(2))
    assert several[0].shape == (2,) and not np.isnan(several).any()


def test_the_correlation_is_that_of_numpy_without_missing_draws():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 50, 3))
    second += first
    second[4, 1] = np.nan
    second[:, 2] = 7
    found = recovery.correlation(first, second)
    kept = np.arange(50) != 4
    assert found[0] == pytest.approx(np.corrcoef(first[:, 0], second[:, 0])[0, 1])
    assert found[1] == pytest.approx(np.corrcoef(first[kept, 1], second[kept, 1])[0, 1])
    assert found[2] == 0


def test_near_100_percent_the_interval_of_a_gap_covers_what_percentiles_of_a_bootstrap_miss():
    """Where all answers at the center happen to be right, a bootstrap takes that for certain."""
    rng, n, studies = np.random.default_rng(4), 48, 600
    right = rng.random((studies, n, 9)) < np.array([0.98] + [0.94] * 8)
    table = pd.DataFrame({"correct": right.ravel(), "study": np.repeat(np.arange(studies), n * 9)})
    table["object"] = np.tile(np.repeat(np.arange(n), 9), studies)
    table["center"] = np.tile(np.arange(9) == 0, studies * n)
    found = bootstrap.center_bias(table, "study", resamples=500)
    gaps = 100 * (right[..., 0] - right[..., 1:].mean(axis=2))
    draws = gaps @ rng.multinomial(n, np.full(n, 1 / n), 1000).T / n
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1))
    percentiles = np.quantile(draws, [tail, 1 - tail], axis=1)
    ours, theirs = (
        ((low <= 4) & (high >= 4)).sum() for low, high in ((found["gap_low"], found["gap_high"]), percentiles)
    )
    least, most = stats.binom.ppf([0.001, 0.999], studies, [0.93, 0.97])
    assert least <= ours <= most
    assert theirs < least
