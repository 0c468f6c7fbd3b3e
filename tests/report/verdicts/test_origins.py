"""The verdict on the origins of the bias: what each habit changes, and how far that can be generalised."""

import pandas as pd

from crosseyed.report.verdicts.origins import summary

NAMES = ["habit", "seed", "gap", "gap_low", "gap_high", "preference", "preference_low", "preference_high"]
CONTRASTS = pd.DataFrame(
    [
        ("placement", 0, 20.0, 16.0, 24.0, 2.0, -2.0, 6.0),
        ("placement", 1, 18.04, 14.0, 22.0, 1.0, -3.0, 5.0),
        ("selective naming", 0, 1.0, -3.0, 5.0, 30.0, 20.0, 40.0),
        ("unnamed clutter", 0, 0.0, -4.0, 4.0, 0.0, -4.0, 4.0),
    ],
    columns=NAMES,
)
BIAS = pd.DataFrame(
    {"habit": ["selective naming", "placement", "placement"], "center_accuracy": [70.0, 55.4, 81.0]}
)


def test_each_habit_has_its_changes_one_for_each_seed():
    lines = summary(CONTRASTS, BIAS, 2.5).splitlines()
    assert lines[0].startswith("**What makes a bias is placement and selective naming: ")
    assert lines[2] == (
        "- **Placement**, from the weakest dose to the strongest, changes the center-bias gap by +20.0 (16.0 to 24.0) "
        "and +18.0 (14.0 to 22.0) points and the preference for the center by +2.0 (-2.0 to 6.0) and +1.0 (-3.0 to "
        "5.0) points (one number for each seed, with its interval)."
    )
    assert [line.split(",")[0] for line in lines[2:5]] == [
        "- **Placement**",
        "- **Selective naming**",
        "- **Unnamed clutter**",
    ]


def test_the_limits_are_those_of_accuracies_intervals_and_seeds():
    limits = summary(CONTRASTS, BIAS, 2.5).splitlines()[-1]
    assert limits.startswith(
        "Limits: at the center the models name 55 to 81 % (placement), 70 to 70 % (selective naming) of single "
        "objects (chance: 2 %)."
    )
    # half-widths 4, 4, 4, 4 of the gap and 4, 4, 10, 4 of the preference
    assert (
        "less than about 4 points, or of the preference by less than 6, cannot be told from chance" in limits
    )
    assert "Seeds at both ends of a series: 1, too few" in limits


def test_without_both_ends_of_a_series_only_the_accuracies_limit():
    lines = summary(CONTRASTS[:0], BIAS, 2.5).splitlines()
    assert lines[0].startswith("**The question is open: ")
    assert "(chance: 2 %). No gap can be larger than that." in lines[-1]
    assert "nan" not in lines[-1]
    assert "Seeds" not in lines[-1]
