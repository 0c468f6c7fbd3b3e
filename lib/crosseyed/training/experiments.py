"""Train many small models to find out which pooling, and which habit of photographers, causes the bias.

A trial trains a recipe from scratch and scores it on every object of its world: alone in every cell of the grid, and
beside another object at the center. The trials of an experiment share objects, number of steps, initial weights (by
the seed) and, as far as possible, images. Finished trials are not repeated; interrupted ones continue.

- ``pooling``: class-token, average, attention and maximum pooling, each on the centered and the uniform recipe; a
  second seed for the class token. It separates the data from the architecture.
- ``origins``: three series, with a second seed at both ends. *Spread*: narrow to uniform, one object, named by the
  caption. *Naming*: the probability that the caption names the most central of up to three objects, at uniform
  positions. *Clutter*: the centered recipe, with captions that name everything or leave clutter out.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path

import pandas as pd

from crosseyed.data.cutouts import objects_of
from crosseyed.data.layouts import RELATIONS, grid, pair
from crosseyed.data.photographer import SUBJECT_SPREAD, Dose, Positions
from crosseyed.errors import InputError, check_choice
from crosseyed.files import DATA, atomic_write
from crosseyed.measure import protocols
from crosseyed.models.loading import load
from crosseyed.provenance import stamp
from crosseyed.settings import settings
from crosseyed.tables import write_table
from crosseyed.training import train
from crosseyed.training.architecture import WEIGHTS, pool_by_maximum
from crosseyed.training.recipes import POOLINGS, RECIPES, Recipe, world_of

SPREADS = (0.03, 0.08, 0.15, 0.25, inf)

_SPREAD_ENDS = (SPREADS[0], SUBJECT_SPREAD, SPREADS[-1])

NAMING_PROBABILITIES = (0.0, 0.25, 0.5, 0.75, 1.0)

POOLING_RECIPE = Recipe(
    "centered", architecture="small", n_objects=64, steps=1000, learning_rate=1.5e-3, warmup=60
)

"""What all trials of the experiment ``pooling`` have in common."""

ORIGINS_RECIPE = replace(POOLING_RECIPE, n_objects=32, steps=1600)

"""What all trials of the experiment ``origins`` have in common."""

# "inf" is a spread and an empty commit is a value; only row, column and relation can be missing.
_NO_VALUE = {"row": [""], "col": [""], "relation": [""]}

_KEPT = ["protocol", "image", "object", "style", "row", "col", "relation"]
_KEPT += ["eccentricity", "center", "choice", "correct"]


@dataclass(frozen=True)
class Trial:
    """One model of an experiment.

    Attributes
    ----------
    name : str
        Unique within the experiment; column `model` of its table.
    recipe : Recipe
        How it is trained.
    about : dict
        How it differs from the other trials: further columns of the table.
    """

    name: str
    recipe: Recipe
    about: dict[str, str | float] = field(default_factory=dict)


def pooling_trials() -> list[Trial]:
    """List the trials of ``pooling``; columns `pooling`, `positions`, `seed`."""
    wanted = [(pooling, positions, 0) for pooling in POOLINGS for positions in RECIPES]
    wanted += [("class token", positions, 1) for positions in RECIPES]
    return [
        Trial(
            f"{pooling}, {positions}, seed {seed}",
            replace(POOLING_RECIPE, positions=positions, pooling=pooling, seed=seed),
            {"pooling": pooling, "positions": positions, "seed": seed},
        )
        for pooling, positions, seed in wanted
    ]


def origins_trials() -> list[Trial]:
    """List the trials of ``origins``; columns `varied`, `spread`, `central_naming_probability`, `seed`."""
    series = [("spread", Dose(spread=each), each, 0.0) for each in SPREADS]
    series += [
        ("naming", Dose(central_naming_probability=each, n_objects=3), inf, each)
        for each in NAMING_PROBABILITIES
    ]
    series += [
        ("clutter", "centered, all named", SUBJECT_SPREAD, 0.0),
        ("clutter", "centered", SUBJECT_SPREAD, 1.0),
    ]
    ends = [each for each in series if each[2] in _SPREAD_ENDS and each[3] in (0.0, 1.0)]
    return [_origins_trial(*each, seed) for seed, part in enumerate((series, ends)) for each in part]


def _origins_trial(
    varied: str, positions: Positions | Dose, spread: float, probability: float, seed: int
) -> Trial:
    dose = spread if varied == "spread" else probability
    recipe = replace(ORIGINS_RECIPE, positions=positions, seed=seed)
    about = {"varied": varied, "spread": spread, "central_naming_probability": probability, "seed": seed}
    return Trial(f"{varied} {dose:g}, seed {seed}", recipe, about)


EXPERIMENTS = {"pooling": pooling_trials, "origins": origins_trials}


def find_trials(experiment: str) -> list[Trial]:
    """Return the trials of an experiment; raise InputError for an unknown name."""
    check_choice("experiment", experiment, EXPERIMENTS)
    return EXPERIMENTS[experiment]()


def results_of(experiment: str) -> Path:
    """Return the path of the repository's table of answers of an experiment."""
    return DATA / "results" / f"{experiment}.csv.gz"


def read_answers(
    experiment: str, path: str | os.PathLike | None = None, *, protocol: str | None = None
) -> pd.DataFrame | None:
    """Read the answers of the models of an experiment; None if there is no such file.

    Parameters
    ----------
    experiment : str
        Its name.
    path, protocol : str, optional
        The table, by default the repository's; the only protocol to keep, by default all.

    Returns
    -------
    pandas.DataFrame or None
        As `run` returned it.
    """
    file = Path(path or results_of(experiment))
    if not file.is_file():
        return None
    table = pd.read_csv(file, dtype={"correct": "boolean"})
    return table if protocol is None else table[table["protocol"] == protocol]


def run(trials: Sequence[Trial], folder: Path, *, device: str = "cpu", progress: bool = True) -> pd.DataFrame:
    """Train and measure the models of an experiment, except those that are done.

    Parameters
    ----------
    trials : sequence of Trial
        The experiment.
    folder : path
        Holds a folder for each trial, with its model, its recipe and its answers.
    device : {"cpu", "cuda", "mps"}
    progress : bool
        Show a progress bar for each training.

    Returns
    -------
    pandas.DataFrame
        Answers to ``grid`` and ``pair``; also the columns of `Trial.about` and `crosseyed.provenance.stamp`.

    Raises
    ------
    InputError
        The folder of a trial holds a model of another recipe.
    """
    return pd.concat([_answers(trial, folder, device, progress) for trial in trials], ignore_index=True)


def _answers(trial: Trial, folder: Path, device: str, progress: bool) -> pd.DataFrame:
    folder = folder / trial.name.replace(", ", "_").replace(" ", "-")
    answers, recipe = folder / "answers.csv", folder / "recipe.json"
    description = json.dumps(asdict(trial.recipe), indent=2)
    if recipe.exists() and recipe.read_text() != description:
        raise InputError(f"{folder} holds a model of another recipe; delete the folder or give another one.")
    if not answers.exists():
        with atomic_write(recipe) as temporary:
            temporary.write_text(description)
        if not (folder / WEIGHTS).exists():
            train.train(trial.recipe, folder, device=device, save_every=100, progress=progress)
        write_table(stamp(_measure(trial, folder, device), device), answers)
    return pd.read_csv(
        answers, dtype={"correct": "boolean", "commit": str}, keep_default_na=False, na_values=_NO_VALUE
    )


def _measure(trial: Trial, folder: Path, device: str) -> pd.DataFrame:
    model = load(f"local-dir:{folder}", device=device)
    if trial.recipe.pooling == "max":
        pool_by_maximum(model.clip.visual)
    world, side = world_of(trial.recipe), model.image_size[0]
    alone = grid(world, settings.grid_size, seed=1, height=side, width=side)
    together = [
        scene for relation in RELATIONS for scene in pair(world, relation, seed=1, height=side, width=side)
    ]
    answers = [protocols.grid(model, alone, objects_of(world)), protocols.pair(model, together)]
    table = pd.concat(answers, ignore_index=True)
    shared = {name: getattr(trial.recipe, name) for name in ("steps", "architecture", "n_objects")}
    return table[_KEPT].assign(model=trial.name, **trial.about, **shared)
