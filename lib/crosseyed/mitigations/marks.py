r"""Marks that are drawn into images around an object, and other ways to point at it.

Each function takes an image (uint8, shape (height, width, 3)), a `Location`, and by keyword

strength : float, in [0, 1]
    Opacity of a mark, amount of blur, part of color or light that is taken, or how far a crop zooms in.
margin : float, at least 0
    Distance kept from the object as a fraction of its size.
color : str
    Of a mark: a CSS name or ``"#rrggbb"``.
width : float, in [0, 1]
    Of a mark's line, as a fraction of the image's shorter side.

and returns an image of uint8, `image` itself where nothing changes (at strength 0 or width 0). It raises InputError if
the location is outside the image or the color unknown. The *region* is the square around the object's location
whose side is its size, larger by the margin on all four sides.

Sources: Shtedritski et al. 2023, arXiv 2304.06712. Their code is not released; what is drawn as in the literature
follows that of FALIP, which compares with theirs (Zhuang et al. 2024, https://github.com/pumpkin805/FALIP,
``executor.py``). For the blur also Yang et al., "Fine-Grained Visual Prompting", NeurIPS 2023, arXiv 2306.04356.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter

from crosseyed.errors import InputError, suggest
from crosseyed.mitigations.base import Location

MARGIN = 0.1

COLOR = "red"

LINE_WIDTH = 0.02

PUBLISHED_WIDTH = 1 / 200
"""Line of the published circle, over the image's longer side; it touches the object's box, without a margin."""

PUBLISHED_BLUR = 100 / 640
"""Standard deviation of the published blur, 100 pixels, over the longer side of most images that it is used on."""

STRONGEST_BLUR = 0.1

_ARROW_LENGTH = 0.25  # of the shorter side: always fits between an object and the far border

_OVERSAMPLING = 4  # subpixels a side: 16 levels between inside and outside

_OVERSAMPLED_AT_MOST = 2**20  # pixels; towers see a larger image reduced, which smooths its edges


def _outline(
    shape: Callable[..., None],
    image: np.ndarray,
    location: Location,
    *,
    strength: float = 1.0,
    margin: float = MARGIN,
    color: str = COLOR,
    width: float = LINE_WIDTH,
) -> np.ndarray:
    """Mix a color into the outline of one of Pillow's shapes, outward from the border of the region."""
    _check(location)
    target, line = rgb(color), width * min(image.shape[:2])
    if line == 0:
        return image
    region = _region(image, location, margin)

    def paint(draw: ImageDraw.ImageDraw, scale: int) -> None:
        pen = max(1, round(scale * line))
        left, top, right, bottom = _corners(*region, scale)
        shape(draw, (left - pen, top - pen, right + pen, bottom + pen), outline=255, width=pen)

    return _mix(image, target, strength * _cover(image, paint))


def arrow(
    image: np.ndarray,
    location: Location,
    *,
    strength: float = 1.0,
    margin: float = MARGIN,
    color: str = COLOR,
    width: float = LINE_WIDTH,
) -> np.ndarray:
    """Draw an arrow at an object, from the side on which the image has most room.

    It is a quarter of the image's shorter side long and lies on the line through the object and the image center; at an
    object in the very center it points from the left. Its tip touches the circle inscribed in the region, or comes
    nearer where the arrow would otherwise leave the image. The head is four times as wide as
    the shaft.
    """
    _check(location)
    target, line = rgb(color), width * min(image.shape[:2])
    if line == 0:
        return image
    x, y, reach = _region(image, location, margin)
    (tip, neck, tail), across = _arrow_points(image, x, y, reach, line)

    def paint(draw: ImageDraw.ImageDraw, scale: int) -> None:
        head = [tip, neck + 2 * line * across, neck - 2 * line * across]
        draw.polygon([tuple(scale * point) for point in head], fill=255)
        shaft = max(1, round(scale * line))
        draw.line([tuple(scale * tail), tuple(scale * neck)], fill=255, width=shaft)

    return _mix(image, target, strength * _cover(image, paint))


def blur_outside(
    image: np.ndarray, location: Location, *, strength: float = 1.0, margin: float = MARGIN
) -> np.ndarray:
    """Blur all that lies outside the region.

    The blur is Gaussian (Pillow's, by repeated box filters) with a standard deviation of `strength` times
    `STRONGEST_BLUR` times the image's shorter side.
    """
    _check(location)
    if strength == 0:
        return image
    blurred = _blurred(image, strength * STRONGEST_BLUR * min(image.shape[:2]))
    return _mix(image, blurred, _outside(image, location, margin))


def gray_outside(
    image: np.ndarray, location: Location, *, strength: float = 1.0, margin: float = MARGIN
) -> np.ndarray:
    """Take the color from all that lies outside the region, towards its luma 0.299 R + 0.587 G + 0.114 B."""
    _check(location)
    gray = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    return _mix(image, gray, strength * _outside(image, location, margin))


def dim_outside(
    image: np.ndarray, location: Location, *, strength: float = 1.0, margin: float = MARGIN
) -> np.ndarray:
    """Dim all that lies outside the region to 1 - `strength` times its values."""
    _check(location)
    return _mix(image, np.zeros(3, dtype=np.float32), strength * _outside(image, location, margin))


def crop(
    image: np.ndarray, location: Location, *, strength: float = 1.0, margin: float = MARGIN
) -> np.ndarray:
    """Crop the image to an object; the model's own resizing then zooms in on it.

    At strength 1 the window is the region, at most a square on the image's shorter side. At less, its sides are
    ``(1 - strength) * full + strength * region``, and its center moves from the image's to the object's likewise;
    at strength 0 it is the whole image. The window is rounded to pixels, at least one, and moved into the image
    where it would leave it.
    """
    _check(location)
    if strength == 0:
        return image
    x, y, reach = _region(image, location, margin)
    side = min(2 * reach, *image.shape[:2])
    rows, columns = (
        _window(
            length, (1 - strength) * length + strength * side, (1 - strength) * length / 2 + strength * middle
        )
        for length, middle in zip(image.shape[:2], (y, x), strict=True)
    )
    return image[rows, columns]


circle = partial(_outline, ImageDraw.ImageDraw.ellipse)
"""Draw a circle: its inner edge is inscribed in the region."""

box = partial(_outline, ImageDraw.ImageDraw.rectangle)
"""Draw a box: its inner edge is the border of the region."""


def circle_and_blur(
    image: np.ndarray,
    location: Location,
    *,
    strength: float = 1.0,
    margin: float = MARGIN,
    color: str = COLOR,
    width: float = LINE_WIDTH,
) -> np.ndarray:
    """Draw a circle and blur all that lies outside it.

    The blur is Gaussian with a standard deviation of `strength` times `PUBLISHED_BLUR` times the longer side.
    """
    _check(location)
    if strength == 0 or width == 0:
        return image
    blurred = _blurred(image, strength * PUBLISHED_BLUR * max(image.shape[:2]))
    focused = _mix(image, blurred, _outside(image, location, margin, ImageDraw.ImageDraw.ellipse))
    return circle(focused, location, strength=strength, margin=margin, color=color, width=width)


MARKS: dict[str, Callable[..., np.ndarray]] = {
    "circle": circle,
    "circle and blur": circle_and_blur,
    "box": box,
    "arrow": arrow,
}

PROMPTS: dict[str, Callable[..., np.ndarray]] = MARKS | {
    "blur outside": blur_outside,
    "gray outside": gray_outside,
    "dim outside": dim_outside,
    "crop": crop,
}


def region_mask(image: np.ndarray, location: Location) -> np.ndarray:
    """Return where the region without margin is: bool (height, width), True where it covers half of a pixel."""
    _check(location)
    return _outside(image, location, 0.0) <= 0.5


def _blurred(image: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _outside(
    image: np.ndarray,
    location: Location,
    margin: float,
    shape: Callable[..., None] = ImageDraw.ImageDraw.rectangle,
) -> np.ndarray:
    """Give the part of every pixel that lies outside the region: (height, width), float32 in [0, 1]."""
    region = _region(image, location, margin)
    return 1 - _cover(image, lambda draw, scale: shape(draw, _corners(*region, scale), fill=255))


def _region(image: np.ndarray, location: Location, margin: float) -> tuple[float, float, float]:
    """Give the center of the region and half its side, in pixels."""
    height, width = image.shape[:2]
    reach = (0.5 + margin) * location.size * min(height, width)
    return (
        location.x * width,
        location.y * height,
        min(reach, height + width),
    )  # holds the whole image already


def _corners(x: float, y: float, reach: float, scale: int) -> tuple[int, int, int, int]:
    """Give the first and last subpixel of a square as Pillow counts them, both included; at least one."""
    left, top = (round(scale * (middle - reach)) for middle in (x, y))
    right, bottom = (round(scale * (middle + reach)) - 1 for middle in (x, y))
    return left, top, max(left, right), max(top, bottom)


def _arrow_points(
    image: np.ndarray, x: float, y: float, reach: float, line: float
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Give tip, neck and tail of an arrow that points at (x, y), and the direction across it, in pixels."""
    height, width = image.shape[:2]
    position = np.array([x, y])
    away = np.array([width / 2, height / 2]) - position
    away = away / np.hypot(*away) if away.any() else np.array([-1.0, 0.0])
    borders = np.where(away > 0, [width, height], 0)
    room = min(abs(borders - position)[away != 0] / abs(away[away != 0]))
    length = _ARROW_LENGTH * min(height, width)
    tail = min(reach + length, room)
    tip = tail - length
    neck = tip + min(4 * line, length)
    across = np.array([-away[1], away[0]])
    return tuple(position + distance * away for distance in (tip, neck, tail)), across


def _cover(image: np.ndarray, paint: Callable[[ImageDraw.ImageDraw, int], None]) -> np.ndarray:
    """Give the part of every pixel that a painter covers: (height, width), float32 in [0, 1]."""
    height, width = image.shape[:2]
    scale = _OVERSAMPLING if height * width <= _OVERSAMPLED_AT_MOST else 1
    canvas = Image.new("L", (scale * width, scale * height))
    paint(ImageDraw.Draw(canvas), scale)
    return np.asarray(canvas.reduce(scale), dtype=np.float32) / 255


def _mix(image: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Move every pixel towards the target by its weight; return the image itself if no weight is above 0."""
    weighted = weight > 0
    if not weighted.any():
        return image
    # Marks are small: only the rectangle around them is computed.
    part = tuple(
        slice(inside[0], inside[-1] + 1) for inside in map(np.flatnonzero, (weighted.any(1), weighted.any(0)))
    )
    mixed, before = image.copy(), image[part].astype(np.float32)
    change = weight[part][..., None] * (np.broadcast_to(target, image.shape)[part] - before)
    mixed[part] = np.rint(before + change)
    return mixed


def _window(length: int, extent: float, middle: float) -> slice:
    """Give the pixels of a window on one side of an image, moved inside."""
    pixels = max(1, round(extent))
    start = min(max(0, round(middle - pixels / 2)), length - pixels)
    return slice(start, start + pixels)


def _check(location: Location) -> None:
    if not (0 <= location.x <= 1 and 0 <= location.y <= 1):
        raise InputError(
            f"The location ({location.x}, {location.y}) lies outside the image; give x and y as fractions of its "
            f"width and height, from 0 to 1."
        )


def rgb(color: str) -> np.ndarray:
    """Return red, green and blue of a color that Pillow knows; raise InputError for another."""
    try:
        return np.array(ImageColor.getrgb(color)[:3], dtype=np.float32)
    except ValueError:
        near = suggest(color, ImageColor.colormap) or "."
        raise InputError(
            f"Unknown color {color!r}{near} Give a CSS name such as 'red', or '#rrggbb'."
        ) from None
