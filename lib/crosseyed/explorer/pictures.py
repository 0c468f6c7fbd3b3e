"""Encode pictures for a page."""

import io

import numpy as np
from PIL import Image

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.data.cutouts import Cutout, premultiplied
from crosseyed.report.figures import style

WEBP = "image/webp"

_LONGEST = 640  # pixels on a screen; what models see is made from the image itself
_SIDE = 224  # pixels of a background


def of_cutout(cutout: Cutout, longest: int = _LONGEST) -> bytes:
    """Return a trimmed cut-out as WebP with transparency; its longer side is the object's size in a scene.

    Parameters
    ----------
    cutout : Cutout
    longest : int
        The most pixels of its longer side.
    """
    return of_image(premultiplied(cutout.path).convert("RGBA"), longest)


def of_image(image: Image.Image, longest: int = _LONGEST) -> bytes:
    """Return an image as WebP, such as a photograph, made smaller where its longer side has more pixels."""
    small, file = image.copy(), io.BytesIO()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    small.save(file, "WEBP", quality=85, method=2)
    return file.getvalue()


def of_background(background: Background) -> bytes:
    """Return the square of a background as WebP."""
    return of_image(Image.fromarray(draw_background(background, _SIDE, _SIDE)))


def uri(pixels: np.ndarray) -> str:
    """Return pixels, uint8 (height, width, 3), as the data URI of a PNG, which loses nothing."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return style.data_uri(style.PNG, file.getvalue())
