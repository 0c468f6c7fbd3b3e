import functools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crosseyed.errors import InputError
from crosseyed.training import habits
from crosseyed.training.experiments import origins_trials, results_of

OBJECTS = [f"object {number}" for number in range(8)]


def model(varied, dose, seed=0, right_off_center=8, central=0):
    """Answers of a model that is right at the center, and off-center about the first few objects.

    Of two objects, one at the border, it names both; for the first few (`central`) only the one at the center.
    """
    column = "spread" if varied == "spread" else "central_naming_probability"
    dose_of = {"spread": np.inf, "central_naming_probability": 0.0, column: dose}
    alone = [
        {
            "protocol": "grid",
            "image": f"{name}_{row}",
            "object": name,
            "row": row,
            "center": row == 0,
            "correct": row == 0 or number < right_off_center,
        }
        for number, name in enumerate(OBJECTS)
        for row in range(3)
    ]
    pairs = [
        {
            "protocol": "pair",
            "image": f"{name}_{relation}_{OBJECTS[(number + 3) % 8]}_fluent",
            "object": name,
            "style": "fluent",
            "relation": relation,
            "center": relation == "on",
            "choice": "object2" if number < central and relation != "on" else "both",
            "correct": not (number < central and relation != "on"),
        }
        for number, name in enumerate(OBJECTS)
        for relation in ("on", "under")
    ]
    return pd.DataFrame(alone + pairs).assign(varied=varied, seed=seed, **dose_of)


def answers(*models):
    return habits.doses(pd.concat(models, ignore_index=True).astype({"correct": "boolean"}))


def series(seed=0, *, placement, naming):
    """Both ends of both habits; each habit given as how many objects it loses off-center, and names central."""
    strong = {
        habit: {"right_off_center": 8 - lost, "central": central}
        for habit, (lost, central) in {"spread": placement, "naming": naming}.items()
    }
    return [
        model("spread", np.inf, seed),
        model("spread", 0.03, seed, **strong["spread"]),
        model("naming", 0.0, seed),
        model("naming", 1.0, seed, **strong["naming"]),
    ]


def test_doses_are_sorted_from_the_weakest_habit_to_the_strongest():
    table = answers(
        *(model("naming", dose) for dose in (1.0, 0.25)),
        *(model("spread", dose) for dose in (0.03, np.inf, 0.25)),
    )
    order = table[["habit", "dose"]].drop_duplicates()
    assert order["habit"].tolist() == ["placement"] * 3 + ["selective naming"] * 2
    assert order["dose"].tolist() == ["uniform", "0.25", "0.03", "0.25", "1"]


@functools.cache
def kept_answers():
    """The table of the repository, which takes long to read."""
    return habits.read(results_of("origins"))


def test_the_table_of_the_repository_reads_back_with_uniform_positions():
    table = kept_answers()
    assert "uniform" in set(table["dose"])
    assert set(habits.contrasts(table, resamples=20)["habit"]) == set(table["habit"])


def test_a_missing_table_and_another_one_are_refused(tmp_path):
    with pytest.raises(InputError, match="crosseyed experiment origins"):
        habits.read(tmp_path / "origins.csv.gz")
    table = model("spread", 0.03)
    with pytest.raises(InputError, match="lacks central_naming_probability"):
        habits.doses(table.drop(columns="central_naming_probability"))
    with pytest.raises(InputError, match="varies color"):
        habits.doses(table.assign(varied="color"))


def test_preference_is_the_central_share_minus_the_border_share():
    choices = {"object2": 100, "object": -100, "both": 0, "other": 0, "unreadable": np.nan}
    table = pd.DataFrame({"protocol": "pair", "relation": "under", "choice": list(choices)})
    alone = pd.DataFrame({"protocol": ["grid"], "relation": [np.nan], "choice": ["dog"]})
    on = pd.DataFrame({"protocol": ["pair"], "relation": ["on"], "choice": ["object"]})
    scored = habits.preferences(pd.concat([table, alone, on], ignore_index=True))
    assert scored["border"].tolist() == [True] * 5 + [False]
    np.testing.assert_array_equal(scored["preference"], [*choices.values(), -100])


def test_contrasts_are_the_strongest_dose_minus_the_weakest():
    middle = model("spread", 0.15, right_off_center=0, central=8)  # between the ends, and not to be used
    table = habits.contrasts(answers(middle, *series(placement=(4, 2), naming=(0, 6))), resamples=200)
    table = table.set_index("habit")
    # half of eight objects lost off-center; two of eight, and six, named instead of the pair
    assert table["gap"].to_dict() == {"placement": 50.0, "selective naming": 0.0}
    assert table["preference"].to_dict() == {"placement": 25.0, "selective naming": 75.0}
    assert table.loc["placement", ["strongest", "weakest"]].tolist() == ["0.03", "uniform"]
    for measure in habits.MEASURES:
        assert (table[f"{measure}_low"] <= table[measure]).all()
        assert (table[measure] <= table[f"{measure}_high"]).all()
    assert (table["n_objects"] == 8).all()


def test_a_seed_without_both_ends_has_no_contrast():
    table = answers(*series(placement=(4, 2), naming=(0, 0)), model("spread", 0.03, seed=1))
    found = habits.contrasts(table, resamples=20)
    assert found[["habit", "seed"]].to_numpy().tolist() == [["placement", 0], ["selective naming", 0]]
    assert habits.contrasts(answers(model("spread", 0.03)), resamples=20).empty


def many_seeds(n_seeds, **lost):
    """Both ends of both habits for some seeds; they differ by an object more or less."""
    of = [
        series(seed, **{habit: (number + seed % 2, 0) for habit, number in lost.items()})
        for seed in range(n_seeds)
    ]
    return answers(*(each for models in of for each in models))


def test_effects_are_those_of_all_seeds_together():
    table = habits.effects(many_seeds(6, placement=4, naming=0))
    row = habits.strongest(table, "placement", "gap")
    # four or five of eight objects lost off-center
    assert (row["change"], row["least"], row["most"]) == pytest.approx((56.25, 50, 62.5))
    assert row[["dose", "weakest", "n_seeds", "n_objects"]].tolist() == ["0.03", "uniform", 6, 8]
    assert row["low"] < 56.25 < row["high"]
    named = habits.strongest(table, "placement", "preference")
    assert (named["change"], named["n_objects"]) == (0, 8)


def test_of_two_objects_both_are_clusters():
    table = answers(*(each for seed in range(2) for each in series(seed, placement=(0, 3), naming=(0, 0))))
    row = habits.strongest(habits.effects(table), "placement", "preference")
    assert row["change"] == pytest.approx(100 * 3 / 8)
    # images of one pair each, every object once in either role: e = (1 - 3/8) / 8 or -(3/8) / 8 for each image
    moved = np.where(np.arange(8) < 3, 5 / 8, -3 / 8) / 8
    partner = (np.arange(8) + 3) % 8
    by_object = moved + moved[np.argsort(partner)]
    variance = max(by_object @ by_object - moved @ moved, moved @ moved) * 8 / 7
    assert row["high"] - row["change"] == pytest.approx(100 * stats.t.ppf(0.975, 7) * np.sqrt(variance))


def test_doses_between_the_ends_are_told_and_not_corrected():
    table = habits.effects(
        answers(*series(placement=(4, 2), naming=(0, 0)), model("spread", 0.15, central=8))
    )
    rows = table[(table["habit"] == "placement") & (table["measure"] == "preference")]
    assert rows["dose"].tolist() == ["0.15", "0.03"]
    assert rows["change"].tolist() == [100, 25]
    assert rows["strongest"].tolist() == [False, True]
    assert rows[["low", "p_value", "p_corrected"]].isna().all(axis=None)  # of one seed


def test_three_habits_and_two_measures_are_corrected_together():
    table = habits.effects(many_seeds(5, placement=4, naming=1))
    tested = table[table["strongest"]]
    assert len(tested) == 4
    smallest = tested["p_value"].idxmin()
    assert tested.loc[smallest, "p_corrected"] == pytest.approx(min(1, 4 * tested.loc[smallest, "p_value"]))


def told(habit, change, p_corrected=0.001, n_seeds=5):
    """The strongest dose of a habit, for both measures; the preference does not change."""
    return pd.DataFrame(
        {
            "habit": habit,
            "measure": list(habits.MEASURES),
            "strongest": True,
            "change": [change, 0.0],
            "p_corrected": [p_corrected, 1.0],
            "n_seeds": n_seeds,
        }
    )


@pytest.mark.parametrize(
    ("change", "p_corrected", "n_seeds", "effect"),
    [
        (20, 0.001, 5, "raises"),
        (-20, 0.001, 5, "lowers"),
        (20, 0.05, 5, "nothing certain"),
        (20, 0.001, 2, "not decided"),
        (20, np.nan, 1, "not decided"),
    ],
)
def test_an_effect_is_decided_by_the_corrected_p_value_from_five_seeds_on(
    change, p_corrected, n_seeds, effect
):
    assert habits.effect(told("placement", change, p_corrected, n_seeds), "placement", "gap") == effect
    assert habits.effect(told("placement", change), "selective naming", "gap") == "not measured"


@pytest.mark.parametrize(
    ("placement", "naming", "clutter", "words"),
    [
        (
            (5, 0.01),
            (5, 0.2),
            (5, 0.2),
            "What makes a bias is placement: placement raises the center-bias gap, while selective naming raises "
            "neither measure with certainty and unnamed clutter raises neither measure with certainty.",
        ),
        ((5, 0.2), (5, 0.01), (0, 1.0), "What makes a bias is selective naming:"),
        (
            (5, 0.01),
            (0, 1.0),
            (5, 0.01),
            "What makes a bias is placement and unnamed clutter: placement raises",
        ),
        ((-5, 0.2), (-5, 0.001), (1, 1.0), "No habit raises"),
        ((5, 0.01), None, (5, 0.01), "open: the models at both ends of selective naming are not there"),
        ((5, 0.01, 2), (5, 0.01), (5, 0.01, 2), "Not decided for placement and unnamed clutter: models that"),
    ],
)
def test_the_verdict_follows_the_effects(placement, naming, clutter, words):
    given = {"placement": placement, "selective naming": naming, "unnamed clutter": clutter}
    rows = pd.concat([told(habit, *each) for habit, each in given.items() if each])
    assert words in habits.verdict(rows)


def test_with_two_seeds_the_repository_decides_nothing():
    """The kept table has two seeds of each end, which differ by up to 25 points at the center."""
    table = habits.effects(kept_answers())
    assert set(table.loc[table["strongest"].astype(bool), "n_seeds"]) == {2}
    assert habits.verdict(table).startswith(
        "Not decided for placement and selective naming and unnamed clutter"
    )
    weaker = table[(table["habit"] == "placement") & (table["measure"] == "gap") & (table["dose"] != "0.03")]
    assert weaker["change"].abs().max() < 10 < habits.strongest(table, "placement", "gap")["low"]


def test_positions_show_what_a_dose_does():
    trials = origins_trials()
    ends = [
        next(t for t in trials if t.about["varied"] == varied and t.about[column] == dose)
        for varied, column, dose in (
            ("spread", "spread", 0.03),
            ("spread", "spread", np.inf),
            ("naming", "central_naming_probability", 0.0),
            ("naming", "central_naming_probability", 1.0),
            ("clutter", "central_naming_probability", 1.0),
        )
    ]
    table = habits.doses(habits.sample_positions(ends, 60))
    distance = np.hypot(table["x"] - 0.5, table["y"] - 0.5)
    of = [table["habit"], table["dose"], table["named"]]
    mean = distance.groupby(of).mean()
    assert mean["placement", "0.03", True] < 0.1 < mean["placement", "uniform", True]
    assert table[table["habit"] == "placement"]["named"].all()  # nothing is left unsaid
    assert mean["selective naming", "1", True] < mean["selective naming", "1", False]
    assert mean["selective naming", "1", True] < mean["selective naming", "0", True]
    assert table[(table["habit"] == "selective naming") & table["named"]].groupby("dose").size().eq(60).all()
    assert mean["unnamed clutter", "1", True] < 0.2 < mean["unnamed clutter", "1", False]


def test_examples_show_the_weakest_and_the_strongest_dose_of_each_habit():
    trials = [each for each in origins_trials() if each.about["seed"] == 0]
    images, captions = habits.examples(trials, numbers=(1,), seed=3, side=32)
    assert [(image.shape, image.dtype) for image in images] == [((32, 32, 3), np.uint8)] * 6
    of_habit = {
        name: [
            each.name.split(",")[0].replace("inf", "uniform")
            for each in trials
            if each.about["varied"] == name
        ]
        for name in habits.HABITS
    }
    ends = [of_habit["spread"][place] for place in (-1, 0)]
    ends += [of_habit[name][place] for name in ("naming", "clutter") for place in (0, -1)]
    assert [caption.split(": ")[0] for caption in captions] == ends
    assert "uniform" in captions[0]
    again, _ = habits.examples(trials, numbers=(1,), seed=3, side=32)
    other, _ = habits.examples(trials, numbers=(1,), seed=4, side=32)
    assert all((one == same).all() for one, same in zip(images, again, strict=True))
    assert any((one != changed).any() for one, changed in zip(images, other, strict=True))
