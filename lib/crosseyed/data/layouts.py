"""Where objects stand: the scenes of the grid, slide and pair protocols.

Parameters shared by all layouts:

- `cutouts` (sequence of Cutout): the objects to show; at least one.
- `size` (float): longer side of the object as a fraction of the shorter side of the image, in (0, 1].
- `backgrounds` (sequence of str): kinds of background, dealt to the cut-outs in turn; at least one.
- `seed` (int): decides the backgrounds, and what else is left to chance.
- `height`, `width` (int): size of the images in pixels.

Values out of range raise InputError.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from crosseyed.data.backgrounds import BACKGROUNDS, Background
from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import Placement, Scene
from crosseyed.errors import InputError, suggest
from crosseyed.settings import settings

RELATIONS = ("on", "under", "left_of", "right_of")
_PAIR_SIZE = 0.28

_PAIR_POSITIONS = {
    "on": ((0.5, 0.36), (0.5, 0.64)),
    "under": ((0.5, 0.84), (0.5, 0.5)),
    "left_of": ((0.16, 0.5), (0.5, 0.5)),
    "right_of": ((0.84, 0.5), (0.5, 0.5)),
}


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
    """Show every object alone in each cell of a k × k grid: ``len(cutouts) * k * k`` scenes.

    Background and size are the same in all cells for the same cut-out, so that cells are compared on the same images.
    Objects larger than a cell are moved inward just enough to stand wholly inside the image.

    Parameters
    ----------
    cutouts, size, backgrounds, seed, height, width
        See the module.
    k : int
        Cells along each side; odd and at least 3, so that there is a center cell and a border.
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


def three_places(
    cutouts: Sequence[Cutout], *, size: float = 0.3, seed: int = 0
) -> tuple[list[Scene], list[str]]:
    """Put each object in the corner, at an edge and at the center of a 3 × 3 grid; return scenes and their places."""
    names = {(0, 0): "corner", (1, 0): "edge", (1, 1): "center"}
    places = [
        ((each.placements[0].row, each.placements[0].col), each)
        for each in grid(cutouts, 3, size=size, seed=seed)
    ]
    chosen = [(scene, names[place]) for place, scene in places if place in names]
    return [scene for scene, _ in chosen], [name for _, name in chosen]


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
    """Slide every object from the image center towards a random corner, on one background.

    A scene counts as center up to an eccentricity of `settings.center_limit`.

    Parameters
    ----------
    cutouts, size, backgrounds, seed, height, width
        See the module.
    step : float
        Distance between two stops as eccentricity, in (0, 1]. The last stop is the last at which the whole object is
        still inside the image.
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
            center = bool(stop <= settings.center_limit)
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
    """Show every object together with another one, in one of What'sUp's relations: one scene for each cut-out.

    With ``"on"`` both objects stand at the center, one above the other. With ``"under"``, ``"left_of"`` and
    ``"right_of"`` the second object stands at the center and the first at the border. The partner of each object is
    drawn among the others of its style (at least two), and is the same for every relation and background kind.

    Parameters
    ----------
    cutouts, backgrounds, seed, height, width
        See the module.
    relation : str
        ``"on"`` (counts as center), ``"under"``, ``"left_of"`` or ``"right_of"`` (count as off-center).
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


def _slug(name: str) -> str:
    return name.replace(" ", "-")
