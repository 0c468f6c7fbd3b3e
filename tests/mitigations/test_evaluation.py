import numpy as np
import pandas as pd
import pytest
from small_mitigations import Turned, answered, random_answers

from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, permutation
from crosseyed.mitigations.evaluation import (
    acting,
    choose,
    compare,
    contrast,
    evaluate,
    picked,
    ranking,
    with_validation_rank,
)
from crosseyed.mitigations.scoring import BASELINE, score_all
from crosseyed.mitigations.tasks import make_split


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["fluent", "twemoji"]), 8, seed=0)


@pytest.fixture(scope="module")
def labels(cutouts):
    return objects_of(cutouts)


@pytest.fixture(scope="module")
def split(cutouts, labels):
    return make_split(cutouts, labels, side=32, seed=1)


def test_compare_by_hand():
    answers = answered(
        none=[[True, False, False], [True, True, False]],
        a=[[True, True, True], [False, True, False]],
    )
    plain, changed = compare(answers, resamples=50).to_dict("records")
    assert (plain["center"], plain["off_center"], plain["gap"]) == (100, 25, 75)
    assert (changed["center"], changed["off_center"], changed["gap"]) == (50, 75, -25)
    assert (changed["center_change"], changed["off_center_change"], changed["gap_change"]) == (-50, 50, -100)
    assert (plain["center_change"], plain["off_center_change"], plain["gap_change"]) == (0, 0, 0)
    assert (changed["n_center"], changed["n_off_center"], changed["n_objects"]) == (2, 4, 2)
    assert np.isnan(plain["off_center_p"])
    assert changed["off_center_p"] == 1  # one object changed: either sign is as likely


def test_a_candidate_acts_on_the_images_whose_margin_it_moves():
    answers = answered(none=[[True, False, False]] * 2, still=[[True, False, False]] * 2, a=[[True] * 3] * 2)
    plain, still, moved = [1.0, -2.0, -3.0], [1.0001, -2.0, -3.0], [1.0, 2.0, 3.0]
    margins = [*plain, 1.0, -2.0, None, *still, 1.0, -2.0, None, *moved, 1.0, -2.0, None]
    table = compare(answers.assign(margin=margins), resamples=50).set_index("candidate")
    assert table["acts"].to_dict() == {BASELINE: 0, "still": 0, "a": 40}
    assert list(acting(table.reset_index())["candidate"]) == [BASELINE, "a"]
    assert compare(answers, resamples=50)["acts"].isna().all()  # nothing is known without margins


def test_changes_and_intervals_are_those_of_paired_differences():
    answers = random_answers()
    table = compare(answers, resamples=500, seed=3).set_index("candidate")
    sides = {"center": answers[answers["center"]], "off_center": answers[~answers["center"]], "gap": answers}
    for name in ("a_1", "a_2", "b_1"):
        for quantity, rows in sides.items():
            expected = bootstrap.paired_difference(
                rows,
                "candidate",
                (name, BASELINE),
                quantity="gap" if quantity == "gap" else "accuracy",
                resamples=500,
                seed=3,
            ).iloc[0]
            found = table.loc[name, [f"{quantity}_change{end}" for end in ("", "_low", "_high")]]
            assert found.tolist() == pytest.approx(expected[["difference", "low", "high"]].tolist())


def test_p_values_are_corrected_for_the_number_of_candidates():
    answers = random_answers()
    table = compare(answers, resamples=2000, seed=3).set_index("candidate")
    plain = answers[answers["candidate"] == BASELINE].set_index("image")["correct"].astype(float)
    changed = answers.assign(change=answers["correct"].astype(float) - answers["image"].map(plain))
    changed = changed[changed["candidate"] != BASELINE]
    for quantity, rows in {"center_p": changed["center"], "off_center_p": ~changed["center"]}.items():
        tests = permutation.sign_flip_test(changed[rows], "change", "candidate", resamples=2000, seed=3)
        running = 0.0
        for rank, test in enumerate(tests.sort_values("p_value").itertuples()):
            running = max(running, min(1.0, test.p_value * (len(tests) - rank)))
            assert table.loc[test.candidate, quantity] == pytest.approx(running)
    assert table.loc["a_2", "off_center_p"] < 0.01 < table.loc["b_1", "off_center_p"]


def test_the_gap_is_tested_as_the_difference_of_its_sides():
    """Center and off-center change alike: both sides change beyond doubt, the gap not at all."""
    rows = [[False, False, False]] * 12
    better = (
        compare(answered(none=rows, a=[[True, True, True]] * 12), resamples=2000)
        .set_index("candidate")
        .loc["a"]
    )
    assert better["center_p"] < 0.01
    assert better["off_center_p"] < 0.01
    assert (better["gap_change"], better["gap_p"]) == (0, 1)


def test_a_control_without_border_has_no_gap():
    control = random_answers().query("center").assign(protocol="control")
    table = compare(pd.concat([random_answers(), control]), resamples=50).set_index(["protocol", "candidate"])
    expected = bootstrap.accuracy(control, "candidate", resamples=50).set_index("candidate")["accuracy"]
    assert table.loc["control", "center"].to_dict() == expected.to_dict()
    assert table.loc["control"].filter(regex="off_center_change|gap").isna().all(axis=None)
    assert table.loc["control", "n_off_center"].eq(0).all()
    assert table.loc[("control", "a_2"), "center_change"] == expected["a_2"] - expected[BASELINE]


def test_unreadable_images_are_left_out_of_changes():
    answers = answered(
        none=[[True, False, False], [True, True, False]], a=[[True, True, False], [True, True, True]]
    )
    answers.loc[(answers["candidate"] == "a") & (answers["image"] == "012"), "correct"] = pd.NA
    table = compare(answers, resamples=50).set_index("candidate")
    assert table.loc["a", "off_center_change"] == pytest.approx(100 / 3)
    assert table.loc["a", "unreadable"] == 1


def test_compare_refuses_other_images():
    answers = random_answers()
    with pytest.raises(InputError, match="lack those of the plain model"):
        compare(answers[answers["candidate"] != BASELINE])
    with pytest.raises(InputError, match="'a_1' was not scored once on each image"):
        compare(answers.drop(answers.index[answers["candidate"] == "a_1"][0]))


def settings(**rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Return a table of settings: family, center change, accuracy off-center and passes."""
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["family", "center_change", "off_center", "passes"]
    )
    return table.rename_axis("candidate").reset_index().assign(protocol="grid", acts=50.0)


def test_the_best_harmless_setting_of_each_family_is_chosen():
    table = settings(
        none=(BASELINE, 0, 99, 1),
        a_strong=("a", -5, 80, 1),
        a_weak=("a", -2, 60, 1),
        a_weaker=("a", 0, 40, 1),
        b_bad=("b", -9, 90, 1),
        b_less=("b", -4, 10, 1),
        c_slow=("c", 0, 50, 9),
        c_fast=("c", -1, 50, 4),
        d_first=("d", 0, 50, 4),
        d_second=("d", 1, 50, 4),
    )
    other = table.assign(protocol="pair", off_center=0.0)
    chosen = choose(pd.concat([table, other])).set_index("family")
    assert chosen["candidate"].to_dict() == {"a": "a_weak", "b": "b_less", "c": "c_fast", "d": "d_first"}
    assert chosen["harmless"].to_dict() == {"a": True, "b": False, "c": True, "d": True}
    assert chosen["settings"].to_dict() == {"a": 3, "b": 2, "c": 2, "d": 2}
    assert choose(table, most_loss=5)["candidate"].tolist()[0] == "a_strong"
    idle = table.assign(acts=table["candidate"].map({"a_weak": 0.0, "b_bad": 0.0, "b_less": 0.0}).fillna(9.0))
    assert choose(idle)["candidate"].tolist()[:2] == ["a_weaker", "b_less"]  # of b nothing else is there


def test_the_rank_on_validation_images_goes_with_each_candidate():
    validated = settings(
        none=(BASELINE, 0, 99, 1),
        harmful=("a", -5, 90, 1),
        second=("a", 0, 60, 1),
        first=("b", -1, 70, 3),
        third=("b", 0, 60, 2),
    )
    table = pd.DataFrame({"candidate": ["second", "none", "harmful", "third", "new", "first"]})
    ranks = with_validation_rank(table, validated).set_index("candidate")["validation_rank"]
    assert ranks.dropna().to_dict() == {"first": 1, "second": 2, "third": 3, "harmful": 4}
    assert set(ranks[ranks.isna()].index) == {"none", "new"}
    best = picked(with_validation_rank(table, validated).query("candidate != 'first'"))
    assert best["candidate"].tolist() == ["second"]
    assert picked(with_validation_rank(table[1:2], validated)).empty


@pytest.mark.slow
def test_the_interval_of_what_other_objects_picked_covers_the_truth():
    """No candidate changes anything: the largest change of several often seems to, the picked one seldom."""
    rng, n, names = np.random.default_rng(3), 100, [f"c{number}" for number in range(15)]
    excluded = {"largest": [], "picked": []}
    for _ in range(1000):
        levels = dict(zip(names, rng.random(15), strict=True))
        validated = settings(**{name: ("a", 0, level, 1) for name, level in levels.items()})
        changes = pd.DataFrame(rng.normal(0, rng.uniform(20, 60, n)[:, None], (n, 15)), columns=names)
        ranked = with_validation_rank(pd.DataFrame({"candidate": names}), validated)
        best = {"largest": changes.mean().idxmax(), "picked": picked(ranked)["candidate"].item()}
        for name, candidate in best.items():
            answers = changes[[candidate]].rename_axis("object").reset_index()
            row = bootstrap.mean(answers, candidate, resamples=1000, confidence=0.95).iloc[0]
            excluded[name].append(not row["low"] <= 0 <= row["high"])
    assert np.mean(excluded["largest"]) > 0.25
    assert 0.03 <= np.mean(excluded["picked"]) <= 0.07


def test_choosing_among_nothing_is_refused():
    with pytest.raises(InputError, match="no candidate under the protocol 'pair'"):
        choose(settings(a=("a", 0, 1, 1)), protocol="pair")


def test_evaluate_puts_it_together(tiny_clip, split):
    options = {"resamples": 50, "seed": 1}
    table = evaluate(tiny_clip, [Turned(), "max"], split[:1], **options)
    expected = compare(score_all(tiny_clip, [Turned(), "max"], split[:1]), **options)
    pd.testing.assert_frame_equal(table, expected)
    assert evaluate(tiny_clip, [], split[2:], **options)["candidate"].tolist() == [BASELINE]


def test_models_that_differ_in_a_column_are_contrasted_within_each_panel():
    of_models = answered(
        first=[[True, False, False], [True, False, False]],
        second=[[True, True, False], [False, True, True]],
    )
    one = of_models.drop(columns=["protocol", "family", "kind", "oracle", "passes"])
    one = one.rename(columns={"candidate": "pooling"})
    other = one.assign(correct=one["pooling"] == "first")
    answers = pd.concat([one.assign(positions="centered"), other.assign(positions="uniform")])
    table = contrast(answers, "pooling", "first", "positions", resamples=50)
    assert table[["protocol", "candidate"]].to_numpy().tolist() == [
        ["centered", BASELINE],
        ["centered", "second"],
        ["uniform", BASELINE],
        ["uniform", "second"],
    ]
    # in the first panel the second model gains 3 of 4 off-center and loses 1 of 2 at the center
    assert table["off_center_change"].tolist() == [0, 75, 0, -100]
    assert table["center_change"].tolist() == [0, -50, 0, -100]
    assert table["gap_change"].tolist() == [0, -125, 0, 0]


def test_families_are_ranked_by_their_gain_in_the_grid_within_each_protocol():
    gains = {("pair", "a"): 9.0, ("pair", "b"): 1.0, ("grid", "a"): 2.0, ("grid", "b"): 5.0}
    gains |= {("grid", "left out"): 7.0, ("control", "a"): float("nan")}
    table = pd.DataFrame(
        [
            {"protocol": protocol, "family": family, "off_center_change": gain}
            for (protocol, family), gain in gains.items()
        ]
    )
    ranked = ranking(table, ["a", "b"])
    assert ranked[["protocol", "family"]].to_numpy().tolist() == [
        ["pair", "b"],
        ["pair", "a"],
        ["grid", "b"],
        ["grid", "a"],
    ]
    assert ranking(table, []).empty
