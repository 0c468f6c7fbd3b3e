"""Encode pictures for a page."""

import base64
import io

import numpy as np
from PIL import Image

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.data.cutouts import Cutout, premultiplied

_LONGEST = 640  # pixels on a screen; what models see is made from the image itself
_SIDE = 224


def of_cutout(cutout: Cutout) -> bytes:
    """Return a trimmed cut-out as WebP with transparency; its longer side is the object's size in a scene."""
    return _webp(premultiplied(cutout.path).convert("RGBA"))


def of_photograph(photograph: Image.Image) -> bytes:
    """Return a photograph as WebP."""
    return _webp(photograph)


def of_background(background: Background) -> bytes:
    """Return the square of a background as WebP."""
    return _webp(Image.fromarray(draw_background(background, _SIDE, _SIDE)))


def uri(pixels: np.ndarray) -> str:
    """Return pixels, uint8 (height, width, 3), as the data URI of a PNG, which loses nothing."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _webp(image: Image.Image) -> bytes:
    small, file = image.copy(), io.BytesIO()
    small.thumbnail((_LONGEST, _LONGEST))
    small.save(file, "WEBP", quality=85, method=2)
    return file.getvalue()
