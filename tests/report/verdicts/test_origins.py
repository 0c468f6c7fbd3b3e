"""The verdict on the origins of the bias: what each habit changes, and how far that can be generalised."""

import pandas as pd

from crosseyed.report.verdicts.origins import summary

NAMES = [
    "habit",
    "measure",
    "dose",
    "strongest",
    "change",
    "low",
    "high",
    "p_corrected",
    "least",
    "most",
    "n_seeds",
]
NAN = float("nan")
EFFECTS = pd.DataFrame(
    [
        ("placement", "gap", "0.15", False, -1.2, NAN, NAN, NAN, -1.2, -1.2, 1),
        ("placement", "gap", "0.08", False, 7.2, NAN, NAN, NAN, 7.2, 7.2, 1),
        ("placement", "gap", "0.03", True, 60.58, 48.1, 73.0, 0.0002, 57.5, 63.7, 5),
        ("placement", "preference", "0.03", True, 54.7, 23.0, 86.4, 0.0451, 47.9, 61.5, 5),
        ("selective naming", "gap", "1", True, 6.3, -59.9, 72.5, 0.855, 1.1, 11.5, 5),
        ("selective naming", "preference", "1", True, 17.7, NAN, NAN, NAN, 17.7, 17.7, 1),
        ("unnamed clutter", "gap", "1", True, 36.8, 20.8, 52.7, 0.003, 32.9, 40.7, 5),
        ("unnamed clutter", "preference", "1", True, 0.0, -4.0, 4.0, 1.0, -1.0, 1.0, 5),
    ],
    columns=NAMES,
)
BIAS = pd.DataFrame(
    {
        "habit": ["selective naming", "placement", "placement"],
        "dose": ["1", "uniform", "uniform"],
        "center_accuracy": [70.0, 32.8, 57.8],
    }
)


def test_each_habit_has_its_changes_with_intervals_over_seeds():
    decided = EFFECTS.assign(n_seeds=5)
    lines = summary(decided, BIAS, 2.5).splitlines()
    assert lines[0].startswith("**What makes a bias is placement and unnamed clutter: ")
    assert lines[2].startswith(
        "- **Placement**, from the weakest dose to the strongest, changes the center-bias gap by +60.6 points (48.1 to "
        "73.0, corrected p < 0.001; the 5 seeds: +57.5 to +63.7) and the preference for the center by +54.7 points "
        "(23.0 to 86.4, corrected p = 0.045; the 5 seeds: +47.9 to +61.5)."
    )


def test_a_measure_without_its_strongest_dose_is_said_to_be_missing():
    missing = (EFFECTS["habit"] == "placement") & (EFFECTS["measure"] == "preference")
    lines = summary(EFFECTS[~missing], BIAS, 2.5).splitlines()
    assert "+60.6 points (48.1 to 73.0" in lines[2]
    assert "the preference for the center by what is not measured yet." in lines[2]


def test_weaker_doses_are_told_beside_the_strongest():
    lines = summary(EFFECTS, BIAS, 2.5).splitlines()
    assert lines[2].endswith(
        "Doses between them (0.15, 0.08; one seed) change the gap by at most +7.2 points, at 0.08."
    )
    assert "Doses between them" not in lines[3] + lines[4]


def test_one_seed_decides_nothing_and_has_no_interval():
    lines = summary(EFFECTS, BIAS, 2.5).splitlines()
    assert lines[0].startswith("**Not decided for selective naming: ")
    assert lines[3].endswith("the preference for the center by +17.7 points (one seed, so no interval).")
    assert "nan" not in " ".join(lines)


def test_the_limits_are_those_of_accuracies_and_seeds():
    limits = summary(EFFECTS, BIAS, 2.5).splitlines()[-1]
    assert limits.startswith(
        "Limits: at the center the models name 33 to 58 % (placement), 70 to 70 % (selective naming) of single "
        "objects (chance: 2 %)."
    )
    assert "that differ in their seed alone differ at the center by up to 25 points" in limits
    assert "seed alone" not in summary(EFFECTS, BIAS[:2], 2.5)


def test_without_both_ends_of_a_series_only_the_accuracies_limit():
    lines = summary(EFFECTS[:0], BIAS, 2.5).splitlines()
    assert lines[0].startswith("**The question is open: ")
    assert "(chance: 2 %). No gap can be larger than that." in lines[-1]
