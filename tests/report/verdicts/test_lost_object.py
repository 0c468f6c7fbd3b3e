"""The verdict on where the off-center object is lost says the numbers of its tables."""

import pandas as pd
import pytest

from crosseyed.report.verdicts import lost_object

PROBE = "linear probe, same cell"
BIAS = pd.DataFrame(
    {
        "reader": [PROBE] * 4 + ["nearest mean, same cell", "logit lens"],
        "source": ["object", "embedding", "random weights", "shuffled names", "object", "object"],
        "center_accuracy": [40.4, 50.0, 20.0, 3.0, 1.0, 2.0],
        "off_center_accuracy": [30.5, 21.4, 19.2, 2.6, 1.0, 2.0],
    }
)


def conditions(random, embedding):
    """Make the rows of the conditions from the differences, with intervals of two points around them."""
    values = {"random weights": random, "shuffled names": 27.9, "embedding": embedding}
    rows = [(PROBE, name, value, value - 2, value + 2) for name, value in values.items()]
    rows += [("nearest mean, same cell", name, 50, 49, 51) for name in values]
    return pd.DataFrame(rows, columns=["reader", "against", "difference", "low", "high"])


def test_what_a_probe_finds_in_the_tokens_the_controls_and_the_embedding():
    assert lost_object.found("ViT", BIAS, conditions(11.3, 9.1)) == (
        "For **ViT**, a probe that is matched for position finds the object in its own tokens in 40 % at the center, "
        "30 % off-center. Off-center it finds it in 19 % in the tokens of a tower with random weights, in 3 % with "
        "shuffled names, and in 21 % in the embedding. So what the tower has learned of the object is present in its "
        "tokens (+11.3 points, 9.3 to 13.3, against random weights and +27.9 points, 25.9 to 29.9, against shuffled "
        "names). The tokens tell it more often than the embedding does (+9.1 points, 7.1 to 11.1). A probe is no "
        "ceiling: what it does not find may still be there."
    )


@pytest.mark.parametrize(
    ("random", "embedding", "said"),
    [
        (
            1.0,
            9.1,
            "So the tokens do not certainly tell more than a control (+1.0 points, -1.0 to 3.0, against random",
        ),
        (11.3, 1.5, "Tokens and embedding do not certainly differ (+1.5 points, -0.5 to 3.5)."),
        (
            11.3,
            -9.0,
            "The embedding tells it more often than the tokens do (-9.0 points, -11.0 to -7.0): this probe sees no ",
        ),
    ],
)
def test_what_is_not_shown_is_not_said(random, embedding, said):
    assert said in lost_object.found("ViT", BIAS, conditions(random, embedding))


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


def test_how_much_of_the_sum_is_the_name_and_which_concept_changes():
    share = pd.Series(
        {"center_mean": 30.04, "off_center_mean": 21.0, "difference": 9.04}
        | {"difference_low": 5.0, "difference_high": 13.1}
    )
    use = pd.DataFrame(
        {
            "concept": ["red", "sky", "sea"],
            "center": [9.0, 3.0, 1.0],
            "off_center": [0.0, 20.6, 2.0],
            "p_value": [0.2, 0.01, 1.0],
        }
    )
    own = (
        "In the sparse sums of ViT, the object's own name has 30.0 % of the weight at the center and 21.0 % "
        "off-center, a difference of +9.0 points (5.0 to 13.1)."
    )
    assert lost_object.concepts("ViT", share, use) == (
        f"{own} Of 3 other concepts, 1 certainly change, most of them *sky* (3 → 21 % of the images)."
    )
    assert lost_object.concepts("ViT", share, use[:1]) == f"{own} Of 1 other concepts, 0 certainly change."
