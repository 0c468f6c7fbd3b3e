"""Sparse sums of concepts."""

import pandas as pd

from crosseyed.internals.splice import concepts_instead


def test_concepts_other_than_the_object_are_counted_at_the_center_and_off_center():
    about = pd.DataFrame({"center": [True, False, False, False, False]})
    sparse = pd.DataFrame(
        {
            "concept": ["cup", "sky", "sky", "sky", "red", "red"],
            "object": ["cup"] * 6,
            "center": [True, False, False, False, True, False],
        }
    )
    table = concepts_instead(sparse, about)
    assert table.to_dict("list") == {
        "concept": ["sky", "red"],
        "center": [0.0, 100.0],
        "off_center": [75.0, 25.0],
        "difference": [75.0, -75.0],
    }


def test_concepts_that_appear_at_one_side_alone_are_counted_for_both():
    sparse = pd.DataFrame({"concept": ["sky"], "object": ["cup"], "center": [False]})
    table = concepts_instead(sparse, pd.DataFrame({"center": [True, False]}))
    assert table.to_dict("list") == {
        "concept": ["sky"],
        "center": [0.0],
        "off_center": [100.0],
        "difference": [100.0],
    }
