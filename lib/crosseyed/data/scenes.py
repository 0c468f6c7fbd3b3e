"""Compose scenes from object cut-outs, with known positions, sizes and masks.

A `Scene` is a description: which cut-outs stand where on which background. Nothing is drawn before
`Scene.render`, and drawing depends on the description alone, so a scene looks the same to the pixel in
whatever order, batch or process it is drawn. Layouts (`grid`, `slide`, `pair`) return lists of scenes;
`scene_table` gives the tidy table that belongs to them.

Positions are fractions of the image: `x` of its width from the left, `y` of its height from the top. Sizes
are the longer side of the drawn object as a fraction of the shorter side of the image.
"""

import hashlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.data.cutouts import Cutout, premultiplied
from crosseyed.data.geometry import ROUNDING
from crosseyed.errors import InputError
from crosseyed.settings import settings


@dataclass(frozen=True)
class Placement:
    """One object in a scene.

    Attributes
    ----------
    cutout : Cutout
        What is drawn.
    x, y : float
        Center of the object as fractions of width and height; outside [0, 1] it is cut off by the border.
    size : float
        Longer side of the unrotated object as a fraction of the shorter side of the image; positive.
    rotation : float
        Degrees counterclockwise around the center of the object.
    row, col : int or None
        Cell of the grid that the object stands in, counted from 0 at the top left; None if there is no grid.
    """

    cutout: Cutout
    x: float
    y: float
    size: float
    rotation: float = 0.0
    row: int | None = None
    col: int | None = None

    def __post_init__(self) -> None:
        """Check the size."""
        if not 0 < self.size < np.inf:
            raise InputError(
                f"Object size {self.size} is not positive; give a fraction of the image side, such as 0.3."
            )


@dataclass(frozen=True)
class Scene:
    """A description of one image; call `render` to draw it.

    Attributes
    ----------
    name : str
        Unique within its layout; becomes the `image` column of tables.
    background : Background
        What stands behind the objects.
    placements : tuple of Placement
        The objects, from back to front.
    center : bool
        Whether the place of the only object, before its shift, is the center (`is_central`); of two objects, whether
        they stand together around the image center and not apart, one of them at the border.
    relation : str or None
        How the first object stands to the second, for pair scenes.
    height, width : int
        Size of the image in pixels.
    """

    name: str
    background: Background
    placements: tuple[Placement, ...]
    center: bool = True
    relation: str | None = None
    height: int = 224
    width: int = 224

    def __post_init__(self) -> None:
        """Check that there are pixels."""
        if self.height < 1 or self.width < 1:
            raise InputError(
                f"A scene of {self.width} × {self.height} pixels cannot be drawn; give at least 1 × 1."
            )

    def render(self) -> np.ndarray:
        """Draw the scene: (height, width, 3), uint8."""
        canvas = draw_background(self.background, self.height, self.width)
        for placement in self.placements:
            rows, cols, tile = _tile(placement, self.height, self.width)
            if tile is not None:
                ground = canvas[rows, cols].astype(np.uint16)
                transparency = 255 - tile[..., 3:].astype(np.uint16)
                canvas[rows, cols] = np.minimum(tile[..., :3] + (ground * transparency + 127) // 255, 255)
        return canvas

    def empty(self) -> "Scene":
        """Return the same scene without its objects."""
        return replace(self, placements=())

    def digest(self) -> bytes:
        """Return a digest of all that decides how the scene looks, without drawing it.

        This is the size, the background, the placements with their cut-outs' bytes, and the code that draws; not the
        name, nor what tables say of the scene.
        """
        recipe = [_renderer(), repr((self.height, self.width, self.background))]
        for each in self.placements:
            recipe.append(_content(each.cutout.path))
            recipe.append(repr(tuple(float(value) for value in (each.x, each.y, each.size, each.rotation))))
        return hashlib.sha256("\0".join(recipe).encode()).digest()

    def masks(self) -> np.ndarray:
        """Mark the pixels that show each object: (objects, height, width), bool.

        These are at least half covered by the object and not hidden by a later one.
        """
        masks = np.zeros((len(self.placements), self.height, self.width), dtype=bool)
        for index, placement in enumerate(self.placements):
            rows, cols, tile = _tile(placement, self.height, self.width)
            if tile is not None:
                covered = tile[..., 3] >= 128
                masks[:index, rows, cols] &= ~covered
                masks[index, rows, cols] = covered
        return masks


def eccentricity(x: float, y: float, height: int = 1, width: int = 1) -> float:
    """Return the distance to the image center over half the diagonal: 0 at the center, 1 in a corner.

    Parameters
    ----------
    x, y : float
        Position as fractions of width and height.
    height, width : int
        Size of the image, in any unit.
    """
    return float(np.hypot((x - 0.5) * width, (y - 0.5) * height) / (0.5 * np.hypot(width, height)))


def is_central(x: float, y: float, height: int = 1, width: int = 1) -> bool:
    """Return whether a place, as in `eccentricity`, counts as the center by `settings.center_limit`."""
    return eccentricity(x, y, height, width) <= settings.center_limit + ROUNDING


def scene_of(source: object) -> Scene | None:
    """Return the scene whose `Scene.render` an image source is, also if it is wrapped; None for any other source."""
    render = inspect.unwrap(source) if callable(source) else None
    return render.__self__ if getattr(render, "__func__", None) is Scene.render else None


def scene_table(scenes: Iterable[Scene]) -> pd.DataFrame:
    """Describe scenes as a tidy table.

    There is one row per object, front-most last, with the columns `image, object, category, style, row, col, x, y,
    size, rotation, eccentricity, area, center, relation, background, seed`. `area` is the share of the image that the
    object covers where nothing cuts it off; `seed` is that of the background.
    """
    return pd.DataFrame.from_records(
        [_row(scene, placement) for scene in scenes for placement in scene.placements]
    )


def pair_table(scenes: Iterable[Scene]) -> pd.DataFrame:
    """Describe the scenes of `layouts.pair`, one row per image.

    The columns are those of `scene_table` for the first object, with `together` in place of `center`, and `object2`.
    """
    scenes = list(scenes)
    table = pd.DataFrame.from_records([_row(scene, scene.placements[0]) for scene in scenes])
    return table.rename(columns={"center": "together"}).assign(
        object2=[scene.placements[1].cutout.object for scene in scenes]
    )


@cache
def _renderer() -> str:
    """Name the code that draws, so that another renderer is another recipe."""
    own = [
        Path(__file__).with_name(f"{name}.py").read_bytes() for name in ("scenes", "backgrounds", "cutouts")
    ]
    versions = " ".join(version(name) for name in ("pillow", "numpy", "scikit-image"))
    return hashlib.sha256(b"".join(own) + versions.encode()).hexdigest()


@lru_cache(maxsize=4096)
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=4096)
def _coverage(path: Path) -> float:
    """Give the drawn area of a cut-out over the square of its longer side."""
    sprite = premultiplied(path)
    return float(np.asarray(sprite)[..., 3].sum() / 255 / max(sprite.size) ** 2)


def _tile(placement: Placement, height: int, width: int) -> tuple[slice, slice, np.ndarray | None]:
    """Draw one object onto the pixels it can touch: rows, columns, (rows, columns, 4) premultiplied uint8."""
    sprite = premultiplied(placement.cutout.path)
    scale = placement.size * min(height, width) / max(sprite.size)
    margin = int(np.ceil(2 / scale)) + 1
    sprite, padded = _padded(placement.cutout.path, placement.rotation, margin)
    left = placement.x * width - scale * sprite.width / 2
    top = placement.y * height - scale * sprite.height / 2
    x0, x1 = max(0, int(np.floor(left)) - 1), min(width, int(np.ceil(left + scale * sprite.width)) + 1)
    y0, y1 = max(0, int(np.floor(top)) - 1), min(height, int(np.ceil(top + scale * sprite.height)) + 1)
    if x0 >= x1 or y0 >= y1:
        return slice(0, 0), slice(0, 0), None
    box = [(x0 - left) / scale, (y0 - top) / scale, (x1 - left) / scale, (y1 - top) / scale]
    box = tuple(margin + side for side in box)
    tile = padded.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=box)
    return slice(y0, y1), slice(x0, x1), np.asarray(tile)


@lru_cache(maxsize=32)
def _padded(path: Path, rotation: float, margin: int) -> tuple[Image.Image, Image.Image]:
    """Give a rotated cut-out, and the same with a transparent margin; the scenes of an object follow each other."""
    sprite = premultiplied(path)
    if rotation:
        sprite = sprite.rotate(rotation, Image.Resampling.BICUBIC, expand=True)
    padded = Image.new("RGBa", (sprite.width + 2 * margin, sprite.height + 2 * margin))
    padded.paste(sprite, (margin, margin))
    return sprite, padded


def _row(scene: Scene, placement: Placement) -> dict:
    side = min(scene.height, scene.width)
    area = _coverage(placement.cutout.path) * (placement.size * side) ** 2 / (scene.height * scene.width)
    return {
        "image": scene.name,
        "object": placement.cutout.object,
        "category": placement.cutout.category,
        "style": placement.cutout.style,
        "row": placement.row,
        "col": placement.col,
        "x": placement.x,
        "y": placement.y,
        "size": placement.size,
        "rotation": placement.rotation,
        "eccentricity": eccentricity(placement.x, placement.y, scene.height, scene.width),
        "area": area,
        "center": scene.center,
        "relation": scene.relation,
        "background": scene.background.kind,
        "seed": scene.background.seed,
    }
