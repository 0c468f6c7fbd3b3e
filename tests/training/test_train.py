import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.errors import CrosseyedError, InputError
from crosseyed.files import locked
from crosseyed.training import train
from crosseyed.training.architecture import MEAN
from crosseyed.training.recipes import Recipe
from crosseyed.training.stream import photograph_batch

RECIPE = Recipe("uniform", architecture="small", steps=4, warmup=2)


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


def test_a_killed_training_resumes_to_the_same_model(trained, cutouts, tmp_path, killed_at):
    calls = killed_at(4)
    folder = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    assert not (folder / "open_clip_model.safetensors").exists()
    train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    assert len(calls) == 6  # the third and the fourth step were done again, the first two were not
    for name, value in weights(trained).items():
        assert torch.equal(weights(folder)[name], value), name
    assert (folder / "loss.csv").read_text() == (trained / "loss.csv").read_text()


def test_two_trainings_do_not_write_into_one_folder(cutouts, tmp_path):
    train.train(replace(RECIPE, steps=1), tmp_path / "model", progress=False, cutouts=cutouts)
    (tmp_path / "model" / "open_clip_model.safetensors").unlink()
    before = sorted(path.name for path in (tmp_path / "model").iterdir())
    with (
        locked(tmp_path / "model" / ".lock", "busy"),
        pytest.raises(InputError, match=r"(?s)model.*wait for it"),
    ):
        train.train(replace(RECIPE, steps=1), tmp_path / "model", progress=False, cutouts=cutouts)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == before


@pytest.fixture(scope="module")
def interrupted(cutouts, tmp_path_factory):
    """A folder with the state after two of four steps."""
    folder = tmp_path_factory.mktemp("interrupted") / "model"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "_write_losses", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    return folder


def changed(state, **values):
    torch.save({**torch.load(state), **values}, state)


def first_tensor(state, change):
    model = torch.load(state)["model"]
    name = next(iter(model))
    changed(state, model={**model, name: change(model[name])})


class Code:
    def __reduce__(self):
        return print, ("executed",)


def no_moments(state):
    changed(state, optimizers=[{**torch.load(state)["optimizers"][0], "state": {}}])


def replaced_by_folder(state):
    state.unlink()
    state.mkdir()


def replaced_by_pipe(state):
    state.unlink()
    os.mkfifo(state)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda state: state.write_bytes(state.read_bytes()[:1000]), "damaged"),
        (lambda state: state.write_bytes(b""), "damaged"),
        (lambda state: torch.save({"recipe": Code()}, state), "damaged or no state"),
        (lambda state: torch.save([1], state), "lacks 'recipe'"),
        (lambda state: changed(state, losses=["0.5", "0.4"]), "losses"),
        (lambda state: changed(state, losses=[float("nan")] * 2), "losses"),
        (lambda state: changed(state, losses=[0.5]), "do not fit"),
        (lambda state: changed(state, losses=[0.5] * 9), "do not fit"),
        (lambda state: changed(state, recipe="{}"), "another recipe"),
        (lambda state: changed(state, core_seconds=-1.0), "core_seconds"),
        (lambda state: changed(state, model={}), "do not fit"),
        (no_moments, "do not fit"),
        (lambda state: changed(state, optimizers=[]), "do not fit"),
        (lambda state: changed(state, optimizers=[{}]), "do not fit"),
        (lambda state: first_tensor(state, lambda tensor: tensor.double()), "do not fit"),
        (lambda state: first_tensor(state, lambda tensor: tensor[:1, None]), "do not fit"),
        (lambda state: first_tensor(state, lambda tensor: tensor * float("inf")), "do not fit"),
        (replaced_by_folder, "is a folder"),
        (replaced_by_pipe, "is a pipe"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_name(interrupted, cutouts, tmp_path, capfd, damage, words):
    folder = tmp_path / "model"
    shutil.copytree(interrupted, folder)
    damage(folder / "training_state.pt")
    with pytest.raises(CrosseyedError, match=words) as refusal:
        train.train(RECIPE, folder, progress=False, cutouts=cutouts)
    assert "training_state.pt" in str(refusal.value) and "delete" in str(refusal.value).lower()
    assert "\n" not in str(refusal.value)
    assert "executed" not in capfd.readouterr().out
    assert not (folder / "open_clip_model.safetensors").exists()


@pytest.mark.parametrize("log", [None, "step,loss\n0,9.0\n1,9.0\n2,9.0\n3,9.0\n", "odd\x00", "step,loss\nx"])
def test_losses_are_those_of_the_state_whatever_the_log_says(interrupted, trained, cutouts, tmp_path, log):
    folder = tmp_path / "model"
    shutil.copytree(interrupted, folder)
    if log is not None:
        (folder / "loss.csv").write_text(log)
    train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    assert (folder / "loss.csv").read_bytes() == (trained / "loss.csv").read_bytes()
    for name, value in weights(trained).items():
        assert torch.equal(weights(folder)[name], value), name


def test_a_full_disk_leaves_the_last_save(interrupted, trained, cutouts, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(interrupted, folder)
    before = (folder / "training_state.pt").read_bytes()

    def full(state, file):
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match=r"training_state\.pt.*No space left"),
    ):
        patch.setattr(torch, "save", full)
        train.train(RECIPE, folder, save_every=1, progress=False, cutouts=cutouts)
    assert (folder / "training_state.pt").read_bytes() == before
    train.train(RECIPE, folder, save_every=2, progress=False, cutouts=cutouts)
    for name, value in weights(trained).items():
        assert torch.equal(weights(folder)[name], value), name


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_finished_model_is_left_as_it_is(trained, cutouts):
    before = content(trained)
    assert train.is_finished(RECIPE, trained)
    train.train(RECIPE, trained, progress=False, cutouts=cutouts)
    with pytest.raises(InputError, match="another recipe; give another folder"):
        train.train(replace(RECIPE, seed=7), trained, progress=False, cutouts=cutouts)
    assert content(trained) == before


@pytest.mark.parametrize(
    "name", ["open_clip_model.safetensors", "training_state.pt", "loss.csv", "notes.txt"]
)
def test_a_folder_of_somebody_else_is_refused(cutouts, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=r"[Gg]ive a(nother| new or empty) folder"):
        train.train(RECIPE, tmp_path, progress=False, cutouts=cutouts)
    assert content(tmp_path) == {name: b"mine"}


def test_a_place_that_cannot_be_written_to_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "world_of", lambda _: pytest.fail("computed"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        train.train(RECIPE, tmp_path / "file" / "model", progress=False)


def test_both_recipes_show_the_same_objects_with_the_same_captions(cutouts):
    _, centered = photograph_batch(replace(RECIPE, positions="centered"), cutouts, 3, 50)
    images, uniform = photograph_batch(RECIPE, cutouts, 3, 50)
    again, _ = photograph_batch(RECIPE, cutouts, 3, 50)
    assert centered == uniform
    assert np.array_equal(images, again)
    assert all(name in caption for name, caption in zip(objects_of(cutouts), uniform, strict=True))


def test_learning_rate_warms_up_and_falls_to_zero():
    recipe = replace(RECIPE, steps=102, warmup=2, learning_rate=1.0)
    assert train.learning_rate_at(recipe, 0) == 0.5
    assert train.learning_rate_at(recipe, 2) == 1.0
    assert train.learning_rate_at(recipe, 52) == pytest.approx(0.5)
    assert train.learning_rate_at(recipe, 102) == pytest.approx(0.0)
