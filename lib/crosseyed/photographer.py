"""The photographer of PocketCLIP's training pictures: what is in them, where, and what their captions say.

A picture is planned in two steps. First subjects and clutter get their places as a photographer would choose
them, and the caption is written from what the photographer would mention. Then, for the uniform recipe only,
every object is moved to a place drawn uniformly over the picture. Objects, sizes, backgrounds and captions of
the two recipes are therefore the same, picture by picture: they differ in where the objects stand and in
nothing else.

========================  ===================================================================================
subjects                  one (probability 0.7) or two side by side (0.3); size uniform in [0.24, 0.46]
                          alone, in [0.22, 0.32] as two
position of a subject     normal around the image center (or around two points 0.16 left and right, or above
                          and below it), standard deviation 0.07 of the side in x and in y
clutter                   zero (0.4), one (0.4) or two (0.2) objects; size uniform in [0.16, 0.30]
position of clutter       at the border: eccentricity uniform in [0.6, 1], direction uniform, moved inward
                          until it is wholly inside the picture
probability of being      1 up to eccentricity 1/3, then falling linearly to 0 at eccentricity 0.55; always 1
mentioned in the caption  for the first subject (a caption names something)
rotation                  uniform in ±15 degrees
========================  ===================================================================================
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from crosseyed.errors import InputError, suggest
from crosseyed.stimuli import BACKGROUNDS, Background, Cutout, Placement, Scene, eccentricity, objects_of

Positions = Literal["centered", "uniform"]

TEMPLATES = ("a {}", "a photo of a {}", "a picture of a {}")
SUBJECT_SPREAD = 0.07
CLUTTER_ECCENTRICITY = (0.6, 1.0)
MENTION_CERTAIN = 1 / 3
MENTION_NEVER = 0.55

_PAIR_OFFSET = 0.16
_SIZE_ALONE = (0.24, 0.46)
_SIZE_PAIR = (0.22, 0.32)
_SIZE_CLUTTER = (0.16, 0.30)
_LARGEST_ROTATION = 15.0
_ATTEMPTS = 20
_MOST_OBJECTS = 4  # two subjects and two pieces of clutter

_Place = tuple[float, float, tuple[float, float]]  # x, y, range of sizes


def mention_probability(distance: float) -> float:
    """Give the probability that the photographer's caption mentions an object.

    Parameters
    ----------
    distance : float
        Eccentricity of the object, in [0, 1].

    Returns
    -------
    float
        1 up to an eccentricity of 1/3, 0 from 0.55 on, linear between.
    """
    return float(np.clip((MENTION_NEVER - distance) / (MENTION_NEVER - MENTION_CERTAIN), 0, 1))


def photograph(
    cutouts: Sequence[Cutout], subject: str, positions: Positions, rng: np.random.Generator, side: int
) -> tuple[Scene, str]:
    """Take one picture and caption it.

    Parameters
    ----------
    cutouts : sequence of Cutout
        What the world consists of.
    subject : str
        Name of the first subject, which the caption always mentions.
    positions : {"centered", "uniform"}
        Whether the objects stay where the photographer put them or are moved to uniform positions.
    rng : numpy.random.Generator
        Source of chance. Both kinds of positions draw the same objects, sizes, background and caption.
    side : int
        Height and width of the picture in pixels.

    Returns
    -------
    scene : Scene
        Not yet drawn.
    caption : str
        For example ``"a photo of a dog and a key"``.

    Raises
    ------
    InputError
        The world has fewer objects than a picture may need, or `subject` is none of them.
    """
    objects = objects_of(cutouts)
    if len(objects) < _MOST_OBJECTS:
        raise InputError(f"There are {len(objects)} objects to photograph; give at least {_MOST_OBJECTS}.")
    if subject not in objects:
        raise InputError(
            f"The subject {subject!r} is none of the {len(objects)} objects{suggest(subject, objects)}"
        )
    n_subjects = 1 + int(rng.random() < 0.3)
    n_clutter = int(rng.choice(3, p=[0.4, 0.4, 0.2]))
    others = _draw_others(cutouts, subject, n_subjects + n_clutter - 1, rng)
    first = [cutout for cutout in cutouts if cutout.object == subject]
    shown = [first[rng.integers(len(first))], *others]
    places = [*_subject_places(n_subjects, rng), *_clutter_places(n_clutter, rng)]
    placements = [_place(cutout, *place, rng) for cutout, place in zip(shown, places, strict=True)]
    caption = _write_caption(placements, rng)
    background = Background(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], int(rng.integers(2**31)))
    if positions == "uniform":
        placements = _scatter(placements, rng)
    # clutter is drawn first, so that it never hides a subject
    scene = Scene(caption, background, tuple(reversed(placements)), height=side, width=side)
    return scene, caption


def _draw_others(
    cutouts: Sequence[Cutout], subject: str, count: int, rng: np.random.Generator
) -> list[Cutout]:
    others: list[Cutout] = []
    while len(others) < count:
        cutout = cutouts[rng.integers(len(cutouts))]
        if cutout.object not in {subject, *(other.object for other in others)}:
            others.append(cutout)
    return others


def _subject_places(n_subjects: int, rng: np.random.Generator) -> list[_Place]:
    if n_subjects == 1:
        centers, sizes = np.array([[0.5, 0.5]]), _SIZE_ALONE
    else:
        axis = np.array([1, 0]) if rng.random() < 0.5 else np.array([0, 1])
        centers, sizes = 0.5 + _PAIR_OFFSET * np.array([-axis, axis]), _SIZE_PAIR
    return [(*(center + SUBJECT_SPREAD * rng.standard_normal(2)), sizes) for center in centers]


def _clutter_places(n_clutter: int, rng: np.random.Generator) -> list[_Place]:
    distances = rng.uniform(*CLUTTER_ECCENTRICITY, n_clutter) / np.sqrt(2)
    angles = rng.uniform(0, 2 * np.pi, n_clutter)
    return [
        (0.5 + distance * np.cos(angle), 0.5 + distance * np.sin(angle), _SIZE_CLUTTER)
        for distance, angle in zip(distances, angles, strict=True)
    ]


def _place(
    cutout: Cutout, x: float, y: float, sizes: tuple[float, float], rng: np.random.Generator
) -> Placement:
    size = rng.uniform(*sizes)
    x, y = np.clip([x, y], size / 2, 1 - size / 2)
    return Placement(cutout, float(x), float(y), size, rng.uniform(-_LARGEST_ROTATION, _LARGEST_ROTATION))


def _write_caption(placements: Sequence[Placement], rng: np.random.Generator) -> str:
    mentioned = [
        placement.cutout.object
        for index, placement in enumerate(placements)
        if rng.random() < mention_probability(eccentricity(placement.x, placement.y)) or index == 0
    ]
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    order = rng.permutation(len(mentioned))
    return template.format(" and a ".join(mentioned[index] for index in order))


def _scatter(placements: Sequence[Placement], rng: np.random.Generator) -> list[Placement]:
    """Move every object to a uniform position inside the picture, away from the others if there is room."""
    moved: list[Placement] = []
    for placement in placements:
        for _ in range(_ATTEMPTS):
            x, y = rng.uniform(placement.size / 2, 1 - placement.size / 2, 2)
            apart = [np.hypot(x - other.x, y - other.y) / (placement.size + other.size) for other in moved]
            if min(apart, default=1) > 0.45:
                break
        moved.append(replace(placement, x=float(x), y=float(y)))
    return moved
