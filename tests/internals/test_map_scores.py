"""Scores of maps."""

import pandas as pd
import pytest

from crosseyed.internals.map_scores import pooling_contrasts


def scores(*methods):
    places = pd.Categorical(["center", "edge"], ["center", "edge"])
    images = pd.DataFrame({"model": "ViT", "object": "cup", "image": ["a", "b"], "place": places})
    tables = [
        images.assign(method=name, contrast=[place, 2 * place]) for place, name in enumerate(methods, 1)
    ]
    return pd.concat(tables, ignore_index=True)


def test_the_contrast_is_compared_before_and_after_pooling():
    table = pooling_contrasts(scores("ITSM", "occlusion", "ITSM after pooling"))
    values = table.set_index(["contrast", "image"])["value"].to_dict()
    assert values == {
        ("before", "a"): 1,
        ("before", "b"): 2,
        ("after", "a"): 3,
        ("after", "b"): 6,
        ("shift", "a"): 2,
        ("shift", "b"): 4,
    }
    assert list(table["contrast"].cat.categories) == ["before", "after", "shift"]


@pytest.mark.parametrize(("method", "kept"), [("ITSM", {"before"}), ("occlusion", set())])
def test_a_map_that_a_tower_does_not_have_is_left_out(method, kept):
    assert set(pooling_contrasts(scores(method))["contrast"]) == kept
