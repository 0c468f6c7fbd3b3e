from itertools import pairwise

import numpy as np
import pytest

from crosseyed.data.backgrounds import BACKGROUNDS, Background, draw_background
from crosseyed.errors import InputError


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_a_background_depends_on_its_seed_and_is_the_callers_own(kind):
    first = draw_background(Background(kind, 1), 50, 70)
    assert first.shape == (50, 70, 3)
    assert first.dtype == np.uint8
    again = first.copy()
    first[:] = 0
    assert (draw_background(Background(kind, 1), 50, 70) == again).all()
    assert (draw_background(Background(kind, 2), 50, 70) != again).any()


def test_a_plain_background_has_one_color():
    image = draw_background(Background("plain", 5), 20, 30)
    assert (image == image[0, 0]).all()


def test_a_gradient_runs_straight_from_one_color_to_another():
    for seed in range(5):
        image = draw_background(Background("gradient", seed), 40, 60).astype(int)
        for channel in np.moveaxis(image, 2, 0):
            for axis in (0, 1):
                steps = np.diff(channel, axis=axis)
                assert (steps >= 0).all() or (steps <= 0).all()
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


def test_the_amplitude_of_noise_falls_as_one_over_the_frequency():
    image = draw_background(Background("noise", 0), 512, 512).mean(axis=2)
    amplitude = np.abs(np.fft.fft2(image - image.mean()))
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None, :])
    edges = np.geomspace(4 / 512, 0.25, 9)
    bands = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    slope = np.polyfit(
        np.log([frequency[band].mean() for band in bands]),
        np.log([amplitude[band].mean() for band in bands]),
        1,
    )
    assert slope[0] == pytest.approx(-1, abs=0.1)


def test_photographs_are_crops_of_whatever_shape():
    for seed in range(10):
        image = draw_background(Background("photo", seed), 30, 90)
        assert image.shape == (30, 90, 3)
        assert image.std() > 2


def test_an_unknown_kind_of_background_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="'plian' does not exist"):
        Background("plian", 0)
    assert not list(tmp_path.iterdir())
