from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crosseyed.data.cutouts import objects_of
from crosseyed.data.layouts import JITTER
from crosseyed.measure import protocols
from crosseyed.training import evaluation
from crosseyed.training.evaluation import FACTORS, SIZES, ask, by_class, cutouts_to_ask, summarize
from crosseyed.training.recipes import RECIPES
from crosseyed.training.studio.backgrounds import HELD_OUT_KINDS, TRAINED_KINDS

RECIPE = replace(RECIPES["uniform"], n_objects=4, styles=("fluent", "openmoji"))


@pytest.fixture(scope="module")
def answers(tiny_clip):
    return ask(tiny_clip, RECIPE)


def test_every_cutout_is_asked_about_in_every_condition(answers):
    cutouts = cutouts_to_ask(RECIPE)
    assert {each.style for each in cutouts} == {"fluent", "openmoji", "noto"} and len(cutouts) == 12
    expected = {
        "rendering": 25,
        "size": 2 * len(SIZES),
        "background": 2 * len((*TRAINED_KINDS, *HELD_OUT_KINDS)),
        "phase": 2 * 3,
    }
    assert tuple(expected) == FACTORS
    counts = answers.groupby(["factor", "object", "style"]).size()
    for factor, count in expected.items():
        assert (counts[factor] == count).all() and len(counts[factor]) == 12
    assert set(answers[answers["style"] == "noto"]["rendering"]) == {"held out"}
    assert set(answers[answers["style"] != "noto"]["rendering"]) == {"trained"}


def test_places_are_where_they_are_said_to_be(answers):
    away = answers[["x", "y"]].sub(0.5).abs().max(axis=1)
    central = answers["place"].isin(evaluation.CENTRAL)
    assert (away[central] <= JITTER + 1e-9).all()
    small = answers["size"] < 0.6  # there is hardly any room to move a larger one
    assert (away[~central & small] > 0.06).all()  # cells lie 0.14 apart
    margin = answers["size"] / 2 - 1e-9
    assert ((answers["x"] >= margin) & (answers["x"] <= 1 - margin)).all()
    assert ((answers["y"] >= margin) & (answers["y"] <= 1 - margin)).all()
    corners = answers[(answers["place"] == "corner") & small]
    shifted = (corners["x"] - 0.5).abs().combine((corners["y"] - 0.5).abs(), min)
    assert (shifted > 0).all()  # away from the center in both directions
    one = corners[corners["value"] == "0.1"]
    assert len({(x > 0.5, y > 0.5) for x, y in zip(one["x"], one["y"], strict=True)}) == 4


def test_one_thing_varies_at_a_time(answers):
    sizes = answers.groupby(["factor", "value"])["size"].unique()
    assert all(sizes["size", f"{size:g}"] == [size] for size in SIZES)
    assert all((each == [0.3]).all() for each in sizes.drop("size", level="factor"))


def test_objects_on_backgrounds_of_the_studio_stand_there_as_they_are_drawn(tiny_clip, monkeypatch):
    asked = []

    def kept(scorer, images, table, labels):
        asked.append((list(images), table))
        return table.assign(correct=True)

    monkeypatch.setattr(protocols, "zero_shot", kept)
    cutouts = cutouts_to_ask(RECIPE)[:2]
    evaluation._on_background(tiny_clip, "plain", cutouts)
    ((images, table),) = asked
    side = min(tiny_clip.image_size)
    for draw, row in zip(images, table.itertuples(), strict=True):
        image = draw()
        changed = (image != image[0 if row.y > 0.5 else -1, 0 if row.x > 0.5 else -1]).any(axis=2)
        rows, cols = (np.nonzero(changed.any(axis=axis))[0] for axis in (1, 0))
        longer = max(np.ptp(rows), np.ptp(cols)) + 1
        assert longer == pytest.approx(0.3 * side, abs=3)
        assert (cols.min() + cols.max() + 1) / 2 == pytest.approx(row.x * side, abs=2)


def test_classes_are_counted_in_the_middle_alone_and_the_commonest_error_is_named():
    answers = pd.DataFrame(
        [
            ("cup", "center", "cup"),
            ("cup", "center cell", "dog"),
            ("cup", "center", "key"),
            ("cup", "center", "dog"),
            ("cup", "corner", "cup"),
            ("dog", "center", "dog"),
            ("dog", "outer ring", "cup"),
        ],
        columns=["object", "place", "choice"],
    ).assign(rendering="trained")
    answers["correct"] = answers["object"] == answers["choice"]
    table = by_class(answers)
    assert table.to_dict("records") == [
        {
            "rendering": "trained",
            "object": "cup",
            "accuracy": 25.0,
            "n": 4,
            "taken_for": "dog",
            "share": 50.0,
        },
        {"rendering": "trained", "object": "dog", "accuracy": 100.0, "n": 1, "taken_for": "", "share": 0.0},
    ]


def test_accuracies_over_all_renderings_are_those_of_the_grid(answers):
    figures = summarize(answers).set_index(["factor", "value", "rendering", "place"])
    grid = answers[(answers["factor"] == "rendering") & (answers["rendering"] == "trained")]
    for zone, rows in grid.groupby("place"):
        figure = figures.loc["all", "all", "trained", zone]
        assert figure["accuracy"] == pytest.approx(100 * rows["correct"].astype(float).mean())
        assert figure["n"] == len(rows) and figure["n_objects"] == len(objects_of(cutouts_to_ask(RECIPE)))
