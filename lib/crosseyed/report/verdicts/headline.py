"""The study of an edition in three sentences: what center bias is, how large it is for this model, and what helps.

Each sentence is plain text in two parts, of which the first is emphasised; whoever puts it on a page escapes it.
"""

from typing import NamedTuple

import pandas as pd

from crosseyed.mitigations.evaluation import acting, picked
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.report.reading import estimate


class Sentence(NamedTuple):
    """A sentence whose beginning is emphasised."""

    subject: str
    rest: str


WHAT = Sentence(
    "Center bias", " is what a model loses when an object stands off-center instead of at the center."
)
"""What the study is about."""


def how_large(name: str, bias: pd.Series) -> Sentence:
    """Say how much better a model recognises objects at the center: a verdict by the interval, and the figures.

    Parameters
    ----------
    name : str
        Name of the model.
    bias : pandas.Series
        Its row in the table ``bias`` of the first chapter.
    """
    if bias["gap_low"] > 0:
        verdict = f"{name} is cross-eyed"
    elif bias["gap_high"] < 0:
        verdict = f"{name} recognises objects better off-center than at the center"
    else:
        verdict = f"{name} has no center bias that its interval tells from chance"
    center, off_center = (
        estimate(bias, f"{side}_accuracy", digits=0, unit=" %") for side in ("center", "off_center")
    )
    return Sentence(
        verdict,
        f": of {bias['n_objects']} objects it names {center} correctly at the center and {off_center} off-center, "
        f"a gap of {estimate(bias, 'gap', digits=0, unit=' points')}.",
    )


def best(evaluation: pd.DataFrame) -> pd.Series | None:
    """Return the row of the mitigation that other objects picked among those that are not told where the object is.

    Parameters
    ----------
    evaluation : pandas.DataFrame
        The table of this name of the chapter on mitigations.

    Returns
    -------
    pandas.Series or None
        Of the grid; None if no mitigation changes any score of the model.
    """
    rows = picked(tried(evaluation))
    return None if rows.empty else rows.iloc[0]


def plain(evaluation: pd.DataFrame) -> pd.Series:
    """Return the row of the unchanged model on the same images of the grid as `best`."""
    rows = evaluation[(evaluation["protocol"] == "grid") & (evaluation["candidate"] == BASELINE)]
    return rows.iloc[0]


def what_helps(evaluation: pd.DataFrame) -> Sentence:
    """Say which mitigation helps most without being told where the object is, or that none certainly does.

    One that certainly loses at the center is said to trade.

    Parameters
    ----------
    evaluation : pandas.DataFrame
        As for `best`.
    """
    row, number = best(evaluation), tried(evaluation)["family"].nunique()
    if row is None:
        return Sentence(
            "Nothing helps", ": no mitigation that could be tried changes any score of this model."
        )
    off_center = estimate(row, "off_center_change", digits=0, signed=True, unit=" points")
    center = estimate(row, "center_change", digits=0, signed=True)
    changes = f"{off_center} off-center and {center} at the center ({row['n_objects']} other objects)."
    if row["off_center_change_low"] > 0 and row["center_change_high"] < 0:
        trade = f"{_capital(row['family'])} trades the center for the border"
        return Sentence(trade, f", the best of {number} mitigations: {changes}")
    if row["off_center_change_low"] > 0:
        return Sentence(f"{_capital(row['family'])} helps", f" most among {number} mitigations: {changes}")
    return Sentence(
        f"None of {number} mitigations certainly helps",
        f"; the one picked, {row['family']}, changes {changes}",
    )


def tried(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the grid of mitigations that change a score and are not told where the object is.

    Parameters
    ----------
    evaluation : pandas.DataFrame
        As for `best`.
    """
    on_grid = acting(evaluation[evaluation["protocol"] == "grid"])
    return on_grid[~on_grid["oracle"].astype(bool) & (on_grid["candidate"] != BASELINE)]


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
