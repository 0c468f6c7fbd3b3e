"""Intervals of shares against formulas for independent rows, cases by hand, and simulated coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from crosseyed.measure import bootstrap
from crosseyed.measure.proportions import clustered_variance, wilson


def test_of_many_independent_rows_it_is_the_interval_of_wilson():
    rng = np.random.default_rng(0)
    right = rng.random(20_000) < 0.9
    share, variance, n = clustered_variance(
        right.astype(float), np.arange(20_000), np.zeros(20_000, dtype=int), 1
    )
    found = np.ravel(wilson(share, variance, n, 0.95))
    assert found == pytest.approx(proportion_confint(right.sum(), len(right), method="wilson"), abs=1e-5)


@pytest.mark.parametrize("copies", [1, 3])
def test_objects_whose_rows_agree_are_the_trials_of_wilson(copies):
    right = np.repeat(np.arange(48) < 44, copies)
    row = bootstrap.accuracy(pd.DataFrame({"object": np.repeat(range(48), copies), "correct": right})).iloc[0]
    expected = proportion_confint(44, 48, method="wilson")
    assert row[["low", "high"]].tolist() == pytest.approx([100 * end for end in expected])


def test_where_rows_of_an_object_differ_the_sample_size_is_estimated_and_the_quantile_that_of_student():
    """One of 48 objects is right in one of its two rows."""
    right = np.repeat(np.arange(48) < 44, 2)
    right[0] = False
    row = bootstrap.accuracy(pd.DataFrame({"object": np.repeat(range(48), 2), "correct": right})).iloc[0]
    each = right.reshape(48, 2).mean(axis=1)
    share, t = each.mean(), stats.t.ppf(0.975, 47)
    size = share * (1 - share) / (each.var(ddof=1) / 48)
    middle, reach = share + t**2 / (2 * size), t * np.sqrt(share * (1 - share) / size + t**2 / (4 * size**2))
    expected = [100 * (middle + sign * reach) / (1 + t**2 / size) for sign in (-1, 1)]
    assert row[["low", "high"]].tolist() == pytest.approx(expected)


def test_rows_of_an_object_that_agree_count_once():
    right = np.array([1.0, 1, 0, 1, 0, 1, 1, 1])
    once = pd.DataFrame({"object": range(8), "correct": right == 1})
    often = pd.concat([once] * 50)
    ends = ["accuracy", "low", "high", "n_objects"]
    pd.testing.assert_frame_equal(bootstrap.accuracy(once)[ends], bootstrap.accuracy(often)[ends])


def test_all_right_is_not_certain():
    """Of 48 objects that are all right, the share may be below by as much as of 48 rows."""
    table = pd.DataFrame({"object": np.arange(48), "correct": True})
    row = bootstrap.accuracy(table).iloc[0]
    quantile = stats.norm.ppf(0.975)
    assert row["low"] == pytest.approx(100 / (1 + quantile**2 / 48))
    assert row["high"] == pytest.approx(100)


def test_a_share_that_is_the_same_for_all_objects_is_certain():
    table = pd.DataFrame({"object": np.repeat([1, 2, 3], 2), "correct": [True, False] * 3})
    assert bootstrap.accuracy(table)[["low", "high"]].iloc[0].tolist() == [50, 50]


def test_the_variance_is_that_of_a_plain_loop():
    rng = np.random.default_rng(1)
    values, clusters, codes = rng.random(60), rng.integers(7, size=60), rng.integers(2, size=60)
    means, variances, counts = clustered_variance(values, clusters, codes, 2)
    for group in range(2):
        own, members = values[codes == group], clusters[codes == group]
        sums = [((own - own.mean()) / len(own))[members == each].sum() for each in np.unique(members)]
        assert means[group] == pytest.approx(own.mean())
        assert variances[group] == pytest.approx(np.square(sums).sum() * len(sums) / (len(sums) - 1))
        assert counts[group] == len(sums)


def test_near_the_end_of_the_scale_the_interval_covers_what_a_bootstrap_misses():
    rng, covered, missed = np.random.default_rng(2), 0, 0
    for _ in range(300):
        right = rng.random(48) < 0.97
        row = bootstrap.accuracy(pd.DataFrame({"object": np.arange(48), "correct": right})).iloc[0]
        covered += row["low"] <= 97 <= row["high"]
        drawn = 100 * right[rng.integers(48, size=(200, 48))].mean(axis=1)
        missed += not np.quantile(drawn, 0.025) <= 97 <= np.quantile(drawn, 0.975)
    assert covered / 300 >= 0.91  # 94 % by the binomial distribution
    assert missed / 300 > 0.1
