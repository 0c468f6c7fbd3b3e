"""Numbers with uncertainty for images of two objects.

Images that share an object are not independent, and every object has two roles: it is named first in some images and
is the partner in others. A bootstrap over the first objects takes the partners for fixed. One that draws objects, and
keeps an image as often as both its objects were drawn, is far too wide: in simulations it covers the truth in 99 % of
the cases where 95 % are meant. The intervals here rest on the dyadic cluster-robust variance (Aronow, Samii and
Assenova, *Political Analysis* 23, 2015). An estimate is a smooth function of means, and row i moves it by e_i; then ::

    V = Σ e_i e_j                        over all rows i, j that share an object
      = Σ (Σ e_i over its rows)²         over objects
        − Σ (Σ e_i over its rows)²       over pairs of objects, which the first sum counts twice

times m / (m − 1), with m objects. If V is less than the variance of independent pairs, which can happen with few
objects, that is taken. With V a share has Wilson's interval (`crosseyed.measure.proportions`), which stays within 0 and
100 %. A gap, index or difference is made of two shares (`crosseyed.measure.recovery`), whose correlation follows from
the variances of their sum and difference.

Throughout, `by` (str, sequence of str or None) names the columns that define the groups (None: one group), and
`confidence` is by default that of the settings. Unreadable rows are left out and counted. With fewer than three
readable objects the interval of a group is NaN, with an `EstimateWarning`. Every function raises `InputError` if the
table is empty, wholly unreadable or lacks a column, or if a value or an argument is out of range.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from crosseyed.errors import InputError
from crosseyed.measure import recovery
from crosseyed.measure.checks import (
    EstimateWarning,
    as_columns,
    clusters_of,
    correct_of,
    group_label,
    groups_of,
    is_together,
    require_both_sides,
    require_readable,
    require_rows,
    resolve,
)
from crosseyed.measure.proportions import wilson
from crosseyed.measure.protocols import CHOICES
from crosseyed.measure.recovery import with_ends

OBJECTS = ("object", "object2")
"""Columns with the two objects of an image."""

_Share = tuple[float, np.ndarray]
"""A share of rows, in [0, 1], and by how much each row moves it."""


def together_gap(
    table: pd.DataFrame, by: str | Sequence[str] | None = None, *, confidence: float | None = None
) -> pd.DataFrame:
    """Compute how much more often the caption with both objects wins where they are together than apart.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, with `correct` (true, false or ``<NA>``), `together`, the columns `OBJECTS` and those of
        `by`.
    by, confidence
        See the module.

    Returns
    -------
    pandas.DataFrame
        The columns of `crosseyed.measure.bootstrap.center_bias`, with `together` and `apart` in their names for
        `center` and `off_center`; `n_objects` counts objects in either role.
    """
    by, (confidence, _) = as_columns(by), resolve(confidence)
    correct = correct_of(table, [*by, *OBJECTS])
    groups, codes = groups_of(table, by)
    together = is_together(table).to_numpy()
    require_both_sides(groups, codes, ~together, ("together", "apart"))
    require_readable(~np.isnan(correct))
    dyads, rows = _Dyads(table), []
    for group in range(len(groups)):
        inside = codes == group
        readable = inside & ~np.isnan(correct)
        dyads.check(readable, group_label(groups, group))
        on, off = _share(correct, readable & together), _share(correct, readable & ~together)
        measured = dyads.compare(on, off, readable, confidence)
        first, second = measured["first"], measured["second"]
        with np.errstate(divide="ignore", invalid="ignore"):
            index = np.divide(first[0] - second[0], first[0])
            least, most = recovery.ratio(second, first, measured["correlation"])
        rows.append(
            with_ends("together_accuracy", first)
            | with_ends("apart_accuracy", second)
            | with_ends("gap", measured["difference"])
            | with_ends("bias_index", (index if first[0] > 0 else np.nan, 1 - most, 1 - least))
            | {
                "n_together": np.count_nonzero(readable & together),
                "n_apart": np.count_nonzero(readable & ~together),
                "n_objects": dyads.n_objects(readable),
                "unreadable": np.count_nonzero(inside & ~readable),
                "confidence": confidence,
            }
        )
    return groups.join(pd.DataFrame(rows))


def choices(
    table: pd.DataFrame, by: str | Sequence[str] | None = None, *, confidence: float | None = None
) -> pd.DataFrame:
    """Count which of What'sUp's four captions won, where the objects are together and where they are apart.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, with `choice` (of `crosseyed.measure.protocols.CHOICES`), the columns `OBJECTS`, those of
        `by`, and `together`.
    by, confidence
        See the module.

    Returns
    -------
    pandas.DataFrame
        One row per group, `together` (true first) and `choice` (all of them): `count`; `share`, `low`, `high`
        (percent of readable images; NaN for ``"unreadable"``); `n` (readable images), `n_objects` (in either role),
        `confidence`.
    """
    by, (confidence, _) = as_columns(by), resolve(confidence)
    require_rows(table, [*by, *OBJECTS, "choice"])
    _check_choices(table["choice"])
    require_readable((table["choice"] != CHOICES[-1]).to_numpy())
    sorted_ = table.assign(together=pd.Categorical(is_together(table), categories=[True, False]))
    groups, codes = groups_of(sorted_, [*by, "together"])
    groups["together"] = groups["together"].astype(bool)
    dyads, rows = _Dyads(table), []
    for group in range(len(groups)):
        inside = codes == group
        readable = inside & (table["choice"] != CHOICES[-1]).to_numpy()
        dyads.check(readable, group_label(groups, group))
        for choice in CHOICES:
            chosen = (table["choice"] == choice).to_numpy(dtype=float)
            counted = _share(chosen, readable) if choice != CHOICES[-1] else (np.nan, chosen)
            share, low, high = dyads.percentage(counted, readable, confidence)
            rows.append(
                {
                    **groups.iloc[group],
                    "choice": choice,
                    "count": int(chosen[inside].sum()),
                    "share": share,
                    "low": low,
                    "high": high,
                    "n": np.count_nonzero(readable),
                    "n_objects": dyads.n_objects(readable),
                    "confidence": confidence,
                }
            )
    return pd.DataFrame(rows)


def left_out(
    table: pd.DataFrame, by: str | Sequence[str] | None = None, *, confidence: float | None = None
) -> pd.DataFrame:
    """Compute how much more often the object at the border is left out than its partner at the center.

    An object is left out where the caption that names only the other one wins. If objects were left out whatever their
    place, as in an image that is hard to read, both would be equally often.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `choices`. Only rows count where the objects are apart: the column `object` has the one at the border.
    by, confidence
        See the module.

    Returns
    -------
    pandas.DataFrame
        One row per group: `first` and `second`, percent of these images in which the object at the border, and
        its partner, is left out; `difference`, the first minus the second in percentage points; each with its interval
        (`first_low` and so on). Then `n`, `n_objects` (in either role), `unreadable`, `confidence`.

    Raises
    ------
    InputError
        Also if the objects are apart in no row.
    """
    by, (confidence, _) = as_columns(by), resolve(confidence)
    require_rows(table, [*by, *OBJECTS, "choice"])
    _check_choices(table["choice"])
    table = table[~is_together(table)]
    if table.empty:
        raise InputError("table has no rows with the objects apart; nothing can be left out there")
    readable = (table["choice"] != CHOICES[-1]).to_numpy()
    require_readable(readable)
    groups, codes = groups_of(table, by)
    dyads, rows = _Dyads(table), []
    for group in range(len(groups)):
        inside = readable & (codes == group)
        dyads.check(inside, group_label(groups, group))
        first, second = (
            _share((table["choice"] == kept).to_numpy(dtype=float), inside) for kept in OBJECTS[::-1]
        )
        measured = dyads.compare(first, second, inside, confidence)
        names = ("first", "second", "difference")
        rows.append(
            {key: end for name in names for key, end in with_ends(name, measured[name]).items()}
            | {
                "n": np.count_nonzero(inside),
                "n_objects": dyads.n_objects(inside),
                "unreadable": np.count_nonzero((codes == group) & ~readable),
                "confidence": confidence,
            }
        )
    return groups.join(pd.DataFrame(rows))


def mean(
    table: pd.DataFrame, value: str, side: str | None = None, *, confidence: float | None = None
) -> pd.DataFrame:
    """Compute the mean of any quantity of images of two objects, or by how much larger it is on one side.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, with the columns `OBJECTS`, `value` (numbers; NaN where there is none) and `side`.
    value : str
        The quantity, such as the difference of two models on the same image.
    side : str, optional
        Column of truths: the mean where it is true minus the mean where it is false.
    confidence
        See the module.

    Returns
    -------
    pandas.DataFrame
        One row: `mean` in the unit of `value`, `low`, `high`, `n`, `n_objects` (in either role), `unreadable` (rows
        without a value), `confidence`. The interval is Student's t with one degree of freedom less than there are
        objects.
    """
    confidence, _ = resolve(confidence)
    require_rows(table, [*OBJECTS, value, *([side] if side else [])])
    values = table[value].to_numpy(dtype=float, na_value=np.nan)
    readable = ~np.isnan(values)
    require_readable(readable)
    first = readable & (table[side].to_numpy(dtype=bool) if side else True)
    estimate, influence = _share(np.where(readable, values, 0.0), first)
    if side:
        second = _share(np.where(readable, values, 0.0), readable & ~first)
        estimate, influence = estimate - second[0], influence - second[1]
    dyads = _Dyads(table)
    n = dyads.n_objects(readable)
    dyads.check(readable, "")
    reach = np.nan
    if n >= 3:
        error = np.sqrt(dyads.variance(influence, readable) * n / (n - 1))
        reach = stats.t.ppf((1 + confidence) / 2, n - 1) * error
    row = {"mean": estimate, "low": estimate - reach, "high": estimate + reach}
    counts = {"n": int(readable.sum()), "n_objects": n, "unreadable": int((~readable).sum())}
    return pd.DataFrame([row | counts | {"confidence": confidence}])


def place_and_relation(
    table: pd.DataFrame, by: str | Sequence[str] | None = None, *, confidence: float | None = None
) -> pd.DataFrame:
    """Tell what the place changes from what the relation changes, where each relation is shown at both places.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `together_gap`, with the column `relation` (with ``"on"`` among others). In each relation the objects are
        together in half of the images, and apart in the others.
    by, confidence
        See the module.

    Returns
    -------
    pandas.DataFrame
        One row per group and `effect`: ``"as in What'sUp"`` (*on* and together, the others and apart),
        ``"place alone"`` (together, apart; the same relations), ``"relation alone"``
        (*on*, the others; the same places). For each `first` and `second`, how often the caption with both objects wins
        (percent), and `difference` (percentage points), with intervals; `n_first`, `n_second`, `n_objects`,
        `unreadable`, `confidence`.

    Raises
    ------
    InputError
        Also if the relations are not all there at both places, equally often.
    """
    require_rows(table, ["relation", "together"])
    on, together = (table["relation"] == "on").to_numpy(), is_together(table).to_numpy()
    shown = pd.crosstab(table["relation"], together)
    if shown.shape[1] != 2 or np.ptp(shown, axis=1).any() or not 0 < on.sum() < len(on):
        raise InputError(
            "table has relations that are not shown at both places, equally often, or not 'on' beside others; "
            "place and relation cannot be told apart"
        )
    effects = {
        "as in What'sUp": (on == together, on),
        "place alone": (np.ones(len(on), dtype=bool), together),
        "relation alone": (np.ones(len(on), dtype=bool), on),
    }
    parts = [
        together_gap(table.assign(together=first)[rows], by, confidence=confidence).assign(effect=effect)
        for effect, (rows, first) in effects.items()
    ]
    compared = pd.concat(parts, ignore_index=True)
    compared = compared.drop(columns=compared.filter(like="bias_index").columns)
    for old, new in (("apart", "second"), ("together", "first"), ("_accuracy", ""), ("gap", "difference")):
        compared.columns = compared.columns.str.replace(old, new)
    keys = [*as_columns(by), "effect"]
    return compared[[*keys, *compared.columns.drop(keys)]]


def variance(table: pd.DataFrame, influence: np.ndarray) -> float:
    """Return the variance of an estimate that each image of a table moves by its influence (n,); see the module."""
    return _Dyads(table).variance(influence, np.ones(len(table), dtype=bool))


class _Dyads:
    """Which rows of a table share an object."""

    def __init__(self, table: pd.DataFrame) -> None:
        both = pd.concat([table[name] for name in OBJECTS], ignore_index=True).to_frame(OBJECTS[0])
        self.first, self.second = clusters_of(both, OBJECTS[0]).reshape(2, -1)
        if (self.first == self.second).any():
            row = table.iloc[np.flatnonzero(self.first == self.second)[0]]
            raise InputError(
                f"column 'object2' repeats 'object', {row['object']!r}; expected two different objects in an image"
            )
        n = max(self.first.max(), self.second.max()) + 1
        self.pair = np.minimum(self.first, self.second) * n + np.maximum(self.first, self.second)

    def n_objects(self, rows: np.ndarray) -> int:
        return len(np.union1d(self.first[rows], self.second[rows]))

    def check(self, rows: np.ndarray, label: str) -> None:
        if self.n_objects(rows) < 3:
            warnings.warn(
                f"the interval{label} is NaN: the readable rows have fewer than three objects",
                EstimateWarning,
                stacklevel=3,
            )

    def variance(self, influence: np.ndarray, rows: np.ndarray) -> float:
        moved = influence[rows]
        first, second, pair = self.first[rows], self.second[rows], self.pair[rows]
        by_object = np.bincount(np.concatenate([first, second]), np.tile(moved, 2))
        by_pair = np.bincount(np.unique(pair, return_inverse=True)[1], moved)
        pairs = by_pair @ by_pair
        return max(by_object @ by_object - pairs, pairs)

    def percentage(self, share: _Share, rows: np.ndarray, confidence: float) -> tuple[float, float, float]:
        """Return a share of the rows in percent, with the ends of its interval."""
        n = self.n_objects(rows)
        if n < 3 or np.isnan(share[0]):
            return 100 * share[0], np.nan, np.nan
        low, high = wilson(share[0], self.variance(share[1], rows) * n / (n - 1), n, confidence)
        return 100 * share[0], 100 * float(low), 100 * float(high)

    def compare(
        self, first: _Share, second: _Share, rows: np.ndarray, confidence: float
    ) -> dict[str, tuple[float, float, float]]:
        """Return both shares and their difference with intervals, and the correlation of the shares."""
        alone = [np.sqrt(self.variance(share[1], rows)) for share in (first, second)]
        together, apart = (self.variance(first[1] + sign * second[1], rows) for sign in (1, -1))
        related = (together - apart) / (4 * np.prod(alone)) if np.prod(alone) > 0 else 0.0
        related = float(np.clip(related, -1, 1))
        measured = [self.percentage(share, rows, confidence) for share in (first, second)]
        change = (measured[0][0] - measured[1][0], *recovery.difference(*measured, related))
        return {"first": measured[0], "second": measured[1], "difference": change, "correlation": related}


def _share(values: np.ndarray, rows: np.ndarray) -> _Share:
    """Return the mean of the values of rows, of zeros and ones their share; NaN without rows."""
    if not rows.any():
        return np.nan, np.zeros(len(values))
    share = values[rows].mean()
    return share, np.where(rows, (values - share) / np.count_nonzero(rows), 0.0)


def _check_choices(given: pd.Series) -> None:
    unknown = given[~given.isin(CHOICES)]
    if len(unknown):
        raise InputError(
            f"column 'choice' has the value {unknown.iloc[0]!r} in {len(unknown)} row(s); expected one of "
            f"{', '.join(CHOICES)} (the table of the four-caption protocol, not of a zero-shot one)"
        )
