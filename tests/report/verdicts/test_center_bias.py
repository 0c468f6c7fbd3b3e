"""The verdict on center bias says the numbers of its tables, with intervals of the level in force."""

import pandas as pd

from crosseyed.report.verdicts.center_bias import phase, place_or_relation, summary
from crosseyed.settings import settings

BIAS = pd.DataFrame(
    {
        "center_accuracy": [80.04],
        "off_center_accuracy": [67.66],
        "gap": [12.38],
        "gap_low": [9.0],
        "gap_high": [15.55],
    }
)
CONTROLS = pd.DataFrame({"gap_low": [0.1, 3.0, 0.0, -2.0]})
CROP = pd.DataFrame({"difference": [4.26], "low": [-1.04], "high": [9.5]})


def test_the_summary_states_gap_controls_and_crop():
    assert summary("ViT", BIAS, CONTROLS, CROP) == (
        "For **ViT** the center-bias gap is **12.4 percentage points** (95 % interval 9.0 to 15.6): 80.0 % at the "
        "center, 67.7 % off-center. In 2 of 4 control conditions the interval of the gap lies above zero. The crop "
        "accounts for 4.3 points (-1.0 to 9.5) of the gap in 4:3 images."
    )


def test_the_interval_is_named_after_the_level_in_force():
    with settings.overridden(confidence=0.9):
        assert "(90 % interval 9.0 to 15.6)" in summary("ViT", BIAS, CONTROLS, CROP)


def test_the_range_over_phases_is_that_of_the_control():
    controls = pd.DataFrame(
        {
            "control": ["size", "phase", "phase", "phase"],
            "center_accuracy": [10.0, 80.0, 88.25, 84.0],
            "gap": [50.0, -0.1, 5.0, 1.4],
        }
    )
    assert (
        "at the center runs from 80.0 to 88.2 %, and the gap to the corners from -0.1 to 5.0 points"
        in phase(controls)
    )


def separated(place, relation):
    effects = ["as in What'sUp", "place alone", "relation alone"]
    table = pd.DataFrame({"effect": effects, "difference": [place + relation, place, relation]})
    return table.assign(difference_low=table["difference"] - 5, difference_high=table["difference"] + 5)


def test_the_verdict_on_pairs_names_what_makes_a_certain_difference():
    text = place_or_relation("ViT", separated(40.0, 3.0))
    assert (
        "With two objects, of place and relation, the place alone makes a certain difference for **ViT**"
        in text
    )
    assert "both wins by +40.0 points (35.0 to 45.0)" in text
    assert "at the same places, by +3.0 points (-2.0 to 8.0)" in text
    assert "as in What'sUp, by +43.0 points (38.0 to 48.0)" in text
    assert "of place and relation, the relation alone makes a certain difference" in place_or_relation(
        "ViT", separated(3.0, -40.0)
    )
    assert "neither the place nor the relation alone makes" in place_or_relation("ViT", separated(3.0, -3.0))
    assert "both the place and the relation make a difference" in place_or_relation(
        "ViT", separated(9.0, 8.0)
    )
