"""Backgrounds of the studio's images: of more kinds than the study's scenes have, some of them held out.

============  =====================================================================================
plain         one color, often white or gray
gradient      two colors, along a line or from a point
noise         1/f noise
photo         a crop of a photograph of bricks, grass, gravel, stars or tissue, perhaps mirrored
stripes       two colors in turn, with sharp or soft edges, in any direction
blobs         soft clouds of color, or two colors with a winding border
shapes        ellipses and boxes in many colors, in front of each other
horizon       two backgrounds, one above the other, as wall and floor
============  =====================================================================================

Held out: checks, rings (around any point), and crops of other photographs (the moon, coins, a printed page).

A painter takes a source of chance and a side in pixels, and returns an image (side, side, 3), uint8.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.errors import check_choice

TRAINED_KINDS = ("plain", "gradient", "noise", "photo", "stripes", "blobs", "shapes", "horizon")
"""Kinds that models are trained on."""

HELD_OUT_KINDS = ("checks", "rings", "other photo")
"""Kinds that models are only tested on."""

# All are bundled with scikit-image, so there is no download.
_PHOTOGRAPHS = ("brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry")
_OTHER_PHOTOGRAPHS = ("moon", "coins", "page")
_WHITE_OR_GRAY = 0.3
_MOST_SHRUNK = 2


def paint_background(kind: str, seed: int, side: int) -> np.ndarray:
    """Draw a background.

    Parameters
    ----------
    kind : str
        One of `TRAINED_KINDS` and `HELD_OUT_KINDS`.
    seed : int
        Decides colors, directions and crops.
    side : int
        Height and width in pixels.

    Returns
    -------
    numpy.ndarray
        (side, side, 3), uint8.

    Raises
    ------
    InputError
        There is no such kind.
    """
    check_choice("background", kind, _PAINTERS)
    return _PAINTERS[kind](np.random.default_rng(seed), side)


def _plain(rng: np.random.Generator, side: int) -> np.ndarray:
    color = _color(rng)
    if rng.random() < _WHITE_OR_GRAY:
        color = np.full(3, rng.choice([255, rng.integers(256)]))
    return np.broadcast_to(color.astype(np.uint8), (side, side, 3))


def _gradient(rng: np.random.Generator, side: int) -> np.ndarray:
    if rng.random() < 0.5:
        return _study(rng, "gradient", side)
    distance = _distance(rng, side)
    return _mixed(rng, distance / distance.max())


def _noise(rng: np.random.Generator, side: int) -> np.ndarray:
    return _study(rng, "noise", side)


def _photo(rng: np.random.Generator, side: int) -> np.ndarray:
    return _crop(rng, _PHOTOGRAPHS, side)


def _stripes(rng: np.random.Generator, side: int) -> np.ndarray:
    return _mixed(rng, _sharpened(rng, _waves(rng, side, rng.uniform(0, np.pi))))


def _checks(rng: np.random.Generator, side: int) -> np.ndarray:
    angle, state = rng.uniform(0, np.pi), rng.bit_generator.state
    one = _waves(rng, side, angle)
    rng.bit_generator.state = state  # the same frequency in both directions
    return _mixed(rng, _sharpened(rng, one * _waves(rng, side, angle + np.pi / 2)))


def _rings(rng: np.random.Generator, side: int) -> np.ndarray:
    wave = np.sin(2 * np.pi * rng.uniform(2, 9) * _distance(rng, side))
    return _mixed(rng, _sharpened(rng, wave))


def _blobs(rng: np.random.Generator, side: int) -> np.ndarray:
    coarse = int(rng.integers(3, 11))
    if rng.random() < 0.5:
        colors = rng.integers(0, 256, (coarse, coarse, 3), dtype=np.uint8)
        return np.asarray(Image.fromarray(colors).resize((side, side), Image.Resampling.BICUBIC))
    levels = Image.fromarray(rng.standard_normal((coarse, coarse), dtype=np.float32))
    field = np.asarray(levels.resize((side, side), Image.Resampling.BICUBIC))
    return _mixed(rng, _sharpened(rng, field))


def _shapes(rng: np.random.Generator, side: int) -> np.ndarray:
    canvas = Image.new("RGB", (2 * side, 2 * side), tuple(_color(rng).tolist()))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(3, 10)):
        x, y = rng.uniform(-0.2, 1.2, 2) * 2 * side
        width, height = rng.uniform(0.05, 0.5, 2) * side
        paint = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        paint((x - width, y - height, x + width, y + height), fill=tuple(_color(rng).tolist()))
    return np.asarray(canvas.reduce(2))


def _horizon(rng: np.random.Generator, side: int) -> np.ndarray:
    above, below = (_PAINTERS[kind](rng, side) for kind in rng.choice(TRAINED_KINDS[:4], 2))
    border = round(side * rng.uniform(0.3, 0.85))
    return np.concatenate([above[:border], below[border:]])


def _other_photo(rng: np.random.Generator, side: int) -> np.ndarray:
    return _crop(rng, _OTHER_PHOTOGRAPHS, side)


_PAINTERS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "plain": _plain,
    "gradient": _gradient,
    "noise": _noise,
    "photo": _photo,
    "stripes": _stripes,
    "blobs": _blobs,
    "shapes": _shapes,
    "horizon": _horizon,
    "checks": _checks,
    "rings": _rings,
    "other photo": _other_photo,
}


def _color(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, 3)


def _study(rng: np.random.Generator, kind: str, side: int) -> np.ndarray:
    """Draw one as the study's scenes have it."""
    return draw_background(Background(kind, int(rng.integers(2**31))), side, side)


def _waves(rng: np.random.Generator, side: int, angle: float) -> np.ndarray:
    ramp = (np.arange(side, dtype=np.float32) + 0.5) / side
    along = np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]
    return np.sin(2 * np.pi * (rng.uniform(2, 12) * along + rng.random()))


def _distance(rng: np.random.Generator, side: int) -> np.ndarray:
    """Give the distance of each pixel to a random point, in sides."""
    ramp = (np.arange(side, dtype=np.float32) + 0.5) / side
    x, y = rng.uniform(-0.3, 1.3, 2)
    return np.hypot(ramp[None, :] - x, ramp[:, None] - y)


def _sharpened(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """Take a field around zero to [0, 1], with edges between soft and sharp."""
    return np.clip(0.5 + rng.choice([0.5, 1.5, 8]) * field, 0, 1)


def _mixed(rng: np.random.Generator, level: np.ndarray) -> np.ndarray:
    """Mix two colors by a level in [0, 1]."""
    one, other = rng.integers(0, 256, (2, 3))
    palette = (one + (other - one) * np.linspace(0, 1, 256)[:, None]).astype(np.uint8)
    return palette[np.rint(255 * level).astype(np.uint8)]


def _crop(rng: np.random.Generator, names: tuple[str, ...], side: int) -> np.ndarray:
    levels = _pyramid(names[rng.integers(len(names))])
    crop = min(levels[0].size) * rng.uniform(0.2, 1)
    halvings = int(np.clip(np.log2(crop / side / _MOST_SHRUNK), 0, len(levels) - 1))
    level = levels[halvings]
    crop /= 2**halvings
    left, top = rng.uniform(0, level.width - crop), rng.uniform(0, level.height - crop)
    box = (left, top, left + crop, top + crop)
    image = np.asarray(level.resize((side, side), Image.Resampling.BILINEAR, box=box))
    image = image[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    gains = (256 * rng.uniform(0.6, 1.3, 3)).astype(np.uint32)
    return np.minimum((image * gains) >> 8, 255).astype(np.uint8)


@lru_cache(maxsize=len(_PHOTOGRAPHS) + len(_OTHER_PHOTOGRAPHS))
def _pyramid(name: str) -> tuple[Image.Image, ...]:
    """Give a photograph and what is left of it when it is halved again and again."""
    from skimage import data  # slow to import, and only these backgrounds need it

    photograph = Image.fromarray(getattr(data, name)()).convert("RGB")
    return tuple(photograph.reduce(2**halvings) for halvings in range(3))
