"""Means over objects and training seeds, against cases by hand and simulations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crosseyed.errors import InputError
from crosseyed.measure import crossed
from crosseyed.measure.checks import EstimateWarning


def table_of(values, **columns):
    n, k = values.shape
    rows = {"image": np.repeat(np.arange(n), k), "seed": np.tile(np.arange(k), n), "value": values.ravel()}
    return pd.DataFrame(rows | {"object": np.repeat(np.arange(n), k)} | columns)


def test_variances_of_objects_and_seeds_are_added_by_hand():
    values = np.array([[1.0, 4.0, 4.0], [3.0, 6.0, 9.0]])
    row = crossed.mean(table_of(values), "value").iloc[0]
    # means of the images 3 and 6, of the seeds 2, 5 and 6.5, of all 4.5
    objects = 2 * 0.75**2 * 2
    seeds = (2.5**2 + 0.5**2 + 2**2) / 6
    left = np.array([[0.5, 0.5, -1.0], [-0.5, -0.5, 1.0]])
    both = (left**2 / 4).sum() * 2 / 6
    of_objects, of_seeds = stats.t.ppf(0.975, 1), stats.t.ppf(0.975, 2)
    square = of_objects**2 * objects + of_seeds**2 * seeds - of_objects * of_seeds * both
    reach = np.sqrt(max(square, of_objects**2 * objects))
    assert row[["mean", "low", "high"]].tolist() == pytest.approx([4.5, 4.5 - reach, 4.5 + reach])
    # the interval of the confidence that is left by the p-value ends at zero
    at_zero = crossed.mean(table_of(values), "value", confidence=1 - row["p_value"]).iloc[0]
    assert at_zero["low"] == pytest.approx(0, abs=1e-6)
    assert row[["least", "most", "n_seeds", "n_objects"]].tolist() == [2, 6.5, 3, 2]


def test_seeds_that_differ_make_the_interval_wide_whatever_the_number_of_images():
    """A bootstrap of objects of two models that were trained alike takes their difference for certain."""
    rng = np.random.default_rng(0)
    for n in (30, 3000):
        values = np.array([0.0, 25.0]) + rng.normal(0, 5, (n, 2))
        row = crossed.mean(table_of(values), "value").iloc[0]
        assert row["low"] < -100 and row["high"] > 100


def test_images_that_share_an_object_in_either_role_are_not_independent():
    rng = np.random.default_rng(1)
    pairs = np.array([(a, b) for a in range(8) for b in range(8) if a != b])
    effect = rng.normal(0, 10, 8)
    values = (effect[pairs[:, 0]] + effect[pairs[:, 1]])[:, None] + rng.normal(0, 1, (len(pairs), 4))
    both = {
        name: np.repeat([f"o{each}" for each in pairs[:, place]], 4)
        for place, name in enumerate(("object", "object2"))
    }
    table = table_of(values, **both)
    one = crossed.mean(table, "value").iloc[0]
    two = crossed.mean(table, "value", objects=("object", "object2")).iloc[0]
    assert two["high"] - two["low"] > 1.3 * (one["high"] - one["low"])
    assert two["n_objects"] == 8


def test_one_seed_has_a_mean_and_no_interval():
    with pytest.warns(EstimateWarning, match="one seed or one object"):
        row = crossed.mean(table_of(np.array([[1.0], [3.0]])), "value").iloc[0]
    assert row["mean"] == 2 and row[["low", "high", "p_value"]].isna().all()


def test_an_image_that_a_model_did_not_see_is_refused():
    table = table_of(np.ones((3, 2)))
    with pytest.raises(InputError, match="no value with some seed"):
        crossed.mean(table[1:], "value")
    with pytest.raises(InputError, match="more than once"):
        crossed.mean(pd.concat([table, table]), "value")


def test_what_does_not_vary_is_certain():
    rows = [crossed.mean(table_of(np.full((4, 3), value)), "value").iloc[0] for value in (0.0, 2.0)]
    assert [row[["low", "high", "p_value"]].tolist() for row in rows] == [[0, 0, 1], [2, 2, 0]]


def test_where_only_seeds_vary_the_interval_is_that_of_student_over_seeds():
    seeds = np.array([1.0, 4.0, 2.5])
    row = crossed.mean(table_of(np.tile(seeds, (6, 1))), "value").iloc[0]
    expected = stats.ttest_1samp(seeds, 0)
    assert row[["low", "high"]].tolist() == pytest.approx(list(expected.confidence_interval()))
    assert row["p_value"] == pytest.approx(expected.pvalue)


def test_three_seeds_that_differ_much_are_few():
    """One quantile with the degrees of freedom of Satterthwaite covers the truth in 93 %."""
    rng, n, k = np.random.default_rng(2), 32, 3
    values = 20 * rng.normal(size=(400, n, 1)) + 20 * rng.normal(size=(400, n, k))
    values += 16 * rng.normal(size=(400, 1, k))
    found = crossed.mean(
        pd.concat([table_of(each).assign(study=number) for number, each in enumerate(values)]),
        "value",
        "study",
    )
    covered = ((found["low"] <= 0) & (found["high"] >= 0)).mean()
    assert stats.binom.cdf(400 * covered, 400, 0.935) > 0.5 and covered <= 0.98
