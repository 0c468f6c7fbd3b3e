"""Intervals for images of two objects, against a plain double loop, cases worked by hand, and simulated coverage."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crosseyed.errors import InputError
from crosseyed.measure import dyadic, recovery
from crosseyed.measure.checks import EstimateWarning
from crosseyed.measure.protocols import CHOICES

RELATIONS = 4


def simulate(rng, n_objects=128, first=1.0, second=1.0, pair=0.5, gap=0.5, place=0.5):
    """Answers as in the study: every object with a partner in two styles and four relations, one at the center."""
    objects = np.tile(np.arange(n_objects), 2)
    partners = rng.integers(n_objects - 1, size=len(objects))
    partners += partners >= objects
    logit = rng.normal(0, first, n_objects)[objects] + rng.normal(0, second, n_objects)[partners]
    logit = (logit + rng.normal(0, pair, len(objects)))[:, None] + np.array([gap] + [0.0] * (RELATIONS - 1))
    logit = logit + rng.normal(0, place, (n_objects, RELATIONS))[objects]
    logit = logit + rng.normal(0, place, (n_objects, RELATIONS))[partners]
    correct = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
    return pd.DataFrame(
        {
            "object": np.repeat([f"a{each}" for each in objects], RELATIONS),
            "object2": np.repeat([f"a{each}" for each in partners], RELATIONS),
            "together": np.tile(np.arange(RELATIONS) == 0, len(objects)),
            "correct": pd.array(correct.ravel(), dtype="boolean"),
        }
    )


def plain_variance(table, moved):
    """Sum e_i e_j over all rows that share an object, or if that is more, over those that share both, one by one."""
    sharing_one, sharing_both = 0.0, 0.0
    objects = list(zip(table["object"], table["object2"], strict=True))
    for one, e in zip(objects, moved, strict=True):
        for other, f in zip(objects, moved, strict=True):
            sharing_one += e * f * bool(set(one) & set(other))
            sharing_both += e * f * (set(one) == set(other))
    return max(sharing_one, sharing_both)


def plain_share(table, rows, confidence):
    """Return the share of right answers among rows with Wilson's interval (percent), and what each row moves it by."""
    correct = table["correct"].to_numpy(dtype=float)
    share = correct[rows].mean()
    moved = np.where(rows, (correct - share) / rows.sum(), 0)
    n = table[["object", "object2"]].stack().nunique()
    size = share * (1 - share) / (plain_variance(table, moved) * n / (n - 1))
    quantile = stats.t.ppf((1 + confidence) / 2, n - 1)
    middle, scale = share + quantile**2 / (2 * size), 1 + quantile**2 / size
    reach = quantile * np.sqrt((share * (1 - share) + quantile**2 / (4 * size)) / size)
    return [100 * each for each in (share, (middle - reach) / scale, (middle + reach) / scale)], moved


@pytest.mark.parametrize(("confidence", "seed"), [(0.95, 0), (0.8, 1), (0.95, 1), (0.95, 3)])
def test_all_intervals_are_those_of_a_plain_double_loop(confidence, seed):
    table = simulate(np.random.default_rng(seed), n_objects=15, place=4)
    result = dyadic.together_gap(table, confidence=confidence).iloc[0]
    center = table["together"].to_numpy()
    (on, moves_on), (off, moves_off) = (plain_share(table, rows, confidence) for rows in (center, ~center))
    for name, measured in (("together_accuracy", on), ("apart_accuracy", off)):
        found = result[[name, f"{name}_low", f"{name}_high"]].tolist()
        assert found == pytest.approx(measured)
        assert 0 <= found[1] < found[2] <= 100
    together, apart = (plain_variance(table, moves_on + sign * moves_off) for sign in (1, -1))
    alone = np.sqrt(plain_variance(table, moves_on) * plain_variance(table, moves_off))
    related = np.clip((together - apart) / (4 * alone), -1, 1)
    gap, ratio = recovery.difference(on, off, related), recovery.ratio(off, on, related)
    assert result["gap"] == pytest.approx(on[0] - off[0])
    assert result[["gap_low", "gap_high"]].tolist() == pytest.approx(list(gap))
    assert result["bias_index"] == pytest.approx(1 - off[0] / on[0])
    ends = result[["bias_index_high", "bias_index_low"]].tolist()
    assert ends == pytest.approx([1 - end for end in ratio])


def test_where_nearly_all_is_right_the_interval_stays_within_100_percent():
    """A symmetric one would end at 103 %, and have no width where all is right."""
    table = simulate(np.random.default_rng(1), n_objects=20).assign(correct=True)
    table.loc[table.index[:8:4], "correct"] = False
    result = dyadic.together_gap(table).iloc[0]
    assert result["together_accuracy"] == 95 and 75 < result["together_accuracy_low"] < 95
    assert 95 < result["together_accuracy_high"] < 100
    assert result["apart_accuracy"] == 100 == pytest.approx(result["apart_accuracy_high"])
    assert result["apart_accuracy_low"] == pytest.approx(100 * 20 / (20 + stats.t.ppf(0.975, 19) ** 2))


WORLDS = [
    {"first": 0, "second": 0, "pair": 0, "place": 0},
    {"first": 1, "second": 1},
    {"first": 2, "second": 0.5, "place": 2},
    {"first": 0.5, "second": 2, "gap": 2},
]


def share_covered(world, repetitions):
    """Give how often the interval of the gap has the gap of many objects in it."""
    truth = pd.concat(
        [simulate(np.random.default_rng([1, number]), n_objects=4000, **world) for number in range(20)]
    )
    gap = 100 * (
        truth.loc[truth["together"], "correct"].mean() - truth.loc[~truth["together"], "correct"].mean()
    )
    found = [
        dyadic.together_gap(simulate(np.random.default_rng([2, number]), **world)).iloc[0]
        for number in range(repetitions)
    ]
    return np.mean([row["gap_low"] <= gap <= row["gap_high"] for row in found])


def test_an_interval_covers_the_truth_about_as_often_as_it_says():
    assert 0.92 <= share_covered(WORLDS[1], 150) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_intervals_cover_the_truth_as_often_as_they_say(world):
    assert 0.93 <= share_covered(world, 1000) <= 0.97


def test_drawing_objects_and_keeping_what_both_were_drawn_for_would_be_too_wide():
    """The bootstrap that the module's docstring warns of, with as many draws as the test can wait for."""
    rng, covered, n = np.random.default_rng(0), [], 128
    for number in range(100):
        table = simulate(np.random.default_rng([2, number]))
        first, second = (table[name].str[1:].astype(int).to_numpy() for name in dyadic.OBJECTS)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=300)
        weights = drawn[:, first] * drawn[:, second]
        correct, center = table["correct"].to_numpy(dtype=float), table["together"].to_numpy()
        shares = [weights[:, side] @ correct[side] / weights[:, side].sum(1) for side in (center, ~center)]
        low, high = np.quantile(100 * (shares[0] - shares[1]), [0.025, 0.975])
        covered.append(low <= 8.4 <= high)  # the gap of many objects
    assert np.mean(covered) > 0.97


def test_the_gap_of_a_hand_worked_table():
    """Three objects in a ring, at both places; one pair is right at the center alone."""
    pairs = [("a", "b"), ("b", "c"), ("c", "a")]
    table = pd.DataFrame(2 * pairs, columns=["object", "object2"]).assign(
        together=[True] * 3 + [False] * 3,
        correct=pd.array([True, True, False, True, False, pd.NA], dtype="boolean"),
    )
    result = dyadic.together_gap(table).iloc[0]
    assert result["together_accuracy"] == pytest.approx(200 / 3)
    assert result["apart_accuracy"] == 50
    assert result[["n_together", "n_apart", "n_objects", "unreadable"]].tolist() == [3, 2, 3, 1]
    # together: e = 1/9, 1/9, -2/9. Sums: a -1/9, b 2/9, c -1/9, less those of the pairs: 6/81 - 6/81 = 0, which is
    # less than independent pairs have: 6/81, times 3 / 2 for three objects. So n* = (2/9) / (1/9) = 2
    quantile = stats.t.ppf(0.975, 2)
    middle, scale = 2 / 3 + quantile**2 / 4, 1 + quantile**2 / 2
    reach = quantile * np.sqrt((2 / 9 + quantile**2 / 8) / 2)
    ends = result[["together_accuracy_low", "together_accuracy_high"]].tolist()
    assert ends == pytest.approx([100 * (middle - reach) / scale, 100 * (middle + reach) / scale])


def test_groups_are_measured_by_themselves():
    first, second = (simulate(np.random.default_rng(seed), n_objects=8) for seed in (3, 4))
    both = pd.concat([first.assign(model="x"), second.assign(model="y")])
    result = dyadic.together_gap(both, "model")
    assert result["model"].tolist() == ["x", "y"]
    for row, alone in zip(result.drop(columns="model").iloc, (first, second), strict=True):
        pd.testing.assert_series_equal(row, dyadic.together_gap(alone).iloc[0], check_names=False)


def test_two_objects_have_no_interval():
    table = simulate(np.random.default_rng(0), n_objects=2)
    with pytest.warns(EstimateWarning, match="fewer than three objects"):
        result = dyadic.together_gap(table).iloc[0]
    assert result[["gap_low", "gap_high"]].isna().all() and not np.isnan(result["gap"])


def test_an_image_of_one_object_is_refused():
    table = simulate(np.random.default_rng(0), n_objects=4)
    table.loc[2, "object2"] = table.loc[2, "object"]
    with pytest.raises(InputError, match="repeats 'object'"):
        dyadic.together_gap(table)


def test_choices_are_counted_by_hand():
    table = pd.DataFrame(
        {
            "object": ["cup", "dog", "cup", "dog", "cup", "dog"],
            "object2": ["dog", "hat", "hat", "hat", "dog", "cup"],
            "together": [True, True, True, False, False, False],
            "choice": ["both", "both", "unreadable", "object", "other", "object"],
        }
    )
    result = dyadic.choices(table).set_index(["together", "choice"])
    assert list(result.index.get_level_values("choice")[:5]) == list(CHOICES)
    assert list(result.index.get_level_values("together")) == [True] * 5 + [False] * 5
    assert result.loc[True, "count"].tolist() == [2, 0, 0, 0, 1]
    assert result.loc[False, "count"].tolist() == [0, 2, 0, 1, 0]
    assert result.loc[(True, "both"), "share"] == 100
    assert result.loc[(False, "object"), "share"] == pytest.approx(200 / 3)
    assert np.isnan(result.loc[(True, "unreadable"), "share"])
    assert result.loc[(True, "both"), "n"] == 2


def test_the_share_of_both_is_the_accuracy_with_the_same_interval():
    table = simulate(np.random.default_rng(5), n_objects=12)
    wrong = np.random.default_rng(0).choice(["object", "object2", "other"], len(table))
    table["choice"] = np.where(table["correct"].to_numpy(dtype=bool), "both", wrong)
    table.loc[7, ["choice", "correct"]] = ["unreadable", pd.NA]
    shares, bias = dyadic.choices(table), dyadic.together_gap(table).iloc[0]
    both = shares[shares["choice"] == "both"].set_index("together")
    for center, name in ((True, "together_accuracy"), (False, "apart_accuracy")):
        expected = [bias[name], bias[f"{name}_low"], bias[f"{name}_high"]]
        assert both.loc[center, ["share", "low", "high"]].tolist() == pytest.approx(expected)
    assert shares.groupby("together")["share"].sum().tolist() == pytest.approx([100, 100])


def test_what_is_left_out_is_counted_by_hand():
    """At the border: a alone is left out twice, its partner once; what is chosen at the center does not count."""
    choices = ["object2", "object2", "object", "both", "other", "unreadable"]
    table = pd.DataFrame(
        {
            "object": ["a", "b", "c", "a", "b", "c", "a"],
            "object2": ["b", "c", "a", "c", "a", "b", "b"],
            "together": [False] * 6 + [True],
            "choice": [*choices, "object"],
        }
    )
    result = dyadic.left_out(table).iloc[0]
    assert result[["first", "second", "difference"]].tolist() == pytest.approx([40, 20, 20])
    assert result[["n", "n_objects", "unreadable"]].tolist() == [5, 3, 1]
    assert 0 < result["first_low"] < 40 < result["first_high"] < 100
    assert -100 < result["difference_low"] < 20 < result["difference_high"] < 100
    with pytest.raises(InputError, match="no rows with the objects apart"):
        dyadic.left_out(table[-1:])


def test_choices_of_a_zero_shot_table_are_refused():
    table = pd.DataFrame({"object": ["cup"], "object2": ["dog"], "together": [True], "choice": ["teapot"]})
    with pytest.raises(InputError, match="has the value 'teapot' in 1 row"):
        dyadic.choices(table)


def at_both_places(rng, place, relation, n=40):
    """Answers to pairs in four relations at two places, which change the share of both captions by so many points."""
    objects = np.arange(n)
    rows = []
    for on in ("on", "under", "left_of", "right_of"):
        for around in (True, False):
            share = 0.4 + place / 100 * around + relation / 100 * (on == "on")
            correct = pd.array(rng.permutation(objects < round(share * n)), dtype="boolean")
            rows.append(
                pd.DataFrame({"object": objects, "correct": correct, "relation": on, "together": around})
            )
    return pd.concat(rows, ignore_index=True).assign(object2=lambda table: (table["object"] + 1) % n)


@pytest.mark.parametrize(("place", "relation"), [(50, 0), (0, 50), (30, 20)])
def test_place_and_relation_are_told_apart(place, relation):
    table = at_both_places(np.random.default_rng(0), place, relation)
    rows = dyadic.place_and_relation(table.assign(model="a"), "model").set_index("effect")
    assert rows.loc["place alone", "difference"] == pytest.approx(place)
    assert rows.loc["relation alone", "difference"] == pytest.approx(relation)
    # where they go together, as in What'sUp, one effect looks like the other
    assert rows.loc["as in What'sUp", "difference"] == pytest.approx(place + relation)
    assert rows["n_first"].tolist() == [40, 160, 80]
    assert rows["n_second"].tolist() == [120, 160, 240]
    placed = table[(table["relation"] == "on") == table["together"]]
    whole = dyadic.together_gap(placed).iloc[0]
    for name, of_bias in (
        ("first", "together_accuracy"),
        ("second", "apart_accuracy"),
        ("difference", "gap"),
    ):
        for end in ("", "_low", "_high"):
            assert rows.loc["as in What'sUp", name + end] == pytest.approx(whole[of_bias + end])


@pytest.mark.parametrize("keep", ["relation == 'on'", "together", "index > 0", "relation != 'on'"])
def test_place_and_relation_need_every_relation_at_both_places(keep):
    table = at_both_places(np.random.default_rng(0), 10, 10).query(keep)
    with pytest.raises(InputError, match="place and relation cannot be told apart"):
        dyadic.place_and_relation(table)


@pytest.mark.parametrize("side", [None, "together"])
def test_the_interval_of_a_mean_is_that_of_a_plain_double_loop(side):
    table = simulate(np.random.default_rng(3), n_objects=12)
    table["value"] = np.random.default_rng(4).normal(size=len(table)) + table["together"]
    table.loc[5, "value"] = np.nan
    read = table.drop(index=5)
    parts = [read] if side is None else [read[read["together"]], read[~read["together"]]]
    moved = pd.Series(0.0, index=read.index)
    for part, sign in zip(parts, (1, -1), strict=False):
        moved[part.index] = sign * (part["value"] - part["value"].mean()) / len(part)
    expected = parts[0]["value"].mean() - (0 if side is None else parts[1]["value"].mean())
    n = len(set(read["object"]) | set(read["object2"]))
    reach = stats.t.ppf(0.975, n - 1) * np.sqrt(plain_variance(read, moved) * n / (n - 1))
    row = dyadic.mean(table, "value", side).iloc[0]
    assert [row["mean"], row["low"], row["high"]] == pytest.approx(
        [expected, expected - reach, expected + reach]
    )
    assert (row["n"], row["n_objects"], row["unreadable"]) == (len(read), n, 1)
