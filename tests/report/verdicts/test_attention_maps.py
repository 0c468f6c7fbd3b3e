"""The verdict on attention maps says the numbers of its tables, and which side they speak for."""

import pandas as pd
import pytest

from crosseyed.report.verdicts import attention_maps
from crosseyed.settings import settings


def contrasts(**rows):
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T.rename_axis("contrast").reset_index()


def found(difference, low, high):
    """Attention with an object and on its place alone, and what the object adds, which differs by so much."""
    columns = ["center_mean", "off_center_mean", "difference", "difference_low", "difference_high"]
    rows = {
        "with the object": [6.24, 2.6, 3.64, 3.0, 4.0],
        "the place alone": [5.3, 0.5, 4.8, 4.0, 5.0],
        "added by the object": [0.94, 0.94 - difference, difference, low, high],
    }
    return pd.DataFrame(rows, index=columns).T


def test_what_an_object_adds_is_told_from_what_its_place_gets():
    with settings.overridden(confidence=0.9):
        assert attention_maps.attended("ViT", found(-1.16, -1.3, -1.0)) == (
            "In the last layer of **ViT** an object adds **more** attention off-center than at the center, against "
            "the claim that the pooled token attends less to it there; that its place gets less is a habit of the "
            "model: 0.9 at the center and 2.1 off-center (difference -1.2, 90 % "
            "interval -1.3 to -1.0; in units of the attention of an average place of its size). The place alone, "
            "without the object, gets 5.3 at the center and 0.5 off-center; with the object it gets 6.2 at the center "
            "and 2.6 off-center."
        )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.1, 0.9, "adds less"), (0.0, 0.9, "adds as much"), (-0.9, -0.1, "adds **more**")],
)
def test_the_side_on_which_an_object_adds_more_is_told_by_the_interval(low, high, words):
    assert words in attention_maps.attended("ViT", found((low + high) / 2, low, high))


def test_the_preferred_side_is_named_before_and_after_pooling():
    parts = {"prior": (-0.15, -0.25, -0.05), "own": (-0.05, -0.1, 0)}
    table = contrasts(before=(-0.2, -0.3, -0.1), after=(0.1, 0.05, 0.15), shift=(0.3, 0.2, 0.4), **parts)
    assert attention_maps.preferred("ViT", table) == (
        "In **ViT**, before pooling, the background is preferred (contrast -0.20, -0.30 to -0.10; on one scale with "
        "the map of the same place without the object, the object adds -0.05, -0.10 to 0.00, and its place alone has "
        "-0.15, -0.25 to -0.05); after pooling, the object is preferred (0.10, 0.05 to 0.15). Pooling shifts the "
        "contrast by 0.30, 0.20 to 0.40."
    )


@pytest.mark.parametrize("ends", [(-0.1, 0.1), (0.0, 0.1), (-0.1, 0.0), (float("nan"), float("nan"))])
def test_an_interval_that_does_not_exclude_zero_decides_nothing(ends):
    sentence = attention_maps.preferred(
        "ViT", contrasts(**dict.fromkeys(("before", "prior", "own"), (0.0, *ends)))
    )
    assert "before pooling, no side can be told from chance" in sentence
    assert sentence.endswith(
        "after pooling, the contribution of single tokens cannot be computed for this tower."
    )


def test_the_best_method_has_the_highest_mean_auroc():
    rows = [
        ("auroc", "a", 0.9),
        ("auroc", "a", 0.5),
        ("auroc", "b", 0.8),
        ("auroc", "b", 0.74),
        ("iou", "a", 1.0),
    ]
    scores = pd.DataFrame(rows, columns=["score", "method", "mean"])
    assert attention_maps.best_method(scores) == ("b", pytest.approx(0.77))
    parts = pd.DataFrame(
        {"part": ["AUROC the place alone", "AUROC added by the object"], "method": "b", "mean": [0.5, 0.27]}
    )
    assert attention_maps.agreement(scores, parts).startswith(
        "Of the 2 methods **b** agrees best with the place of the object (AUROC 0.77;"
    )


def test_what_the_object_adds_is_told_beside_the_best_agreement():
    scores = pd.DataFrame({"score": "auroc", "method": ["a", "b"], "mean": [0.9, 0.7]})
    parts = pd.DataFrame(
        [
            *(("AUROC the place alone", "a", 0.7), ("AUROC the place alone", "b", 0.45)),
            *(("AUROC added by the object", "a", 0.2), ("AUROC added by the object", "b", 0.25)),
        ],
        columns=["part", "method", "mean"],
    )
    assert attention_maps.agreement(scores, parts) == (
        "Of the 2 methods **a** agrees best with the place of the object (AUROC 0.90; 0.70 without the object): the "
        "object adds 0.20 to it, most to **b**, 0.25."
    )
    assert "(AUROC 0.70; 0.45 without the object): the object adds 0.25 to it, more than to any other." in (
        attention_maps.agreement(scores.assign(mean=[0.6, 0.7]), parts)
    )


def test_what_objects_add_to_maps_and_what_their_places_have_is_counted():
    def row(method, part, center, off_center):
        ends = {"center_mean": center, "off_center_mean": off_center, "difference": center - off_center}
        ends |= {f"{name}_low": value - 0.1 for name, value in ends.items() if "_low" not in name}
        ends |= {
            f"{name}_high": ends[name] + 0.1 for name in ("center_mean", "off_center_mean", "difference")
        }
        return {"method": method, "part": part} | ends

    own, place = "added by the object", "the place alone"
    rows = [
        row("a", own, 0.5, 0.2),
        row("b", own, 0.2, 0.4),
        row("c", own, 0.05, 0.3),
        row("a", place, 0.3, -0.3),
    ]
    rows += [row("b", place, -0.3, 0.05), row("c", place, 0.2, -0.2), row("a", "with the object", 9, 9)]
    assert attention_maps.attributed(pd.DataFrame(rows)) == (
        "Of 3 maps of what speaks for the caption, the object adds to the contrast in 2 at the center and in 3 "
        "off-center; in 1 it adds more at the center, in 2 more off-center. Its place without it is preferred to the "
        "rest of the image in 2 at the center and in 0 off-center, and the rest to its place in 1 and 2."
    )
