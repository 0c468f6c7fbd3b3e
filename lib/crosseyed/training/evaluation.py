"""What a PocketCLIP is asked for its model card: which object is it, as one thing after another varies.

Every image shows one object, upright and as it is drawn.

===========  =======================================================  ==========================================
factor       values                                                   places
===========  =======================================================  ==========================================
rendering    those that the model was trained on, and one held out    every cell of the grid, in three zones
size         `SIZES`                                                  the center, and a corner (in turn)
background   all kinds of the studio, of which some are held out      the center, and a corner (in turn)
phase        how the object lies on the tower's patches               the center, and a corner (in turn)
===========  =======================================================  ==========================================

Where the background does not vary, it is one of the study's four kinds, dealt in turn.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from crosseyed.data import layouts
from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.renderings import HELD_OUT_STYLE, read_renderings
from crosseyed.data.scenes import Scene
from crosseyed.measure import bootstrap, protocols
from crosseyed.models.clip import ClipModel
from crosseyed.settings import settings
from crosseyed.training.recipes import StudioRecipe, world_of
from crosseyed.training.studio.backgrounds import HELD_OUT_KINDS, TRAINED_KINDS
from crosseyed.training.studio.lens import Lens
from crosseyed.training.studio.shots import Figure, Shot, render
from crosseyed.training.studio.sprites import Pose

ZONES = ("center cell", "inner ring", "outer ring")
"""Of the grid: the center, the cells between, and those at the border."""

CENTRAL = (ZONES[0], "center")
"""Places that are the center of the image."""

SIZES = (0.1, 0.15, 0.2, 0.3, 0.45, 0.6)
"""Sizes that are compared, over the side of the image."""

FACTORS = ("rendering", "size", "background", "phase")

RENDERINGS = ("trained", "held out")
"""What a rendering was to the training of a model."""

WHOLE = "all"
"""Stands for the factor of figures over all renderings of a kind, trained or held out."""

_SIZE = 0.3
_SEED = 1  # decides backgrounds and shifts


def cutouts_to_ask(recipe: StudioRecipe) -> list[Cutout]:
    """List the cut-outs that a recipe trains on, and, of the catalogue, those of its objects that are held out."""
    trained = world_of(recipe)
    if recipe.cutout_folder or HELD_OUT_STYLE in recipe.styles:
        return trained
    objects = set(objects_of(trained))
    return trained + [each for each in read_renderings([HELD_OUT_STYLE]) if each.object in objects]


def ask(clip: ClipModel, recipe: StudioRecipe) -> pd.DataFrame:
    """Ask a PocketCLIP all questions of its card, about `cutouts_to_ask`.

    Parameters
    ----------
    clip : ClipModel
        The model.
    recipe : StudioRecipe
        What it was trained with; says which renderings are held out.

    Returns
    -------
    pandas.DataFrame
        As of `crosseyed.measure.protocols.zero_shot`, with the columns `factor` and `value` (see the module), `place`
        (one of `ZONES`, or ``"center"`` and ``"corner"``), `rendering` (one of `RENDERINGS`), `x`, `y` and `size` of
        the object and `weights` (digest of the model's weights).
    """
    cutouts = cutouts_to_ask(recipe)
    labels = objects_of(cutouts)
    parts = [
        _in_the_grid(protocols.grid(clip, layouts.grid(cutouts, settings.grid_size, seed=_SEED), labels))
    ]
    varied = {("size", f"{size:g}"): layouts.grid(cutouts, 3, size=size, seed=_SEED) for size in SIZES}
    phases = layouts.phases(cutouts, clip.tower.grid, seed=_SEED)
    varied |= {("phase", phase): scenes for phase, scenes in phases.items()}
    for (factor, value), scenes in varied.items():
        table = protocols.grid(clip, _two_places(scenes, cutouts), labels)
        place = np.where((table[["row", "col"]] == 1).all(axis=1), "center", "corner")
        parts.append(table.assign(factor=factor, value=value, place=place))
    parts += [_on_background(clip, kind, cutouts) for kind in (*TRAINED_KINDS, *HELD_OUT_KINDS)]
    table = pd.concat(parts, ignore_index=True)
    held_out = (table["style"] == HELD_OUT_STYLE) & (HELD_OUT_STYLE not in recipe.styles)
    return table.assign(rendering=np.where(held_out, *reversed(RENDERINGS)), weights=clip.digest)


def summarize(answers: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracies of `ask`'s answers with their intervals.

    Returns
    -------
    pandas.DataFrame
        `factor` (`WHOLE` or one of `FACTORS`), `value` (in the order of the answers), `rendering`, `place`, and the
        columns of `crosseyed.measure.bootstrap.accuracy`.
    """
    keys = ["factor", "value", "rendering", "place"]
    whole = answers[answers["factor"] == "rendering"].assign(factor=WHOLE, value=WHOLE)
    figures = pd.concat([bootstrap.accuracy(each, keys) for each in (whole, answers)], ignore_index=True)
    order = {value: number for number, value in enumerate([WHOLE, *answers["value"].unique()])}
    return figures.sort_values(
        "value", key=lambda values: values.map(order), kind="stable", ignore_index=True
    )


def by_class(answers: pd.DataFrame) -> pd.DataFrame:
    """Return how often each object is named in the middle of an image, and what it is taken for.

    Returns
    -------
    pandas.DataFrame
        One row per object and rendering, the worst first: `rendering`, `object`, `accuracy` (percent; of one object, so
        without an interval over objects), `n`, `taken_for` (the commonest wrong answer; empty if there is none) and its
        `share` of the images (percent).
    """
    central = answers[answers["place"].isin(CENTRAL)]
    keys = ["rendering", "object"]
    right = central["correct"].fillna(False).astype(bool)
    table = (100 * right).groupby([central[key] for key in keys]).agg(accuracy="mean", n="size").reset_index()
    wrong = central[~right].value_counts([*keys, "choice"]).rename("count").reset_index()
    commonest = wrong.sort_values(["count", "choice"], ascending=[False, True]).drop_duplicates(keys)
    table = table.merge(commonest, on=keys, how="left")
    table["taken_for"] = table.pop("choice").fillna("")
    table["share"] = (100 * table.pop("count") / table["n"]).fillna(0.0)
    return table.sort_values(["rendering", "accuracy", "object"], ignore_index=True)


def _in_the_grid(answers: pd.DataFrame) -> pd.DataFrame:
    """Say in which zone of the grid each object stands."""
    cells, last = answers[["row", "col"]], settings.grid_size - 1
    in_center, at_border = (cells == last // 2).all(axis=1), cells.isin([0, last]).any(axis=1)
    place = np.select([in_center, at_border], [ZONES[0], ZONES[2]], ZONES[1])
    return answers.assign(factor="rendering", value=answers["style"], place=place)


def _two_places(scenes: Sequence[Scene], cutouts: Sequence[Cutout]) -> list[Scene]:
    """Keep of each cut-out's scenes in a 3 × 3 grid that at the center and that in a corner, each corner in turn."""
    numbers = {cutout: number for number, cutout in enumerate(cutouts)}
    kept = []
    for scene in scenes:
        placement = scene.placements[0]
        corner = _corner(numbers[placement.cutout])
        if (placement.row, placement.col) in ((1, 1), (2 * corner[1], 2 * corner[0])):
            kept.append(scene)
    return kept


def _corner(number: int) -> tuple[int, int]:
    """Deal the corners: right or not, bottom or not."""
    return number % 2, number // 2 % 2


def _on_background(clip: ClipModel, kind: str, cutouts: Sequence[Cutout]) -> pd.DataFrame:
    """Ask about objects on a kind of background, in the center and in a corner."""
    side = min(clip.image_size)
    margin = _SIZE / 2 + layouts.JITTER
    images, rows = [], []
    for number, cutout in enumerate(cutouts):
        rng = np.random.default_rng([_SEED, number])
        background, shift = int(rng.integers(2**31)), rng.uniform(-layouts.JITTER, layouts.JITTER, 2)
        corner = np.array(_corner(number)) * (1 - 2 * margin) + margin
        shot = Shot((Figure(cutout, True, Pose(_SIZE)),), kind, background, Lens(), 0, "")
        for place, middle in (("center", np.array([0.5, 0.5])), ("corner", corner)):
            x, y = (middle + shift).tolist()
            images.append(partial(render, shot, [(x, y)], side))
            rows.append({"object": cutout.object, "style": cutout.style, "place": place, "x": x, "y": y})
    table = pd.DataFrame(rows).assign(factor="background", value=kind, size=_SIZE)
    return protocols.zero_shot(clip, images, table, objects_of(cutouts))
