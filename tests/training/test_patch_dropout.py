import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from crosseyed.errors import InputError
from crosseyed.training import train
from crosseyed.training.architecture import config_of
from crosseyed.training.recipes import StudioRecipe

RECIPE = StudioRecipe("uniform", architecture="small", n_objects=4, steps=3, warmup=1, patch_dropout=0.5)


def tokens_seen(recipe, training):
    """Count the tokens of an image that reach the first block."""
    model = train._create(recipe, config_of(recipe, 20))
    model.train(training)
    seen = []
    model.visual.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    side = config_of(recipe, 20)["vision_cfg"]["image_size"]
    model.encode_image(torch.zeros(2, 3, side, side))
    return seen[0]


def test_a_training_step_leaves_out_a_share_of_the_patches_and_nothing_else_does():
    assert tokens_seen(replace(RECIPE, patch_dropout=0.0), training=True) == 1 + 64
    assert tokens_seen(RECIPE, training=True) == 1 + 32
    assert tokens_seen(replace(RECIPE, patch_dropout=0.75), training=True) == 1 + 16
    assert tokens_seen(RECIPE, training=False) == 1 + 64


def test_initial_weights_are_the_same_with_and_without():
    one, other = (
        train._create(recipe, config_of(recipe, 20))
        for recipe in (RECIPE, replace(RECIPE, patch_dropout=0.0))
    )
    for name, value in other.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)


def test_a_resumed_training_leaves_out_the_same_patches(tmp_path, killed_at):
    whole = train.train(RECIPE, tmp_path / "whole", progress=False)
    killed_at(3)
    torch.manual_seed(1)  # what was drawn before does not matter
    with pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, tmp_path / "parts", save_every=1, progress=False)
    torch.manual_seed(2)
    parts = train.train(RECIPE, tmp_path / "parts", save_every=1, progress=False)
    one, other = (load_file(folder / "open_clip_model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (
        "patch_dropout"
        not in json.loads((whole / "open_clip_config.json").read_text())["model_cfg"]["vision_cfg"]
    )


@pytest.mark.parametrize("share", [-0.1, 0.95, float("nan"), "half"])
def test_a_share_out_of_range_is_named(share):
    with pytest.raises(InputError, match=r"patch_dropout of a recipe is .*; give a number from 0 to 0\.9"):
        replace(RECIPE, patch_dropout=share)
