import itertools

import numpy as np
import pandas as pd
import pytest
from simulated_answers import simulate, two_models

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, permutation
from crosseyed.measure.checks import EstimateWarning


def all_shuffles(table, place):
    """Yield the place of every row (by its number) for each way to shuffle places within objects."""
    by_object = [list(part.index) for _, part in table.groupby("object")]
    for orders in itertools.product(*(itertools.permutations(rows) for rows in by_object)):
        yield {
            row: table.loc[source, place]
            for rows, order in zip(by_object, orders, strict=True)
            for row, source in zip(rows, order, strict=True)
        }


def tiny_table():
    return pd.DataFrame(
        {
            "object": ["cup"] * 4 + ["dog"] * 3,
            "center": [True, False, False, True, True, False, False],
            "eccentricity": [0.0, 0.5, 0.9, 0.1, 0.0, 0.4, 0.7],
            "correct": [True, False, False, True, True, False, True],
        }
    )


def test_permutation_of_center_equals_enumeration():
    table = tiny_table()
    right = table["correct"].to_numpy()

    def gap(center):
        return 100 * (right[center].mean() - right[~center].mean())

    shuffles = [
        gap(np.array([place[row] for row in table.index], dtype=bool))
        for place in all_shuffles(table, "center")
    ]
    observed, expected = gap(table["center"].to_numpy()), np.mean(shuffles)
    exact = np.mean(np.abs(np.array(shuffles) - expected) >= abs(observed - expected) - 1e-9)
    result = permutation.permutation_test(table, resamples=20_000).iloc[0]
    assert result["statistic"] == pytest.approx(observed)
    assert result["expected"] == pytest.approx(expected)
    assert result["p_value"] == pytest.approx(exact, abs=0.015)
    assert 0.05 < exact < 0.95


def test_permutation_of_eccentricity_equals_enumeration():
    table = tiny_table()
    right = table["correct"].to_numpy()

    def difference(eccentricity):
        return eccentricity[~right].mean() - eccentricity[right].mean()

    shuffles = [
        difference(np.array([place[row] for row in table.index]))
        for place in all_shuffles(table, "eccentricity")
    ]
    observed, expected = difference(table["eccentricity"].to_numpy()), np.mean(shuffles)
    exact = np.mean(np.abs(np.array(shuffles) - expected) >= abs(observed - expected) - 1e-9)
    result = permutation.permutation_test(table, position="eccentricity", resamples=20_000).iloc[0]
    assert result["statistic"] == pytest.approx(observed)
    assert result["expected"] == pytest.approx(expected)
    assert result["p_value"] == pytest.approx(exact, abs=0.015)
    assert 0.02 < exact < 0.95


def test_permutation_p_value_is_never_zero():
    result = permutation.permutation_test(simulate(n_objects=40, slope=-6.0), resamples=99).iloc[0]
    assert result["p_value"] == pytest.approx(0.01)


def test_permutation_p_values_are_uniform_without_an_effect():
    tests = [
        permutation.permutation_test(
            simulate(n_objects=20, k=5, slope=0.0, seed=seed), position="eccentricity", resamples=199
        )
        for seed in range(100)
    ]
    p_values = pd.concat(tests)["p_value"]
    assert (p_values <= 0.1).mean() < 0.2
    assert 0.4 < p_values.mean() < 0.6


def test_permutation_statistic_is_the_gap():
    table = two_models()
    tests = permutation.permutation_test(table, by="model", resamples=10)
    bias = bootstrap.center_bias(table, by="model", resamples=10)
    assert tests["statistic"].tolist() == pytest.approx(bias["gap"].tolist())


def test_permutation_of_a_model_that_is_always_wrong_is_nan_with_the_reason():
    with pytest.warns(EstimateWarning, match="for model = b: the readable rows are all right, all wrong"):
        result = permutation.permutation_test(
            two_models().assign(correct=lambda rows: rows["correct"] & (rows["model"] == "a")), by="model"
        )
    assert result["p_value"].isna().tolist() == [False, True]


def test_permutation_of_an_unknown_position_is_refused():
    with pytest.raises(InputError, match="position is 'row'"):
        permutation.permutation_test(tiny_table(), position="row")


def every_flip(differences: pd.DataFrame) -> float:
    """Give the two-sided p-value over all flips of whole objects, by enumeration."""
    totals = differences.groupby("object")["change"].sum().to_numpy()
    flips = np.array(list(itertools.product([-1, 1], repeat=len(totals))))
    return np.mean(np.abs(flips @ totals) >= abs(totals.sum()) - 1e-9)


def test_sign_flip_test_agrees_with_all_flips():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"object": rng.choice(list("abcdefgh"), 60), "change": rng.choice([-100, 0, 100], 60)}
    )
    table["change"] += 25.0
    table["side"] = rng.choice(["left", "right"], 60)
    result = permutation.sign_flip_test(table, "change", "side", resamples=20_000).set_index("side")
    for side, rows in table.groupby("side"):
        assert result.loc[side, "p_value"] == pytest.approx(every_flip(rows), abs=0.015)
        assert result.loc[side, "mean"] == pytest.approx(rows["change"].mean())
        assert result.loc[side, "n"] == len(rows)
        assert result.loc[side, "n_objects"] == rows["object"].nunique()


def test_sign_flip_test_of_no_change_is_one_and_of_no_value_is_none():
    table = pd.DataFrame({"object": ["a", "b", "a"], "change": [0.0, 0.0, np.nan], "side": ["l", "l", "r"]})
    result = permutation.sign_flip_test(table, "change", "side").set_index("side")
    assert result.loc["l", "p_value"] == 1
    assert np.isnan(result.loc["r", ["mean", "p_value"]].astype(float)).all()
    assert result["unreadable"].tolist() == [0, 1]


def test_sign_flip_test_flips_all_rows_of_an_object_together():
    one_object = pd.DataFrame({"object": ["a"] * 50, "change": [1.0] * 50})
    assert permutation.sign_flip_test(one_object, "change")["p_value"].item() == 1
    assert permutation.sign_flip_test(one_object.assign(object=range(50)), "change")["p_value"].item() < 0.001
