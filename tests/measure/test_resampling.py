import numpy as np
import pandas as pd
import pytest
from simulated_answers import resampled_tables, simulate, t_interval, two_models

from crosseyed.measure import bootstrap, resampling
from crosseyed.measure.checks import EstimateWarning


def test_interval_equals_the_bootstrap_of_a_plain_loop():
    table = simulate(n_objects=7, k=3)
    table.loc[::11, "correct"] = pd.NA
    # Objects of unequal weight: dropping rows makes some clusters smaller.
    table = table[~((table["object"] == "object3") & (table["row"] > 0))]
    result = bootstrap.mean(table, "correct", resamples=200, seed=5).iloc[0]
    readable = table.dropna(subset="correct")
    draws = [draw["correct"].mean() for draw in resampled_tables(readable, 200, seed=5)]
    expected = t_interval(readable["correct"].astype(float).mean(), draws, 7)
    assert result[["low", "high"]].tolist() == pytest.approx(expected.tolist())


def test_groups_share_their_draws():
    table = two_models()
    twin = pd.concat([table[table["model"] == "a"], table[table["model"] == "a"].assign(model="twin")])
    result = bootstrap.mean(twin, "correct", by="model", resamples=300)
    assert result.loc[0, ["low", "high"]].tolist() == result.loc[1, ["low", "high"]].tolist()


def test_blocks_of_draws_do_not_change_the_interval(monkeypatch):
    table = simulate(n_objects=9, k=3)
    whole = bootstrap.mean(table, "correct", resamples=100)
    monkeypatch.setattr(resampling, "_BLOCK", 9 * 7)
    pd.testing.assert_frame_equal(bootstrap.mean(table, "correct", resamples=100), whole)


def test_the_interval_of_a_mean_covers_the_truth_for_few_objects_too():
    """Plain percentiles of twelve objects cover it in 91 %; rows that are taken for independent in far fewer."""
    rng, covered, plain = np.random.default_rng(0), 0, 0
    for trial in range(400):
        values = np.repeat(rng.normal(size=12), 3) + rng.normal(0, 0.1, 36)
        table = pd.DataFrame({"object": np.repeat(np.arange(12), 3), "value": values})
        row = bootstrap.mean(table, "value", resamples=400, seed=trial).iloc[0]
        covered += row["low"] <= 0 <= row["high"]
        means = values.reshape(12, 3).mean(axis=1)[rng.integers(12, size=(400, 12))].mean(axis=1)
        plain += np.quantile(means, 0.025) <= 0 <= np.quantile(means, 0.975)
    assert 0.93 <= covered / 400 <= 0.97
    assert plain / 400 < 0.93


def test_a_skewed_mean_of_which_few_objects_make_most_is_covered():
    """Student's interval of 48 objects covers the mean of this distribution in 91 %."""
    values = np.random.default_rng(0).gamma(0.5, size=(1500, 48))
    sampling = resampling.Resampling("object", 0.95, 999, 0)
    weights = np.concatenate(list(sampling.weights(48)))
    means, draws = values.mean(axis=1), weights @ values.T / 48
    low, high = sampling.interval(means, draws, 48)
    reach = sampling.t_reach(draws, 48)
    assert 0.93 <= np.mean((low <= 0.5) & (high >= 0.5)) <= 0.97
    assert np.mean(np.abs(means - 0.5) <= reach) < 0.93
    assert (low <= means - reach + 1e-9).all() and (means + reach - 1e-9 <= high).all()


def test_a_change_that_is_rarely_other_than_zero_is_covered_also_where_its_skewness_is_chance():
    """Moving the nearer end closer, as Johnson does, would leave zero outside of one interval in seven."""
    rng = np.random.default_rng(1)
    changes = rng.choice([100.0, -100.0, 0.0], p=[0.06, 0.06, 0.88], size=(1500, 48))
    sampling = resampling.Resampling("object", 0.95, 999, 0)
    weights = np.concatenate(list(sampling.weights(48)))
    low, high = sampling.interval(changes.mean(axis=1), weights @ changes.T / 48, 48)
    assert np.mean((low <= 0) & (high >= 0)) >= 0.93


def test_draws_of_one_estimate_have_one_interval():
    draws = np.random.default_rng(0).normal(size=500)
    sampling = resampling.Resampling("object", 0.95, 500, 0)
    low, high = sampling.interval(0.5, draws, 20)
    assert (low, high) == pytest.approx(tuple(t_interval(0.5, draws, 20)))
    assert sampling.interval(0.5, draws, 20, (0, 1)) == (0, 1)
    assert np.isnan(sampling.interval(0.5, draws, 1)).all()
    assert np.isnan(sampling.interval(np.nan, draws, 20)).all()


def test_wider_confidence_gives_a_wider_interval_around_the_same_accuracy():
    table = simulate()
    narrow, wide = (bootstrap.accuracy(table, confidence=level).iloc[0] for level in (0.5, 0.99))
    assert narrow["accuracy"] == wide["accuracy"] == pytest.approx(100 * table["correct"].mean())
    assert wide["low"] < narrow["low"] < narrow["accuracy"] < narrow["high"] < wide["high"]


def test_single_object_has_an_accuracy_but_no_interval():
    table = simulate(n_objects=3, k=3)
    with pytest.warns(EstimateWarning, match=r"3 of 3 group\(s\).* fewer than two objects"):
        result = bootstrap.accuracy(table, by="object", resamples=10)
    assert result["accuracy"].notna().all()
    assert result[["low", "high"]].isna().all(axis=None)


def test_group_without_a_readable_row_is_counted():
    table = two_models()
    table.loc[table["model"] == "b", "correct"] = pd.NA
    with pytest.warns(EstimateWarning, match=r"1 of 2 group\(s\)"):
        result = bootstrap.accuracy(table, by="model", resamples=10).set_index("model")
    assert result.loc["b", ["n", "n_objects", "unreadable"]].tolist() == [0, 0, 1000]
    assert np.isnan(result.loc["b", "accuracy"])
    assert result.loc["a", "unreadable"] == 0
