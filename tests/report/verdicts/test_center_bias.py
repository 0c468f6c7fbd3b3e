"""The verdict on center bias says the numbers of its tables, with intervals of the level in force."""

import pandas as pd

from crosseyed.report.verdicts.center_bias import summary
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
