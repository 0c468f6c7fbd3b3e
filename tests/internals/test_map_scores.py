"""Scores of maps."""

import pandas as pd
import pytest

from crosseyed.data import layouts
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.internals import explain, map_scores
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


def test_without_steps_maps_are_scored_and_no_curve_is_computed(tiny_clip, monkeypatch):
    scenes, _ = layouts.three_places(sample_objects(read_catalogue(["fluent"]), 1, 0))
    texts = ["a photo of a cup"] * 3
    compared = [map_scores.compare(tiny_clip, scenes, texts, {"ITSM": explain.itsm}, steps=2, progress=False)]
    monkeypatch.delattr(map_scores, "removal_curves")
    compared.append(
        map_scores.compare(tiny_clip, scenes, texts, {"ITSM": explain.itsm}, steps=0, progress=False)
    )
    pd.testing.assert_frame_equal(compared[0].drop(columns=["deletion", "insertion"]), compared[1])
