"""The verdicts on robustness say the numbers of their tables."""

from html import unescape

import numpy as np
import pandas as pd

from crosseyed.measure.specifications import OWN
from crosseyed.report.verdicts import robustness

SPECIFIED = pd.DataFrame(
    {
        "decision": [OWN, "caption", "names", "grid"],
        "option": ["a photo of a {}", "{}", "8", "3 × 3"],
        "gap": [20.04, 31.0, -5.0, 25.0],
        "gap_low": [15.0, 25.0, -9.0, -1.0],
        "gap_high": [25.0, 37.0, -0.5, 40.0],
        "change": [np.nan, 10.96, -25.04, 4.96],
        "change_low": [np.nan, 5.0, -30.0, -5.0],
        "change_high": [np.nan, 15.0, -20.0, 15.0],
        "change_p": [np.nan, 0.04, 0.001, 0.5],
    }
)


def test_specifications_are_summed_up_by_their_range_and_those_that_change_the_gap():
    assert unescape(robustness.specifications("ViT", SPECIFIED)) == (
        "**Decisions.** As the study asks, the gap of ViT on these objects is **20.0 points** (95 % interval 15.0 to "
        "25.0). Under 4 specifications it runs from -5.0 (names: 8) to 31.0 (caption: {}); its interval lies above "
        "zero in 2 of them and below zero in 1. Decisions that change it (corrected p < 0.05): caption: {} (+11.0 "
        "points, 5.0 to 15.0); names: 8 (-25.0 points, -30.0 to -20.0)."
    )
    none = robustness.specifications("ViT", SPECIFIED.assign(change_p=[np.nan, 1, 1, 1]))
    assert none.endswith("No single decision changes it (corrected p < 0.05).")


def test_the_order_of_captions_must_not_matter():
    assert "same answer for all 1,000 images, as they must" in robustness.caption_order(0, 1000)
    assert "another answer for 3 of 1,000 images" in robustness.caption_order(3, 1000)
