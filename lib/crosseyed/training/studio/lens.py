"""What camera and file do to a whole image: exposure, color, blur, noise and JPEG.

Images are (side, side, 3), uint8; each function returns a new one.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

_NOISE_LENGTH = 2**21
_GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Lens:
    """How an image is taken and kept.

    Attributes
    ----------
    gains : tuple of float
        Factors of red, green and blue: exposure and white balance.
    gamma : float
        Exponent of the brightness: under 1 brighter, over 1 darker.
    gray : bool
        Black and white.
    blur : float
        Standard deviation of a Gaussian, over the side of the image.
    noise : float
        Standard deviation of normal noise, where 1 is the range of the brightness.
    quality : int, optional
        Of JPEG, 1 to 95; None without it.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    gray: bool = False
    blur: float = 0.0
    noise: float = 0.0
    quality: int | None = None


def take(image: np.ndarray, lens: Lens, rng: np.random.Generator) -> np.ndarray:
    """Return an image as a camera and a file would give it; `rng` decides the noise."""
    image = expose(image, lens.gains, lens.gamma)
    if lens.gray:
        image = np.repeat(np.rint(image @ _GRAY).astype(np.uint8)[..., None], 3, axis=2)
    if lens.blur:
        image = blur(image, lens.blur * len(image))
    if lens.noise:
        image = add_noise(image, lens.noise, rng)
    return image if lens.quality is None else compress(image, lens.quality)


def expose(image: np.ndarray, gains: tuple[float, float, float], gamma: float) -> np.ndarray:
    """Raise the brightness to a power, then multiply each color by its gain."""
    levels = (np.arange(256) / 255) ** gamma * 255
    table = np.clip(np.rint(np.outer(gains, levels)), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(image).point(table.ravel().tolist()))


def blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Blur by a Gaussian whose standard deviation is `radius`, in pixels (approximated by boxes)."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def add_noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add normal noise, where 1 is the range of the brightness; it is a random stretch of a long fixed one."""
    start = rng.integers(_NOISE_LENGTH - image.size)
    noise = _noise()[start : start + image.size].reshape(image.shape)
    noisy = np.float32(255 * deviation) * noise
    noisy += image
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Return what is left of an image in a JPEG of a quality, 1 to 95."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(_NOISE_LENGTH, dtype=np.float32)
