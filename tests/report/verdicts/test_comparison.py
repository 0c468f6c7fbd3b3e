"""The verdict on the model family says how many models there are, and concludes nothing from too few."""

import pandas as pd
import pytest

from crosseyed.report.comparison import PROPERTIES
from crosseyed.report.verdicts import comparison

FOUND = pd.DataFrame(
    {
        "edition": ["ViT-B-32--openai--quick", "pocketclip-centered", "pocketclip-centered--seed1"],
        "size": ["quick", "full", "full"],
        "name": ["ViT-B-32--openai", "pocketclip-centered", "pocketclip-centered"],
        "published": [True, False, False],
    }
)
PUBLISHED = pd.DataFrame(
    {
        "name": ["small", "large", "other", "last"],
        "gap": [-4.04, 12.36, 1.0, 3.0],
        "gap_low": [-6.0, 9.0, -1.0, 0.0],
        "gap_high": [-2.0, 15.0, 3.0, 6.0],
    }
)


@pytest.mark.parametrize(
    ("edition", "pretrained", "here"),
    [
        ("ViT-B-32--openai", "openai", "is among them"),
        ("RN50", None, "is not among them: run `make sweep` with a list that names it"),
        ("ViT-B-32--random", "random", "has random weights and does not count"),
    ],
)
def test_the_model_of_the_edition_is_among_the_results_or_not(edition, pretrained, here):
    assert comparison.models(FOUND, PUBLISHED[:1], edition, pretrained) == (
        "There are results of **1 published models** and of 1 that this project trained itself (PocketCLIP). The model "
        f"of this edition, {edition}, {here}."
    )


def test_properties_that_too_few_models_have_are_not_compared():
    assert comparison.not_compared(list(PROPERTIES), 9) == ""
    sentence = comparison.not_compared(["patch_size", "image_size", "millions"], 3)
    assert sentence.startswith("Not compared: pooling, training data. ")
    assert "at least 8 published models" in sentence
    assert "3 have results" in sentence


def test_models_without_a_result_are_counted_with_their_size():
    missing = pd.DataFrame({"gigabytes": [0.6, 1.72, float("nan")]})
    assert comparison.awaiting(missing, 7).startswith(
        "Of the 7 models of the list, **3 have no result yet**. Their weights are 2.3 GB in all."
    )
    assert comparison.awaiting(missing[:0], 7) == "Every model of the list has a result."


def test_gaps_are_counted_by_their_intervals():
    # an interval that ends at zero contains it
    assert comparison.gaps(PUBLISHED) == (
        "Of 4 published models, the interval of the gap (one object) lies **above zero in 1**, contains zero in 2 and "
        "lies below it in 1. Gaps range from -4.0 points (small) to 12.4 (large)."
    )


def test_a_gap_without_an_interval_is_not_counted_as_around_zero():
    one = pd.DataFrame({"name": ["one object"], "gap": [2.0], "gap_low": [None], "gap_high": [None]})
    table = pd.concat([PUBLISHED, one]).astype({"gap_low": "Float64", "gap_high": "Float64"})
    said = comparison.gaps(table.reset_index(drop=True))
    assert "contains zero in 2 and lies below it in 1. There is no interval for 1." in said


def test_without_a_published_model_the_question_is_open():
    assert "is **open**" in comparison.gaps(PUBLISHED[:0])


def correlated(**rows):
    columns = ["correlation", "low", "high"]
    return pd.DataFrame(rows.values(), columns=columns).assign(property=list(rows))


def test_a_property_is_related_if_its_interval_excludes_zero():
    found = correlated(
        patch_size=(0.613, 0.2, 0.85), image_size=(-0.5, -0.8, -0.1), millions=(0.3, -0.1, 0.6)
    )
    assert comparison.related(found) == (
        "Of 3 numeric properties, the gap is related to: patch size (pixels) (+0.61, 0.20 to 0.85), resolution "
        "(pixels) (-0.50, -0.80 to -0.10)."
    )
    assert comparison.related(found[2:]) == (
        "Of 1 numeric properties, the gap is related to: none with certainty."
    )
    assert comparison.related(found[:0]) == ""
