"""Read from the experiment ``origins`` whether placement makes the bias, or what captions name.

Two habits of photographers could teach a model to prefer the center. *Placement*: what a caption names stands near the
center. *Selective naming*: what stands near the border is in no caption. Two measures show what was learned:

- the center-bias gap (`crosseyed.measure.bootstrap.center_bias`) for one object: can the model name it everywhere?
- the preference for the center, where one object stands at the center and another at the border: which does it name?

Selective naming teaches what to ignore, and only in images that show something else to name; so it should show in
the second measure.

In photographs the two come together: the subject stands in the middle, and clutter at the border goes unnamed. So a
third series takes the images of the centered recipe and varies only whether captions leave that clutter out.
"""

import itertools
import os
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import named_in, take
from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, crossed
from crosseyed.measure.checks import EstimateWarning
from crosseyed.measure.dyadic import OBJECTS
from crosseyed.measure.multiplicity import correct
from crosseyed.settings import SIGNIFICANCE
from crosseyed.training.experiments import Trial, read_answers
from crosseyed.training.recipes import world_of

HABITS = {"spread": "placement", "naming": "selective naming", "clutter": "unnamed clutter"}

"""The column of a habit's dose in the table of the experiment, and its name."""

MEASURES = {"gap": "the center-bias gap", "preference": "the preference for the center"}

"""Measures of bias, both in percentage points, and their names."""

LEAST_SEEDS = 5
"""An effect is decided from this many training seeds at both of its doses on: with three, intervals are wide."""

_SCORES = {"object2": 100.0, "object": -100.0, "both": 0.0, "other": 0.0}


def examples(
    trials: Sequence[Trial], *, numbers: Sequence[int] = (1, 2), seed: int = 0, side: int = 160
) -> tuple[list[np.ndarray], list[str]]:
    """Draw training images of the weakest and the strongest dose of each habit.

    Parameters
    ----------
    trials : sequence of Trial
        Of one seed, in order of dose.
    numbers : sequence of int
        Which objects are shown.
    seed : int
        Seed of the images.
    side : int
        Side of an image in pixels.

    Returns
    -------
    images : list of uint8 (side, side, 3)
    captions : list of str
        Name of the trial and the caption of the image.
    """
    images, captions = [], []
    for habit in HABITS:
        series = [trial for trial in trials if trial.about["varied"] == habit]
        if habit == "spread":  # the narrowest spread is the strongest habit
            series.reverse()
        for trial, number in itertools.product((series[0], series[-1]), numbers):
            world, rng = world_of(trial.recipe), np.random.default_rng([seed, number])
            scene, caption = take(world, objects_of(world)[number], trial.recipe.positions, rng, side=side)
            images.append(scene.render())
            captions.append(f"{trial.name.split(',')[0].replace('inf', 'uniform')}: “{caption}”")
    return images, captions


def sample_positions(trials: Sequence[Trial], n_images: int, seed: int = 0) -> pd.DataFrame:
    """Draw images as for the training of some models, and say where objects stand in them.

    Parameters
    ----------
    trials : sequence of Trial
        From `crosseyed.training.experiments.origins_trials`.
    n_images : int
        Images for each trial.
    seed : int
        Seed of the images, the same for every trial.

    Returns
    -------
    pandas.DataFrame
        One row per object: the columns of `Trial.about`; `x` and `y`, its center as fractions of the side; `named`,
        whether the caption names it.
    """
    rows = []
    for trial in trials:
        world = world_of(trial.recipe)
        names = objects_of(world)
        rng = np.random.default_rng(seed)
        for number in range(n_images):
            subject = names[number % len(names)]
            scene, caption = take(world, subject, trial.recipe.positions, rng, side=64)
            named = named_in(caption)
            rows += [
                {**trial.about, "x": placed.x, "y": placed.y, "named": placed.cutout.object in named}
                for placed in scene.placements
            ]
    return pd.DataFrame(rows)


def read(path: str | os.PathLike) -> pd.DataFrame:
    """Read the table of the experiment ``origins``, with names for habits and doses (`doses`).

    Raises
    ------
    InputError
        There is no such file, or it is the table of another experiment.
    """
    answers = read_answers("origins", path)
    if answers is None:
        raise InputError(f"{path} is missing; `crosseyed experiment origins` makes it.")
    return doses(answers)


def doses(answers: pd.DataFrame) -> pd.DataFrame:
    """Name the habit and the dose of every answer.

    Parameters
    ----------
    answers : pandas.DataFrame
        The table of the experiment ``origins`` (`crosseyed.training.experiments.run`).

    Returns
    -------
    pandas.DataFrame
        The rows with the columns `habit` (one of `HABITS`) and `dose` (a word or number, as text),
        sorted by habit, from the weakest dose to the strongest, and by seed.

    Raises
    ------
    InputError
        A column is missing, or a row varies something else.
    """
    missing = sorted({"varied", "spread", "central_naming_probability", "seed"} - set(answers))
    if missing or not set(answers["varied"]) <= set(HABITS):
        raise InputError(
            f"The table is not that of the experiment origins: it lacks {', '.join(missing) or 'no column'} and varies "
            f"{', '.join(map(str, answers.get('varied', pd.Series(dtype=str)).unique())) or 'nothing'}. "
            "`crosseyed experiment origins` makes it."
        )
    of_spread = answers["varied"] == "spread"
    # a narrower spread is a stronger habit
    strength = answers["central_naming_probability"].where(~of_spread, -answers["spread"])
    dose = answers["central_naming_probability"].where(~of_spread, answers["spread"])
    named = answers.assign(
        habit=answers["varied"].map(HABITS),
        dose=[f"{each:g}".replace("inf", "uniform") for each in dose],
        strength=strength,
    )
    return named.sort_values(["habit", "strength", "seed"], kind="stable", ignore_index=True)


def preferences(answers: pd.DataFrame) -> pd.DataFrame:
    """Score which of two objects a model names, the first or the second.

    Parameters
    ----------
    answers : pandas.DataFrame
        Answers to the protocol ``pair``, perhaps among others; with the columns `protocol`, `relation`, `choice`.

    Returns
    -------
    pandas.DataFrame
        The rows of ``pair`` with two more columns. `border` says whether the first object stands at the border, which
        it does in all relations but *on*; the second one never does. `preference` is 100 if the caption of the second
        object alone wins, -100 for that of the first alone, 0 for both or neither, NaN for an unreadable image. Its
        mean is a difference of shares in percentage points: where `border` is true, the preference for the center;
        elsewhere nothing should be preferred.
    """
    pairs = answers[answers["protocol"] == "pair"]
    score = pairs["choice"].map(_SCORES).astype(float)
    return pairs.assign(border=pairs["relation"] != "on", preference=score)


def contrasts(answers: pd.DataFrame, *, resamples: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Compare the strongest dose of each habit with its weakest, on the same images.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `doses`.
    resamples, seed
        See `crosseyed.measure.bootstrap`.

    Returns
    -------
    pandas.DataFrame
        One row for each habit and seed of training that has models at both ends: `habit`, `seed`, `strongest`,
        `weakest` (doses); for each of `MEASURES` the strongest minus the weakest, in percentage points, with the
        ends of its interval in columns ending in ``_low`` and ``_high``; `n_objects`; `confidence`.
    """
    measured = [f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")]
    columns = ["habit", "seed", "strongest", "weakest", *measured, "n_objects", "confidence"]
    rows = []
    for _, of_habit in answers.groupby("habit"):
        ends = of_habit["dose"].iloc[-1], of_habit["dose"].iloc[0]
        for _, part in of_habit.groupby("seed"):
            if ends[0] != ends[1] and set(ends) <= set(part["dose"]):
                rows.append(_contrast(part, ends, resamples, seed))
    return pd.DataFrame(rows, columns=columns)


def effects(answers: pd.DataFrame) -> pd.DataFrame:
    """Compare every dose of each habit with its weakest, over training seeds and objects.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `doses`.

    Returns
    -------
    pandas.DataFrame
        One row for each habit, measure (of `MEASURES`) and dose that was trained with a seed of the weakest,
        strongest dose last: `habit`, `measure`, `dose`, `weakest`, `strongest` (whether the dose is); `change`, the
        dose minus the weakest in percentage points, with `low`, `high`, `p_value`, `least`, `most`, `n_seeds`,
        `n_objects`, `confidence` as of `crosseyed.measure.crossed.mean`; `p_corrected`, of the strongest doses, by
        Holm's method. With one seed there is no interval, and no p-value.
    """
    rows = []
    for habit, of_habit in answers.groupby("habit"):
        weakest, *others = of_habit["dose"].unique()
        for measure in MEASURES:
            for dose in others:
                changes = _changes(of_habit, measure, dose, weakest)
                if len(changes):
                    about = {
                        "habit": habit,
                        "dose": dose,
                        "weakest": weakest,
                        "strongest": dose == others[-1],
                    }
                    rows.append(_effect(changes, measure) | about)
    table = pd.DataFrame(rows, columns=_EFFECT)
    return table.assign(p_corrected=correct(table["p_value"].where(table["strongest"].astype(bool))))


def effect(effects: pd.DataFrame, habit: str, measure: str) -> str:
    """Say what the strongest dose of a habit does to a measure.

    Parameters
    ----------
    effects : pandas.DataFrame
        From `effects`.
    habit, measure : str
        One of `HABITS` and one of `MEASURES`.

    Returns
    -------
    {"raises", "lowers", "nothing certain", "not decided", "not measured"}
        ``"raises"`` and ``"lowers"``: the corrected p-value is below `crosseyed.settings.SIGNIFICANCE`; ``"not
        decided"``: there are fewer than `LEAST_SEEDS` seeds; ``"not measured"``: there is none with both doses.
    """
    row = strongest(effects, habit, measure)
    if row is None:
        return "not measured"
    if row["n_seeds"] < LEAST_SEEDS:
        return "not decided"
    if not row["p_corrected"] < SIGNIFICANCE:
        return "nothing certain"
    return "raises" if row["change"] > 0 else "lowers"


def strongest(effects: pd.DataFrame, habit: str, measure: str) -> pd.Series | None:
    """Return the row of the strongest dose of a habit for a measure; None if it was not measured."""
    rows = effects[(effects["habit"] == habit) & (effects["measure"] == measure)]
    rows = rows[rows["strongest"].astype(bool)]
    return None if rows.empty else rows.iloc[0]


def verdict(effects: pd.DataFrame) -> str:
    """Say in one sentence which of the habits makes the bias: raises one of `MEASURES` (`effect`).

    Parameters
    ----------
    effects : pandas.DataFrame
        From `effects`.
    """
    found = {habit: [effect(effects, habit, each) for each in MEASURES] for habit in HABITS.values()}
    open_ = [habit for habit, of_habit in found.items() if "not measured" in of_habit]
    if open_:
        return f"The question is open: the models at both ends of {' and of '.join(open_)} are not there yet."
    open_ = [habit for habit, of_habit in found.items() if "not decided" in of_habit]
    if open_:
        return (
            f"Not decided for {' and '.join(open_)}: models that were trained alike differ, and an effect is decided "
            f"from {LEAST_SEEDS} training seeds at both doses on."
        )
    makers = [habit for habit, of_habit in found.items() if "raises" in of_habit]
    said = {habit: _said(habit, of_habit) for habit, of_habit in found.items()}
    if not makers:
        return "No habit raises either measure with certainty in these models."
    others = " and ".join(said[habit] for habit in found if habit not in makers)
    rest = f", while {others}" if others else ""
    return f"What makes a bias is {' and '.join(makers)}: {', '.join(said[habit] for habit in makers)}{rest}."


def _said(habit: str, effects: list[str]) -> str:
    raised = [name for name, found in zip(MEASURES.values(), effects, strict=True) if found == "raises"]
    if raised:
        return f"{habit} raises {' and '.join(raised)}"
    return f"{habit} raises neither measure with certainty"


_EFFECT = ["habit", "measure", "dose", "weakest", "strongest", "change", "low", "high", "p_value"]
_EFFECT += ["least", "most", "n_seeds", "n_objects", "confidence"]


def _changes(of_habit: pd.DataFrame, measure: str, dose: str, weakest: str) -> pd.DataFrame:
    """Return by how much each image counts more with a dose than with the weakest, for the seeds that have both."""
    if measure == "gap":
        rows = of_habit[of_habit["protocol"] == "grid"]
        center = rows["center"].astype(bool)
        # the weights make the mean over all images the gap
        weight = np.where(center, len(rows) / center.sum(), -len(rows) / (~center).sum())
        rows = rows.assign(value=100 * rows["correct"].astype(float) * weight)
    else:
        rows = preferences(of_habit)
        rows = _with_both_objects(rows[rows["border"]]).assign(value=lambda table: table["preference"])
    seeds = set(rows.loc[rows["dose"] == dose, "seed"]) & set(rows.loc[rows["dose"] == weakest, "seed"])
    rows = rows[rows["seed"].isin(seeds) & rows["dose"].isin([dose, weakest])]
    keys = [name for name in ("seed", "image", *OBJECTS) if name in rows]
    wide = rows.pivot(index=keys, columns="dose", values="value")
    return wide.reset_index().assign(change=lambda table: table[dose] - table[weakest]) if len(wide) else wide


def _with_both_objects(pairs: pd.DataFrame) -> pd.DataFrame:
    """Name both objects of each image of two, which its name holds: the kept table has no column of the second."""
    rows = zip(pairs["image"], pairs["relation"], pairs["style"], strict=True)
    both = [image.removesuffix(f"_{style}").split(f"_{relation}_", 1) for image, relation, style in rows]
    return pairs.assign(**dict(zip(OBJECTS, zip(*both, strict=True), strict=True))) if both else pairs


def _effect(changes: pd.DataFrame, measure: str) -> dict[str, object]:
    """Return the numbers of a row of `effects`."""
    objects = OBJECTS if measure == "preference" else OBJECTS[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimateWarning)  # one seed is expected between the ends, and said
        row = crossed.mean(changes, "change", objects=objects).iloc[0].to_dict()
    return row | {"measure": measure, "change": row["mean"]}


def _contrast(part: pd.DataFrame, ends: tuple[str, str], resamples: int | None, seed: int) -> list[object]:
    """Return a row of `contrasts`; `ends` are the strongest and the weakest dose."""
    draws = {"resamples": resamples, "seed": seed}
    alone = part[part["protocol"] == "grid"]
    gap = bootstrap.paired_difference(alone, "dose", ends, quantity="gap", **draws)
    pairs = preferences(part)
    wide = pairs[pairs["border"]].pivot(index=["object", "image"], columns="dose", values="preference")
    change = (wide[ends[0]] - wide[ends[1]]).rename("change").reset_index()
    preference = bootstrap.mean(change, "change", **draws)
    numbers = [*gap[["difference", "low", "high"]].iloc[0], *preference[["mean", "low", "high"]].iloc[0]]
    shared = [gap["n_objects"].item(), gap["confidence"].item()]
    return [part["habit"].iloc[0], part["seed"].iloc[0], *ends, *numbers, *shared]
