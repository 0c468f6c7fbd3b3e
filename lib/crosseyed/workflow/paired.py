"""What two editions differ in, on the images that both were shown: paired differences with their intervals.

Only images of one recipe are paired: of the same name, objects, places, size, background and seed. An edition of
another size shows a part of them; one with another seed shows others. Each quantity also stands there as each edition
has it, from all its images, so the difference on shared images need not be the difference of both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from crosseyed.editions import Description
from crosseyed.measure import bootstrap, dyadic
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.report import tables
from crosseyed.report.presence import PROBE
from crosseyed.report.verdicts import headline
from crosseyed.workflow.headline import MITIGATIONS
from crosseyed.workflow.results import CHAPTER, own_rows

_RECIPE = (
    *("image", "object", "object2", "style", "x", "y", "size", "rotation", "relation", "together", "center"),
    *("background", "seed"),
)
"""Columns that say what an image shows, as far as a table has them."""

_TOKENS = "02_embedding_decomposition"

Side = tuple[Path, Description]
"""The tables of an edition, and its description."""

_Estimate = tuple[float, float, float]


@dataclass(frozen=True)
class _Quantity:
    """Something that an edition measures image by image."""

    what: str
    own: Callable[[Path, Description], _Estimate]
    """What the edition says of it, from all its images: value, low, high."""
    images: Callable[[Path, Description], pd.DataFrame]
    """One row per image: its recipe and `value`, in points."""
    contrast: str | None = None
    """Column of truths: the mean where it is true minus that where it is false; without it the mean of all."""


def compare(first: Side, second: Side) -> pd.DataFrame:
    """Compare two editions on the images that both were shown.

    Parameters
    ----------
    first, second : tuple of pathlib.Path and Description
        The tables of an edition, and its description.

    Returns
    -------
    pandas.DataFrame
        One row per quantity: `what`; `first`, `second`, as each edition has them, with intervals in columns
        ending in ``_low`` and ``_high``; `difference`, the first minus the second on shared images, with its interval;
        `n` shared images, of `n_objects`; `confidence`; and `reason`, why something is missing, else empty. Shares are
        in percent, all else in percentage points.
    """
    return pd.DataFrame([_compare(each, first, second) for each in _QUANTITIES])


def _compare(quantity: _Quantity, first: Side, second: Side) -> dict[str, object]:
    row: dict[str, object] = {"what": quantity.what, "reason": ""}
    row |= {
        f"{name}{end}": np.nan for name in ("first", "second", "difference") for end in ("", "_low", "_high")
    }
    row |= {"n": 0, "n_objects": 0, "confidence": np.nan}
    shown, reasons = {}, []
    for name, (results, model) in (("first", first), ("second", second)):
        try:
            values = quantity.own(results, model)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
            shown[name] = quantity.images(results, model)
        except tables.UnavailableTableError as reason:
            reasons.append(f"not in {model.edition.name}: {reason}")
    if reasons:
        return row | {"reason": "; ".join(reasons)}
    both = shared(*shown.values())
    if both.empty:
        return row | {"reason": "the editions share no image, so that nothing can be paired"}
    return row | _difference(both, quantity.contrast)


def shared(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the images that two tables share, with `value`, the first minus the second.

    Parameters
    ----------
    first, second : pandas.DataFrame
        One row per image: what is known of its recipe (the same columns in both), and `value`.
    """
    keys = [name for name in _RECIPE if name in first and name in second]
    both = first.merge(second, on=keys, suffixes=("", "_second"), validate="one_to_one")
    return both.assign(value=both["value"] - both["value_second"])


def _difference(both: pd.DataFrame, contrast: str | None) -> dict[str, object]:
    if contrast is not None and both[contrast].nunique() < 2:
        only = f"all of them {contrast}" if both[contrast].all() else f"none of them {contrast}"
        return {"reason": f"{len(both)} shared images, {only}: there is nothing to subtract"}
    if "object2" in both:
        (row,) = dyadic.mean(both, "value", contrast).to_dict("records")
    elif contrast is None:
        (row,) = bootstrap.mean(both, "value").to_dict("records")
    else:
        sides = bootstrap.center_difference(both.assign(center=both[contrast]), "value")
        sides = sides.rename(
            columns={"difference": "mean", "difference_low": "low", "difference_high": "high"}
        )
        (row,) = sides.assign(n=both["value"].count(), n_objects=both["object"].nunique()).to_dict("records")
    ends = {"difference": row["mean"], "difference_low": row["low"], "difference_high": row["high"]}
    return ends | {name: row[name] for name in ("n", "n_objects", "confidence")}


def _answers(
    chapter: str, name: str, side: str | None = None, keep: bool = True
) -> Callable[..., pd.DataFrame]:
    """Return a reader of the answers of a table, those of one side if it is named."""

    def images(results: Path, model: Description) -> pd.DataFrame:
        rows = own_rows(tables.read(results, chapter, name), model)
        rows = rows if side is None else rows[rows[side].astype(bool) == keep]
        return _recipe(rows).assign(value=_points(rows["correct"]))

    return images


def _left_out(name: str) -> Callable[..., pd.DataFrame]:
    def images(results: Path, model: Description) -> pd.DataFrame:
        rows = own_rows(tables.read(results, CHAPTER, name), model)
        rows = rows[~rows["together"].astype(bool)]
        value = 100.0 * ((rows["choice"] == "object2").astype(int) - (rows["choice"] == "object").astype(int))
        return _recipe(rows).assign(value=value.where(rows["choice"] != "unreadable"))

    return images


def _lost(results: Path, model: Description) -> pd.DataFrame:
    """Return of images with the object off-center: found by the probe in its tokens, minus in the embedding."""
    rows = own_rows(tables.read(results, _TOKENS, "tokens"), model)
    rows = rows[(rows["reader"] == PROBE) & ~rows["center"].astype(bool)]
    rows = rows.assign(value=_points(rows["correct"]))
    found = rows.pivot(index=["image", "object", "style"], columns="source", values="value")
    return (
        (found["object"] - found["embedding"]).rename("value").reset_index().assign(seed=model.edition.seed)
    )


def _lost_in_all(results: Path, model: Description) -> _Estimate:
    rows = tables.read(results, _TOKENS, "lost")
    row = rows[(rows["reader"] == PROBE) & (rows["against"] == "embedding")].iloc[0]
    return row["difference"], row["low"], row["high"]


def _helped(keep: bool) -> Callable[..., pd.DataFrame]:
    """Return a reader of what the mitigation that other objects picked changes, image by image, on one side."""

    def images(results: Path, model: Description) -> pd.DataFrame:
        best = _best(results)
        rows = tables.read(results, MITIGATIONS, "answers")
        rows = rows[(rows["protocol"] == "grid") & (rows["center"].astype(bool) == keep)]
        rows = rows.assign(value=_points(rows["correct"]))
        with_it, without = (rows[rows["candidate"] == name] for name in (best["candidate"], BASELINE))
        changed = shared(
            _recipe(with_it).assign(value=with_it["value"]), _recipe(without).assign(value=without["value"])
        )
        return _recipe(changed).assign(value=changed["value"], seed=model.edition.seed)

    return images


def _helped_in_all(side: str) -> Callable[..., _Estimate]:
    def own(results: Path, model: Description) -> _Estimate:
        return _ends(_best(results), f"{side}_change")

    return own


def _best(results: Path) -> pd.Series:
    best = headline.best(tables.read(results, MITIGATIONS, "evaluation"))
    if best is None:
        raise tables.UnavailableTableError("no mitigation changes any score of its model")
    return best


def _in_all(chapter: str, name: str, quantity: str) -> Callable[..., _Estimate]:
    """Return a reader of a quantity of the edition's own row of a table."""

    def own(results: Path, model: Description) -> _Estimate:
        return _ends(own_rows(tables.read(results, chapter, name), model).iloc[0], quantity)

    return own


def _ends(row: pd.Series, name: str) -> _Estimate:
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return value, low, high


def _points(correct: pd.Series) -> pd.Series:
    return 100.0 * correct.astype("Float64").astype(float)


def _recipe(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[[name for name in _RECIPE if name in rows]]


def _of_pairs(table: str, bias: str, left: str, where: str) -> list[_Quantity]:
    return [
        _Quantity(
            f"{where} together, both named (%)",
            _in_all(CHAPTER, bias, "together_accuracy"),
            _answers(CHAPTER, table, "together"),
        ),
        _Quantity(
            f"{where} apart, both named (%)",
            _in_all(CHAPTER, bias, "apart_accuracy"),
            _answers(CHAPTER, table, "together", keep=False),
        ),
        _Quantity(
            f"{where} together minus apart (points)",
            _in_all(CHAPTER, bias, "gap"),
            _answers(CHAPTER, table),
            contrast="together",
        ),
        _Quantity(
            f"{where}: border object left out, minus its partner (points)",
            _in_all(CHAPTER, left, "difference"),
            _left_out(table),
        ),
    ]


_QUANTITIES = (
    _Quantity(
        "one object at the center (%)",
        _in_all(CHAPTER, "bias", "center_accuracy"),
        _answers(CHAPTER, "grid", "center"),
    ),
    _Quantity(
        "one object off-center (%)",
        _in_all(CHAPTER, "bias", "off_center_accuracy"),
        _answers(CHAPTER, "grid", "center", keep=False),
    ),
    _Quantity(
        "center-bias gap (points)",
        _in_all(CHAPTER, "bias", "gap"),
        _answers(CHAPTER, "grid"),
        contrast="center",
    ),
    *_of_pairs("pair", "pair_bias", "pair_left_out", "two objects"),
    *_of_pairs("whatsup", "whatsup_bias", "whatsup_left_out", "photographs"),
    _Quantity("off-center, found in the tokens minus in the embedding (points)", _lost_in_all, _lost),
    _Quantity(
        "what the best mitigation changes off-center (points)",
        _helped_in_all("off_center"),
        _helped(keep=False),
    ),
    _Quantity("what it changes at the center (points)", _helped_in_all("center"), _helped(keep=True)),
)
