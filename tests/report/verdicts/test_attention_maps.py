"""The verdict on attention maps says the numbers of its tables, and which side they speak for."""

import pandas as pd
import pytest

from crosseyed.report.verdicts import attention_maps
from crosseyed.settings import settings


def contrasts(**rows):
    return pd.DataFrame(rows, index=["mean", "low", "high"]).T.rename_axis("contrast").reset_index()


def test_attention_is_compared_between_center_and_off_center():
    found = {"center_mean": 2.04, "off_center_mean": 1.0}
    found |= {"difference": 1.04, "difference_low": 0.9, "difference_high": 1.26}
    with settings.overridden(confidence=0.9):
        assert attention_maps.attended("ViT", pd.Series(found)) == (
            "In its last layer **ViT** gives an object at the center 2.0 times the attention of an average place of "
            "its size, and 1.0 times off-center (difference 1.0, 90 % interval 0.9 to 1.3)."
        )


def test_the_preferred_side_is_named_before_and_after_pooling():
    table = contrasts(before=(-0.2, -0.3, -0.1), after=(0.1, 0.05, 0.15), shift=(0.3, 0.2, 0.4))
    assert attention_maps.preferred("ViT", table) == (
        "In **ViT**, before pooling, the background is preferred (contrast -0.20, -0.30 to -0.10); after pooling, the "
        "object is preferred (0.10, 0.05 to 0.15). Pooling shifts the contrast by 0.30, 0.20 to 0.40."
    )


@pytest.mark.parametrize("ends", [(-0.1, 0.1), (0.0, 0.1), (-0.1, 0.0), (float("nan"), float("nan"))])
def test_an_interval_that_does_not_exclude_zero_decides_nothing(ends):
    sentence = attention_maps.preferred("ViT", contrasts(before=(0.0, *ends)))
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
    assert attention_maps.agreement(scores) == (
        "Of the 2 methods **b** agrees best with the place of the object (AUROC 0.77)."
    )
