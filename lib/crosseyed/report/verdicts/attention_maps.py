"""The verdict of the chapter on attention maps.

Throughout, `name` is the name of the model that a table is about.
"""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.report.verdicts.words import named_span, span


def attended(name: str, found: pd.Series) -> str:
    """Say how much attention an object gets at the center and off-center.

    Parameters
    ----------
    name : str
        See the module.
    found : pandas.Series
        Row of `crosseyed.measure.bootstrap.center_difference`: attention on the object relative to its area.
    """
    name = markdown(name)
    return (
        f"In its last layer **{name}** gives an object at the center {found['center_mean']:.1f} times the attention of "
        f"an average place of its size, and {found['off_center_mean']:.1f} times off-center (difference "
        f"{found['difference']:.1f}, {named_span(found, 'difference')})."
    )


def preferred(name: str, contrasts: pd.DataFrame) -> str:
    """Say whether the object or the background is preferred before pooling and after, and what pooling shifts.

    Parameters
    ----------
    name : str
        See the module.
    contrasts : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.mean` by `contrast`: ``"before"`` and, where a tower's pooling can be split
        into tokens, ``"after"`` and ``"shift"``.
    """
    name = markdown(name)
    rows = contrasts.set_index("contrast").to_dict("index")
    words = {kind: f"{row['mean']:.2f}, {span(row, digits=2)}" for kind, row in rows.items()}
    before = f"In **{name}**, before pooling, {_side(rows['before'])} (contrast {words['before']}); after pooling, "
    if "after" not in rows:
        return before + "the contribution of single tokens cannot be computed for this tower."
    return (
        before
        + f"{_side(rows['after'])} ({words['after']}). Pooling shifts the contrast by {words['shift']}."
    )


def agreement(scores: pd.DataFrame) -> str:
    """Say which method agrees best with the place of the object; `scores` as for `best_method`."""
    method, auroc = best_method(scores)
    return (
        f"Of the {scores['method'].nunique()} methods **{method}** agrees best with the place of the object "
        f"(AUROC {auroc:.2f})."
    )


def best_method(scores: pd.DataFrame) -> tuple[str, float]:
    """Return the method with the highest mean AUROC over places, and this AUROC.

    Parameters
    ----------
    scores : pandas.DataFrame
        One row per `score`, `method` and place with `mean`, for one model.
    """
    auroc = scores[scores["score"] == "auroc"].groupby("method", observed=True)["mean"].mean()
    return auroc.idxmax(), auroc.max()


def _side(row: dict[str, float]) -> str:
    if row["low"] > 0:
        return "the object is preferred"
    return "the background is preferred" if row["high"] < 0 else "no side can be told from chance"
