"""The images and captions of each step of a training.

They depend on the recipe's seed, the step and the place in the batch alone. What is in an image and where it stands
have a source of chance each, so that recipes that differ in positions alone give the same shots.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.photographer import take
from crosseyed.errors import InputError
from crosseyed.training.patches import nearest_patches
from crosseyed.training.recipes import Recipe, StudioRecipe
from crosseyed.training.studio.captions import vocabulary
from crosseyed.training.studio.shots import Place, Shot, least_objects, places, plan, render, world_by_object

# told apart from the generators of composed scenes, which end with nothing and with 1
_CONTENT, _PLACES, _PATCHES = 2, 3, 4


@dataclass(frozen=True)
class StudioBatch:
    """The images of one training step in the studio.

    Attributes
    ----------
    images : numpy.ndarray
        (images, side, side, 3), uint8.
    captions : list of str
    named : list of tuple of str
        The objects that each caption names.
    seen : numpy.ndarray, optional
        (images, patches), int64: the patches that the step sees of each image (`crosseyed.training.patches`); None if
        it sees all.
    """

    images: np.ndarray
    captions: list[str]
    named: list[tuple[str, ...]]
    seen: np.ndarray | None


def studio_batch(recipe: StudioRecipe, cutouts: Sequence[Cutout], step: int, side: int) -> StudioBatch:
    """Draw the images of one training step in the studio, with what the training must know about them."""
    planned = plan_batch(recipe, cutouts, step)
    count = recipe.stage_at(step).patches
    targets = [
        [
            (x, y, figure.pose.size)
            for figure, (x, y) in zip(shot.figures, where, strict=True)
            if figure.subject
        ]
        for shot, where in planned
    ]
    rng = np.random.default_rng([recipe.seed, step, 0, _PATCHES])
    return StudioBatch(
        np.stack([render(shot, where, side) for shot, where in planned]),
        [shot.caption for shot, _ in planned],
        [tuple(figure.cutout.object for figure in shot.figures if figure.subject) for shot, _ in planned],
        None if count is None else nearest_patches(targets, count, recipe.grid, rng),
    )


def photograph_batch(
    recipe: Recipe, cutouts: Sequence[Cutout], step: int, side: int
) -> tuple[np.ndarray, list[str]]:
    """Draw the images of one training step.

    Parameters
    ----------
    recipe, cutouts : Recipe, sequence of Cutout
        What to train, and on which cut-outs.
    step, side : int
        Number of the step, from 0; height and width of the images in pixels.

    Returns
    -------
    images : uint8 (classes, side, side, 3)
    captions : list of str
        One an image.
    """
    if isinstance(recipe, StudioRecipe):
        batch = studio_batch(recipe, cutouts, step, side)
        return batch.images, batch.captions
    images, captions = [], []
    for index, subject in enumerate(objects_of(cutouts)):
        rng = np.random.default_rng([recipe.seed, step, index])
        scene, caption = take(cutouts, subject, recipe.positions, rng, side)
        image = scene.render()
        jitter = np.random.default_rng(
            [recipe.seed, step, index, 1]
        )  # a generator of its own, so that both recipes draw the same numbers
        gains = 1 + recipe.color_jitter * jitter.uniform(-1, 1, 3)
        images.append(np.clip(image * gains, 0, 255).astype(np.uint8))
        captions.append(caption)
    return np.stack(images), captions


def caption_words(recipe: Recipe) -> list[str]:
    """List texts with the words that captions may have beside those of composed scenes and names of objects."""
    return vocabulary() if isinstance(recipe, StudioRecipe) else []


def check_world(recipe: StudioRecipe, cutouts: Sequence[Cutout]) -> None:
    """Raise InputError if there are fewer objects than an image of the recipe may show."""
    photographers = [recipe.photographer, *(stage.photographer for stage in recipe.stages)]
    least = max(map(least_objects, photographers))
    if len(objects_of(cutouts)) < least:
        raise InputError(
            f"There are {len(objects_of(cutouts))} objects to photograph; give at least {least}."
        )


def plan_batch(
    recipe: StudioRecipe, cutouts: Sequence[Cutout], step: int
) -> list[tuple[Shot, tuple[Place, ...]]]:
    """Plan the images of one training step of the studio: each object a subject in turn, and where objects stand."""
    check_world(recipe, cutouts)
    world, photographer = world_by_object(cutouts), recipe.stage_at(step).photographer
    planned = []
    for index, subject in enumerate([*world] * recipe.rounds):
        content, where = (
            np.random.default_rng([recipe.seed, step, index, part]) for part in (_CONTENT, _PLACES)
        )
        shot = plan(world, subject, photographer, content)
        planned.append((shot, places(shot, recipe.positions, where)))
    return planned
