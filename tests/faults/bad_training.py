"""Bad recipes, and folders and states that a training cannot go on from."""

import functools
import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from faults.cases import Case

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.errors import CheckpointError, CrosseyedError
from crosseyed.training import train
from crosseyed.training.experiments import find_trials
from crosseyed.training.model_card import check_folder
from crosseyed.training.recipes import Recipe, find_recipe

RECIPE = Recipe("uniform", architecture="small", steps=4, warmup=2)
STATE = "training_state.pt"


@functools.cache
def cutouts():
    """Return the cut-outs of five objects."""
    names = objects_of(read_catalogue(("fluent",)))[:5]
    return [cutout for cutout in read_catalogue(("fluent",)) if cutout.object in names]


@functools.cache
def interrupted():
    """Return the content of the files of a training that was stopped after two of four steps."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_write_losses", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train.train(RECIPE, Path(folder) / "m", save_every=2, progress=False, cutouts=cutouts())
        return {path.name: path.read_bytes() for path in Path(folder, "m").iterdir()}


def trained(folder, recipe=RECIPE):
    """Return the call that trains into a folder."""
    return partial(train.train, recipe, folder, progress=False, cutouts=cutouts())


def recipe(**change):
    """Prepare a recipe with other values."""
    return lambda folder: partial(replace, RECIPE, **change)


RECIPES_ = [
    Case("recipes", name, prepare, words)
    for name, prepare, words in [
        ("misspelt", lambda folder: partial(find_recipe, "unifrom"), ("did you mean 'uniform'",)),
        ("of no experiment", lambda folder: partial(find_trials, "poling"), ("did you mean 'pooling'",)),
        ("unknown positions", recipe(positions="centred"), ("did you mean 'centered'",)),
        ("an unknown pooling", recipe(pooling="averge"), ("did you mean 'average'",)),
        ("an unknown architecture", recipe(architecture="tiny"), ("architecture", "tiny")),
        ("no steps", recipe(steps=0), ("steps", "0")),
        ("half a step", recipe(steps=2.5), ("steps", "2.5")),
        ("steps of words", recipe(steps="many"), ("steps", "many")),
        ("a negative warm-up", recipe(warmup=-1), ("warmup", "-1")),
        ("a seed too large", recipe(seed=2**32), ("seed", str(2**32))),
        ("a rate of NaN", recipe(learning_rate=float("nan")), ("learning_rate", "nan")),
        ("an infinite decay", recipe(weight_decay=float("inf")), ("weight_decay", "inf")),
        ("no objects", lambda folder: partial(Recipe, "centered", n_objects=0), ("n_objects", "0")),
    ]
]


def stopped(damage):
    """Prepare a training that was stopped, whose state is damaged."""

    def prepare(folder):
        (folder / "model").mkdir()
        for name, content in interrupted().items():
            (folder / "model" / name).write_bytes(content)
        damage(folder / "model" / STATE)
        return trained(folder / "model")

    return prepare


def restated(**values):
    """Return a function that changes entries of a state."""
    return lambda state: torch.save({**torch.load(state), **values}, state)


def instead(make):
    """Return a function that puts something else in the place of a state."""

    def damage(state):
        state.unlink()
        make(state)

    return damage


class Code:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        """Give the call that unpickling makes."""
        return os.mkdir, ("it ran",)


STATES = [
    Case("states of trainings", name, stopped(damage), (STATE, "delete", *words), error)
    for name, damage, words, error in [
        ("cut", lambda state: state.write_bytes(state.read_bytes()[:1000]), ("damaged",), CheckpointError),
        ("empty", lambda state: state.write_bytes(b""), ("damaged",), CheckpointError),
        ("code", lambda state: torch.save(Code(), state), (), CheckpointError),
        ("a list", lambda state: torch.save([1], state), (), CheckpointError),
        ("of another recipe", restated(recipe="{}"), ("another recipe",), CheckpointError),
        ("losses of words", restated(losses=["a", "b"]), ("losses",), CheckpointError),
        ("losses of NaN", restated(losses=[float("nan")] * 2), ("losses",), CheckpointError),
        ("more steps than there are", restated(losses=[0.5] * 9), (), CheckpointError),
        ("no weights", restated(model={}), (), CheckpointError),
        ("no moments", restated(optimizer={}), (), CheckpointError),
        ("a folder", instead(lambda state: state.mkdir()), ("is a folder",), CrosseyedError),
        ("a pipe", instead(os.mkfifo), ("is a pipe",), CrosseyedError),
    ]
]


def holding(**files):
    """Prepare a folder of somebody else into which a model is to be trained."""

    def prepare(folder):
        (folder / "model").mkdir()
        for name, content in files.items():
            (folder / "model" / name.replace("__", ".")).write_text(content)
        return trained(folder / "model")

    return prepare


def carded(*files):
    """Prepare a folder of which a model card is to be written."""

    def prepare(folder):
        for name in files:
            (folder / name).write_text("mine")
        return partial(check_folder, folder, RECIPE)

    return prepare


FOLDERS = [
    Case("folders of trainings", name, prepare, words)
    for name, prepare, words in [
        ("with weights", holding(open_clip_model__safetensors="mine"), ("give another folder",)),
        ("with a state", holding(training_state__pt="mine"), ("give another folder",)),
        ("with notes", holding(notes__txt="mine"), ("did not make",)),
        (
            "with another recipe",
            holding(recipe__json="{}", open_clip_model__safetensors="x"),
            ("another recipe",),
        ),
        (
            "below a file",
            lambda folder: ((folder / "a").touch(), trained(folder / "a" / "model"))[1],
            ("Cannot write",),
        ),
        ("without a model", carded(), ("open_clip_model.safetensors",)),
        (
            "without a card of ours",
            carded("open_clip_model.safetensors", "README.md"),
            ("README.md", "not a model card"),
        ),
        (
            "that is not there",
            lambda folder: partial(check_folder, folder / "model", RECIPE),
            ("There is no",),
        ),
    ]
]

CASES = RECIPES_ + STATES + FOLDERS
