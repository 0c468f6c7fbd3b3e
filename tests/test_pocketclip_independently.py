"""What the shipped models can do in images that another renderer composes."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from independent_renderer import (
    BACKGROUNDS,
    CENTER,
    HELD_OUT_BACKGROUNDS,
    OFF_CENTER,
    answers,
    background,
    compose,
    read_files,
)
from PIL import Image

from crosseyed.files import DATA

OBJECTS, FURTHER = DATA / "objects", DATA / "renderings"
TRAINED = {"fluent": OBJECTS, "twemoji": OBJECTS, "openmoji": FURTHER, "fluent_flat": FURTHER}
HELD_OUT = {"noto": OBJECTS}
MODELS = ("centered", "uniform")
PHASES = tuple(product((0, 5), repeat=2))  # a patch has 10 pixels


def asked(name, styles, places, kinds=BACKGROUNDS, shifts=((0, 0),)):
    folders, model = TRAINED | HELD_OUT, DATA / "models" / f"pocketclip-{name}"
    return pd.concat(
        answers(model, read_files(folders[style], style), places, kinds=kinds, shifts=shifts)
        for style in styles
    )


def accuracy(*question):
    return 100 * asked(*question)["correct"].mean()


@pytest.mark.parametrize("kind", BACKGROUNDS + HELD_OUT_BACKGROUNDS)
def test_backgrounds_are_decided_by_their_seed_and_fill_the_range(kind):
    image = background(kind, 40, [3])
    assert np.array_equal(image, background(kind, 40, [3]))
    assert image.shape == (40, 40, 3) and image.min() >= 0 and image.max() <= 255.5


@pytest.mark.parametrize("shift", [(0, 0), (3, -2)])
def test_an_object_is_pasted_where_it_is_told_to(tmp_path, shift):
    square = np.zeros((20, 20, 4), dtype=np.uint8)
    square[..., 3] = 255
    Image.fromarray(square, "RGBA").save(tmp_path / "square.png")
    image = np.asarray(compose(tmp_path / "square.png", "white", 0.5, 0.25, 40, 0, shift, size=0.5))
    rows, cols = np.nonzero((image == 0).all(axis=2))
    assert (cols.min(), cols.max() + 1) == (10 + shift[0], 30 + shift[0])
    assert (rows.min(), rows.max() + 1) == (max(0, 0 + shift[1]), 20 + shift[1])


@pytest.mark.slow
def test_both_models_name_what_they_know_in_the_middle_equally_well():
    trained = {name: accuracy(name, tuple(TRAINED), CENTER) for name in MODELS}
    held_out = {name: accuracy(name, tuple(HELD_OUT), CENTER, HELD_OUT_BACKGROUNDS) for name in MODELS}
    assert min(trained.values()) >= 92 and min(held_out.values()) >= 50
    assert abs(trained["centered"] - trained["uniform"]) <= 5
    assert abs(held_out["centered"] - held_out["uniform"]) <= 15


@pytest.mark.slow
def test_the_uniform_model_names_objects_everywhere_at_every_phase():
    table = asked("uniform", ("fluent", "openmoji"), CENTER + OFF_CENTER, shifts=PHASES)
    at_center = (table[["x", "y"]] == list(CENTER[0])).all(axis=1)
    center, off_center = (
        100 * rows.groupby(["dx", "dy"])["correct"].mean() for rows in (table[at_center], table[~at_center])
    )
    assert (center - off_center).abs().max() <= 3
    assert np.ptp(off_center) <= 3


@pytest.mark.slow
def test_the_centered_model_names_fewer_objects_the_farther_out_they_stand():
    stops = [
        ((0.5 + reach, 0.5), (0.5 - reach, 0.5), (0.5, 0.5 + reach), (0.5, 0.5 - reach))
        for reach in (0, 0.12, 0.24, 0.34)
    ]
    fall = [accuracy("centered", ("fluent", "openmoji"), places) for places in stops]
    assert all(np.diff(fall) < 3)
    assert fall[0] >= 92 and accuracy("centered", ("fluent", "openmoji"), OFF_CENTER) <= 40
