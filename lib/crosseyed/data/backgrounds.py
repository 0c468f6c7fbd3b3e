"""Backgrounds of composed scenes: plain, gradient, noise and photograph."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from crosseyed.errors import InputError

BACKGROUNDS = ("plain", "gradient", "noise", "photo")

# Bundled with scikit-image (so no download) and free of anything the catalogue names.
_PHOTOGRAPHS = ("brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry")


@dataclass(frozen=True)
class Background:
    """What stands behind the objects.

    Attributes
    ----------
    kind : str
        ``"plain"`` (one color), ``"gradient"`` (two colors, any direction), ``"noise"`` (1/f noise) or
        ``"photo"`` (a crop of one of scikit-image's bundled photographs).
    seed : int
        Decides colors, directions and crops.
    """

    kind: str
    seed: int

    def __post_init__(self) -> None:
        """Check the kind."""
        if self.kind not in BACKGROUNDS:
            raise InputError(
                f"Background {self.kind!r} does not exist; choose one of {', '.join(BACKGROUNDS)}."
            )


def draw_background(background: Background, height: int, width: int) -> np.ndarray:
    """Draw a background of a size in pixels: (height, width, 3), uint8, writable."""
    return _painted(background, height, width).copy()


@lru_cache(maxsize=32)
def _painted(background: Background, height: int, width: int) -> np.ndarray:
    """Keep the last ones, because the scenes of an object follow each other and have the same background."""
    rng = np.random.default_rng([background.seed, BACKGROUNDS.index(background.kind)])
    return _PAINTERS[background.kind](rng, height, width)


def _paint_plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (height, width, 3))


def _paint_gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    start, stop = rng.integers(0, 256, (2, 1, 3)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (
        np.cos(angle) * np.linspace(-1, 1, width)[None, :]
        + np.sin(angle) * np.linspace(-1, 1, height)[:, None]
    )
    level = np.rint((ramp / np.abs(ramp).max() + 1) * 127.5).astype(np.uint8)
    palette = start + (stop - start) * np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    return palette.astype(np.uint8)[level]


def _paint_noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    texture = _pink_noise()
    rows = (rng.integers(len(texture)) + np.arange(height)) % len(texture)
    cols = (rng.integers(len(texture)) + np.arange(width)) % len(texture)
    mean = rng.integers(64, 192, 3)
    contrast = rng.uniform(15, 45)
    levels = np.clip(mean + contrast * np.linspace(-4, 4, 256)[:, None], 0, 255).astype(np.uint8)
    return levels[texture[rows[:, None], cols]]


def _paint_photo(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    photograph = _photograph(_PHOTOGRAPHS[rng.integers(len(_PHOTOGRAPHS))])
    largest = min(photograph.width / width, photograph.height / height)
    scale = largest * rng.uniform(0.4, 1)
    left = rng.uniform(0, photograph.width - scale * width)
    top = rng.uniform(0, photograph.height - scale * height)
    box = (left, top, left + scale * width, top + scale * height)
    return np.asarray(photograph.resize((width, height), Image.Resampling.BILINEAR, box=box))


_PAINTERS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "plain": _paint_plain,
    "gradient": _paint_gradient,
    "noise": _paint_noise,
    "photo": _paint_photo,
}


@lru_cache(maxsize=1)
def _pink_noise(side: int = 512) -> np.ndarray:
    """Give a periodic texture whose amplitude falls as 1/f: uint8, mean 127.5, standard deviation 32."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    rng = np.random.default_rng(0)
    spectrum = np.exp(2j * np.pi * rng.random(frequency.shape)) / frequency
    texture = np.fft.irfft2(spectrum, s=(side, side))
    return np.clip(127.5 + 32 * texture / texture.std(), 0, 255).astype(np.uint8)


@lru_cache(maxsize=len(_PHOTOGRAPHS))
def _photograph(name: str) -> Image.Image:
    from skimage import data  # slow to import, and only these backgrounds need it

    return Image.fromarray(getattr(data, name)()).convert("RGB")
