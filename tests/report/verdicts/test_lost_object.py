"""The verdict on where the off-center object is lost says the numbers of its tables."""

import pandas as pd

from crosseyed.report.verdicts import lost_object


def test_what_is_found_in_the_tokens_and_in_the_embedding():
    loss = pd.DataFrame(
        {
            "reader": ["probe", "probe", "logit lens"],
            "source": ["object", "embedding", "embedding"],
            "center_accuracy": [90.4, 1.0, 70.0],
            "off_center_accuracy": [89.5, 2.0, 40.6],
        }
    )
    lost = pd.DataFrame(
        {
            "reader": ["logit lens", "probe"],
            "difference": [12.4, -3.0],
            "low": [8.0, -5.4],
            "high": [16.0, 0.2],
        }
    )
    assert lost_object.found("ViT", loss, lost, 5) == (
        "For **ViT**, a probe finds the object in its own tokens in 90 % at the center, 90 % off-center; the embedding "
        "has its name among the first 5 in **70 % at the center, 41 % off-center**. From the object's tokens to the "
        "embedding the center-bias gap changes by +12 points (8 to 16) for the logit lens and -3 points (-5 to 0) for "
        "the probe."
    )


def test_what_the_objects_tokens_contribute():
    shares = pd.DataFrame(
        {"part": ["rest", "on_object"], "center_mean": [1.0, 0.1234], "off_center_mean": [1.0, 0.05]}
    )
    assert lost_object.contributions("ViT", shares) == (
        "In **ViT**, the object's own tokens contribute 0.123 to the similarity at the center and **0.050** off-center."
    )


def test_what_the_gap_is_without_heads():
    bias = pd.DataFrame({"ablated": ["none", "random 3", "top 3"], "gap": [10.2, 9.0, 4.4]})
    changes = pd.DataFrame(
        {
            "contrast": ["top 3", "random 3", "top 3 against random 3"],
            "off_center_mean": [-4.0, -1.0, -3.0],
            "difference": [-6.0, -1.0, -5.0],
            "difference_low": [-9.0, -2.0, -8.0],
            "difference_high": [-3.0, 0.4, -2.0],
        }
    )
    assert lost_object.ablation("ViT", 7, 2, bias, changes) == (
        "The head of ViT that loses most is head 2 of layer 7. On objects that the ranking did not see, the gap of 10 "
        "points changes by -6 points (-9 to -3) without the top 3 heads, and by -1 points (-2 to 0) without as many "
        "others of the same layers, drawn at random. The two differ (-5 points (-8 to -2)); without the heads at the "
        "top off-center accuracy changes by -4 points."
    )
    changes.loc[2, "difference_high"] = 1.0
    assert "The two do not certainly differ (" in lost_object.ablation("ViT", 7, 2, bias, changes)


def test_which_concept_appears_instead():
    use = pd.DataFrame({"concept": ["sky", "red"], "center": [3.0, 1.0], "off_center": [20.6, 2.0]})
    expected = "In ViT the concept that gains most off-center is *sky* (3 → 21 % of the images)."
    assert lost_object.instead("ViT", use) == expected
    assert lost_object.instead("ViT", use[:0]) == "In ViT no concept takes the object's place."
