import numpy as np
import pytest

from crosseyed.training.studio import lens
from crosseyed.training.studio.lens import Lens

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (12, 12, 3), dtype=np.uint8)


def test_a_plain_lens_changes_nothing():
    assert np.array_equal(lens.take(IMAGE, Lens(), RNG), IMAGE)


def test_exposure_is_a_power_then_a_gain():
    image = np.array([[[0, 64, 255], [200, 128, 10]]], dtype=np.uint8)
    expected = np.rint(np.clip((image / 255) ** 1.7 * 255 * [1.2, 1, 0.6], 0, 255))
    assert np.array_equal(lens.expose(image, (1.2, 1.0, 0.6), 1.7), expected)


def test_gray_is_the_luminance():
    taken = lens.take(IMAGE, Lens(gray=True), RNG)
    assert taken[..., 0] == pytest.approx(IMAGE @ [0.299, 0.587, 0.114], abs=0.51)
    assert (taken[..., :1] == taken).all()


def test_blur_spreads_a_point_as_far_as_its_standard_deviation_says():
    image = np.zeros((41, 41, 3), dtype=np.uint8)
    image[20, 20] = 255
    image[20] = 255  # a line, so that rounding loses little
    spread = lens.blur(image, 2.0)[:, 20, 0].astype(float)
    rows = np.arange(41) - 20
    assert np.sqrt((spread * rows**2).sum() / spread.sum()) == pytest.approx(2, rel=0.15)


def test_noise_has_its_standard_deviation_and_is_decided_by_its_source():
    gray = np.full((80, 80, 3), 128, dtype=np.uint8)
    noisy = lens.add_noise(gray, 0.05, np.random.default_rng(4))
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.05)
    assert noisy.mean() == pytest.approx(127.5, abs=0.5)
    assert np.array_equal(noisy, lens.add_noise(gray, 0.05, np.random.default_rng(4)))
    assert not np.array_equal(noisy, lens.add_noise(gray, 0.05, np.random.default_rng(5)))


def test_jpeg_loses_more_at_less_quality():
    lost = [np.abs(lens.compress(IMAGE, quality) - IMAGE.astype(float)).mean() for quality in (95, 60, 30)]
    assert 0 < lost[0] < lost[1] < lost[2]
    assert lens.compress(IMAGE, 30).shape == IMAGE.shape
