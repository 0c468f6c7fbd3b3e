"""Train many small models to find out which pooling, and which habit of photographers, causes the bias.

A trial trains a recipe from scratch and scores it on every object of its world: alone in every cell of the grid, and
beside another object at the center. The trials of an experiment share objects, number of steps, initial weights (by
the seed) and, as far as possible, images. Finished trials are not repeated; interrupted ones continue. The images on
which trials are scored are part of the experiment: they have no jitter (`crosseyed.data.layouts`), as when the kept
models were measured. All towers of the experiments have patches of the same size, so they share the phase.

- ``pooling``: class-token, average, attention and maximum pooling, each on the centered and the uniform recipe; a
  second seed for the class token. It separates the data from the architecture.
- ``origins``: three series, with a second seed at both ends. *Spread*: narrow to uniform, one object, named by the
  caption. *Naming*: the probability that the caption names the most central of up to three objects, at uniform
  positions. *Clutter*: the centered recipe, with captions that name everything or leave clutter out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path

import pandas as pd

from crosseyed.data.cutouts import objects_of
from crosseyed.data.layouts import RELATIONS, grid, pair
from crosseyed.data.photographer import SUBJECT_SPREAD, Dose, Positions
from crosseyed.errors import InputError, check_choice
from crosseyed.files import DATA
from crosseyed.measure import protocols
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load
from crosseyed.provenance import COLUMNS, stamp
from crosseyed.settings import PROTOCOL_VERSION, UNSTATED_VERSION, settings
from crosseyed.tables import read_table, write_table
from crosseyed.training import train
from crosseyed.training.architecture import pool_by_maximum
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

_KEPT = {
    **dict.fromkeys(("protocol", "image", "object", "style"), "text"),
    "row": "number",
    "col": "number",
    "relation": "text",
    "eccentricity": "number",
    "center": "truth",
    "choice": "text",
    "correct": "truth",
}

_SHOWN = [name for name in _KEPT if name not in ("choice", "correct")]

_UNREADABLE = protocols.CHOICES[-1]

_KINDS_OF = {str: "text", int: "whole", float: "number", type(None): "whole"}


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

    Raises
    ------
    InputError
        The table is damaged, cut off or that of another experiment, or its answers do not fit together.
    """
    trials = find_trials(experiment)
    file = Path(path or results_of(experiment))
    if not os.path.lexists(file):
        return None
    advice = f"Make it anew with 'crosseyed experiment {experiment}'."
    table = _read(file, _kinds(trials[0]), advice)
    if fault := _fault(table, trials):
        raise InputError(f"{str(file)!r} {fault}. {advice}")
    return table if protocol is None else table[table["protocol"] == protocol]


def version_note(answers: pd.DataFrame) -> str:
    """Say that answers were measured under another version of the protocol; empty if they were not."""
    version = answers["protocol_version"].iloc[0]
    if version == PROTOCOL_VERSION:
        return ""
    return (
        f"They were measured under version {version} of the protocol, this edition under version {PROTOCOL_VERSION}: "
        "compare them with each other only."
    )


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
        Answers to ``grid`` and ``pair``; also the columns of `Trial.about`, `weights` (digest of the model's weights)
        and those of `crosseyed.provenance.stamp`.

    Raises
    ------
    InputError
        The folder of a trial holds a model of another recipe.
    """
    return pd.concat([_answers(trial, folder, device, progress) for trial in trials], ignore_index=True)


def _answers(trial: Trial, folder: Path, device: str, progress: bool) -> pd.DataFrame:
    folder = folder / trial.name.replace(", ", "_").replace(" ", "-")
    answers = folder / "answers.csv"
    trained = train.is_finished(trial.recipe, folder)
    if not trained:
        train.train(trial.recipe, folder, device=device, save_every=100, progress=progress)
    model = load(f"local-dir:{folder}", device=device)
    table = _read_trial(trial, answers, model.digest) if trained else None
    if table is None:
        write_table(stamp(_measure(trial, model), device), answers)
        table = _read(answers, _kinds(trial))
    return table


def _read_trial(trial: Trial, answers: Path, digest: str) -> pd.DataFrame | None:
    """Read the answers of a trial; None if they have to be made anew.

    They do if they are missing or damaged, or of another model or version of the protocol.
    """
    rows = len(world_of(trial.recipe)) * (settings.grid_size**2 + len(RELATIONS))
    try:
        table = _read(answers, _kinds(trial), rows=rows)
    except InputError:
        return None
    expected = _common(trial) | {"weights": digest, "protocol_version": PROTOCOL_VERSION}
    return None if _differing(table, expected) else table


def _read(file: Path, kinds: dict[str, str], advice: str = "", rows: int | None = None) -> pd.DataFrame:
    table = read_table(file, kinds, advice, rows=rows, absent={"protocol_version": UNSTATED_VERSION})
    # outside a checkout there is no commit, and the digests of the repository's models were not recorded
    return table.astype({"correct": "boolean"}).fillna({"commit": "", "weights": ""})


def _differing(table: pd.DataFrame, expected: dict[str, str | float | None]) -> str | None:
    """Name the first column with another value than the one expected, None standing for any."""
    return next(
        (name for name, value in expected.items() if value is not None and not (table[name] == value).all()),
        None,
    )


def _fault(table: pd.DataFrame, trials: Sequence[Trial]) -> str | None:
    """Say in what a table is not that of the trials, whose models were all asked about the same images."""
    parts = {name: part.sort_values("image") for name, part in table.groupby("model", dropna=False)}
    shown = [part[_SHOWN].reset_index(drop=True) for part in parts.values()]
    whole = all(each["image"].is_unique and each.equals(shown[0]) for each in shown)
    if not whole or set(parts) != {trial.name for trial in trials}:
        return "does not have the answers of all models to all images"
    for trial in trials:
        common = _common(trial)
        if column := _differing(parts[trial.name], common):
            return (
                f"has another {column} for {trial.name!r} than {common[column]!r}, with which it was trained"
            )
    if table["protocol_version"].nunique() > 1:
        return "has answers of several versions of the protocol, which cannot be compared"
    images = shown[0]
    if set(images["protocol"]) != {"grid", "pair"} or not images["eccentricity"].between(0, 1).all():
        return "has other protocols than grid and pair, or eccentricities that are not between 0 and 1"
    if images["object"].isna().any() or images["object"].nunique() != trial.recipe.n_objects:
        return f"is not about {trial.recipe.n_objects} objects"
    alone = images["protocol"] == "grid"
    at_center = (images["eccentricity"] == 0).where(alone, images["relation"] == RELATIONS[0])
    if not at_center.astype("boolean").equals(images["center"].astype("boolean")):
        return "calls images at the center or off-center by mistake"
    return _fault_of_answers(table)


def _fault_of_answers(table: pd.DataFrame) -> str | None:
    """Say which answers cannot be: others than there were, or called right or wrong by mistake."""
    alone, readable = table["protocol"] == "grid", table["choice"] != _UNREADABLE
    possible = table["choice"].isin(table["object"]).where(alone, table["choice"].isin(protocols.CHOICES))
    if not (possible | ~readable).all() or not (alone | table["relation"].isin(RELATIONS)).all():
        return "has answers or relations that there were not to choose from"
    right = table["choice"] == table["object"].where(alone, "both")
    if not right.astype("boolean").where(readable).equals(table["correct"]):
        return "has answers that are called right or wrong by mistake"
    return None


def _common(trial: Trial) -> dict[str, str | float | None]:
    """Return what all answers of a trial have in common, by column."""
    shared = {name: getattr(trial.recipe, name) for name in ("steps", "architecture", "n_objects")}
    return {"model": trial.name, **trial.about, **shared}


def _kinds(trial: Trial) -> dict[str, str]:
    common = {name: _KINDS_OF[type(value)] for name, value in _common(trial).items()}
    return _KEPT | common | dict.fromkeys(("weights", *COLUMNS), "text") | {"protocol_version": "whole"}


def _measure(trial: Trial, model: ClipModel) -> pd.DataFrame:
    if trial.recipe.pooling == "max":
        pool_by_maximum(model.clip.visual)
    world, side = world_of(trial.recipe), model.image_size[0]
    fixed = {"jitter": 0, "seed": 1, "height": side, "width": side}
    alone = grid(world, settings.grid_size, **fixed)
    together = [scene for relation in RELATIONS for scene in pair(world, relation, **fixed)]
    pairs = protocols.pair(model, together).rename(columns={"together": "center"})
    table = pd.concat([protocols.grid(model, alone, objects_of(world)), pairs], ignore_index=True)
    about = _common(trial) | {"weights": model.digest, "protocol_version": PROTOCOL_VERSION}
    return table[list(_KEPT)].assign(**about)
