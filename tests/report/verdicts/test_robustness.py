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


def sided(p_values):
    return pd.DataFrame(
        {
            "first": ["left", "above"],
            "second": ["right", "below"],
            "difference": [4.04, -8.0],
            "low": [-1.0, -12.0],
            "high": [9.0, -4.0],
            "p_value": p_values,
        }
    )


def test_sides_are_compared_and_the_better_one_is_named():
    assert robustness.sides(sided([0.2, 0.01])) == (
        "**Sides.** At equal eccentricity, left minus right +4.0 points (-1.0 to 9.0) and above minus below -8.0 "
        "points (-12.0 to -4.0): objects are recognised better below (corrected p < 0.05)."
    )
    assert "better left and below" in robustness.sides(sided([0.04, 0.01]))
    assert "no side is better" in robustness.sides(sided([0.06, 1.0]))


def test_crowds_go_from_the_fewest_to_the_most_objects():
    ends = {"gap": [50.0, 20.0], "gap_low": [40.0, 10.0], "gap_high": [60.0, 30.0]}
    bias = pd.DataFrame(
        {"shown": [1, 6], "center_accuracy": [90.0, 30.0], "off_center_accuracy": [40.0, 10.0], **ends}
    )
    assert robustness.crowds(bias.iloc[::-1]) == (
        "**Clutter.** With 1 object in the image, the accuracy is 90 % at the center and 40 % off-center, with 6 it is "
        "30 and 10 %: the gap goes from **50.0** (40.0 to 60.0) to **20.0 points** (10.0 to 30.0)."
    )


def test_confidence_is_compared_with_accuracy_and_its_areas_are_said():
    rings = pd.DataFrame(
        {
            "accuracy": [90.0, 50.0, 20.0],
            "probability": [80.0, 70.0, 55.0],
            "overconfidence": [-10.0, 20.0, 35.0],
            "overconfidence_low": [-15.0, 15.0, 30.0],
            "overconfidence_high": [-5.0, 25.0, 40.0],
        }
    )
    areas = {f"{side}_auroc{end}": 0.7 for side in ("center", "off_center") for end in ("", "_low", "_high")}
    told = pd.DataFrame([areas | {"off_center_auroc": 0.615}])
    text = robustness.calibration(rings, told)
    assert "accuracy falls by 70 points and confidence by 25" in text
    assert "from -10 (-15 to -5) to **+35 points** (30 to 40)" in text
    assert "probability 0.70 (0.70 to 0.70) at the center and 0.61 (0.70 to 0.70) off-center" in text
    unknown = robustness.calibration(rings, told.assign(center_auroc=np.nan))
    assert "probability 0.61 (0.70 to 0.70) off-center; 0.5" in unknown
    neither = robustness.calibration(rings, told.assign(center_auroc=np.nan, off_center_auroc=np.nan))
    assert neither.endswith("nothing that confidence could tell apart.")


def test_retrieval_says_both_sides_for_every_number():
    ends = {"gap": [50.0, 20.0], "gap_low": [40.0, 10.0], "gap_high": [60.0, 30.0]}
    bias = pd.DataFrame(
        {"first": [1, 5], "center_accuracy": [80.0, 90.0], "off_center_accuracy": [30.0, 70.0], **ends}
    )
    assert robustness.retrieval(bias, 1000) == (
        "**Retrieval.** Searching 1,000 images, a caption has the image with its object at the center, or with the "
        "same object off-center, among the first 1 in 80 and 30 % (difference 50.0 points, 40.0 to 60.0); among the "
        "first 5 in 90 and 70 % (difference 20.0 points, 10.0 to 30.0)."
    )


ENDS = {"gap": [10.0, 50.0], "gap_low": [0.0, 40.0], "gap_high": [20.0, 60.0]}


def test_sizes_go_from_one_patch_to_the_largest():
    bias = pd.DataFrame(
        {"size": [0.1, 0.4], "center_accuracy": [30.0, 95.0], "off_center_accuracy": [20.0, 45.0], **ENDS}
    )
    assert robustness.sizes(bias) == (
        "**Size.** At the same eccentricities, objects of one patch (0.10 of the side) are recognised in 30 % at the "
        "center and 20 % off-center, a gap of **10.0 points** (0.0 to 20.0); objects of 0.40 in 95 and 45 %, a gap of "
        "**50.0 points** (40.0 to 60.0)."
    )
    floor = robustness.sizes(bias.assign(center_accuracy=[9.0, 95.0]))
    assert floor.endswith("hardly recognised anywhere, so that their gap says nothing.")


def test_resolutions_are_sorted():
    assert robustness.resolutions(pd.DataFrame({"side": [140, 70], **ENDS})) == (
        "**Resolution.** With interpolated positional embeddings the gap is 50.0 (40.0 to 60.0) at 70 pixels a side, "
        "10.0 (0.0 to 20.0) at 140 pixels a side."
    )


def test_positions_say_what_the_right_gains_and_the_center_loses():
    names = ["as trained", "moved to the right", "averaged", "shuffled"]
    index = pd.MultiIndex.from_product([names, ["center", "left", "right"]], names=["positions", "place"])
    accuracy = [90.0, 30.0, 40.0, 35.0, 10.0, 85.0, 20.0, 12.0, 14.0, 6.0, 3.0, 5.0]
    table = pd.DataFrame({"accuracy": accuracy}, index=index).reset_index()
    table = table.assign(low=table["accuracy"] - 5, high=table["accuracy"] + 5)
    assert robustness.positions(table) == (
        "**Positions.** Where positional embeddings are moved so that the right is taken for the center, accuracy goes "
        "at the right from 40 to **85 %** (80 to 90) and at the center from 90 to **35 %** (30 to 40). Right are, with "
        "averaged embeddings 20 % at the center and 13 % elsewhere; with shuffled embeddings 6 % at the center and 4 % "
        "elsewhere."
    )


def test_the_receptive_field_is_told_by_its_ends():
    profile = pd.DataFrame(
        {"images": ["a", "a", "b", "b"], "eccentricity": [0.1, 0.9] * 2, "mean": [2.0, 0.5] * 2}
    )
    profile = profile.assign(low=profile["mean"] - 0.25, high=profile["mean"] + 0.25)
    text = robustness.receptive_field(profile)
    assert "in a a pixel of the innermost ring has 2.00 times (1.75 to 2.25)" in text
    assert "; in b a pixel" in text and text.endswith("the outermost 0.50 times (0.25 to 0.75).")
