"""The verdict of the chapter on the origins of the bias."""

import pandas as pd

from crosseyed.report.verdicts.words import p_text, span
from crosseyed.training import habits


def summary(effects: pd.DataFrame, bias: pd.DataFrame, chance: float) -> str:
    """Say which habit makes a bias, by how much, and how far this can be generalised.

    Parameters
    ----------
    effects : pandas.DataFrame
        Of `crosseyed.training.habits.effects`.
    bias : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.center_bias` by `habit`, dose and seed.
    chance : float
        Accuracy of a guess in percent.
    """
    found = [
        f"- **{habit.capitalize()}**, from the weakest dose to the strongest, changes "
        f"{' and '.join(_change(rows, measure) for measure in habits.MEASURES)}.{_weaker(rows)}"
        for habit, rows in effects.groupby("habit", sort=False)
    ]
    return "\n".join([f"**{habits.verdict(effects)}**\n", *found, "", _limits(bias, chance)])


def _change(rows: pd.DataFrame, measure: str) -> str:
    name, row = habits.MEASURES[measure], habits.strongest(rows, rows["habit"].iloc[0], measure)
    if row is None:
        return f"{name} by what is not measured yet"
    change = f"{row['change']:+.1f} points"
    if row["n_seeds"] == 1:
        return f"{name} by {change} (one seed, so no interval)"
    return (
        f"{name} by {change} ({span(row)}, corrected {p_text(row['p_corrected'])}; the {row['n_seeds']:.0f} seeds: "
        f"{row['least']:+.1f} to {row['most']:+.1f})"
    )


def _weaker(rows: pd.DataFrame) -> str:
    """Say what doses between the weakest and the strongest change at most, where there are any."""
    weaker = rows[(rows["measure"] == "gap") & ~rows["strongest"].astype(bool)]
    if weaker.empty:
        return ""
    most = weaker.loc[weaker["change"].abs().idxmax()]
    seeds = "one seed" if weaker["n_seeds"].max() == 1 else f"up to {weaker['n_seeds'].max():.0f} seeds"
    return (
        f" Doses between them ({', '.join(weaker['dose'])}; {seeds}) change the gap by at most {most['change']:+.1f} "
        f"points, at {most['dose']}."
    )


def _limits(bias: pd.DataFrame, chance: float) -> str:
    learned = [
        f"{rows.min():.0f} to {rows.max():.0f} % ({habit})"
        for habit, rows in bias.groupby("habit")["center_accuracy"]
    ]
    limits = (
        f"Limits: at the center the models name {', '.join(learned)} of single objects (chance: {chance:.0f} %). "
        "No gap can be larger than that."
    )
    alike = bias.groupby(["habit", "dose"])["center_accuracy"].agg(["min", "max", "count"])
    alike = (alike["max"] - alike["min"])[alike["count"] > 1]
    apart = (
        f" Models that differ in their seed alone differ at the center by up to {alike.max():.0f} points, "
        "so the intervals above take the seed as a second sample, beside the objects."
        if len(alike)
        else ""
    )
    return f"{limits}{apart} What holds for small models and drawn objects may not hold for others."
