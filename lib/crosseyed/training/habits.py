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
from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import named_in, take
from crosseyed.errors import InputError
from crosseyed.measure import bootstrap
from crosseyed.training.experiments import Trial, read_answers
from crosseyed.training.recipes import world_of

HABITS = {"spread": "placement", "naming": "selective naming", "clutter": "unnamed clutter"}

"""The column of a habit's dose in the table of the experiment, and its name."""

MEASURES = {"gap": "the center-bias gap", "preference": "the preference for the center"}

"""Measures of bias, both in percentage points, and their names."""

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


def effect(contrasts: pd.DataFrame, habit: str, measure: str) -> str:
    """Say what a habit does to a measure, by the intervals of all its seeds.

    Parameters
    ----------
    contrasts : pandas.DataFrame
        From `contrasts`.
    habit, measure : str
        One of `HABITS` and one of `MEASURES`.

    Returns
    -------
    {"raises", "lowers", "nothing certain", "seeds differ", "not measured"}
        ``"raises"`` and ``"lowers"``: the intervals of all seeds lie on that side of zero; ``"nothing certain"``: all
        of them contain zero; ``"seeds differ"``: neither; ``"not measured"``: there is no seed with both ends.
    """
    rows = contrasts[contrasts["habit"] == habit]
    above, below = rows[f"{measure}_low"] > 0, rows[f"{measure}_high"] < 0
    if rows.empty:
        return "not measured"
    if above.all() or below.all():
        return "raises" if above.all() else "lowers"
    return "seeds differ" if (above | below).any() else "nothing certain"


def verdict(contrasts: pd.DataFrame) -> str:
    """Say in one sentence which of the habits makes the bias: raises one of `MEASURES` in all of its seeds (`effect`).

    Parameters
    ----------
    contrasts : pandas.DataFrame
        From `contrasts`.
    """
    effects = {habit: [effect(contrasts, habit, each) for each in MEASURES] for habit in HABITS.values()}
    open_ = [habit for habit, found in effects.items() if "not measured" in found]
    if open_:
        return f"The question is open: the models at both ends of {' and of '.join(open_)} are not there yet."
    makers = [habit for habit, found in effects.items() if "raises" in found]
    said = {habit: _said(habit, found) for habit, found in effects.items()}
    if not makers:
        return "No habit raises either measure with certainty in these models."
    others = " and ".join(said[habit] for habit in effects if habit not in makers)
    rest = f", while {others}" if others else ""
    return f"What makes a bias is {' and '.join(makers)}: {', '.join(said[habit] for habit in makers)}{rest}."


def _said(habit: str, effects: list[str]) -> str:
    raised = [name for name, found in zip(MEASURES.values(), effects, strict=True) if found == "raises"]
    if raised:
        return f"{habit} raises {' and '.join(raised)}"
    if "seeds differ" in effects:
        return f"for {habit} the seeds differ"
    return f"{habit} raises neither measure with certainty"


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
