import numpy as np
import pytest

from crosseyed.errors import InputError
from crosseyed.training.studio.backgrounds import HELD_OUT_KINDS, TRAINED_KINDS, paint_background

KINDS = (*TRAINED_KINDS, *HELD_OUT_KINDS)
SIDE = 64


def test_no_kind_is_both_trained_on_and_held_out():
    assert len(set(KINDS)) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_background_has_the_size_asked_for_and_is_decided_by_its_seed(kind):
    seeds = range(12)
    images = [paint_background(kind, seed, SIDE) for seed in seeds]
    for seed, image in zip(seeds, images, strict=True):
        assert image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8
        assert np.array_equal(image, paint_background(kind, seed, SIDE))
    assert len({image.tobytes() for image in images}) > 8  # several plain ones may be white


def test_plain_ones_have_one_color_and_are_white_or_gray_as_often_as_stated():
    colors = [paint_background("plain", seed, 4).reshape(-1, 3) for seed in range(600)]
    assert all((color == color[0]).all() for color in colors)
    gray = np.mean([len(set(color[0].tolist())) == 1 for color in colors])
    white = np.mean([(color[0] == 255).all() for color in colors])
    assert gray == pytest.approx(0.3, abs=0.07) and white == pytest.approx(0.15, abs=0.05)


@pytest.mark.parametrize("kind", ["stripes", "checks", "rings"])
def test_patterns_mix_two_colors(kind):
    for seed in range(5):
        pixels = paint_background(kind, seed, SIDE).reshape(-1, 3).astype(float)
        # all colors lie on a line between two, up to rounding
        deviations = np.linalg.svd(pixels - pixels.mean(0), compute_uv=False) / np.sqrt(len(pixels))
        assert deviations[1] < 1 < deviations[0]


def test_stripes_do_not_change_along_themselves():
    for seed in range(8):
        level = paint_background("stripes", seed, SIDE).astype(float).mean(axis=2)
        down, right = np.gradient(level)
        # the gradient has one direction: the smaller eigenvalue of its covariance is next to nothing
        small, large = np.linalg.eigvalsh(np.cov(down.ravel(), right.ravel()))
        assert small < 0.2 * large


def test_a_horizon_has_two_parts():
    for seed in range(6):
        image = paint_background("horizon", seed, SIDE).astype(float)
        jumps = np.abs(np.diff(image.mean(axis=1), axis=0)).max(axis=1)
        assert 0.25 * SIDE < jumps.argmax() + 1 < 0.9 * SIDE or jumps.max() < 25


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="did you mean 'stripes'"):
        paint_background("stripe", 0, SIDE)
