"""Scenes for single questions about robustness, beside the layouts of the protocols (`crosseyed.data.layouts`)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from crosseyed.data.cutouts import Cutout
from crosseyed.data.geometry import ROUNDING
from crosseyed.data.layouts import JITTER, grid
from crosseyed.data.scenes import Scene, is_central, scene_table
from crosseyed.errors import InputError

SIDES = {"left": (1, 0), "right": (1, 2), "above": (0, 1), "below": (2, 1)}
"""Row and column of each side in a grid of 3 × 3 cells."""


def thinned(scenes: Sequence[Scene], n_off_center: int, seed: int = 0) -> list[Scene]:
    """Keep of every object the scene at the center and some that are off-center.

    The gap of what is kept has the expectation of the whole grid's, at a fraction of its images: cells are dealt to
    the cut-outs in turn, in one random order, so that each is kept about equally often. Grids of the same objects and
    number of cells keep the same cells, and what is kept for a smaller number is kept for a larger one, too.

    Parameters
    ----------
    scenes : sequence of Scene
        From `crosseyed.data.layouts.grid`.
    n_off_center : int
        How many off-center scenes of each cut-out are kept, at least 1; of fewer all.
    seed : int
        Decides which.

    Raises
    ------
    InputError
        The number is below 1.
    """
    if n_off_center < 1:
        raise InputError(f"n_off_center is {n_off_center}; keep at least 1 off-center scene of each object.")
    places: dict[Cutout, list[int]] = {}
    for number, scene in enumerate(scenes):
        if not scene.center:
            places.setdefault(scene.placements[0].cutout, []).append(number)
    dropped: set[int] = set()
    for turn, numbers in enumerate(places.values()):
        order = np.random.default_rng([seed, 3]).permutation(numbers)
        dropped.update(np.roll(order, -turn)[n_off_center:].tolist())
    return [scene for number, scene in enumerate(scenes) if number not in dropped]


def sides(
    cutouts: Sequence[Cutout], *, size: float = 0.3, jitter: float = JITTER, seed: int = 0
) -> tuple[list[Scene], list[str]]:
    """Put each object to the left, to the right, above and below the center, at one distance from it.

    Distance, and a shift across it, are random for each object and the same for all four sides: over objects every
    phase against a tower's patches occurs, and each object has one eccentricity. Objects stand wholly inside the image.

    Parameters
    ----------
    cutouts, size, jitter, seed
        See `crosseyed.data.layouts`; of the jitter as much as fits.

    Returns
    -------
    scenes : list of Scene
        Four for each cut-out; in none is the object at the center.
    names : list of str
        The side of each: a key of `SIDES`.
    """
    farthest = (1 - size) / 2
    room = min(jitter, farthest / 2)
    rng = np.random.default_rng([seed, 5])
    moved = dict(zip(cutouts, rng.uniform(-room, room, (len(cutouts), 2)), strict=True))
    scenes, names = [], []
    for scene in grid(cutouts, 3, size=size, jitter=jitter, seed=seed):
        (placed,) = scene.placements
        if (placed.row, placed.col) in SIDES.values():
            way = np.array([placed.col - 1, placed.row - 1])
            away, aside = moved[placed.cutout]
            x, y = 0.5 + (farthest - room + away) * way + aside * np.abs(way[::-1])
            scenes.append(replace(scene, placements=(replace(placed, x=float(x), y=float(y)),)))
            names.append(next(name for name, cell in SIDES.items() if cell == (placed.row, placed.col)))
    return scenes, names


def spokes(
    cutouts: Sequence[Cutout],
    eccentricities: Sequence[float],
    *,
    size: float = 0.3,
    jitter: float = JITTER,
    seed: int = 0,
) -> tuple[list[Scene], list[float]]:
    """Put each object at the same eccentricities whatever its size, on the way to a random corner.

    Parameters
    ----------
    cutouts, size, jitter, seed
        See `crosseyed.data.layouts`. Corner and shift of an object do not depend on its size.
    eccentricities : sequence of float
        Before the shift, increasing from 0.

    Returns
    -------
    scenes : list of Scene
        So many for each cut-out, wholly inside the image.
    stops : list of float
        The eccentricity of each before the shift.

    Raises
    ------
    InputError
        The eccentricities do not increase from 0, or an object would be cut off at the last.
    """
    last = 1 - size - 2 * jitter
    if not len(eccentricities) or eccentricities[0] != 0 or not (np.diff(eccentricities) > 0).all():
        raise InputError(f"The eccentricities are {eccentricities!r}; they must increase from 0.")
    if eccentricities[-1] > last + ROUNDING:
        raise InputError(
            f"Objects of size {size:g} would be cut off at eccentricity {eccentricities[-1]:g}; give at most {last:g}."
        )
    middles = [scene for scene in grid(cutouts, 3, size=size, jitter=jitter, seed=seed) if scene.center]
    rng, scenes = np.random.default_rng([seed, 7]), []
    corners, shifts = rng.choice([-1, 1], (len(cutouts), 2)), rng.uniform(-jitter, jitter, (len(cutouts), 2))
    for scene, corner, shift in zip(middles, corners, shifts, strict=True):
        for number, stop in enumerate(eccentricities):
            place = 0.5 + corner * stop / 2
            (x, y), central = place + shift, is_central(*place)
            placed = replace(scene.placements[0], x=float(x), y=float(y), row=None, col=None)
            name = f"{scene.name}_spoke{number}"
            scenes.append(replace(scene, name=name, placements=(placed,), center=central))
    return scenes, [float(stop) for _ in middles for stop in eccentricities]


def crowds(cutouts: Sequence[Cutout], number: int, *, size: float = 0.25, seed: int = 0) -> list[Scene]:
    """Show every object among others, once at the center and once off-center: two scenes for each cut-out.

    Objects stand in cells of a 3 × 3 grid that are drawn for each, and do not overlap. The object in question is the
    first of a scene. Its two scenes have the same objects in the same cells, but for the object in question and its
    neighbor, which change places: so where it is off-center, another one stands at the center. A crowd of one has the
    same two cells, and those of a smaller number are those of a larger one with some objects taken away.

    Parameters
    ----------
    cutouts, size, seed
        See `crosseyed.data.layouts`. There are at least `number` objects.
    number : int
        Objects in an image, from 1 to 9.

    Raises
    ------
    InputError
        A parameter is out of range, or objects of this size would overlap.
    """
    if not 1 <= number <= min(9, len({cutout.object for cutout in cutouts})):
        raise InputError(
            f"An image is to show {number} objects of {len({cutout.object for cutout in cutouts})}; expected 1 to 9, "
            "and no more than there are."
        )
    alone = grid(cutouts, 3, size=size, seed=seed)
    spacing = alone[1].placements[0].x - alone[0].placements[0].x
    if size > spacing:
        raise InputError(f"Objects of size {size} would overlap; give a size of at most {spacing:.2f}.")
    rng, scenes = np.random.default_rng([seed, 6]), []
    for turn, cutout in enumerate(cutouts):
        own = alone[9 * turn : 9 * turn + 9]
        middle, around = own[4], [own[cell] for cell in rng.permutation([0, 1, 2, 3, 5, 6, 7, 8])]
        others = _others(cutout, [cutouts[index] for index in rng.permutation(len(cutouts))])[: number - 1]
        for center in (True, False):
            places = [middle, *around] if center else [around[0], middle, *around[1:]]
            shown = zip([cutout, *others], places, strict=False)
            placements = tuple(replace(scene.placements[0], cutout=each) for each, scene in shown)
            scenes.append(replace(places[0], placements=placements))
    return scenes


def first_objects(scenes: Sequence[Scene]) -> tuple[pd.DataFrame, list[list[str]]]:
    """Describe crowds by their first objects.

    Parameters
    ----------
    scenes : sequence of Scene
        From `crowds`.

    Returns
    -------
    table : pandas.DataFrame
        One row per scene: that of its first object in `crosseyed.data.scenes.scene_table`, and `shown`, the number of
        objects.
    others : list of list of str
        Names of the other objects of each scene, which are not wrong answers and are not to be offered
        (`crosseyed.measure.wordings.without`).
    """
    table = scene_table([replace(scene, placements=scene.placements[:1]) for scene in scenes])
    others = [[placed.cutout.object for placed in scene.placements[1:]] for scene in scenes]
    return table.assign(shown=[len(scene.placements) for scene in scenes]), others


def unlike(scenes: Iterable[Scene], others: Iterable[Scene]) -> list[Scene]:
    """Return those of some scenes that look like none of the others and like none before, in their order."""
    seen, kept = {scene.digest() for scene in others}, []
    for scene in scenes:
        digest = scene.digest()
        if digest not in seen:
            seen.add(digest)
            kept.append(scene)
    return kept


def _others(cutout: Cutout, cutouts: Sequence[Cutout]) -> list[Cutout]:
    """Return the first cut-out of each other object."""
    first = {each.object: each for each in reversed(cutouts)}
    return [each for each in cutouts if first[each.object] is each and each.object != cutout.object]
