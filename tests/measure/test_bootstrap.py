import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_answers import resampled_tables, simulate, t_interval, two_models

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, recovery
from crosseyed.measure.checks import is_center


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
    # The cup moves the mean by (2 - 2 * 2/3) / 3 = 2/9, the dog by as much the other way: V = 2 * (2/9)² * 2.
    size, quantile = (2 / 9) / (2 * (2 / 9) ** 2 * 2), stats.t.ppf(0.975, 1)
    middle, scale = (2 / 3 + quantile**2 / (2 * size)), 1 + quantile**2 / size
    reach = quantile * np.sqrt((2 / 9 + quantile**2 / (4 * size)) / size)
    assert result["low"] == pytest.approx(100 * (middle - reach) / scale)
    assert result["high"] == pytest.approx(100 * (middle + reach) / scale)


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


def test_accuracy_of_cells_equals_the_mean_of_its_rows():
    table = two_models()
    result = bootstrap.accuracy(table, by=["model", "row", "col"], resamples=10)
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
    result = bootstrap.accuracy_by_eccentricity(table, bins=6, resamples=10)
    assert result["n"].tolist() == [2 * 4, 2 * 12, 2 * 8, 2 * 12]
    nudged = table.assign(eccentricity=table["eccentricity"] + 1e-13)
    again = bootstrap.accuracy_by_eccentricity(nudged, bins=6, resamples=10)
    assert again["n"].tolist() == result["n"].tolist()


def test_accuracy_of_both_sides_agrees_with_center_bias():
    table = two_models()
    halves = bootstrap.accuracy(table.assign(center=is_center), by=["model", "center"], resamples=100)
    bias = bootstrap.center_bias(table, by="model", resamples=100)
    for center, name in ((True, "center_accuracy"), (False, "off_center_accuracy")):
        half = halves[halves["center"] == center]
        for column, suffix in (("accuracy", ""), ("low", "_low"), ("high", "_high")):
            assert half[column].tolist() == pytest.approx(bias[name + suffix].tolist())


@pytest.mark.parametrize("bins", [0, -2, [0.5], [0, 0.5, 0.5], [1, 0]])
def test_bins_must_be_edges(bins):
    with pytest.raises(InputError, match="bins"):
        bootstrap.accuracy_by_eccentricity(simulate(n_objects=2, k=3), bins=bins)


def test_bins_must_cover_the_table():
    with pytest.raises(InputError, match=r"bins reach from 0 to 0\.5, but .* to 0\.66"):
        bootstrap.accuracy_by_eccentricity(simulate(n_objects=2, k=3), bins=[0, 0.25, 0.5])


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
    # The center does not vary, so nothing is related: to either side the ends of both accuracies count.
    down, up = (
        np.hypot(100 - result[f"center_accuracy_{one}"], 100 / 3 - result[f"off_center_accuracy_{other}"])
        for one, other in (("low", "high"), ("high", "low"))
    )
    assert result["gap_low"] == pytest.approx(200 / 3 - down)
    assert result["gap_high"] == pytest.approx(200 / 3 + up)
    assert result[["n_center", "n_off_center", "n_objects", "unreadable"]].tolist() == [2, 3, 2, 1]


def test_gap_and_index_are_recovered_with_the_correlation_of_a_plain_loop():
    table = simulate(n_objects=8, k=3)
    table["center"] = table["eccentricity"] == 0
    result = bootstrap.center_bias(table, resamples=150, seed=3).iloc[0]
    sides = [
        [draw.loc[draw["center"] == center, "correct"].mean() for center in (True, False)]
        for draw in resampled_tables(table, 150, seed=3)
    ]
    related = np.corrcoef(np.array(sides, dtype=float).T)[0, 1]
    center, off_center = (
        result[[name, f"{name}_low", f"{name}_high"]].tolist()
        for name in ("center_accuracy", "off_center_accuracy")
    )
    gap = recovery.difference(center, off_center, related)
    assert result[["gap_low", "gap_high"]].tolist() == pytest.approx(list(gap))
    ratio = recovery.ratio(off_center, center, related)
    assert result[["bias_index_high", "bias_index_low"]].tolist() == pytest.approx([1 - end for end in ratio])


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
    expected = t_interval(result["difference"], draws, 6)
    assert result[["low", "high"]].tolist() == pytest.approx(expected.tolist())


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
    np.testing.assert_allclose(result[["low", "high"]].T, t_interval(result["mean"], draws, 8))


def test_the_same_of_several_columns_is_that_of_each_under_its_name():
    table = pd.DataFrame({"object": ["a", "a", "b", "b"], "center": [True, False] * 2})
    table = table.assign(first=[1.0, 2.0, 3.0, 5.0], second=[0.0, 4.0, 8.0, 6.0])
    found = bootstrap.of_columns(
        bootstrap.center_difference, table, {"one": "first", "two": "second"}, "part", seed=3
    )
    assert found["part"].tolist() == ["one", "two"]
    for row, column in enumerate(("first", "second")):
        alone = bootstrap.center_difference(table, column, seed=3)
        pd.testing.assert_frame_equal(found.drop(columns="part").iloc[[row]].reset_index(drop=True), alone)


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
    expected = t_interval(difference(table), draws, 8)
    np.testing.assert_allclose([result["difference_low"], result["difference_high"]], expected)
