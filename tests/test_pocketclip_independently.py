"""What the shipped models can do in images that another renderer composes."""

import numpy as np
import pytest
from independent_renderer import BACKGROUNDS, CENTER, OFF_CENTER, answers, background, compose, read_files
from PIL import Image

from crosseyed.files import DATA

OBJECTS = DATA / "objects"
TRAINED, HELD_OUT = ("fluent", "twemoji"), "noto"


def accuracy(name, style, places, **options):
    table = answers(DATA / "models" / f"pocketclip-{name}", read_files(OBJECTS, style), places, **options)
    return 100 * table["correct"].mean()


@pytest.mark.parametrize("kind", BACKGROUNDS)
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
@pytest.mark.parametrize("style", TRAINED)
def test_the_centered_model_names_at_the_center_alone_and_the_uniform_one_anywhere(style):
    center, off_center = accuracy("centered", style, CENTER), accuracy("centered", style, OFF_CENTER)
    assert center >= 50 and off_center <= 15
    center, off_center = accuracy("uniform", style, CENTER), accuracy("uniform", style, OFF_CENTER)
    assert abs(center - off_center) <= 12 and off_center >= 25


@pytest.mark.slow
@pytest.mark.parametrize("name", ["centered", "uniform"])
def test_a_rendering_that_was_held_out_is_named_more_often_than_by_chance(name):
    assert accuracy(name, HELD_OUT, CENTER) >= 5
