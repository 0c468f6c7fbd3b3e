"""The verdict on pooling says the numbers of its tables, and what is missing."""

import pandas as pd

from crosseyed.report.verdicts import pooling

NAN = float("nan")


def compared(*rows, protocol="grid"):
    """Candidates with center, off-center, its change with interval, and its p-value."""
    names = ["candidate", "center", "off_center", "off_center_change"]
    names += ["off_center_change_low", "off_center_change_high", "off_center_p"]
    table = pd.DataFrame(rows, columns=names).assign(protocol=protocol)
    ranks = {"max": 2.0, "average": 3.0, "top-k": 1.0}
    return table.assign(validation_rank=table["candidate"].map(ranks))


PLAIN = ("none", 90.4, 60.6, 0.0, 0.0, 0.0, NAN)
BETTER = ("max", 80.0, 70.0, 9.44, 5.06, 12.0, 0.001)
WORSE = ("average", 20.0, 10.0, -50.6, -60.0, -40.0, 0.01)
UNSURE = ("top-k", 85.0, 64.0, 3.4, 1.0, 6.0, 0.05)


def test_a_pooling_that_is_left_out_is_named_with_all_that_it_needs():
    assert pooling.left_out({}) == ""
    assert pooling.left_out({"masked max": ["attention", "tokens"], "value only": ["values"]}) == (
        "Its tower does not support *masked max* (needs attention and tokens), *value only* (needs values); this page "
        "leaves them out."
    )


def test_poolings_without_training_are_counted_by_corrected_p_value():
    assert pooling.alone("ViT", "class token", compared(WORSE, PLAIN, UNSURE, BETTER)) == (
        "**Pooling alone.** With its own pooling by class token, ViT is right in 90 % at the center and 61 % "
        "off-center. Other poolings without training: 3; **better off-center: 1**, worse: 1 (corrected p < 0.05). "
        "The best on the validation images, top-k, changes the accuracy off-center by +3.4 points (1.0 to 6.0)."
    )


def test_the_best_pooling_may_still_be_worse_than_the_models_own():
    sentence = pooling.alone("ViT", "class token", compared(PLAIN, WORSE))
    assert "Other poolings without training: 1; **better off-center: 0**, worse: 1 (corrected" in sentence
    assert sentence.endswith(
        "The best on the validation images, average, changes the accuracy off-center by -50.6 points (-60.0 to -40.0)."
    )


def test_without_another_pooling_nothing_is_compared():
    assert pooling.alone("CNN", "average", compared(PLAIN)) == (
        "**Pooling alone.** With its own pooling by average, CNN is right in 90 % at the center and 61 % off-center. "
        "Its tower supports no other pooling without training."
    )


def test_the_head_that_validation_picked_is_named_on_both_kinds_of_objects():
    new = compared(PLAIN, WORSE, BETTER, protocol="other objects, all names")
    few = compared(
        PLAIN, ("average", 99.0, 99.0, 38.4, 30.0, 40.0, 0.001), protocol="other objects, their names"
    )
    trained = compared(PLAIN, WORSE, ("max", 99.0, 88.6, 1.0, 0.0, 2.0, 1.0), protocol="the head's objects")
    assert pooling.with_head(pd.concat([new, few, trained]), "average") == (
        "**A trained head.** The head that did best on the validation objects, average, is right in 20 % at the center "
        "and 10 % off-center on objects that it was not trained on: off-center **-50.6 points (-60.0 to -40.0)** "
        "against the unchanged model. On those that it was trained on, it is right in 10 % off-center."
    )


def test_models_trained_from_scratch_are_compared_by_the_index_above_a_floor():
    """By gaps, average pooling with 10 % at the center would seem to have next to no bias."""
    rows = [
        ("centered", "class token", 59.0, 42.6, 0.72, 0.67, 0.76),
        ("centered", "average", 10.2, 2.6, 0.26, -0.25, 0.52),
        ("uniform", "class token", 33.2, -0.3, -0.01, -0.2, 0.12),
        ("uniform", "average", 12.5, -0.7, -0.05, -0.5, 0.2),
        ("uniform", "max", 20.0, 1.0, 0.05, -0.1, 0.2),
    ]
    names = [
        "positions",
        "pooling",
        "center_accuracy",
        "gap",
        "bias_index",
        "bias_index_low",
        "bias_index_high",
    ]
    assert pooling.from_scratch(pd.DataFrame(rows, columns=names)) == (
        "**From the start.** The share of the center's accuracy that is lost off-center is, trained on centered "
        "images, 0.72 with class token (0.67 to 0.76); under the floor of 20 %, and so without a word about gaps: "
        "average (10 % at the center); on uniform ones, -0.01 with class token (-0.20 to 0.12), 0.05 with max "
        "(-0.10 to 0.20); under the floor of 20 %, and so without a word about gaps: average (12 % at the center)."
    )


def test_a_missing_table_of_models_trained_from_scratch_is_said():
    assert pooling.from_scratch(None) == (
        "**From the start.** The table of models trained from scratch is not on this machine."
    )


PARTS = pd.DataFrame(
    {
        "part": [*(["with the object"] * 3), "the place alone", "the place alone", "added by the object"],
        "method": ["before pooling", "before pooling", "after max", *(["before pooling"] * 3)],
        "mean": [0.3, 0.41, 0.9, 0.2, 0.22, 0.14],
    }
)
"""At two places, and of another map once."""


def test_maps_are_compared_with_the_one_before_pooling():
    rows = [
        ("after max", "with the object", 0.126, 0.1, 0.15),
        ("after max", "the place alone", 0.3, 0.2, 0.4),
        ("after max", "added by the object", -0.174, -0.3, -0.1),
        ("trained", "with the object", -0.2, -0.3, -0.1),
        ("trained", "the place alone", -0.3, -0.4, -0.2),
        ("trained", "added by the object", 0.1, 0.05, 0.15),
    ]
    differences = pd.DataFrame(rows, columns=["map", "part", "mean", "low", "high"])
    assert pooling.in_maps(PARTS, differences) == (
        "**Maps.** Before pooling, a place on the object has the higher similarity with probability 0.35; without the "
        "object the same place has it with probability 0.21, so the object adds 0.14. The AUROC changes by +0.13 "
        "(0.10 to 0.15) in the map *after max*, where what the object adds changes by -0.17 (-0.30 to -0.10); by -0.20 "
        "(-0.30 to -0.10) in the map *trained*, where what the object adds changes by +0.10 (0.05 to 0.15)."
    )


def test_without_another_map_there_is_no_change():
    empty = pd.DataFrame(columns=["map", "part", "mean", "low", "high"])
    assert pooling.in_maps(PARTS, empty).endswith("so the object adds 0.14.")
