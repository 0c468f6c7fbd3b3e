"""A training in stages: easier parts come first, the whole task last."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from crosseyed.errors import InputError
from crosseyed.training import train
from crosseyed.training.objective import Objective
from crosseyed.training.recipes import Stage, StudioRecipe, world_of
from crosseyed.training.stream import check_world, plan_batch, studio_batch
from crosseyed.training.studio.shots import Photographer

EASY = Photographer(sizes=(0.4, 0.5), pairs=0.0, clutter=0)
RECIPE = StudioRecipe(
    "uniform",
    architecture="small",
    n_objects=4,
    steps=5,
    warmup=1,
    rounds=2,
    naming=1.0,
    optimizer="muon",
    stages=(Stage(2, 9, EASY), Stage(1, 25)),
)


@pytest.fixture(scope="module")
def world():
    return world_of(RECIPE)


def test_stages_follow_one_another_and_the_whole_task_comes_last():
    seen = [RECIPE.stage_at(step).patches for step in range(5)]
    assert seen == [9, 9, 25, None, None]
    assert RECIPE.stage_at(1).photographer == EASY
    assert RECIPE.stage_at(4).photographer == RECIPE.photographer


def test_images_are_those_of_the_stage(world):
    for step, count in enumerate([9, 9, 25, None, None]):
        batch = studio_batch(RECIPE, world, step, 40)
        assert batch.images.shape == (8, 40, 40, 3)
        assert (None if batch.seen is None else batch.seen.shape) == (None if count is None else (8, count))
    easy = [shot for step in (0, 1) for shot, _ in plan_batch(RECIPE, world, step)]
    assert all(len(shot.figures) == 1 and 0.4 <= shot.figures[0].pose.size <= 0.5 for shot in easy)
    whole = [shot for step in (3, 4) for shot, _ in plan_batch(RECIPE, world, step)]
    assert any(len(shot.figures) > 1 for shot in whole)


def test_a_round_shows_each_object_once_and_no_image_twice(world):
    planned = plan_batch(RECIPE, world, 0)
    shown = [shot.figures[0].cutout.object for shot, _ in planned]
    assert shown[:4] == shown[4:] and len(set(shown[:4])) == 4
    assert len({where for _, where in planned}) == 8


def test_recipes_that_differ_in_positions_give_the_same_shots_in_every_stage(world):
    centered = replace(RECIPE, positions="centered")
    for step in range(5):
        one, other = (studio_batch(recipe, world, step, 40) for recipe in (centered, RECIPE))
        assert (one.captions, one.named) == (other.captions, other.named)
        pairs = zip(plan_batch(centered, world, step), plan_batch(RECIPE, world, step), strict=True)
        for (shot, here), (same, there) in pairs:
            assert shot == same and not set(here) & set(there)


def test_the_tower_sees_the_patches_of_the_stage(world):
    tokenizer = train.build_tokenizer([*{each.object for each in world}], train.caption_words(RECIPE))
    model = train._create(RECIPE, train.config_of(RECIPE, len(tokenizer)))
    objective = Objective(RECIPE, tokenizer, sorted({each.object for each in world}), 24)
    lengths = []
    model.visual.transformer.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    for step in (0, 2, 3):
        objective(model, studio_batch(RECIPE, world, step, 80), step)
    assert lengths == [1 + 9, 1 + 25, 1 + 64]


def test_a_training_killed_between_stages_resumes_to_the_same_model(tmp_path, killed_at):
    whole = train.train(RECIPE, tmp_path / "whole", progress=False)
    killed_at(4)
    with pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, tmp_path / "parts", save_every=1, progress=False)
    parts = train.train(RECIPE, tmp_path / "parts", save_every=1, progress=False)
    one, other = (load_file(folder / "open_clip_model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (whole / "loss.csv").read_text() == (parts / "loss.csv").read_text()


def test_the_loss_over_names_changes_what_is_learned(tmp_path, world):
    one, other = (
        train.train(replace(RECIPE, naming=naming), tmp_path / str(naming), progress=False)
        for naming in (0.0, 1.0)
    )
    first = [(folder / "loss.csv").read_text().splitlines()[1] for folder in (one, other)]
    assert first[0] != first[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stages": (Stage(0),)}, "steps of a stage is 0"),
        ({"stages": (Stage(5),)}, "take 5 of its 5 steps; leave steps"),
        ({"stages": (Stage(1, 0),)}, "patches of a stage is 0; give a whole number from 1 to 64"),
        ({"stages": (Stage(1, 65),)}, "patches of a stage is 65"),
        ({"rounds": 0}, "rounds of a recipe is 0; give a whole number from 1 to 16"),
        ({"rounds": 1.5}, "rounds of a recipe is 1.5"),
        ({"optimizer": "moun"}, "did you mean 'muon'"),
        ({"naming": -1}, "naming of a recipe is -1; give a number from 0 to 100"),
        ({"naming": float("nan")}, "naming of a recipe is nan"),
    ],
)
def test_settings_out_of_range_are_named(changes, words):
    with pytest.raises(InputError, match=words):
        replace(RECIPE, **changes)


def test_a_stage_that_shows_more_objects_than_there_are_is_refused(world):
    crowded = replace(RECIPE, stages=(Stage(1, photographer=Photographer(clutter=8)),))
    with pytest.raises(InputError, match="4 objects to photograph; give at least 10"):
        check_world(crowded, world)
