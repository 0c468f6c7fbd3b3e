"""How one object comes into an image: its pose, the light on it, its shadow, and what covers it.

Images are (side, side, 3), float32, from 0 to 255, and changed in place. A **tile** is the part of an image that an
object touches: its rows, its columns, and its pixels there, (rows, columns, 4), float32 from 0 to 255, colors
multiplied by alpha.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from crosseyed.data.cutouts import premultiplied

Tile = tuple[slice, slice, np.ndarray]

_MARGIN = 2  # transparent pixels around a cut-out, so that its edges are soft
_DISTANCE = 2.5  # of the camera, in longer sides of the object
_GRAY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Pose:
    """How an object is turned.

    Attributes
    ----------
    size : float
        Longer side of the object facing the camera, over the side of the image.
    rotation, yaw, pitch : float
        Degrees: counterclockwise in the image plane, around the vertical and around the horizontal axis.
    mirrored : bool
        Whether left and right are exchanged first.
    """

    size: float
    rotation: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    mirrored: bool = False


@dataclass(frozen=True)
class Light:
    """The light on an object.

    Attributes
    ----------
    gains : tuple of float
        Factors of red, green and blue.
    saturation : float
        0 gray, 1 as drawn.
    slope, direction : float
        Relative change of the gains from one edge to the other, and where to, in radians (0 right, π/2 down).
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    saturation: float = 1.0
    slope: float = 0.0
    direction: float = 0.0


@dataclass(frozen=True)
class Shadow:
    """What an object's shadow is like; lengths in sizes of the object.

    Attributes
    ----------
    dx, dy : float
        How far it lies to the right and below.
    softness : float
        Radius of its blur.
    strength : float
        Share of the light that it takes.
    """

    dx: float
    dy: float
    softness: float
    strength: float


@dataclass(frozen=True)
class Occluder:
    """Something of one color in front of a part of an object: a bar, or a disc; lengths in sizes of the object.

    Attributes
    ----------
    angle, distance : float
        Direction, in radians, and distance from the object's center to the bar's middle line or to the disc's center.
    radius : float
        Of the disc; half the width of the bar.
    bar : bool
    color : tuple of float
        Red, green and blue, from 0 to 255.
    """

    angle: float
    distance: float
    radius: float
    bar: bool
    color: tuple[float, float, float]


def project(path: Path, pose: Pose, x: float, y: float, side: int) -> Tile | None:
    """Draw a cut-out in a pose, its center at `x`, `y` (fractions of the side); None if it is outside.

    Coordinates are continuous: an object may stand anywhere between two pixels.
    """
    sprite = _scaled(path, pose.size * side, pose.mirrored)
    forward = _homography(pose, x * side, y * side, side, (sprite.width, sprite.height))
    width, height = sprite.width, sprite.height
    corners = np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]]).T @ forward.T
    corners = corners[:, :2] / corners[:, 2:]
    left, top = np.maximum(np.floor(corners.min(0)), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(corners.max(0)), side).astype(int).tolist()
    if left >= right or top >= bottom:
        return None
    backward = np.linalg.inv(forward)
    backward[:, 2] += backward[:, 0] * left + backward[:, 1] * top
    backward /= backward[2, 2]
    pixels = sprite.transform(
        (right - left, bottom - top),
        Image.Transform.PERSPECTIVE,
        backward.ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )
    return slice(top, bottom), slice(left, right), np.asarray(pixels).astype(np.float32)


def relight(tile: np.ndarray, light: Light) -> np.ndarray:
    """Return the pixels of a tile under another light."""
    mixing = light.saturation * np.eye(3, dtype=np.float32) + (1 - light.saturation) * _GRAY[:, None]
    lit = np.empty_like(tile)
    color = np.matmul(tile[..., :3], (mixing * light.gains).astype(np.float32))
    rows, cols = ((np.arange(length, dtype=np.float32) + 0.5) / length - 0.5 for length in tile.shape[:2])
    across, down = light.slope * np.cos(light.direction), light.slope * np.sin(light.direction)
    color *= (1 + across * cols[None, :] + down * rows[:, None])[..., None]
    np.clip(color, 0, tile[..., 3:], out=lit[..., :3])
    lit[..., 3] = tile[..., 3]
    return lit


def paste(image: np.ndarray, tile: Tile) -> None:
    """Lay an object over an image."""
    rows, cols, pixels = tile
    image[rows, cols] = pixels[..., :3] + image[rows, cols] * (1 - pixels[..., 3:] / 255)


def cast_shadow(image: np.ndarray, tile: Tile, shadow: Shadow, length: float) -> None:
    """Darken an image where the shadow of an object falls; `length` is the object's size in pixels."""
    rows, cols, pixels = tile
    side, radius = len(image), shadow.softness * length
    margin = int(np.ceil(2 * radius)) + 1
    alpha = np.pad(pixels[..., 3], margin)
    soft = _blurred(alpha, radius)
    top = rows.start - margin + round(shadow.dy * length)
    left = cols.start - margin + round(shadow.dx * length)
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + len(soft), side), min(left + soft.shape[1], side)
    if y0 < y1 and x0 < x1:
        inside = soft[y0 - top : y1 - top, x0 - left : x1 - left]
        image[y0:y1, x0:x1] *= 1 - (shadow.strength / 255) * inside[..., None]


def occlude(image: np.ndarray, tile: Tile, occluder: Occluder, x: float, y: float, length: float) -> None:
    """Cover a part of an object whose center is at `x`, `y` and whose size is `length`, all in pixels."""
    rows, cols, _ = tile
    right = np.arange(cols.start, cols.stop, dtype=np.float32) + 0.5 - x
    below = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5 - y
    cosine, sine = np.cos(occluder.angle), np.sin(occluder.angle)
    away = occluder.distance * length
    if occluder.bar:
        distance = np.abs(cosine * right + sine * below - away)
    else:
        distance = np.hypot(right - cosine * away, below - sine * away)
    cover = np.clip(occluder.radius * length - distance + 0.5, 0, 1)[..., None]
    image[rows, cols] += cover * (np.array(occluder.color, dtype=np.float32) - image[rows, cols])


def _homography(pose: Pose, x: float, y: float, side: int, shape: tuple[int, int]) -> np.ndarray:
    """Give the map from points of a cut-out, in its pixels, to points of the image, homogeneous: (3, 3)."""
    width, height = shape
    length = max(width, height) - 2 * _MARGIN
    rotation, yaw, pitch = np.radians([pose.rotation, pose.yaw, pose.pitch])
    turn = np.array([[np.cos(rotation), np.sin(rotation)], [-np.sin(rotation), np.cos(rotation)]])
    # seen from the front: rows are x and y in the image plane, and depth away from the camera
    lean = np.array(
        [
            [np.cos(yaw), np.sin(yaw) * np.sin(pitch)],
            [0, np.cos(pitch)],
            [np.sin(yaw) / _DISTANCE, -np.cos(yaw) * np.sin(pitch) / _DISTANCE],
        ]
    )
    plane = np.eye(3)
    plane[:, :2] = lean @ turn
    centered = np.array(
        [[1 / length, 0, -width / 2 / length], [0, 1 / length, -height / 2 / length], [0, 0, 1]]
    )
    scale = pose.size * side
    placed = np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]])
    return placed @ plane @ centered


def _scaled(path: Path, length: float, mirrored: bool) -> Image.Image:
    """Give a cut-out with a margin, at most √2 larger than it will be drawn: no part is left out between pixels."""
    longest = max(premultiplied(path).size)
    halvings = int(np.clip(2 * np.log2(longest / max(length, 1)), 0, 12))
    return _level(path, halvings, mirrored)


@lru_cache(maxsize=8192)
def _level(path: Path, halvings: int, mirrored: bool) -> Image.Image:
    sprite = premultiplied(path)
    scale = 2 ** (-halvings / 2)
    size = [max(1, round(length * scale)) for length in sprite.size]
    small = sprite if halvings == 0 else sprite.resize(size, Image.Resampling.BOX)
    padded = Image.new("RGBa", (small.width + 2 * _MARGIN, small.height + 2 * _MARGIN))
    padded.paste(small, (_MARGIN, _MARGIN))
    return padded.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else padded


def _blurred(level: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray(level.astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.BoxBlur(radius))).astype(np.float32)
