"""The verdict of the chapter on the origins of the bias."""

import pandas as pd

from crosseyed.report.verdicts.words import span
from crosseyed.training import habits


def summary(contrasts: pd.DataFrame, bias: pd.DataFrame, chance: float) -> str:
    """Say which habit makes a bias, by how much, and how far this can be generalised.

    Parameters
    ----------
    contrasts : pandas.DataFrame
        Of `crosseyed.training.habits.contrasts`.
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `habit`, dose and seed.
    chance : float
        Accuracy of a guess in percent.
    """
    found = [
        f"- **{habit.capitalize()}**, from the weakest dose to the strongest, changes {_changes(rows, 'gap')} and "
        f"{_changes(rows, 'preference')} (one number for each seed, with its interval)."
        for habit, rows in contrasts.groupby("habit", sort=False)
    ]
    return "\n".join([f"**{habits.verdict(contrasts)}**\n", *found, "", _limits(contrasts, bias, chance)])


def _changes(rows: pd.DataFrame, measure: str) -> str:
    each = [f"{row[measure]:+.1f} ({span(row, measure)})" for _, row in rows.iterrows()]
    return f"{habits.MEASURES[measure]} by {' and '.join(each)} points"


def _limits(contrasts: pd.DataFrame, bias: pd.DataFrame, chance: float) -> str:
    learned = [
        f"{rows.min():.0f} to {rows.max():.0f} % ({habit})"
        for habit, rows in bias.groupby("habit")["center_accuracy"]
    ]
    limits = (
        f"Limits: at the center the models name {', '.join(learned)} of single objects (chance: {chance:.0f} %). "
        "No gap can be larger than that."
    )
    general = "What holds for small models and drawn objects may not hold for others."
    if contrasts.empty:
        return f"{limits} {general}"
    half = {
        name: (contrasts[f"{name}_high"] - contrasts[f"{name}_low"]).mean() / 2 for name in habits.MEASURES
    }
    seeds = contrasts.groupby("habit")["seed"].nunique()
    return (
        f"{limits} Changes of the gap by less than about {half['gap']:.0f} points, or of the preference by less than "
        f"{half['preference']:.0f}, cannot be told from chance. Seeds at both ends of a series: {seeds.min()}, too few "
        f"to say how much initial weights matter. {general}"
    )
