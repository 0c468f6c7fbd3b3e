"""Plan the studio's images and draw them: first what is in an image, then, apart from it, where.

A `Shot` holds all about an image but the places of its objects: which objects in which renderings, their sizes,
poses, light and shadow, what covers them, the background, the lens, the caption. `plan` draws it from one source of
chance. `places` draws where its objects stand from another one. So models whose recipes differ in positions alone see
the same shots, and `render` draws a shot with any places.

Placement is that of `crosseyed.data.photographer`: in ``"centered"`` shots subjects stand around the image center and
clutter at the border; in ``"uniform"`` ones every object anywhere; a `Dose` gives the spread around the center.
Captions name subjects alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, nan

import numpy as np
from scipy.special import ndtr, ndtri

from crosseyed.data.cutouts import Cutout
from crosseyed.data.photographer import CLUTTER_ECCENTRICITY, SUBJECT_SPREAD, Dose
from crosseyed.errors import InputError, check_choice, shorten, suggest
from crosseyed.training.studio import backgrounds, lens, sprites
from crosseyed.training.studio.captions import write_caption
from crosseyed.training.studio.lens import Lens
from crosseyed.training.studio.sprites import Light, Occluder, Pose, Shadow

Place = tuple[float, float]
"""Center of an object, as fractions of the side."""

World = Mapping[str, Sequence[Cutout]]
"""The cut-outs of each object."""

_LARGEST_OF_PAIR = 0.36
_LARGEST_CLUTTER = 0.30
_PAIR_OFFSET = 0.18
_DARK, _BRIGHT = 1.45, 0.7  # gammas
_BLURRY, _GRAINY = 0.011, 0.05
_ATTEMPTS = 12
_APART = 0.45  # of the sum of two sizes


@dataclass(frozen=True)
class Photographer:
    """The habits of a photographer: how much images vary. All that is a probability lies in [0, 1].

    Attributes
    ----------
    sizes : tuple of float
        Smallest and largest size of a subject over the side of the image; logarithms are uniform.
    pairs : float
        Probability of two subjects.
    clutter : int
        Most objects that captions do not name; each number up to it is equally probable.
    rotation, tilt : float
        Largest rotation in the image plane and out of it, in degrees.
    light : float
        Largest relative change of an object's and an image's brightness and color.
    shadows, occlusion, truncation : float
        Probability that an object casts a shadow, is partly covered, may be cut off by the border (by at most
        a third of its size).
    blur, noise : float
        Largest blur, over the side of the image, and largest standard deviation of noise, over the brightness range.
    jpeg : float
        Probability of JPEG, of a quality from 30 to 95.
    attributes : float
        Probability that a caption speaks of each: size, image and background.
    backgrounds : tuple of str
        Kinds of background (`crosseyed.training.studio.backgrounds`).
    """

    sizes: tuple[float, float] = (0.10, 0.60)
    pairs: float = 0.25
    clutter: int = 2
    rotation: float = 25.0
    tilt: float = 35.0
    light: float = 0.4
    shadows: float = 0.4
    occlusion: float = 0.2
    truncation: float = 0.15
    blur: float = 0.015
    noise: float = 0.08
    jpeg: float = 0.4
    attributes: float = 0.3
    backgrounds: tuple[str, ...] = backgrounds.TRAINED_KINDS

    def __post_init__(self) -> None:
        """Raise InputError for a value out of its range."""
        for name, (low, high) in _RANGES.items():
            _check_number(name, getattr(self, name), low, high)
        smallest, largest = self._pair_of_sizes()
        if smallest > largest:
            raise InputError(
                f"sizes of a photographer are {smallest:g} and {largest:g}; give the smaller one first."
            )
        if type(self.clutter) is not int:
            raise InputError(f"clutter of a photographer is {shorten(self.clutter)}; give a whole number.")
        if not self.backgrounds:
            raise InputError("backgrounds of a photographer are none; give at least one kind.")
        for kind in self.backgrounds:
            check_choice("background", kind, (*backgrounds.TRAINED_KINDS, *backgrounds.HELD_OUT_KINDS))

    def _pair_of_sizes(self) -> tuple[float, float]:
        if not isinstance(self.sizes, tuple) or len(self.sizes) != 2:
            raise InputError(
                f"sizes of a photographer are {shorten(self.sizes)}; give the smallest and the largest."
            )
        for size in self.sizes:
            _check_number("sizes", size, 0.02, 1)
        return self.sizes


_RANGES = {
    **dict.fromkeys(("pairs", "shadows", "occlusion", "truncation", "jpeg", "attributes"), (0, 1)),
    "clutter": (0, 8),
    "rotation": (0, 180),
    "tilt": (0, 60),
    "light": (0, 0.9),
    "blur": (0, 0.1),
    "noise": (0, 0.5),
}


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if type(value) not in (int, float) or not low <= value <= high:
        raise InputError(
            f"{name} of a photographer is {shorten(value)}; give a number from {low:g} to {high:g}."
        )


@dataclass(frozen=True)
class Figure:
    """One object of a shot, without its place.

    Attributes
    ----------
    cutout : Cutout
    subject : bool
        Whether the caption names it; else it is clutter.
    pose, light : Pose, Light
    shadow, occluder : Shadow, Occluder, optional
    overhang : float
        Share of its size by which it may reach over the border of the image.
    """

    cutout: Cutout
    subject: bool
    pose: Pose
    light: Light = field(default_factory=Light)
    shadow: Shadow | None = None
    occluder: Occluder | None = None
    overhang: float = 0.0


@dataclass(frozen=True)
class Shot:
    """An image without the places of its objects.

    Attributes
    ----------
    figures : tuple of Figure
        Subjects first.
    background, background_seed : str, int
        Its kind, and what decides its colors.
    lens : Lens
    noise_seed : int
        Decides the noise.
    caption : str
    """

    figures: tuple[Figure, ...]
    background: str
    background_seed: int
    lens: Lens
    noise_seed: int
    caption: str


def world_by_object(cutouts: Sequence[Cutout]) -> dict[str, list[Cutout]]:
    """Group cut-outs by what they show."""
    world: dict[str, list[Cutout]] = {}
    for cutout in cutouts:
        world.setdefault(cutout.object, []).append(cutout)
    return world


def least_objects(photographer: Photographer) -> int:
    """Return how many objects there must be: as many as an image may show, and two to tell apart."""
    return max(2, 1 + (photographer.pairs > 0) + photographer.clutter)


def plan(world: World, subject: str, photographer: Photographer, rng: np.random.Generator) -> Shot:
    """Plan an image of a subject.

    Parameters
    ----------
    world : mapping of str to sequence of Cutout
        From `world_by_object`; at least as many objects as `least_objects` says.
    subject : str
        An object that the caption names.
    photographer : Photographer
    rng : numpy.random.Generator
        Decides all about the shot.

    Raises
    ------
    InputError
        The subject is not in the world.
    """
    names = list(world)
    if subject not in world:
        raise InputError(
            f"The subject {subject!r} is none of the {len(names)} objects{suggest(subject, names)}"
        )
    n_subjects = 1 + int(rng.random() < photographer.pairs)
    n_clutter = int(rng.integers(photographer.clutter + 1))
    shown = _others(names, subject, n_subjects + n_clutter - 1, rng)
    low, high = photographer.sizes
    largest = [high if n_subjects == 1 else _LARGEST_OF_PAIR] * n_subjects + [_LARGEST_CLUTTER] * n_clutter
    figures = tuple(
        _figure(world[name], index < n_subjects, (low, max(low, min(high, most))), photographer, rng)
        for index, (name, most) in enumerate(zip([subject, *shown], largest, strict=True))
    )
    taken = _lens(photographer, rng)
    kind = photographer.backgrounds[rng.integers(len(photographer.backgrounds))]
    speaks = rng.random(3) < photographer.attributes
    caption = write_caption(
        [(figure.cutout.object, figure.pose.size if speaks[0] else nan) for figure in figures[:n_subjects]],
        _qualities(taken) if speaks[1] else (),
        kind if speaks[2] else None,
        rng,
    )
    seeds = rng.integers(2**31, size=2).tolist()
    return Shot(figures, kind, seeds[0], taken, seeds[1], caption)


def places(shot: Shot, positions: str | Dose, rng: np.random.Generator) -> tuple[Place, ...]:
    """Draw where the objects of a shot stand.

    Parameters
    ----------
    shot : Shot
    positions : {"centered", "uniform"} or Dose
        See the module; of a `Dose`, its spread counts.
    rng : numpy.random.Generator
        Decides the places.

    Returns
    -------
    tuple of (float, float)
        One for each figure.
    """
    if positions == "centered":
        return _centered(shot.figures, rng)
    return _scattered(shot.figures, inf if positions == "uniform" else positions.spread, rng)


def render(shot: Shot, where: Sequence[Place], side: int) -> np.ndarray:
    """Draw a shot with its objects at these places: (side, side, 3), uint8."""
    image = backgrounds.paint_background(shot.background, shot.background_seed, side).astype(np.float32)
    for figure, (x, y) in reversed(list(zip(shot.figures, where, strict=True))):
        _draw(image, figure, x, y, side)
    return lens.take(image.astype(np.uint8), shot.lens, np.random.default_rng(shot.noise_seed))


def _draw(image: np.ndarray, figure: Figure, x: float, y: float, side: int) -> None:
    tile = sprites.project(figure.cutout.path, figure.pose, x, y, side)
    if tile is None:
        return
    length = figure.pose.size * side
    rows, cols, pixels = tile
    if figure.shadow is not None:
        sprites.cast_shadow(image, tile, figure.shadow, length)
    sprites.paste(image, (rows, cols, sprites.relight(pixels, figure.light)))
    if figure.occluder is not None:
        sprites.occlude(image, tile, figure.occluder, x * side, y * side, length)


def _others(names: Sequence[str], subject: str, count: int, rng: np.random.Generator) -> list[str]:
    others: list[str] = []
    while len(others) < count:
        name = names[rng.integers(len(names))]
        if name != subject and name not in others:
            others.append(name)
    return others


def _figure(
    renderings: Sequence[Cutout],
    subject: bool,
    sizes: tuple[float, float],
    photographer: Photographer,
    rng: np.random.Generator,
) -> Figure:
    """Draw all about an object; every figure takes equally many numbers, whatever they decide."""
    cutout = renderings[rng.integers(len(renderings))]
    chance, signed = rng.random(8).tolist(), rng.uniform(-1, 1, 12).tolist()
    size = float(np.exp(np.log(sizes[0]) + chance[0] * (np.log(sizes[1]) - np.log(sizes[0]))))
    yaw, pitch, rotation = photographer.tilt * signed[0], photographer.tilt * signed[1], signed[2]
    pose = Pose(size, photographer.rotation * rotation, yaw, pitch, mirrored=chance[1] < 0.5)
    bound = photographer.light
    red, green, blue = (1 + bound * (0.5 * signed[3] + 0.25 * share) for share in signed[4:7])
    light = Light((red, green, blue), 1 + bound * signed[7], bound * signed[8], np.pi * signed[9])
    shadow = (
        Shadow(0.25 * signed[10], 0.2 * abs(signed[11]), 0.03 + 0.12 * chance[2], 0.2 + 0.5 * chance[3])
        if chance[4] < photographer.shadows
        else None
    )
    occluder = _occluder(rng)
    overhang = chance[7] / 3 if chance[6] < photographer.truncation else 0.0
    covered = chance[5] < photographer.occlusion
    return Figure(cutout, subject, pose, light, shadow, occluder if covered else None, overhang)


def _occluder(rng: np.random.Generator) -> Occluder:
    """Draw what covers about a tenth to a third of an object."""
    angle, bar = rng.uniform(0, 2 * np.pi), bool(rng.random() < 0.5)
    distance, radius = (
        (rng.uniform(0, 0.3), rng.uniform(0.05, 0.11))
        if bar
        else (rng.uniform(0.35, 0.5), rng.uniform(0.2, 0.3))
    )
    return Occluder(angle, distance, radius, bar, tuple(rng.uniform(0, 255, 3).tolist()))


def _lens(photographer: Photographer, rng: np.random.Generator) -> Lens:
    chance, bound = rng.random(6).tolist(), photographer.light
    gains = 1 + bound * (0.3 * rng.uniform(-1, 1) + 0.25 * rng.uniform(-1, 1, 3))
    gamma = float(np.exp(bound * 1.4 * rng.uniform(-1, 1)))
    return Lens(
        tuple(gains.tolist()),
        gamma,
        gray=chance[0] < 0.08 * (bound > 0),
        blur=photographer.blur * chance[1] if chance[2] < 0.5 else 0.0,
        noise=photographer.noise * chance[3] ** 2 if chance[4] < 0.6 else 0.0,
        quality=int(rng.integers(30, 96)) if chance[5] < photographer.jpeg else None,
    )


def _qualities(taken: Lens) -> list[str]:
    """Say what one sees of an image."""
    seen = {
        "blurry": taken.blur > _BLURRY,
        "dark": taken.gamma > _DARK,
        "bright": taken.gamma < _BRIGHT,
        "grainy": taken.noise > _GRAINY,
        "gray": taken.gray,
    }
    return [word for word, true in seen.items() if true]


def _margin(figure: Figure) -> float:
    """Give how near to the border the center of an object may come."""
    return min(figure.pose.size * (0.5 - figure.overhang), 0.5)


def _centered(figures: Sequence[Figure], rng: np.random.Generator) -> tuple[Place, ...]:
    n_subjects = sum(figure.subject for figure in figures)
    axis = np.array([1, 0]) if rng.random() < 0.5 else np.array([0, 1])
    offset = 0.0 if n_subjects == 1 else _PAIR_OFFSET
    found = []
    for index, figure in enumerate(figures):
        if figure.subject:
            side = offset * (2 * index - 1)
            x, y = 0.5 + side * axis + SUBJECT_SPREAD * rng.standard_normal(2)
        else:
            distance, angle = rng.uniform(*CLUTTER_ECCENTRICITY) / np.sqrt(2), rng.uniform(0, 2 * np.pi)
            x, y = 0.5 + distance * np.cos(angle), 0.5 + distance * np.sin(angle)
        margin = _margin(figure)
        found.append((float(np.clip(x, margin, 1 - margin)), float(np.clip(y, margin, 1 - margin))))
    return tuple(found)


def _scattered(figures: Sequence[Figure], spread: float, rng: np.random.Generator) -> tuple[Place, ...]:
    """Draw places inside the image, away from those before if there is room."""
    found: list[tuple[float, float, float]] = []
    for figure in figures:
        margin, size = _margin(figure), figure.pose.size
        for _ in range(_ATTEMPTS):
            x, y = _position(margin, spread, rng)
            if all(np.hypot(x - u, y - v) > _APART * (size + other) for u, v, other in found):
                break
        found.append((float(x), float(y), size))
    return tuple((x, y) for x, y, _ in found)


def _position(margin: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    if spread == inf:
        return rng.uniform(margin, 1 - margin, 2)
    tail = ndtr(-(0.5 - margin) / spread)  # cut off on both sides, so that it stays between the margins
    return 0.5 + spread * ndtri(rng.uniform(tail, 1 - tail, 2))
