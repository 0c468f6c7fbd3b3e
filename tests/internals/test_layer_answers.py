"""Two readers answer at each depth of a tower: the logit lens and a probe."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from small_models import build_timm

from crosseyed.internals import layer_answers
from crosseyed.internals.layer_answers import (
    CONTROLS,
    READERS,
    end_answers,
    end_vectors,
    last_read,
    lens_answers,
    probe_answers,
)
from crosseyed.internals.layer_reading import SOURCES, LayerReading

LABELS = ["cup", "dog", "hat"]
ABOUT = pd.DataFrame(
    {
        "object": ["cup", "dog"] * 6,
        "style": ["fluent"] * 4 + ["noto"] * 4 + ["twemoji"] * 4,
        "row": 0,
        "col": [0, 0, 1, 1] * 3,
        "center": [True, True, False, False] * 3,
    },
)


@pytest.fixture
def reading():
    """Object and mean say the object at both depths; the pooled token starts equal everywhere and ends as noise."""
    truth = np.eye(3, dtype=np.float32)[[LABELS.index(name) for name in ABOUT["object"]]]
    noise = np.random.default_rng(0).normal(size=truth.shape).astype(np.float32)
    said = np.stack([truth, truth]) + 0.01 * noise
    vectors = np.stack([said, said, np.stack([np.ones_like(truth), noise])], axis=2)
    return LayerReading((3, 4), vectors, vectors)


def test_the_lens_ranks_the_captions_of_all_labels_at_each_depth_and_source(reading):
    answers = lens_answers(reading, np.eye(3, dtype=np.float32), LABELS, ABOUT, top=1)
    assert len(answers) == 2 * len(SOURCES) * len(ABOUT)
    assert set(answers["reader"]) == {"logit lens"}
    found = answers.groupby(["layer", "source"])["correct"].mean()
    assert (found[:, "object"] == 1).all()
    assert found[3, "pooled"] == 0.5  # all captions are equally similar, and the first wins
    every = lens_answers(reading, np.eye(3, dtype=np.float32), LABELS, ABOUT, top=3)
    assert every["correct"].all()


def test_the_probe_learns_from_the_other_rendering_and_leaves_out_depths_without_any_difference(reading):
    answers = probe_answers(reading, ABOUT)
    assert set(answers["reader"]) == {"nearest mean, same cell"}
    assert sorted(set(zip(answers["source"], answers["layer"], strict=True))) == [
        *(("mean", 3), ("mean", 4), ("object", 3), ("object", 4), ("pooled", 4)),
    ]
    assert answers[answers["source"] == "object"]["correct"].all()


def test_a_source_without_vectors_is_left_out_by_the_probe(reading):
    vectors = reading.vectors.copy()
    vectors[:, :, SOURCES.index("pooled")] = np.nan
    answers = probe_answers(dataclasses.replace(reading, vectors=vectors), ABOUT)
    assert set(answers["source"]) == {"object", "mean"}


def test_with_a_class_token_the_last_block_writes_spatial_tokens_that_nothing_reads(tiny_clip):
    assert [last_read(tiny_clip, source) for source in SOURCES] == [1, 1, 2]
    siglip = build_timm(tiny_clip, "SigLIP")
    assert last_read(siglip, "object") == last_read(siglip, "pooled")


def test_the_end_is_read_where_each_source_is_read_last(reading, tiny_clip, monkeypatch):
    monkeypatch.setattr(layer_answers, "last_read", lambda model, source: {"object": 3, "mean": 4}[source])
    reading = dataclasses.replace(reading, projected=reading.vectors + 1)
    ends = end_vectors(tiny_clip, reading)
    np.testing.assert_array_equal(ends["object"], reading.vectors[0, :, 0])
    np.testing.assert_array_equal(ends["mean"], reading.vectors[1, :, 1])
    np.testing.assert_array_equal(ends["embedding"], reading.projected[1, :, 2])


def test_every_probe_is_asked_about_the_sources_and_the_controls(reading):
    wrong = reading.vectors[0, :, 0] * np.where(ABOUT["style"] == "noto", 1, -1)[:, None]
    ends = {"object": reading.vectors[0, :, 0], "embedding": wrong}
    random = np.random.default_rng(1).normal(size=ends["object"].shape)
    answers = end_answers(ends, ABOUT, random=random, seed=1)
    assert tuple(answers["reader"].unique()) == READERS
    found = answers.groupby(["source", "reader"])["correct"].mean().unstack("source")
    assert set(found.columns) == {"object", "embedding", *CONTROLS}
    assert (found["object"] == 1).all()
    assert (found["embedding"] < 1).all()  # one rendering says the opposite of the others
    assert (found["shuffled names"] < 1).all()
    assert len(answers) == len(READERS) * 4 * len(ABOUT)
    assert set(end_answers(ends, ABOUT)["source"]) == {"object", "embedding", "shuffled names"}
