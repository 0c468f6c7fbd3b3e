"""A simple photographer of training images, for experiments: what is in them, where, and what their captions say.

An image is planned in two steps. First subjects and clutter get their places as a photographer would choose them, and
the caption is written from what the photographer would mention. Then, for the uniform recipe only, every object is
moved to a place drawn uniformly over the image. Objects, sizes, backgrounds and captions of the two recipes are
therefore the same, image by image; they differ only in where the objects stand.

========================  ===================================================================================
subjects                  one (probability 0.7) or two side by side (0.3); size uniform in [0.24, 0.46]
                          alone, in [0.22, 0.32] as two
position of a subject     normal around the image center (or around two points 0.16 left and right, or above
                          and below it), standard deviation 0.07 of the side in x and in y
clutter                   zero (0.4), one (0.4) or two (0.2) objects; size uniform in [0.16, 0.30]
position of clutter       at the border: eccentricity uniform in [0.6, 1], direction uniform, moved inward
                          until it is wholly inside the image
probability of being      1 up to eccentricity 1/3, then falling linearly to 0 at eccentricity 0.55; always 1
mentioned in the caption  for the first subject (a caption names something)
rotation                  uniform in ±15 degrees
========================  ===================================================================================

Is the bias made by where objects stand, or by which of them captions name? For this question, `snapshot` takes simpler
images in which either can be turned up while the other stays off (`Dose`).

Parameters shared by `photograph`, `snapshot` and `take`, which return the scene (not yet drawn) and its caption:

- `cutouts` (sequence of Cutout): what the world consists of.
- `subject` (str): name of an object that the caption mentions.
- `rng` (numpy.random.Generator): source of chance.
- `side` (int): height and width of the image in pixels.

A world with fewer objects than an image may need, or without the subject, raises InputError.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, get_args

import numpy as np
from scipy.stats import truncnorm

from crosseyed.data.backgrounds import BACKGROUNDS, Background
from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.scenes import Placement, Scene, eccentricity
from crosseyed.errors import InputError, check_choice, suggest

Positions = Literal["centered", "uniform", "centered, all named"]
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
_SIZE_SNAPSHOT = (0.24, 0.42)
_ATTEMPTS = 20
_MOST_OBJECTS = 4  # two subjects and two pieces of clutter
_Place = tuple[float, float, tuple[float, float]]  # x, y, range of sizes


@dataclass(frozen=True)
class Dose:
    """How far objects stand from the center, and how often captions name the most central one.

    Attributes
    ----------
    spread : float
        Standard deviation of the normal distribution of x and of y around 0.5, as a fraction of the side and cut off
        so that objects stand wholly inside the image; infinite for uniform positions.
    central_naming_probability : float
        Probability, in [0, 1], that the caption names the most central object; else it names any of them.
    n_objects : int
        Most objects in an image: each number from 1 on is equally probable. The caption names one of them.
    """

    spread: float = inf
    central_naming_probability: float = 0.0
    n_objects: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.spread > 0:
            raise InputError(
                f"The spread is {self.spread}; give a positive number, or inf for uniform positions."
            )
        probability = self.central_naming_probability
        if not 0 <= probability <= 1:
            raise InputError(f"central_naming_probability is {probability}; give a probability, from 0 to 1.")
        if self.n_objects < 1:
            raise InputError(f"n_objects is {self.n_objects}; an image shows at least 1 object.")


def mention_probability(distance: float) -> float:
    """Give the probability that a caption mentions an object at an eccentricity: 1 up to 1/3, 0 from 0.55 on."""
    return float(np.clip((MENTION_NEVER - distance) / (MENTION_NEVER - MENTION_CERTAIN), 0, 1))


def photograph(
    cutouts: Sequence[Cutout], subject: str, positions: Positions, rng: np.random.Generator, side: int
) -> tuple[Scene, str]:
    """Take one image and caption it, for example ``"a photo of a dog and a key"``.

    Parameters
    ----------
    cutouts, subject, rng, side
        See the module.
    positions : {"centered", "uniform", "centered, all named"}
        Whether the objects stay where the photographer put them or are moved to uniform positions; or stay there with
        a caption that names all of them, clutter too. All draw the same objects and sizes; the first two also the same
        caption and background.
    """
    check_choice("positions", str(positions), get_args(Positions))
    _check_world(objects_of(cutouts), subject, _MOST_OBJECTS)
    n_subjects = 1 + int(rng.random() < 0.3)
    n_clutter = int(rng.choice(3, p=[0.4, 0.4, 0.2]))
    others = _draw_others(cutouts, subject, n_subjects + n_clutter - 1, rng)
    shown = [_draw_rendering(cutouts, subject, rng), *others]
    places = [*_subject_places(n_subjects, rng), *_clutter_places(n_clutter, rng)]
    placements = [_place(cutout, *place, rng) for cutout, place in zip(shown, places, strict=True)]
    caption = _write_caption(placements, rng, name_all=positions == "centered, all named")
    background = _draw_background(rng)
    if positions == "uniform":
        placements = _scatter(placements, rng)
    # clutter is drawn first, so that it never hides a subject
    scene = Scene(caption, background, tuple(reversed(placements)), height=side, width=side)
    return scene, caption


def snapshot(
    cutouts: Sequence[Cutout], subject: str, dose: Dose, rng: np.random.Generator, side: int
) -> tuple[Scene, str]:
    """Take an image of one object or several and name one of them, the subject; `dose` says where and which."""
    _check_world(objects_of(cutouts), subject, dose.n_objects)
    n_others = int(rng.integers(dose.n_objects))
    shown = [_draw_rendering(cutouts, subject, rng), *_draw_others(cutouts, subject, n_others, rng)]
    placements = [Placement(cutout, 0.5, 0.5, rng.uniform(*_SIZE_SNAPSHOT)) for cutout in shown]
    placements = _scatter(placements, rng, dose.spread)
    distances = [eccentricity(placement.x, placement.y) for placement in placements]
    name_central = rng.random() < dose.central_naming_probability
    named = int(np.argmin(distances)) if name_central else int(rng.integers(len(placements)))
    placements = _exchange(placements, 0, named)  # the first is the subject, whichever place it was given
    caption = TEMPLATES[rng.integers(len(TEMPLATES))].format(subject)
    scene = Scene(caption, _draw_background(rng), tuple(reversed(placements)), height=side, width=side)
    return scene, caption


def take(
    cutouts: Sequence[Cutout], subject: str, positions: Positions | Dose, rng: np.random.Generator, side: int
) -> tuple[Scene, str]:
    """Take an image by `snapshot` for a `Dose`, else by `photograph`."""
    if isinstance(positions, Dose):
        return snapshot(cutouts, subject, positions, rng, side)
    return photograph(cutouts, subject, positions, rng, side)


def named_in(caption: str) -> list[str]:
    """List the objects that a caption of the photographer names."""
    start = max(
        (template.format("") for template in TEMPLATES if caption.startswith(template.format(""))), key=len
    )
    return caption.removeprefix(start).split(" and a ")


def _check_world(objects: Sequence[str], subject: str, at_least: int) -> None:
    if len(objects) < at_least:
        raise InputError(f"There are {len(objects)} objects to photograph; give at least {at_least}.")
    if subject not in objects:
        raise InputError(
            f"The subject {subject!r} is none of the {len(objects)} objects{suggest(subject, objects)}"
        )


def _draw_rendering(cutouts: Sequence[Cutout], subject: str, rng: np.random.Generator) -> Cutout:
    renderings = [cutout for cutout in cutouts if cutout.object == subject]
    return renderings[rng.integers(len(renderings))]


def _draw_background(rng: np.random.Generator) -> Background:
    return Background(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], int(rng.integers(2**31)))


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


def _write_caption(placements: Sequence[Placement], rng: np.random.Generator, name_all: bool) -> str:
    mentioned = [
        placement.cutout.object
        for index, placement in enumerate(placements)
        if rng.random() < mention_probability(eccentricity(placement.x, placement.y))
        or index == 0
        or name_all
    ]
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    order = rng.permutation(len(mentioned))
    return template.format(" and a ".join(mentioned[index] for index in order))


def _scatter(
    placements: Sequence[Placement], rng: np.random.Generator, spread: float = inf
) -> list[Placement]:
    """Move every object to a random position inside the image, away from the others if there is room."""
    moved: list[Placement] = []
    for placement in placements:
        for _ in range(_ATTEMPTS):
            x, y = _position(placement.size / 2, spread, rng)
            apart = [np.hypot(x - other.x, y - other.y) / (placement.size + other.size) for other in moved]
            if min(apart, default=1) > 0.45:
                break
        moved.append(replace(placement, x=float(x), y=float(y)))
    return moved


def _position(margin: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Draw x and y between the margins: uniform, or normal around the center and cut off there."""
    if spread == inf:
        return rng.uniform(margin, 1 - margin, 2)
    reach = (0.5 - margin) / spread
    return 0.5 + spread * truncnorm.rvs(-reach, reach, size=2, random_state=rng)


def _exchange(placements: Sequence[Placement], first: int, second: int) -> list[Placement]:
    """Let two objects stand in each other's place, each in its own size."""
    exchanged = list(placements)
    for mine, other in ((first, second), (second, first)):
        margin = placements[mine].size / 2
        x, y = np.clip([placements[other].x, placements[other].y], margin, 1 - margin)
        exchanged[mine] = replace(placements[mine], x=float(x), y=float(y))
    return exchanged
