"""The images and questions on which mitigations are evaluated.

Throughout, `cutouts` are the objects, `labels` what the model chooses among, and `seed` determines the random choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pandas as pd

from crosseyed.data import layouts
from crosseyed.data.cutouts import Cutout, objects_of, some_objects
from crosseyed.data.images import ImageSource
from crosseyed.data.scenes import Scene, pair_table, scene_table
from crosseyed.errors import InputError, suggest
from crosseyed.measure import protocols
from crosseyed.mitigations.base import Location
from crosseyed.models.scorer import Scorer
from crosseyed.settings import settings


@dataclass(frozen=True, eq=False)
class Task:
    """Images, what they show, and how a model is scored on them.

    Attributes
    ----------
    protocol : str
        ``"grid"``, ``"pair"``, ``"control"`` or ``"whatsup"``.
    images : sequence of ImageSource
        Drawn once, used many times.
    table : pandas.DataFrame
        One row per image, with `image`, `object`, `center` and what the protocol needs. Of two objects, `center` is
        `together`: mitigations are compared by the places that should be easy and those that should be hard.
    labels : sequence of str or None
        What the model chooses among; None for the four captions of What'sUp.
    locations : sequence of Location or None
        Where the object in question is; None if unknown.
    """

    protocol: str
    images: Sequence[ImageSource] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    labels: Sequence[str] | None = field(default=None, repr=False)
    locations: Sequence[Location] | None = field(default=None, repr=False)

    def score(self, scorer: Scorer) -> pd.DataFrame:
        """Return what `protocols.zero_shot` or `protocols.four_captions` returns for a model."""
        if self.labels is None:
            return protocols.four_captions(scorer, self.images, self.table, self.protocol)
        return protocols.zero_shot(scorer, self.images, self.table, self.labels, protocol=self.protocol)


def split_objects(cutouts: Sequence[Cutout], sizes: Sequence[int], seed: int = 0) -> list[list[Cutout]]:
    """Draw sets of cut-outs that have no object in common.

    Parameters
    ----------
    cutouts, seed
        See the module; all renderings of an object stay together.
    sizes : sequence of int
        Number of objects in each set; InputError if below 2, or if there are too few objects.

    Returns
    -------
    list of list of Cutout
        One set for each size, in the order of `cutouts`.
    """
    objects = objects_of(cutouts)
    if min(sizes) < 2 or sum(sizes) > len(objects):
        raise InputError(
            f"The splits have {', '.join(map(str, sizes))} objects; give each at least 2, together at most the "
            f"{len(objects)} that there are."
        )
    drawn = iter(np.random.default_rng(seed).permutation(objects))
    sets = [set(islice(drawn, size)) for size in sizes]
    return [[cutout for cutout in cutouts if cutout.object in kept] for kept in sets]


def deal_split(
    cutouts: Sequence[Cutout], sizes: Sequence[int], most: Sequence[int], seed: int = 0
) -> tuple[list[list[Cutout]], list[list[Cutout]]]:
    """Draw sets to be shown out of larger ones, as `crosseyed.data.cutouts.deal_objects` does for one set.

    Parameters
    ----------
    cutouts, sizes, seed
        As of `split_objects`.
    most : sequence of int
        Number of objects in each of the larger sets. If one is to show more, all show what is dealt.

    Returns
    -------
    shown, dealt : list of list of Cutout
        The sets of `sizes`, and those that they are part of.
    """
    fit = all(size <= room for size, room in zip(sizes, most, strict=True))
    split_objects(cutouts, sizes, seed)  # raises for what cannot be
    dealt = split_objects(cutouts, most if fit else sizes, seed)
    return [some_objects(each, size, seed) for each, size in zip(dealt, sizes, strict=True)], dealt


def grid_task(
    cutouts: Sequence[Cutout],
    labels: Sequence[str],
    cells: int,
    *,
    shown: Sequence[Cutout] | None = None,
    size: float = 0.3,
    seed: int = 0,
) -> Task:
    """Draw each cut-out in every cell of a grid with `cells` cells along each side, to be told from all labels.

    `shown` are those that are drawn of all that are dealt to; `size` and `seed` are those of
    `crosseyed.data.layouts.grid`.
    """
    scenes = _shown(layouts.grid(cutouts, cells, size=size, seed=seed), shown)
    return Task("grid", [scene.render() for scene in scenes], scene_table(scenes), labels)


def make_split(
    cutouts: Sequence[Cutout],
    labels: Sequence[str],
    *,
    shown: Sequence[Cutout] | None = None,
    protocols: Sequence[str] = ("grid", "pair", "control"),
    cells: int = 2,
    size: float = 0.3,
    control_size: float = 0.45,
    side: int = 224,
    seed: int = 0,
) -> list[Task]:
    """Draw the images of a split.

    - ``"grid"``: each cut-out at the center of a grid and in some other cells, drawn at random; which label is it?
    - ``"pair"``: each object, in one rendering, with another in each of What'sUp's four relations; which of four
      captions fits? The object in question is the first, which all relations but ``"on"`` put at the border.
    - ``"control"``: each object, in one rendering, alone, centered and larger than in the grid, as a photographer would
      show it; a mitigation should do no harm here.

    Parameters
    ----------
    cutouts, labels, seed
        See the module; at least two objects of each rendering.
    shown : sequence of Cutout, optional
        Those that are drawn of the cut-outs, all of which are dealt to (`deal_split`); by default all.
    protocols : sequence of str
        Which of the three.
    cells : int
        Number of cells besides the center per cut-out, at least 1; more objects say more than more cells.
    size, control_size : float
        Longer side of the objects of grid and control, as a fraction of the side of the image.
    side : int
        Height and width of the images in pixels.

    Returns
    -------
    list of Task
        One for each protocol.

    Raises
    ------
    InputError
        A protocol does not exist, or a number is out of range.
    """
    if not 1 <= cells < settings.grid_size**2:
        raise InputError(
            f"cells is {cells}; expected 1 to {settings.grid_size**2 - 1}, the cells beside the center."
        )
    square = {"height": side, "width": side, "seed": seed}
    rng = np.random.default_rng([seed, 3])
    once = _one_rendering(cutouts, rng)

    def control() -> list[Scene]:
        large = layouts.grid(once, settings.grid_size, size=control_size, **square)
        return [scene for scene in large if scene.center]

    scenes = {
        "grid": lambda: _some_cells(
            layouts.grid(cutouts, settings.grid_size, size=size, **square), cells, rng
        ),
        "pair": lambda: [
            scene for relation in layouts.RELATIONS for scene in layouts.pair(once, relation, **square)
        ],
        "control": control,
    }
    for protocol in protocols:
        if protocol not in scenes:
            raise InputError(
                f"Unknown protocol {protocol!r}{suggest(protocol, scenes)} Choose from {', '.join(scenes)}."
            )
    drawn = {name: _shown(scenes[name](), shown) for name in protocols}
    return [_task(name, each, None if name == "pair" else labels) for name, each in drawn.items()]


def whatsup_task(table: pd.DataFrame) -> Task:
    """Make a task, without locations, from rows of the table of `crosseyed.data.whatsup.read_whatsup`."""
    return Task("whatsup", list(table["path"]), table.drop(columns="path").assign(center=table["together"]))


def _task(protocol: str, scenes: Sequence[Scene], labels: Sequence[str] | None) -> Task:
    table = pair_table(scenes) if protocol == "pair" else scene_table(scenes)
    if protocol == "pair":
        table["center"] = table["together"]
    first = [scene.placements[0] for scene in scenes]
    return Task(
        protocol,
        [scene.render() for scene in scenes],
        table,
        labels,
        [Location(place.x, place.y, place.size) for place in first],
    )


def _shown(scenes: list[Scene], shown: Sequence[Cutout] | None) -> list[Scene]:
    return scenes if shown is None else layouts.showing(shown, scenes)


def _one_rendering(cutouts: Sequence[Cutout], rng: np.random.Generator) -> list[Cutout]:
    """Keep one cut-out of each object, such that each rendering kept has two objects to pair."""
    objects = objects_of(cutouts)
    n_renderings = max(1, min(len({cutout.style for cutout in cutouts}), len(objects) // 2))
    turn = dict(zip(rng.permutation(objects), range(len(objects)), strict=True))
    kept = []
    for object_ in objects:
        renderings = [cutout for cutout in cutouts if cutout.object == object_]
        kept.append(renderings[turn[object_] % n_renderings % len(renderings)])
    return kept


def _some_cells(scenes: Sequence[Scene], cells: int, rng: np.random.Generator) -> list[Scene]:
    """Keep the center and some other cells of each cut-out; scenes are ordered by cut-out."""
    kept, center = [], settings.grid_size**2 // 2
    others = np.delete(np.arange(settings.grid_size**2), center)
    for start in range(0, len(scenes), settings.grid_size**2):
        places = sorted([center, *rng.choice(others, cells, replace=False)])
        kept += [scenes[start + place] for place in places]
    return kept
