"""The images and captions of each step of a training.

They depend on the recipe's seed, the step and the place in the batch alone. What is in an image and where it stands
have a source of chance each, so that recipes that differ in positions alone give the same shots.
"""

from collections.abc import Sequence

import numpy as np

from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.photographer import take
from crosseyed.errors import InputError
from crosseyed.training.recipes import Recipe, StudioRecipe
from crosseyed.training.studio.captions import vocabulary
from crosseyed.training.studio.shots import Place, Shot, least_objects, places, plan, render, world_by_object

_CONTENT, _PLACES = (
    2,
    3,
)  # told apart from the generators of composed scenes, which end with nothing and with 1


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
        planned = plan_batch(recipe, cutouts, step)
        images = [render(shot, where, side) for shot, where in planned]
        return np.stack(images), [shot.caption for shot, _ in planned]
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
    least = least_objects(recipe.photographer)
    if len(objects_of(cutouts)) < least:
        raise InputError(
            f"There are {len(objects_of(cutouts))} objects to photograph; give at least {least}."
        )


def plan_batch(
    recipe: StudioRecipe, cutouts: Sequence[Cutout], step: int
) -> list[tuple[Shot, tuple[Place, ...]]]:
    """Plan the images of one training step of the studio: each object once as the subject, and where objects stand."""
    check_world(recipe, cutouts)
    world = world_by_object(cutouts)
    planned = []
    for index, subject in enumerate(world):
        content, where = (
            np.random.default_rng([recipe.seed, step, index, part]) for part in (_CONTENT, _PLACES)
        )
        shot = plan(world, subject, recipe.photographer, content)
        planned.append((shot, places(shot, recipe.positions, where)))
    return planned
