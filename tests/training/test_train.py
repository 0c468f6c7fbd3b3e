from dataclasses import replace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.errors import CheckpointError
from crosseyed.training import train
from crosseyed.training.architecture import MEAN
from crosseyed.training.recipes import RECIPES

RECIPE = replace(RECIPES["uniform"], steps=4, warmup=2)


@pytest.fixture(scope="module")
def cutouts():
    kept = objects_of(read_catalogue(("fluent",)))[:5]
    return [cutout for cutout in read_catalogue(RECIPE.styles) if cutout.object in kept]


@pytest.fixture(scope="module")
def trained(cutouts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    return train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)


def weights(folder):
    return load_file(folder / "open_clip_model.safetensors")


def test_open_clip_loads_what_training_writes(trained, cutouts):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{trained}")
    tokens = open_clip.get_tokenizer(f"local-dir:{trained}")(["a dog and a cat", "a DOG", "a zyzzyva"])
    assert type(model) is open_clip.model.CLIP
    assert tuple(preprocess.transforms[-1].mean) == MEAN
    assert tokens.shape == (3, 16)
    vocabulary_size = model.token_embedding.num_embeddings
    # text pooling looks for the highest token: it must be the end token, right after the words
    assert tokens.argmax(dim=1).tolist() == [6, 3, 3]
    assert (tokens.max(dim=1).values == vocabulary_size - 1).all()
    assert all(value.dtype == torch.float16 for value in weights(trained).values())


def test_training_moves_the_weights_and_logs_every_step(trained):
    log = pd.read_csv(trained / "loss.csv")
    assert log["step"].tolist() == [0, 1, 2, 3]
    assert log["loss"].iloc[0] == pytest.approx(np.log(5), abs=0.5)
    assert not (trained / "training_state.pt").exists()


def test_a_killed_training_resumes_to_the_same_model(trained, cutouts, tmp_path, monkeypatch):
    real_step, calls = train._step, []

    def killed_at_the_fourth_step(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real_step(*arguments)

    monkeypatch.setattr(train, "_step", killed_at_the_fourth_step)
    folder = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    assert not (folder / "open_clip_model.safetensors").exists()
    train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    assert len(calls) == 6  # the third and the fourth step were done again, the first two were not
    for name, value in weights(trained).items():
        assert torch.equal(weights(folder)[name], value), name
    assert (folder / "loss.csv").read_text() == (trained / "loss.csv").read_text()


@pytest.mark.parametrize("damage", ["other recipe", "truncated"])
def test_a_state_that_does_not_fit_is_refused_by_name(cutouts, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(train, "export", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, tmp_path, progress=False, cutouts=cutouts)
    state, recipe = tmp_path / "training_state.pt", RECIPE
    if damage == "truncated":
        state.write_bytes(state.read_bytes()[:1000])
    else:
        recipe = replace(RECIPE, seed=7)
    with pytest.raises(CheckpointError, match=r"training_state\.pt.*delete"):
        train.train(recipe, tmp_path, progress=False, cutouts=cutouts)


def test_both_recipes_show_the_same_objects_with_the_same_captions(cutouts):
    _, centered = train.photograph_batch(replace(RECIPE, positions="centered"), cutouts, 3, 50)
    pictures, uniform = train.photograph_batch(RECIPE, cutouts, 3, 50)
    again, _ = train.photograph_batch(RECIPE, cutouts, 3, 50)
    assert centered == uniform
    assert np.array_equal(pictures, again)
    assert all(name in caption for name, caption in zip(objects_of(cutouts), uniform, strict=True))


def test_learning_rate_warms_up_and_falls_to_zero():
    recipe = replace(RECIPE, steps=102, warmup=2, learning_rate=1.0)
    assert train.learning_rate_at(recipe, 0) == 0.5
    assert train.learning_rate_at(recipe, 2) == 1.0
    assert train.learning_rate_at(recipe, 52) == pytest.approx(0.5)
    assert train.learning_rate_at(recipe, 102) == pytest.approx(0.0)
