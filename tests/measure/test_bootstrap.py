import itertools

import numpy as np
import pandas as pd
import pytest
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.discrete.discrete_model import Logit

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, permutation, regression
from crosseyed.measure.tables import EstimateWarning, is_center


def simulate(n_objects=40, k=5, per_object=0.0, slope=-3.0, seed=0, sizes=(0.2,), size_slope=0.0):
    """Return a grid table; log odds of being right: easiness + slope * eccentricity + size effect."""
    rng = np.random.default_rng(seed)
    cells = itertools.product(range(n_objects), range(k), range(k), sizes)
    table = pd.DataFrame(cells, columns=["object", "row", "col", "size"])
    table["x"], table["y"] = (table["col"] + 0.5) / k, (table["row"] + 0.5) / k
    table["eccentricity"] = np.hypot(table["x"] - 0.5, table["y"] - 0.5) / np.hypot(0.5, 0.5)
    easiness = rng.normal(1.0, 1.5, n_objects)[table["object"]]
    slopes = rng.normal(slope, per_object, n_objects)[table["object"]]
    logit = easiness + slopes * table["eccentricity"] + size_slope * np.log(table["size"] / 0.2)
    right = rng.random(len(table)) < 1 / (1 + np.exp(-logit))
    table["correct"] = right.astype("boolean")
    table["object"] = [f"object{number}" for number in table["object"]]
    table["image"] = [f"image{number}" for number in range(len(table))]
    return table


def two_models():
    first, second = simulate(seed=1), simulate(seed=2, slope=0.0)
    return pd.concat([first.assign(model="a"), second.assign(model="b")], ignore_index=True)


def resampled_tables(table, resamples, seed):
    """Yield resampled tables: draw objects one table at a time and put all their rows together."""
    rng = np.random.default_rng(seed)
    objects = list(dict.fromkeys(table["object"]))
    rows = dict(iter(table.groupby("object")))
    drawn = rng.integers(len(objects), size=(resamples, len(objects)))
    for draw in drawn:
        yield pd.concat([rows[objects[number]] for number in draw])


# Accuracy and its interval


def test_accuracy_of_a_hand_worked_table():
    table = pd.DataFrame(
        {
            "object": ["cup", "cup", "cup", "dog"],
            "correct": pd.array([True, True, pd.NA, False], dtype="boolean"),
        }
    )
    result = bootstrap.accuracy(table).iloc[0]
    assert result["accuracy"] == pytest.approx(200 / 3)
    assert (result["n"], result["n_objects"], result["unreadable"]) == (3, 2, 1)
    # Two objects have three resamples: cup cup (100 %), dog dog (0 %) and one of each.
    assert (result["low"], result["high"]) == (0, 100)


def test_interval_equals_the_bootstrap_of_a_plain_loop():
    table = simulate(n_objects=7, k=3)
    table.loc[::11, "correct"] = pd.NA
    # Objects of unequal weight: dropping rows makes some clusters smaller.
    table = table[~((table["object"] == "object3") & (table["row"] > 0))]
    result = bootstrap.accuracy(table, resamples=200, seed=5).iloc[0]
    readable = table.dropna(subset="correct")
    draws = [100 * draw["correct"].mean() for draw in resampled_tables(readable, 200, seed=5)]
    assert result["low"] == pytest.approx(np.quantile(draws, 0.025))
    assert result["high"] == pytest.approx(np.quantile(draws, 0.975))


def test_groups_share_their_draws():
    table = two_models()
    twin = pd.concat([table[table["model"] == "a"], table[table["model"] == "a"].assign(model="twin")])
    result = bootstrap.accuracy(twin, by="model", resamples=300)
    assert result.loc[0, ["low", "high"]].tolist() == result.loc[1, ["low", "high"]].tolist()


def test_blocks_of_draws_do_not_change_the_interval(monkeypatch):
    table = simulate(n_objects=9, k=3)
    whole = bootstrap.accuracy(table, resamples=100)
    monkeypatch.setattr(bootstrap, "_BLOCK", 9 * 7)
    pd.testing.assert_frame_equal(bootstrap.accuracy(table, resamples=100), whole)


def test_interval_covers_the_truth_as_often_as_it_says():
    # Rows of an object are all right or all wrong, so an interval that ignored objects would be three times
    # too narrow and cover only half of the time.
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        known = rng.random(60) < 0.5
        table = pd.DataFrame({"object": np.repeat(np.arange(60), 9), "correct": np.repeat(known, 9)})
        result = bootstrap.accuracy(table, resamples=400, seed=trial).iloc[0]
        covered += result["low"] <= 50 <= result["high"]
    assert 0.90 <= covered / 200 <= 0.99


def test_wider_confidence_gives_a_wider_interval_around_the_same_accuracy():
    table = simulate()
    narrow, wide = (bootstrap.accuracy(table, confidence=level).iloc[0] for level in (0.5, 0.99))
    assert narrow["accuracy"] == wide["accuracy"] == pytest.approx(100 * table["correct"].mean())
    assert wide["low"] < narrow["low"] < narrow["accuracy"] < narrow["high"] < wide["high"]


def test_same_seed_same_table_and_input_untouched():
    table = two_models()
    before = table.copy(deep=True)
    first = bootstrap.center_bias(table, by="model", resamples=50)
    pd.testing.assert_frame_equal(first, bootstrap.center_bias(table, by="model", resamples=50))
    assert not first.equals(bootstrap.center_bias(table, by="model", resamples=50, seed=1))
    pd.testing.assert_frame_equal(table, before)


def test_rows_in_another_order_give_the_same_accuracy():
    table = two_models()
    shuffled = table.sample(frac=1, random_state=0)
    columns = ["model", "accuracy", "n", "n_objects"]
    first = bootstrap.accuracy(table, by="model", resamples=10)[columns]
    pd.testing.assert_frame_equal(first, bootstrap.accuracy(shuffled, by="model", resamples=10)[columns])


def test_table_read_back_from_csv_gives_the_same_result(tmp_path):
    table = two_models().assign(center=lambda rows: rows["eccentricity"] <= 0.2)
    table.loc[3, "correct"] = pd.NA
    table.to_csv(tmp_path / "table.csv", index=False)
    again = pd.read_csv(tmp_path / "table.csv")
    expected = bootstrap.center_bias(table, by="model", resamples=50)
    pd.testing.assert_frame_equal(bootstrap.center_bias(again, by="model", resamples=50), expected)


def test_groups_with_missing_labels_are_kept():
    table = simulate(n_objects=3, k=3)
    table["style"] = np.where(table["row"] == 0, None, "photo")
    assert bootstrap.accuracy(table, by="style", resamples=10)["n"].sum() == len(table)


def test_accuracy_by_cell_equals_the_mean_of_its_rows():
    table = two_models()
    result = bootstrap.accuracy_by_cell(table, by="model", resamples=10)
    assert len(result) == 2 * 25
    for _, cell in result.iterrows():
        rows = table.query("model == @cell.model and row == @cell.row and col == @cell.col")
        assert cell["accuracy"] == pytest.approx(100 * rows["correct"].mean())
        assert cell["n"] == len(rows)


def test_accuracy_by_eccentricity_puts_each_row_in_the_ring_that_contains_it():
    table = simulate(n_objects=6, k=7)
    edges = [0, 0.25, 0.5, 0.75, 1]
    result = bootstrap.accuracy_by_eccentricity(table, bins=edges, resamples=10)
    for _, ring in result.iterrows():
        inside = table["eccentricity"].between(
            ring["eccentricity_low"], ring["eccentricity_high"], inclusive="right"
        )
        if ring["eccentricity_low"] == 0:
            inside |= table["eccentricity"] == 0
        assert ring["n"] == inside.sum()
        assert ring["accuracy"] == pytest.approx(100 * table.loc[inside, "correct"].mean())
        assert ring["eccentricity"] == pytest.approx(table.loc[inside, "eccentricity"].mean())
    assert result["n"].sum() == len(table)


def test_ring_edges_are_not_crossed_by_rounding():
    # In a grid of 6, cells on the diagonal lie exactly on edges (1/6, 1/2, 5/6), up to rounding.
    table = simulate(n_objects=2, k=6)
    result = bootstrap.accuracy_by_eccentricity(table, resamples=10)
    assert result["n"].tolist() == [2 * 4, 2 * 12, 2 * 8, 2 * 12]
    nudged = table.assign(eccentricity=table["eccentricity"] + 1e-13)
    again = bootstrap.accuracy_by_eccentricity(nudged, resamples=10)
    assert again["n"].tolist() == result["n"].tolist()


def test_center_is_the_column_or_else_a_third_of_the_eccentricity():
    eccentricity = pd.DataFrame({"eccentricity": [0, 1 / 3, 0.34, 1]}, index=[5, 6, 7, 8])
    assert is_center(eccentricity).to_dict() == {5: True, 6: True, 7: False, 8: False}
    given = eccentricity.assign(center=[False, True, True, False])
    assert is_center(given).tolist() == [False, True, True, False]


def test_accuracy_by_center_agrees_with_center_bias():
    table = two_models()
    halves = bootstrap.accuracy_by_center(table, by="model", resamples=100)
    bias = bootstrap.center_bias(table, by="model", resamples=100)
    for center, name in ((True, "center_accuracy"), (False, "off_center_accuracy")):
        half = halves[halves["center"] == center]
        for column, suffix in (("accuracy", ""), ("low", "_low"), ("high", "_high")):
            assert half[column].tolist() == pytest.approx(bias[name + suffix].tolist())


# Center bias


def test_center_bias_of_a_hand_worked_table():
    table = pd.DataFrame(
        {
            "object": ["cup"] * 3 + ["dog"] * 3,
            "center": [True, False, False] * 2,
            "correct": pd.array([True, True, False, True, False, pd.NA], dtype="boolean"),
        }
    )
    result = bootstrap.center_bias(table).iloc[0]
    assert result["center_accuracy"] == 100
    assert result["off_center_accuracy"] == pytest.approx(100 / 3)
    assert result["gap"] == pytest.approx(200 / 3)
    assert result["bias_index"] == pytest.approx(2 / 3)
    # cup cup has a gap of 50 points, dog dog one of 100.
    assert (result["gap_low"], result["gap_high"]) == (50, 100)
    assert result[["n_center", "n_off_center", "n_objects", "unreadable"]].tolist() == [2, 3, 2, 1]


def test_intervals_of_gap_and_index_equal_the_bootstrap_of_a_plain_loop():
    table = simulate(n_objects=8, k=3)
    table["center"] = table["eccentricity"] == 0
    result = bootstrap.center_bias(table, resamples=150, seed=3).iloc[0]
    gaps, indices = [], []
    for draw in resampled_tables(table, 150, seed=3):
        center = 100 * draw.loc[draw["center"], "correct"].mean()
        gap = center - 100 * draw.loc[~draw["center"], "correct"].mean()
        gaps.append(gap)
        if center > 0:
            indices.append(gap / center)
    for name, draws in (("gap", gaps), ("bias_index", indices)):
        assert result[f"{name}_low"] == pytest.approx(np.quantile(draws, 0.025))
        assert result[f"{name}_high"] == pytest.approx(np.quantile(draws, 0.975))


def test_gap_is_paired_by_object():
    # Easy and hard objects: accuracies vary widely between objects, but each object loses the same share.
    table = pd.DataFrame(
        [
            {"object": name, "center": center, "correct": number < right}
            for name, at_center in enumerate([4, 10] * 15)
            for center, right in ((True, at_center), (False, at_center - 4))
            for number in range(10)
        ]
    )
    result = bootstrap.center_bias(table).iloc[0]
    assert result["center_accuracy_high"] - result["center_accuracy_low"] > 10
    assert result["gap_low"] == result["gap_high"] == pytest.approx(40)


def test_index_is_nan_where_nothing_is_right_at_the_center():
    table = pd.DataFrame(
        {"object": [1, 1, 2, 2], "center": [True, False] * 2, "correct": [False, True, False, False]}
    )
    result = bootstrap.center_bias(table, resamples=20).iloc[0]
    assert result["gap"] == -50
    assert np.isnan(result["bias_index"]) and np.isnan(result["bias_index_low"])


# Paired differences


def test_paired_difference_equals_the_difference_of_accuracies():
    table = two_models()
    accuracies = bootstrap.accuracy(table, by="model", resamples=10).set_index("model")["accuracy"]
    result = bootstrap.paired_difference(table, "model", ("a", "b"), resamples=500).iloc[0]
    assert result["first_value"] == pytest.approx(accuracies["a"])
    assert result["difference"] == pytest.approx(accuracies["a"] - accuracies["b"])
    swapped = bootstrap.paired_difference(table, "model", ("b", "a"), resamples=500).iloc[0]
    assert swapped["difference"] == pytest.approx(-result["difference"])
    assert swapped["low"] == pytest.approx(-result["high"])


def test_paired_difference_of_gaps_equals_the_difference_of_gaps():
    table = two_models()
    gaps = bootstrap.center_bias(table, by="model", resamples=10).set_index("model")["gap"]
    result = bootstrap.paired_difference(table, "model", ("a", "b"), quantity="gap").iloc[0]
    assert result["second_value"] == pytest.approx(gaps["b"])
    assert result["difference"] == pytest.approx(gaps["a"] - gaps["b"])
    assert result["low"] < result["difference"] < result["high"]


def test_paired_interval_equals_the_bootstrap_of_a_plain_loop():
    first = simulate(n_objects=6, k=3, seed=1)
    second = simulate(n_objects=6, k=3, seed=2)
    table = pd.concat([first.assign(model="a"), second.assign(model="b")])
    result = bootstrap.paired_difference(table, "model", ("a", "b"), resamples=100, seed=4).iloc[0]
    difference = 100.0 * (first["correct"].astype(float) - second["correct"].astype(float))
    pairs = first.assign(difference=difference)
    draws = [draw["difference"].mean() for draw in resampled_tables(pairs, 100, seed=4)]
    assert result["low"] == pytest.approx(np.quantile(draws, 0.025))
    assert result["high"] == pytest.approx(np.quantile(draws, 0.975))


def test_identical_conditions_differ_by_nothing():
    table = simulate()
    both = pd.concat([table.assign(resize="crop"), table.assign(resize="squash")])
    result = bootstrap.paired_difference(both, "resize", ("crop", "squash"), quantity="gap").iloc[0]
    assert (result["difference"], result["low"], result["high"]) == (0, 0, 0)


def test_pair_with_an_unreadable_row_is_left_out_of_both_sides():
    table = two_models()
    table.loc[0, "correct"] = pd.NA  # the first image, model a
    result = bootstrap.paired_difference(table, "model", ("a", "b"), resamples=10).iloc[0]
    others = table[table["image"] != "image0"]
    assert (result["n"], result["unreadable"]) == (len(others) / 2, 1)
    second = others.loc[others["model"] == "b", "correct"]
    assert result["second_value"] == pytest.approx(100 * second.mean())


def test_pairs_can_be_found_by_position():
    table = two_models()
    table["image"] = [f"{model}/{image}" for model, image in zip(table["model"], table["image"], strict=True)]
    with pytest.raises(InputError, match=r"not in both levels, first image = a/image0"):
        bootstrap.paired_difference(table, "model", ("a", "b"))
    result = bootstrap.paired_difference(table, "model", ("a", "b"), on=["object", "row", "col"])
    assert result["n"].item() == len(table) / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.iloc[:-1], r"1 image\(s\) are not in both levels"),
        (lambda table: pd.concat([table, table.iloc[:1]]), r"level 'a' has more than one row"),
        (lambda table: table[table["model"] == "a"], r"no rows of level 'b'; it has a"),
        (lambda table: table.assign(object=range(len(table))), r"differ in 'object'"),
        (lambda table: table.assign(center=table["model"] == "a"), r"differ in 'center'"),
        (lambda table: table.assign(center=True), r"no off-center rows"),
    ],
)
def test_unpaired_tables_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        bootstrap.paired_difference(change(two_models()), "model", ("a", "b"), quantity="gap")


def test_levels_must_be_two_different_values():
    with pytest.raises(InputError, match="two different values"):
        bootstrap.paired_difference(two_models(), "model", ("a", "a"))
    with pytest.raises(InputError, match="expected 'accuracy' or 'gap'"):
        bootstrap.paired_difference(two_models(), "model", ("a", "b"), quantity="index")


# The slope on eccentricity


def test_slope_recovers_the_simulated_one():
    # Log odds fall by 3 over the whole range, so by 0.3 for each 0.1 of eccentricity.
    result = regression.eccentricity_slope(simulate(n_objects=60, k=7)).iloc[0]
    assert result["low"] < np.exp(-0.3) < result["high"]
    assert result["odds_ratio"] == pytest.approx(np.exp(-0.3), rel=0.05)
    assert result["p_value"] < 1e-10
    assert result["n"] == 60 * 49


def test_slope_without_effect_is_significant_as_rarely_as_it_should_be():
    p_values = [
        regression.eccentricity_slope(simulate(n_objects=25, k=3, slope=0.0, per_object=1.0, seed=seed))[
            "p_value"
        ].item()
        for seed in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.15
    assert 0.3 < np.mean(p_values) < 0.7


def test_slope_of_small_objects_equals_conditional_logistic_regression():
    table = simulate(n_objects=20, k=3)
    result = regression.eccentricity_slope(table).iloc[0]
    informative = table.groupby("object")["correct"].transform("nunique") == 2
    rows = table[informative]
    fit = ConditionalLogit(
        rows["correct"].to_numpy(float), rows[["eccentricity"]].to_numpy(), groups=rows["object"].to_numpy()
    ).fit(disp=False)
    assert np.log(result["odds_ratio"]) == pytest.approx(0.1 * fit.params[0], rel=1e-3)
    assert result["n_informative"] == rows["object"].nunique() < result["n_objects"] == 20


def test_slope_of_large_objects_equals_logistic_regression_with_dummies():
    table = simulate(n_objects=10, k=8)
    result = regression.eccentricity_slope(table).iloc[0]
    design = pd.get_dummies(table["object"], dtype=float).assign(slope=10 * table["eccentricity"])
    fit = Logit(table["correct"].astype(float), design).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": pd.factorize(table["object"])[0]}
    )
    assert np.log(result["odds_ratio"]) == pytest.approx(fit.params["slope"])
    width = np.log(result["high"] / result["low"]) / 2
    assert width == pytest.approx(2.262 * fit.bse["slope"], rel=1e-3)  # Student's t, 9 degrees of freedom


def test_both_likelihoods_agree_on_slope_and_error(monkeypatch):
    table = simulate(n_objects=30, k=7)
    monkeypatch.setattr(regression, "_MAX_CONDITIONAL_ROWS", 49)
    conditional = regression.eccentricity_slope(table).iloc[0]
    monkeypatch.setattr(regression, "_MAX_CONDITIONAL_ROWS", 0)
    dummies = regression.eccentricity_slope(table).iloc[0]
    # The dummies overstate the slope by about one part in the 49 rows an object.
    ratio = np.log(dummies["odds_ratio"]) / np.log(conditional["odds_ratio"])
    assert ratio == pytest.approx(1 + 1 / 48, abs=0.005)
    widths = [np.log(result["high"] / result["low"]) for result in (dummies, conditional)]
    assert widths[0] == pytest.approx(widths[1], rel=0.05)


def test_slope_ignores_objects_that_are_always_right_or_wrong():
    table = simulate(n_objects=20, k=5)
    known = simulate(n_objects=10, k=5).assign(
        object=lambda rows: "always " + rows["object"], correct=lambda rows: rows["object"] > "always object5"
    )
    result = regression.eccentricity_slope(pd.concat([table, known])).iloc[0]
    alone = regression.eccentricity_slope(table).iloc[0]
    assert result[["odds_ratio", "low", "high"]].tolist() == alone[["odds_ratio", "low", "high"]].tolist()
    assert result["n_objects"] == 30


def test_size_is_a_covariate_when_it_varies_within_objects():
    # Small objects stand further out and are recognised less, whatever the position: no effect of position.
    table = simulate(n_objects=80, k=5, slope=0.0, sizes=(0.1, 0.3), size_slope=2.0)
    keep = (table["size"] == 0.3) == (table["eccentricity"] < 0.5)
    keep |= np.random.default_rng(0).random(len(table)) < 0.3
    table = table[keep]
    adjusted = regression.eccentricity_slope(table).iloc[0]
    naive = regression.eccentricity_slope(table.drop(columns="size")).iloc[0]
    assert adjusted["size_covariate"] and not naive["size_covariate"]
    assert adjusted["low"] < 1 < adjusted["high"]
    assert naive["high"] < 1
    fixed = table.assign(size=pd.factorize(table["object"])[0] + 1.0)
    assert regression.eccentricity_slope(fixed)["odds_ratio"].item() == naive["odds_ratio"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.assign(correct=True), "0 of 12 objects are both right and wrong"),
        (lambda table: table.assign(correct=table["eccentricity"] < 0.1), "separates right from wrong"),
        (lambda table: table.assign(correct=table["eccentricity"] > 0.5), "separates right from wrong"),
        (
            lambda table: table.assign(correct=table["eccentricity"] < 0.1).drop(4),
            "separates right from wrong",
        ),
        (lambda table: table.assign(eccentricity=0.5), "more than one eccentricity"),
        (lambda table: table.assign(size=np.exp(2 + table["eccentricity"])), "in step with eccentricity"),
        (
            lambda table: table.assign(size=1 + table["correct"].astype(float) + table["eccentricity"] / 9),
            "separates right from wrong",
        ),
    ],
)
def test_slope_that_cannot_be_estimated_is_nan_with_the_reason(change, reason):
    table = change(simulate(n_objects=12, k=3))
    with pytest.warns(EstimateWarning, match=reason):
        result = regression.eccentricity_slope(table).iloc[0]
    assert reason in result["note"]
    assert result[["odds_ratio", "low", "high", "p_value"]].isna().all()


def test_one_exception_ends_the_separation():
    table = simulate(n_objects=12, k=3)
    table["correct"] = table["eccentricity"] < 0.1
    table.loc[table["object"] == "object0", "correct"] = [True] + [False] * 8  # right in a corner alone
    result = regression.eccentricity_slope(table).iloc[0]
    assert result["note"] == ""
    assert result["odds_ratio"] < 1


def test_slopes_of_groups_are_those_of_their_tables():
    table = two_models()
    result = regression.eccentricity_slope(table, by="model")
    for _, row in result.iterrows():
        alone = regression.eccentricity_slope(table[table["model"] == row["model"]]).iloc[0]
        assert row["odds_ratio"] == alone["odds_ratio"]


# The permutation test


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


# The four choices


def test_choices_are_counted_by_hand():
    table = pd.DataFrame(
        {
            "object": ["cup", "dog", "cup", "dog", "cup", "dog"],
            "center": [True, True, True, False, False, False],
            "choice": ["both", "both", "unreadable", "object", "other", "object"],
        }
    )
    result = bootstrap.choices(table, resamples=50).set_index(["center", "choice"])
    assert list(result.index.get_level_values("choice")[:5]) == list(bootstrap.CHOICES)
    assert list(result.index.get_level_values("center")) == [True] * 5 + [False] * 5
    assert result.loc[True, "count"].tolist() == [2, 0, 0, 0, 1]
    assert result.loc[False, "count"].tolist() == [0, 2, 0, 1, 0]
    assert result.loc[(True, "both"), "share"] == 100
    assert result.loc[(False, "object"), "share"] == pytest.approx(200 / 3)
    assert np.isnan(result.loc[(True, "unreadable"), "share"])
    assert result.loc[(True, "both"), "n"] == 2


def test_share_of_both_is_the_accuracy_with_the_same_interval():
    table = simulate(n_objects=12, k=5).assign(model="a")
    rng = np.random.default_rng(0)
    wrong = rng.choice(["object", "object2", "other"], len(table))
    table["choice"] = np.where(table["correct"].to_numpy(dtype=bool), "both", wrong)
    table.loc[7, ["choice", "correct"]] = ["unreadable", pd.NA]
    shares = bootstrap.choices(table, by="model", resamples=100)
    accuracies = bootstrap.accuracy_by_center(table, by="model", resamples=100)
    both = shares[shares["choice"] == "both"].sort_values("center")
    assert both["share"].tolist() == pytest.approx(accuracies["accuracy"].tolist())
    assert both["low"].tolist() == pytest.approx(accuracies["low"].tolist())
    assert both["high"].tolist() == pytest.approx(accuracies["high"].tolist())
    totals = shares.groupby("center")["share"].sum()
    assert totals.tolist() == pytest.approx([100, 100])


def test_choices_of_a_zero_shot_table_are_refused():
    with pytest.raises(InputError, match="has the value 'teapot' in 1 row"):
        bootstrap.choices(pd.DataFrame({"object": ["cup"], "center": [True], "choice": ["teapot"]}))


# Bad input


ALL = [
    bootstrap.accuracy,
    bootstrap.accuracy_by_center,
    bootstrap.accuracy_by_cell,
    bootstrap.accuracy_by_eccentricity,
    bootstrap.center_bias,
    regression.eccentricity_slope,
    permutation.permutation_test,
    bootstrap.choices,
]


@pytest.mark.parametrize("function", ALL)
def test_empty_table_is_refused(function):
    table = simulate(n_objects=2, k=3).assign(choice="both")
    with pytest.raises(InputError, match="no rows"):
        function(table.iloc[:0])


@pytest.mark.parametrize("function", ALL)
def test_missing_columns_are_named(function):
    table = simulate(n_objects=2, k=3).assign(choice="both")
    with pytest.raises(InputError, match="no column 'object'; did you mean 'objekt'"):
        function(table.rename(columns={"object": "objekt"}))
    with pytest.raises(InputError, match="no column 'model'"):
        function(table, by="model")


@pytest.mark.parametrize("function", [each for each in ALL if each is not regression.eccentricity_slope])
@pytest.mark.parametrize("resamples", [0, -3, 2.5, True])
def test_number_of_resamples_must_be_positive(function, resamples):
    with pytest.raises(InputError, match="resamples is"):
        function(simulate(n_objects=2, k=3).assign(choice="both"), resamples=resamples)


@pytest.mark.parametrize("function", [each for each in ALL if each is not permutation.permutation_test])
@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan")])
def test_confidence_must_be_a_fraction(function, confidence):
    with pytest.raises(InputError, match="confidence is"):
        function(simulate(n_objects=2, k=3).assign(choice="both"), confidence=confidence)


@pytest.mark.parametrize("function", [bootstrap.center_bias, permutation.permutation_test])
@pytest.mark.parametrize(("center", "lacking"), [(True, "off-center"), (False, "center")])
def test_missing_half_is_named(function, center, lacking):
    table = pd.concat(
        [
            two_models().assign(center=lambda rows: rows["eccentricity"] < 0.2),
            simulate().assign(model="c", center=center),
        ]
    )
    with pytest.raises(InputError, match=f"no {lacking} rows for model = c"):
        function(table, by="model")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.assign(correct="yes"), "'correct' holds yes; expected True and False"),
        (lambda table: table.assign(correct=2), "'correct' holds 2"),
        (lambda table: table.assign(correct=pd.NA), "all 18 rows of the table are unreadable"),
        (lambda table: table.assign(object=None), r"'object' is missing in 18 row\(s\)"),
        (lambda table: table.assign(center=pd.NA), "'center' is missing"),
        (lambda table: table.assign(eccentricity=1.5), "'eccentricity' holds 1.5"),
        (lambda table: table.assign(eccentricity=np.nan), "'eccentricity' holds nan"),
        (lambda table: table.drop(columns="eccentricity"), "neither a column 'center' nor 'eccentricity'"),
    ],
)
def test_values_that_make_no_sense_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        bootstrap.center_bias(change(simulate(n_objects=2, k=3)))


def test_sizes_must_be_positive():
    with pytest.raises(InputError, match="'size' holds 0"):
        regression.eccentricity_slope(simulate(n_objects=2, k=3).assign(size=0))


@pytest.mark.parametrize("bins", [0, -2, [0.5], [0, 0.5, 0.5], [1, 0]])
def test_bins_must_be_edges(bins):
    with pytest.raises(InputError, match="bins"):
        bootstrap.accuracy_by_eccentricity(simulate(n_objects=2, k=3), bins=bins)


def test_bins_must_cover_the_table():
    with pytest.raises(InputError, match=r"bins reach from 0 to 0\.5, but .* to 0\.66"):
        bootstrap.accuracy_by_eccentricity(simulate(n_objects=2, k=3), bins=[0, 0.25, 0.5])


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


# Any quantity


def test_mean_of_any_quantity_against_resampled_tables():
    table = simulate(n_objects=8, k=3).assign(effect=lambda table: table["x"] * len(table) % 7)
    table["row"] = table["row"].astype(str)
    table.loc[3, "effect"] = np.nan
    result = bootstrap.mean(table, "effect", "row", resamples=200, seed=4)
    expected = table.groupby("row")["effect"]
    np.testing.assert_allclose(result["mean"], expected.mean())
    assert result["n"].tolist() == expected.count().tolist()
    assert result["unreadable"].sum() == 1
    draws = [drawn.groupby("row")["effect"].mean() for drawn in resampled_tables(table, 200, 4)]
    np.testing.assert_allclose(result[["low", "high"]].T, np.quantile(draws, [0.025, 0.975], axis=0))


def test_center_difference_against_resampled_tables():
    table = simulate(n_objects=8, k=3).assign(effect=lambda table: table["eccentricity"] ** 2 + table["size"])
    table["effect"] += np.arange(len(table)) % 5
    result = bootstrap.center_difference(table, "effect", resamples=200, seed=4).iloc[0]

    def difference(rows):
        center = is_center(rows)
        return rows.loc[center, "effect"].mean() - rows.loc[~center, "effect"].mean()

    assert result["difference"] == pytest.approx(difference(table))
    assert result["difference"] == pytest.approx(result["center_mean"] - result["off_center_mean"])
    draws = [difference(drawn.reset_index(drop=True)) for drawn in resampled_tables(table, 200, 4)]
    expected = np.quantile(draws, [0.025, 0.975])
    np.testing.assert_allclose([result["difference_low"], result["difference_high"]], expected)


@pytest.mark.parametrize("values", [["a", "b"], [1.0, np.inf]])
def test_a_quantity_that_is_no_number_is_refused(values):
    table = pd.DataFrame({"object": ["cup", "dog"], "effect": values})
    with pytest.raises(InputError, match="column 'effect'"):
        bootstrap.mean(table, "effect")


# --- paired differences, signs flipped ---


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
