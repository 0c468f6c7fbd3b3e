"""The verdict of the chapter on attention maps.

Throughout, `name` is the name of the model that a table is about.
"""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.report.verdicts.words import named_span, span


def attended(name: str, found: pd.DataFrame) -> str:
    """Say how much attention an object adds at the center and off-center, beside what its place gets anyway.

    Parameters
    ----------
    name : str
        See the module.
    found : pandas.DataFrame
        By `attention`: ``"with the object"``, ``"the place alone"`` and ``"added by the object"``, each a row of
        `crosseyed.measure.bootstrap.center_difference` about attention over the object's area.
    """
    whole, place, own = (
        found.loc[each] for each in ("with the object", "the place alone", "added by the object")
    )
    if own["difference_low"] > 0:
        verdict = "adds less attention off-center than at the center"
    elif own["difference_high"] < 0:
        verdict = (
            "adds **more** attention off-center than at the center, against the claim that the pooled token attends "
            "less to it there; that its place gets less is a habit of the model"
        )
    else:
        verdict = "adds as much attention off-center as at the center, as far as can be told"
    return (
        f"In the last layer of **{markdown(name)}** an object {verdict}: {_sides(own)} (difference "
        f"{own['difference']:.1f}, {named_span(own, 'difference')}; in units of the attention of an average place of "
        f"its size). The place alone, without the object, gets {_sides(place)}; with the object it gets "
        f"{_sides(whole)}."
    )


def attributed(rows: pd.DataFrame) -> str:
    """Say for how many methods the object adds to the contrast of its map, and for how many its place has it anyway.

    Parameters
    ----------
    rows : pandas.DataFrame
        By `method` and `part` (``"with the object"``, ``"the place alone"`` and ``"added by the object"``), of
        `crosseyed.measure.bootstrap.center_difference` about the contrast of maps, for one model.
    """
    place, own = (rows[rows["part"] == part] for part in ("the place alone", "added by the object"))
    more, less = _sure(own, "difference", 1), _sure(own, "difference", -1)
    return (
        f"Of {len(own)} maps of what speaks for the caption, the object adds to the contrast in "
        f"{_sure(own, 'center_mean', 1)} at the center and in {_sure(own, 'off_center_mean', 1)} off-center; in {more} "
        f"it adds more at the center, in {less} more off-center. Its place without it is preferred to the rest of the "
        f"image in {_sure(place, 'center_mean', 1)} at the center and in {_sure(place, 'off_center_mean', 1)} "
        f"off-center, and the rest to its place in {_sure(place, 'center_mean', -1)} and "
        f"{_sure(place, 'off_center_mean', -1)}."
    )


def preferred(name: str, contrasts: pd.DataFrame) -> str:
    """Say whether the object or the background is preferred before pooling and after, and what pooling shifts.

    Parameters
    ----------
    name : str
        See the module.
    contrasts : pandas.DataFrame
        Of `crosseyed.measure.bootstrap.mean` by `contrast`: ``"before"``, ``"prior"``, ``"own"`` and, where a tower's
        pooling can be split into tokens, ``"after"`` and ``"shift"``.
    """
    name = markdown(name)
    rows = contrasts.set_index("contrast").to_dict("index")
    words = {kind: f"{row['mean']:.2f}, {span(row, digits=2)}" for kind, row in rows.items()}
    before = (
        f"In **{name}**, before pooling, {_side(rows['before'])} (contrast {words['before']}; on one scale with the "
        f"map of the same place without the object, the object adds {words['own']}, and its place alone has "
        f"{words['prior']}); after pooling, "
    )
    if "after" not in rows:
        return before + "the contribution of single tokens cannot be computed for this tower."
    return (
        before
        + f"{_side(rows['after'])} ({words['after']}). Pooling shifts the contrast by {words['shift']}."
    )


def agreement(scores: pd.DataFrame, parts: pd.DataFrame) -> str:
    """Say which method agrees best with the place of the object, and in which the object adds most to the agreement.

    Parameters
    ----------
    scores : pandas.DataFrame
        As for `best_method`.
    parts : pandas.DataFrame
        By `method`, place and `part` (``"AUROC the place alone"`` and ``"AUROC added by the object"``) with `mean`, for
        one model.
    """
    method, auroc = best_method(scores)
    place, own = (
        parts[parts["part"] == f"AUROC {part}"].groupby("method", observed=True)["mean"].mean()
        for part in ("the place alone", "added by the object")
    )
    most = own.idxmax()
    added = "more than to any other" if most == method else f"most to **{most}**, {own[most]:.2f}"
    return (
        f"Of the {scores['method'].nunique()} methods **{method}** agrees best with the place of the object "
        f"(AUROC {auroc:.2f}; {place[method]:.2f} without the object): the object adds {own[method]:.2f} to it, "
        f"{added}."
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


def _sides(row: pd.Series) -> str:
    return f"{row['center_mean']:.1f} at the center and {row['off_center_mean']:.1f} off-center"


def _sure(rows: pd.DataFrame, value: str, sign: int) -> int:
    """Count the rows in which the interval of a value lies wholly above zero, or below for a negative sign."""
    nearest = rows[f"{value}_low"] if sign > 0 else -rows[f"{value}_high"]
    return int((nearest > 0).sum())


def _side(row: dict[str, float]) -> str:
    if row["low"] > 0:
        return "the object is preferred"
    return "the background is preferred" if row["high"] < 0 else "no side can be told from chance"
