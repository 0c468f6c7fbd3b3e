"""Compose scenes from object cut-outs, with known positions, sizes and masks.

A `Scene` is a description: which cut-outs stand where on which background. Nothing is drawn before
`Scene.render`, and drawing depends on the description alone, so a scene looks the same to the pixel in
whatever order, batch or process it is drawn. Layouts (`grid`, `slide`, `pair`) return lists of scenes;
`scene_table` gives the tidy table that belongs to them.

Positions are fractions of the image: `x` of its width from the left, `y` of its height from the top. Sizes
are the longer side of the drawn object as a fraction of the shorter side of the image.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from crosseyed.errors import InputError, suggest
from crosseyed.files import DATA, atomic_write

STYLES = ("fluent", "noto", "twemoji")
BACKGROUNDS = ("plain", "gradient", "noise", "photo")
RELATIONS = ("on", "under", "left_of", "right_of")
CENTER_LIMIT = 1 / 3

# Bundled with scikit-image (so no download) and free of anything the catalogue names.
_PHOTOGRAPHS = ("brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry")
_CUTOUT_SUFFIXES = {".png", ".webp"}
_PAIR_SIZE = 0.28
_PAIR_POSITIONS = {
    "on": ((0.5, 0.36), (0.5, 0.64)),
    "under": ((0.5, 0.84), (0.5, 0.5)),
    "left_of": ((0.16, 0.5), (0.5, 0.5)),
    "right_of": ((0.84, 0.5), (0.5, 0.5)),
}


@dataclass(frozen=True)
class Cutout:
    """An object on a transparent ground, as a file.

    Attributes
    ----------
    object : str
        The name a caption would use, such as ``"palm tree"``.
    category : str
        The kind of thing, such as ``"plant"``.
    style : str
        The rendering it belongs to: ``"fluent"``, ``"noto"``, ``"twemoji"``; ``"own"`` for a user's folder.
    path : pathlib.Path
        A PNG or WebP file with an alpha channel.
    """

    object: str
    category: str
    style: str
    path: Path


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
        """Refuse a kind that does not exist.

        Raises
        ------
        InputError
            `kind` is not one of the four.
        """
        if self.kind not in BACKGROUNDS:
            raise InputError(
                f"Background {self.kind!r} does not exist; choose one of {', '.join(BACKGROUNDS)}."
            )


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
        """Refuse a size that nothing could be drawn at.

        Raises
        ------
        InputError
            `size` is not positive or not finite.
        """
        if not 0 < self.size < np.inf:
            raise InputError(
                f"Object size {self.size} is not positive; give a fraction of the image side, such as 0.3."
            )


@dataclass(frozen=True)
class Scene:
    """A description of one picture; call `render` to draw it.

    Attributes
    ----------
    name : str
        Unique within its layout; becomes the `image` column of tables.
    background : Background
        What stands behind the objects.
    placements : tuple of Placement
        The objects, from back to front.
    center : bool
        Whether the layout counts this scene as one with the object in question at the center.
    relation : str or None
        How the first object stands to the second, for pair scenes.
    height, width : int
        Size of the picture in pixels.
    """

    name: str
    background: Background
    placements: tuple[Placement, ...]
    center: bool = True
    relation: str | None = None
    height: int = 224
    width: int = 224

    def __post_init__(self) -> None:
        """Refuse a picture without pixels.

        Raises
        ------
        InputError
            `height` or `width` is not positive.
        """
        if self.height < 1 or self.width < 1:
            raise InputError(
                f"A scene of {self.width} × {self.height} pixels cannot be drawn; give at least 1 × 1."
            )

    def render(self) -> np.ndarray:
        """Draw the scene.

        Returns
        -------
        numpy.ndarray
            (height, width, 3), uint8.
        """
        canvas = draw_background(self.background, self.height, self.width)
        for placement in self.placements:
            rows, cols, tile = _tile(placement, self.height, self.width)
            if tile is not None:
                ground = canvas[rows, cols].astype(np.uint16)
                transparency = 255 - tile[..., 3:].astype(np.uint16)
                canvas[rows, cols] = np.minimum(tile[..., :3] + (ground * transparency + 127) // 255, 255)
        return canvas

    def masks(self) -> np.ndarray:
        """Mark the pixels in which each object is what one sees.

        Returns
        -------
        numpy.ndarray
            (objects, height, width), bool: at least half covered by the object and not hidden by a later one.
        """
        masks = np.zeros((len(self.placements), self.height, self.width), dtype=bool)
        for index, placement in enumerate(self.placements):
            rows, cols, tile = _tile(placement, self.height, self.width)
            if tile is not None:
                covered = tile[..., 3] >= 128
                masks[:index, rows, cols] &= ~covered
                masks[index, rows, cols] = covered
        return masks


def read_catalogue(styles: Iterable[str] = STYLES, folder: Path = DATA / "objects") -> list[Cutout]:
    """Read the catalogue of cut-outs that the project ships.

    Parameters
    ----------
    styles : iterable of str
        The renderings to include, out of ``"fluent"``, ``"noto"`` and ``"twemoji"``.
    folder : path
        Folder with ``catalogue.csv`` and the files it names.

    Returns
    -------
    list of Cutout
        In the order of the catalogue: all objects of one style, then of the next.

    Raises
    ------
    InputError
        A style does not exist, or the catalogue is missing.
    """
    file = Path(folder) / "catalogue.csv"
    if not file.is_file():
        raise InputError(
            f"{file} is missing; rebuild it with 'python data/objects/build.py' or give the folder with it."
        )
    table = pd.read_csv(file)
    styles, known = list(styles), list(dict.fromkeys(table["style"]))
    for style in styles:
        if style not in known:
            raise InputError(
                f"Style {style!r} does not exist; the catalogue has {', '.join(known)}{suggest(style, known)}"
            )
    rows = table[table["style"].isin(styles)]
    return [
        Cutout(row.object, row.category, row.style, Path(folder) / row.file)
        for row in rows.itertuples(index=False)
    ]


def read_cutout_folder(folder: str | os.PathLike) -> list[Cutout]:
    """Read a user's own folder of transparent PNG or WebP files in place of the catalogue.

    Parameters
    ----------
    folder : path
        Its files are named after the objects they show; hyphens and underscores stand for spaces.

    Returns
    -------
    list of Cutout
        Sorted by file name; category and style are ``"own"``.

    Raises
    ------
    InputError
        The folder does not exist or has no such file; a file cannot be read or has nothing transparent, or
        two files show the same object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of transparent PNG or WebP files.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _CUTOUT_SUFFIXES)
    if not files:
        raise InputError(f"{folder} has no PNG or WebP file; put one transparent file per object there.")
    cutouts = [Cutout(file.stem.replace("-", " ").replace("_", " "), "own", "own", file) for file in files]
    paths: dict[str, Path] = {}
    for cutout in cutouts:
        _premultiplied(cutout.path)
        if cutout.object in paths:
            raise InputError(
                f"{paths[cutout.object]} and {cutout.path} both show {cutout.object!r}; keep one of them."
            )
        paths[cutout.object] = cutout.path
    return cutouts


def objects_of(cutouts: Sequence[Cutout]) -> list[str]:
    """List the distinct object names of some cut-outs, in order of first appearance."""
    return list(dict.fromkeys(cutout.object for cutout in cutouts))


def sample_objects(cutouts: Sequence[Cutout], n_objects: int, seed: int) -> list[Cutout]:
    """Keep all cut-outs of some objects, drawn at random.

    Parameters
    ----------
    cutouts : sequence of Cutout
        What to draw from.
    n_objects : int
        How many objects to keep; at least 1 and at most as many as there are.
    seed : int
        Decides which.

    Returns
    -------
    list of Cutout
        In their original order.

    Raises
    ------
    InputError
        `n_objects` is out of range.
    """
    objects = objects_of(cutouts)
    if not 1 <= n_objects <= len(objects):
        raise InputError(
            f"n_objects is {n_objects}; it must lie between 1 and {len(objects)}, the number of objects."
        )
    kept = set(np.random.default_rng(seed).choice(objects, n_objects, replace=False))
    return [cutout for cutout in cutouts if cutout.object in kept]


def eccentricity(x: float, y: float, height: int = 1, width: int = 1) -> float:
    """Measure how far from the image center a position is.

    Parameters
    ----------
    x, y : float
        Position as fractions of width and height.
    height, width : int
        Size of the image, in any unit.

    Returns
    -------
    float
        Distance to the center over half the image diagonal: 0 at the center, 1 in a corner.
    """
    return float(np.hypot((x - 0.5) * width, (y - 0.5) * height) / (0.5 * np.hypot(width, height)))


def grid(
    cutouts: Sequence[Cutout],
    k: int = 5,
    *,
    size: float = 0.3,
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Show every object alone in each cell of a k × k grid.

    Background and size are the same in all cells for the same cut-out, so that cells are compared on the same
    pictures. Objects larger than a cell are moved inward just enough to stand wholly inside the image.

    Parameters
    ----------
    cutouts : sequence of Cutout
        The objects to show.
    k : int
        Cells along each side; odd and at least 3, so that there is a center cell and a border.
    size : float
        Longer side of the object as a fraction of the shorter side of the image, in (0, 1].
    backgrounds : sequence of str
        Kinds of background, dealt to the cut-outs in turn.
    seed : int
        Decides the backgrounds.
    height, width : int
        Size of the pictures in pixels.

    Returns
    -------
    list of Scene
        ``len(cutouts) * k * k`` scenes.

    Raises
    ------
    InputError
        `k`, `size` or `backgrounds` is out of range.
    """
    if k < 3 or k % 2 == 0:
        raise InputError(
            f"The grid has k = {k} cells a side; k must be odd and at least 3, so that one is the center."
        )
    _check_layout(cutouts, size, backgrounds)
    xs, ys = _cells(k, size * min(height, width) / width), _cells(k, size * min(height, width) / height)
    scenes = []
    for cutout, background in zip(cutouts, _deal_backgrounds(cutouts, backgrounds, seed), strict=True):
        for row, col in product(range(k), repeat=2):
            placement = Placement(cutout, xs[col], ys[row], size, row=row, col=col)
            name = f"{_slug(cutout.object)}_{cutout.style}_row{row}_col{col}"
            center = row == col == k // 2
            scenes.append(Scene(name, background, (placement,), center, height=height, width=width))
    return scenes


def slide(
    cutouts: Sequence[Cutout],
    step: float = 0.1,
    *,
    size: float = 0.3,
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Slide every object from the image center towards a corner, on one background.

    Parameters
    ----------
    cutouts : sequence of Cutout
        The objects to show.
    step : float
        Distance between two stops as eccentricity, in (0, 1]. The last stop is the last at which the whole
        object is still inside the image.
    size, backgrounds, height, width
        As for `grid`.
    seed : int
        Decides the backgrounds and which corner each object slides to.

    Returns
    -------
    list of Scene
        A scene counts as center up to an eccentricity of 1/3.

    Raises
    ------
    InputError
        `step`, `size` or `backgrounds` is out of range.
    """
    if not 0 < step <= 1:
        raise InputError(
            f"The slide has a step of {step}; it must lie above 0 and at most at 1 (eccentricity per step)."
        )
    _check_layout(cutouts, size, backgrounds)
    stops = np.arange(0, 1 - size + 1e-9, step)
    corners = np.random.default_rng([seed, 1]).choice([-1, 1], (len(cutouts), 2))
    scenes = []
    for cutout, corner, background in zip(
        cutouts, corners, _deal_backgrounds(cutouts, backgrounds, seed), strict=True
    ):
        for number, stop in enumerate(stops):
            x, y = 0.5 + corner * stop / 2
            name = f"{_slug(cutout.object)}_{cutout.style}_stop{number}"
            placement = Placement(cutout, float(x), float(y), size)
            center = bool(stop <= CENTER_LIMIT)
            scenes.append(Scene(name, background, (placement,), center, height=height, width=width))
    return scenes


def pair(
    cutouts: Sequence[Cutout],
    relation: str,
    *,
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Show every object together with another one, in one of What'sUp's relations.

    With ``"on"`` both objects stand at the center, one above the other. With ``"under"``, ``"left_of"`` and
    ``"right_of"`` the second object stands at the center and the first at the border. The partner of each
    object is drawn among the others of its style, and is the same for every relation and background kind.

    Parameters
    ----------
    cutouts : sequence of Cutout
        The objects to show; at least two of each style that is present.
    relation : str
        ``"on"`` (counts as center), ``"under"``, ``"left_of"`` or ``"right_of"`` (count as off-center).
    backgrounds, height, width
        As for `grid`.
    seed : int
        Decides partners and backgrounds.

    Returns
    -------
    list of Scene
        One for each cut-out, as the first object.

    Raises
    ------
    InputError
        The relation does not exist, or a style has only one object.
    """
    if relation not in RELATIONS:
        raise InputError(
            f"Relation {relation!r} does not exist; choose one of {', '.join(RELATIONS)}"
            f"{suggest(relation, RELATIONS)}"
        )
    _check_layout(cutouts, _PAIR_SIZE, backgrounds)
    first, second = _PAIR_POSITIONS[relation]
    scenes = []
    for cutout, partner, background in zip(
        cutouts, _partners(cutouts, seed), _deal_backgrounds(cutouts, backgrounds, seed), strict=True
    ):
        placements = (Placement(cutout, *first, _PAIR_SIZE), Placement(partner, *second, _PAIR_SIZE))
        name = f"{_slug(cutout.object)}_{relation}_{_slug(partner.object)}_{cutout.style}"
        scenes.append(Scene(name, background, placements, relation == "on", relation, height, width))
    return scenes


def scene_table(scenes: Iterable[Scene]) -> pd.DataFrame:
    """Describe scenes as a tidy table.

    Parameters
    ----------
    scenes : iterable of Scene
        What a layout returned.

    Returns
    -------
    pandas.DataFrame
        One row per object, front-most last, with the columns `image, object, category, style, row, col, x, y,
        size, rotation, eccentricity, area, center, relation, background, seed`. `area` is the share of the
        picture that the object covers where nothing cuts it off; `seed` is that of the background.
    """
    return pd.DataFrame.from_records(
        [_row(scene, placement) for scene in scenes for placement in scene.placements]
    )


def pair_table(scenes: Iterable[Scene]) -> pd.DataFrame:
    """Describe pair scenes as a tidy table with one row per picture.

    Parameters
    ----------
    scenes : iterable of Scene
        What `pair` returned.

    Returns
    -------
    pandas.DataFrame
        The columns of `scene_table` for the first object of each scene, and `object2`.
    """
    scenes = list(scenes)
    table = pd.DataFrame.from_records([_row(scene, scene.placements[0]) for scene in scenes])
    return table.assign(object2=[scene.placements[1].cutout.object for scene in scenes])


def write_whatsup(scenes: Sequence[Scene], folder: str | os.PathLike) -> list[Path]:
    """Write pair scenes as JPEG files in What'sUp's naming, ``<object1>_<relation>_<object2>.jpeg``.

    Parameters
    ----------
    scenes : sequence of Scene
        Pair scenes; no two of them may have the same objects and relation.
    folder : path
        Created if it is missing.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of the scenes.

    Raises
    ------
    InputError
        A scene has no relation, or two scenes would have the same file name.
    """
    paths: list[Path] = []
    for scene in scenes:
        if scene.relation is None or len(scene.placements) != 2:
            raise InputError(f"Scene {scene.name!r} is no pair scene; write only what 'pair' returned.")
        first, second = (_slug(placement.cutout.object) for placement in scene.placements)
        paths.append(Path(folder) / f"{first}_{scene.relation}_{second}.jpeg")
    repeated = sorted({path.name for path in paths if paths.count(path) > 1})
    if repeated:
        raise InputError(
            f"Several scenes would be written to {repeated[0]!r}; write one style and one seed to a folder."
        )
    for scene, path in zip(scenes, paths, strict=True):
        with atomic_write(path) as temporary:
            Image.fromarray(scene.render()).save(temporary, quality=95)
    return paths


def draw_background(background: Background, height: int, width: int) -> np.ndarray:
    """Draw a background.

    Parameters
    ----------
    background : Background
        What to draw.
    height, width : int
        Size in pixels.

    Returns
    -------
    numpy.ndarray
        (height, width, 3), uint8, writable.
    """
    rng = np.random.default_rng([background.seed, BACKGROUNDS.index(background.kind)])
    return _PAINTERS[background.kind](rng, height, width)


def _paint_plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (height, width, 3)).copy()


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
    return np.array(photograph.resize((width, height), Image.Resampling.BILINEAR, box=box))


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


@lru_cache(maxsize=4096)
def _premultiplied(path: Path) -> Image.Image:
    """Read a cut-out and trim it to what is drawn; colors are multiplied by alpha for resizing."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGBA")
    except Exception as error:  # a damaged file can make Pillow's decoders fail in any way
        raise InputError(
            f"{path} cannot be read as an image ({error}); replace it by a transparent PNG or WebP file."
        ) from error
    drawn = image.getchannel("A").point(lambda alpha: 255 * (alpha >= 8)).getbbox()
    if drawn is None:
        raise InputError(f"{path} is wholly transparent; a cut-out must show an object.")
    if image.getchannel("A").getextrema()[0] == 255:
        raise InputError(
            f"{path} has no transparent pixel; a cut-out must be the object alone on a transparent ground."
        )
    return image.crop(drawn).convert("RGBa")


@lru_cache(maxsize=4096)
def _coverage(path: Path) -> float:
    """Give the drawn area of a cut-out over the square of its longer side."""
    sprite = _premultiplied(path)
    return float(np.asarray(sprite)[..., 3].sum() / 255 / max(sprite.size) ** 2)


def _tile(placement: Placement, height: int, width: int) -> tuple[slice, slice, np.ndarray | None]:
    """Draw one object onto the pixels it can touch: rows, columns, (rows, columns, 4) premultiplied uint8."""
    sprite = _premultiplied(placement.cutout.path)
    scale = placement.size * min(height, width) / max(sprite.size)
    if placement.rotation:
        sprite = sprite.rotate(placement.rotation, Image.Resampling.BICUBIC, expand=True)
    left = placement.x * width - scale * sprite.width / 2
    top = placement.y * height - scale * sprite.height / 2
    x0, x1 = max(0, int(np.floor(left)) - 1), min(width, int(np.ceil(left + scale * sprite.width)) + 1)
    y0, y1 = max(0, int(np.floor(top)) - 1), min(height, int(np.ceil(top + scale * sprite.height)) + 1)
    if x0 >= x1 or y0 >= y1:
        return slice(0, 0), slice(0, 0), None
    margin = int(np.ceil(2 / scale)) + 1
    padded = Image.new("RGBa", (sprite.width + 2 * margin, sprite.height + 2 * margin))
    padded.paste(sprite, (margin, margin))
    box = [(x0 - left) / scale, (y0 - top) / scale, (x1 - left) / scale, (y1 - top) / scale]
    box = tuple(margin + side for side in box)
    tile = padded.resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=box)
    return slice(y0, y1), slice(x0, x1), np.asarray(tile)


def _cells(k: int, size: float) -> np.ndarray:
    """Give the k positions along one side: cell centers, moved inward where the object would be cut off."""
    margin = max(1 / (2 * k), size / 2)
    return np.linspace(margin, 1 - margin, k)


def _check_layout(cutouts: Sequence[Cutout], size: float, backgrounds: Sequence[str]) -> None:
    if not cutouts:
        raise InputError("A layout needs at least one cut-out; the list is empty.")
    if not 0 < size <= 1:
        raise InputError(
            f"Object size is {size}; it must lie above 0 and at most at 1 (fraction of the image side)."
        )
    if not backgrounds:
        raise InputError(f"A layout needs at least one background; choose from {', '.join(BACKGROUNDS)}.")


def _deal_backgrounds(cutouts: Sequence[Cutout], kinds: Sequence[str], seed: int) -> list[Background]:
    seeds = np.random.default_rng([seed, 0]).integers(2**31, size=len(cutouts))
    return [Background(kinds[index % len(kinds)], int(own)) for index, own in enumerate(seeds)]


def _partners(cutouts: Sequence[Cutout], seed: int) -> list[Cutout]:
    """Give each cut-out another of its style: the next in a random circle, so that each is a partner once."""
    partners: dict[Cutout, Cutout] = {}
    for style in dict.fromkeys(cutout.style for cutout in cutouts):
        circle = [cutout for cutout in cutouts if cutout.style == style]
        if len(circle) < 2:
            raise InputError(f"Style {style!r} has one object only; a pair needs two.")
        order = np.random.default_rng([seed, 2]).permutation(len(circle))
        partners |= {circle[a]: circle[b] for a, b in zip(order, np.roll(order, 1), strict=True)}
    return [partners[cutout] for cutout in cutouts]


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


def _slug(name: str) -> str:
    return name.replace(" ", "-")
