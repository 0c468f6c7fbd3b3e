"""Two recipes that differ in positions alone give the same initial weights and, image by image, the same shots."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import Dose
from crosseyed.data.renderings import HELD_OUT_STYLE, TRAINED_STYLES
from crosseyed.errors import InputError
from crosseyed.training import train
from crosseyed.training.architecture import build_tokenizer, config_of
from crosseyed.training.recipes import Recipe, StudioRecipe, world_of
from crosseyed.training.stream import caption_words, photograph_batch, plan_batch
from crosseyed.training.studio.backgrounds import HELD_OUT_KINDS
from crosseyed.training.studio.shots import render

CENTERED = StudioRecipe("centered", architecture="small", n_objects=12)
RECIPES_THAT_MOVE = [replace(CENTERED, positions=positions) for positions in ("uniform", Dose(spread=0.1))]
STEPS = (0, 1, 57)


@pytest.fixture(scope="module")
def world():
    return world_of(CENTERED)


@pytest.mark.parametrize("moving", RECIPES_THAT_MOVE)
def test_shots_are_the_same_and_every_place_is_another(world, moving):
    for step in STEPS:
        for (one, here), (other, there) in zip(
            plan_batch(CENTERED, world, step), plan_batch(moving, world_of(moving), step), strict=True
        ):
            assert one == other  # objects, sizes, poses, light, occlusion, background, lens, caption
            assert not set(here) & set(there)


def test_images_are_the_same_once_objects_are_put_to_the_same_places(world):
    (moving, _) = RECIPES_THAT_MOVE
    images, captions = photograph_batch(CENTERED, world, 3, 40)
    moved, same = photograph_batch(moving, world, 3, 40)
    assert captions == same
    planned = zip(plan_batch(CENTERED, world, 3), plan_batch(moving, world, 3), strict=True)
    for index, ((_, here), (shot, there)) in enumerate(planned):
        assert np.array_equal(render(shot, here, 40), images[index])
        assert np.array_equal(render(shot, there, 40), moved[index])
        assert not np.array_equal(images[index], moved[index])


def test_initial_weights_tokens_and_settings_are_the_same(world):
    models = []
    for recipe in (CENTERED, *RECIPES_THAT_MOVE):
        tokenizer = build_tokenizer(objects_of(world_of(recipe)), caption_words(recipe))
        models.append((tokenizer.get_vocab(), train._create(recipe, config_of(recipe, len(tokenizer)))))
        assert replace(recipe, positions="centered") == CENTERED
    for vocabulary, model in models[1:]:
        assert vocabulary == models[0][0]
        for one, other in zip(models[0][1].parameters(), model.parameters(), strict=True):
            assert torch.equal(one, other)


def test_another_seed_gives_other_shots(world):
    first = plan_batch(CENTERED, world, 0)
    assert all(one[0] != other[0] for one, other in zip(first, plan_batch(CENTERED, world, 1), strict=True))
    other_seed = plan_batch(replace(CENTERED, seed=1), world, 0)
    assert all(one[0] != other[0] for one, other in zip(first, other_seed, strict=True))


def test_each_object_is_the_subject_once_a_step(world):
    shown = [shot.figures[0].cutout.object for shot, _ in plan_batch(CENTERED, world, 2)]
    assert shown == objects_of(world)


def test_the_held_out_rendering_and_backgrounds_are_never_shown():
    recipe = StudioRecipe("uniform")
    assert {cutout.style for cutout in world_of(recipe)} == set(TRAINED_STYLES)
    assert HELD_OUT_STYLE not in recipe.styles
    assert not set(recipe.photographer.backgrounds) & set(HELD_OUT_KINDS)


def test_every_word_of_the_captions_is_a_token(world):
    tokenizer = build_tokenizer(objects_of(world), caption_words(CENTERED))
    length = config_of(CENTERED, len(tokenizer))["text_cfg"]["context_length"]
    for step in range(30):
        for shot, _ in plan_batch(CENTERED, world, step):
            tokens = tokenizer(shot.caption).input_ids
            assert tokenizer.unk_token_id not in tokens
            assert len(tokens) <= length


def test_composed_scenes_need_no_further_words():
    assert caption_words(Recipe("centered")) == []


@pytest.mark.parametrize(
    ("positions", "message"),
    [("centered, all named", "Unknown positions"), (Dose(n_objects=3), "have a spread alone")],
)
def test_positions_that_change_more_than_places_are_refused(positions, message):
    with pytest.raises(InputError, match=message):
        StudioRecipe(positions)
