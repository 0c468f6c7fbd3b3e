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
    variance = objects + seeds - both
    freedom = variance**2 / (objects**2 / 1 + seeds**2 / 2)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert row[["mean", "low", "high"]].tolist() == pytest.approx([4.5, 4.5 - reach, 4.5 + reach])
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(4.5 / np.sqrt(variance), freedom))
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


def test_five_seeds_are_enough_for_the_interval_to_cover_and_seeds_alone_are_not():
    """Where objects differ and seeds do not, an interval over seeds alone covers in three of four cases."""
    rng, covered, alone = np.random.default_rng(2), 0, 0
    for _ in range(200):
        values = rng.normal(0, 25, 32)[:, None] + rng.normal(0, 30, (32, 5))
        row = crossed.mean(table_of(values), "value").iloc[0]
        covered += row["low"] <= 0 <= row["high"]
        seeds = values.mean(axis=0)
        alone += abs(seeds.mean()) <= stats.t.ppf(0.975, 4) * seeds.std(ddof=1) / np.sqrt(5)
    assert covered / 200 >= 0.93
    assert alone / 200 < 0.85
