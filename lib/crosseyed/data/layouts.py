"""Where objects stand: the scenes of the grid, slide and pair protocols.

Parameters shared by all layouts:

- `cutouts` (sequence of Cutout): the objects to show; at least one.
- `size` (float): longer side of the object as a fraction of the shorter side of the image, in (0, 1].
- `backgrounds` (sequence of str): kinds of background, dealt to the cut-outs in turn; at least one.
- `jitter` (float): most that an object is shifted along each side, as a fraction of that side; not negative.
- `seed` (int): decides the backgrounds, the shifts, and what else is left to chance.
- `height`, `width` (int): size of the images in pixels.

Values out of range raise InputError.

**Jitter.** A tower cuts an image into patches, and what it sees of an object depends on how the object lies on the
patches, its phase. An object always shown at the same places would have one phase in each, another one for each size
of patch, and towers of different patches could not be compared. So each object has a random shift, uniform along both
sides, that is the same in all its scenes: comparisons of places stay paired, and over objects each place has all
phases. `JITTER` is half a patch of the coarsest common towers, those with 7 patches a side (ViT-B/32 at 224 pixels).
It is the same for all models, which see the same scenes. Phases are uniform for towers whose patches are a whole
fraction of that patch (16 and 8 pixels of 224); for other finer patches they go round more than once, and not quite
evenly. More jitter would be a little more even for some of them, but would take the objects away from the border:
they are placed such that none is cut off, however it is shifted.
"""

from collections.abc import Iterable, Sequence
from itertools import compress, cycle, product

import numpy as np

from crosseyed.data.backgrounds import BACKGROUNDS, Background
from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import Placement, Scene, is_central
from crosseyed.errors import InputError, suggest

JITTER = 1 / 14
"""Half a patch of a tower with 7 patches a side, as a fraction of the side."""

RELATIONS = ("on", "under", "left_of", "right_of")
_PAIR_SIZE = 0.28
_PAIR_ROOM = 0.5 - _PAIR_SIZE / 2  # from the center to where an object touches the border

_PAIR_POSITIONS = {
    "on": ((0.5, 0.36), (0.5, 0.64)),
    "under": ((0.5, 0.84), (0.5, 0.5)),
    "left_of": ((0.16, 0.5), (0.5, 0.5)),
    "right_of": ((0.84, 0.5), (0.5, 0.5)),
}
"""Centers of the first and the second object, as far as jitter leaves them room."""


def grid(
    cutouts: Sequence[Cutout],
    k: int = 5,
    *,
    size: float = 0.3,
    largest: float | None = None,
    jitter: float = JITTER,
    shift: tuple[float, float] | None = None,
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Show every object alone in each cell of a k × k grid: ``len(cutouts) * k * k`` scenes.

    Background, size and shift are the same in all cells for the same cut-out, so that cells are compared on the same
    images. Cells are moved inward just enough for shifted objects to stand wholly inside the image; where there is no
    room for all of the jitter, it is as large as fits.

    Parameters
    ----------
    cutouts, size, jitter, backgrounds, seed, height, width
        See the module.
    k : int
        Cells along each side; odd and at least 3, so that there is a center cell and a border.
    largest : float, optional
        Place the cells for objects of this size, at least `size` and at most 1, so that objects of several sizes
        stand at the same places; by default `size`.
    shift : tuple of float, optional
        Shift all objects alike, by these fractions of width and height, instead of at random; at most `jitter`.
    """
    if k < 3 or k % 2 == 0:
        raise InputError(
            f"The grid has k = {k} cells a side; k must be odd and at least 3, so that one is the center."
        )
    _check_layout(cutouts, size, backgrounds, jitter)
    largest = size if largest is None else largest
    if not size <= largest <= 1:
        raise InputError(f"The largest object has size {largest}; it must lie between size, {size}, and 1.")
    if shift is not None and max(map(abs, shift)) > jitter:
        raise InputError(f"The shift {shift} goes beyond the jitter, {jitter:g}; shift objects by less.")
    shares = [largest * min(height, width) / side for side in (width, height)]
    rooms = [min(jitter, (1 - share) / 2) for share in shares]
    xs, ys = (_cells(k, share, room) for share, room in zip(shares, rooms, strict=True))
    shifts = _shifts(cutouts, rooms, seed) if shift is None else np.tile(shift, (len(cutouts), 1))
    scenes = []
    for cutout, background, (dx, dy) in zip(
        cutouts, _deal_backgrounds(cutouts, backgrounds, seed), shifts, strict=True
    ):
        for row, col in product(range(k), repeat=2):
            placement = Placement(cutout, xs[col] + dx, ys[row] + dy, size, row=row, col=col)
            name = f"{_slug(cutout.object)}_{cutout.style}_row{row}_col{col}"
            center = is_central(xs[col], ys[row], height, width)
            scenes.append(Scene(name, background, (placement,), center, height=height, width=width))
    return scenes


def showing(
    cutouts: Iterable[Cutout], scenes: Sequence[Scene], *beside: Sequence[object]
) -> list[Scene] | tuple[list, ...]:
    """Keep the scenes whose first object is one of some cut-outs (see `crosseyed.data.cutouts.deal_objects`).

    Of lists beside the scenes, with an entry for each, the entries of these scenes are kept; then a tuple is returned.
    """
    shown = set(cutouts)
    kept = [scene.placements[0].cutout in shown for scene in scenes]
    lists = tuple(list(compress(each, kept)) for each in (scenes, *beside))
    return lists if beside else lists[0]


def chessboard(scenes: Sequence[Scene]) -> list[Scene]:
    """Keep the scenes of `grid` whose cell has the color of the center on a chessboard: 13 of 5 × 5 cells."""
    return [scene for scene in scenes if (scene.placements[0].row + scene.placements[0].col) % 2 == 0]


def scattered(
    cutouts: Sequence[Cutout],
    *,
    sizes: tuple[float, float] = (0.15, 0.6),
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Show every object alone, at a random size and at a random place wholly inside the image: one scene each.

    Parameters
    ----------
    cutouts, backgrounds, seed, height, width
        See the module.
    sizes : tuple of float
        Smallest and largest size, in (0, 1].
    """
    for size in sizes:
        _check_layout(cutouts, size, backgrounds, jitter=0.0)
    rng, scenes = np.random.default_rng([seed, 3]), []
    for cutout, background in zip(cutouts, _deal_backgrounds(cutouts, backgrounds, seed), strict=True):
        size = rng.uniform(*sizes)
        x, y = 0.5 + rng.uniform(-0.5, 0.5, 2) * (1 - size * min(height, width) / np.array([width, height]))
        placement = Placement(cutout, float(x), float(y), float(size))
        center = is_central(x, y, height, width)
        name = f"{_slug(cutout.object)}_{cutout.style}_scattered"
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


def phases(
    cutouts: Sequence[Cutout], patches: tuple[int, int], *, size: float = 0.3, seed: int = 0
) -> dict[str, list[Scene]]:
    """Show every object at the center and near the four corners of the image, in three phases.

    Parameters
    ----------
    cutouts, size, seed
        See the module.
    patches : tuple of int
        Rows and columns of the patches into which a tower cuts the image; at least 7 are taken, as those of fewer cut
        the image into smaller patches first.

    Returns
    -------
    dict of str to list of Scene
        The scenes of each phase, which is named by where on the patches the object at the center stands:
        ``"middle of a patch"``, ``"edge of two patches"`` (left and right) and ``"corner of four patches"``. There are
        five for each cut-out: the center and the corners of a 3 × 3 grid.
    """
    rows, columns = (max(n, round(1 / (2 * JITTER))) for n in patches)
    # with an even number of patches the image center is a corner, with an odd one the middle of a patch
    to_middle, to_edge = ([(n % 2 == odd) / (2 * n) for n in (columns, rows)] for odd in (0, 1))
    shifts = {
        "middle of a patch": tuple(to_middle),
        "edge of two patches": (to_edge[0], to_middle[1]),
        "corner of four patches": tuple(to_edge),
    }
    cells = [(row == 1) == (col == 1) for row, col in product(range(3), repeat=2)]
    return {
        name: list(compress(grid(cutouts, 3, size=size, shift=shift, seed=seed), cycle(cells)))
        for name, shift in shifts.items()
    }


def slide(
    cutouts: Sequence[Cutout],
    step: float = 0.1,
    *,
    size: float = 0.3,
    jitter: float = JITTER,
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Slide every object from the image center towards a random corner, on one background, shifted by the jitter.

    Parameters
    ----------
    cutouts, size, jitter, backgrounds, seed, height, width
        See the module.
    step : float
        Distance between two stops as eccentricity, in (0, 1]. The last stop is the last at which the whole object is
        still inside the image, however it is shifted.
    """
    if not 0 < step <= 1:
        raise InputError(
            f"The slide has a step of {step}; it must lie above 0 and at most at 1 (eccentricity per step)."
        )
    _check_layout(cutouts, size, backgrounds, jitter)
    room = min(jitter, (1 - size) / 2)
    stops = np.arange(0, 1 - size - 2 * room + 1e-9, step)
    corners = np.random.default_rng([seed, 1]).choice([-1, 1], (len(cutouts), 2))
    scenes = []
    for cutout, corner, shift, background in zip(
        cutouts,
        corners,
        _shifts(cutouts, [room, room], seed),
        _deal_backgrounds(cutouts, backgrounds, seed),
        strict=True,
    ):
        for number, stop in enumerate(stops):
            x, y = 0.5 + corner * stop / 2 + shift
            name = f"{_slug(cutout.object)}_{cutout.style}_stop{number}"
            placement = Placement(cutout, float(x), float(y), size)
            center = is_central(*(0.5 + corner * stop / 2))
            scenes.append(Scene(name, background, (placement,), center, height=height, width=width))
    return scenes


def pair(
    cutouts: Sequence[Cutout],
    relation: str,
    *,
    moved: bool = False,
    jitter: float = JITTER,
    backgrounds: Sequence[str] = BACKGROUNDS,
    seed: int = 0,
    height: int = 224,
    width: int = 224,
) -> list[Scene]:
    """Show every object together with another one, in one of What'sUp's relations: one scene for each cut-out.

    With ``"on"`` both objects stand at the center, one above the other. With ``"under"``, ``"left_of"`` and
    ``"right_of"`` the second object stands at the center and the first at the border. The partner of each object is
    drawn among the others of its style (at least two), and is the same for every relation and background kind. Both
    are shifted alike, and in all relations.

    Parameters
    ----------
    cutouts, jitter, backgrounds, seed, height, width
        See the module; jitter is at most 0.08, so that there is room for both objects.
    relation : str
        ``"on"`` (together), ``"under"``, ``"left_of"`` or ``"right_of"`` (apart).
    moved : bool
        Exchange the places of the relations, so that they can be told apart: both objects together are moved such that
        with ``"on"`` the second stands at the center and the first towards the border (apart), and with the others
        both stand around the center (together).
    """
    if relation not in RELATIONS:
        raise InputError(
            f"Relation {relation!r} does not exist; choose one of {', '.join(RELATIONS)}"
            f"{suggest(relation, RELATIONS)}"
        )
    _check_layout(cutouts, _PAIR_SIZE, backgrounds, jitter)
    if jitter > _PAIR_ROOM - _PAIR_SIZE:
        raise InputError(
            f"The jitter of pairs is {jitter:g}; it must be at most {_PAIR_ROOM - _PAIR_SIZE:g}."
        )
    places = np.clip(_PAIR_POSITIONS[relation], 0.5 - _PAIR_ROOM + jitter, 0.5 + _PAIR_ROOM - jitter)
    together = (relation == "on") != moved
    if moved:
        places = places + 0.5 - (places.mean(axis=0) if together else places[1])
    scenes = []
    for cutout, partner, shift, background in zip(
        cutouts,
        _partners(cutouts, seed),
        _shifts(cutouts, [jitter, jitter], seed),
        _deal_backgrounds(cutouts, backgrounds, seed),
        strict=True,
    ):
        placements = tuple(
            Placement(each, *map(float, place + shift), _PAIR_SIZE)
            for each, place in zip((cutout, partner), places, strict=True)
        )
        name = f"{_slug(cutout.object)}_{relation}_{_slug(partner.object)}_{cutout.style}{'_moved' * moved}"
        scenes.append(Scene(name, background, placements, together, relation, height, width))
    return scenes


def _cells(k: int, size: float, room: float) -> np.ndarray:
    """Give the k positions along one side: cell centers, moved inward where a shifted object would be cut off."""
    margin = max(1 / (2 * k), size / 2 + room)
    return np.linspace(margin, 1 - margin, k)


def _shifts(cutouts: Sequence[Cutout], rooms: Sequence[float], seed: int) -> np.ndarray:
    """Draw a shift (n, 2) for each cut-out, as fractions of width and height, each at most the room there is."""
    return np.random.default_rng([seed, 4]).uniform(-1, 1, (len(cutouts), 2)) * rooms


def _check_layout(cutouts: Sequence[Cutout], size: float, backgrounds: Sequence[str], jitter: float) -> None:
    if not cutouts:
        raise InputError("A layout needs at least one cut-out; the list is empty.")
    if not 0 < size <= 1:
        raise InputError(
            f"Object size is {size}; it must lie above 0 and at most at 1 (fraction of the image side)."
        )
    if not 0 <= jitter < np.inf:
        raise InputError(f"The jitter is {jitter}; it must be 0 or more (fraction of the image side).")
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
