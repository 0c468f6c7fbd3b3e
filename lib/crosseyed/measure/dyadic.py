"""Numbers with uncertainty for images of two objects.

Images that share an object are not independent, and every object has two roles: it is named first in some images and
is the partner in others. A bootstrap over the first objects takes the partners for fixed. One that draws objects, and
keeps an image as often as both its objects were drawn, is far too wide: in simulations it covers the truth in 99 % of
the cases where 95 % are meant. The intervals here rest on the dyadic cluster-robust variance (Aronow, Samii and
Assenova, *Political Analysis* 23, 2015). An estimate is a smooth function of means, and row i moves it by e_i; then ::

    V = Σ e_i e_j                        over all rows i, j that share an object
      = Σ (Σ e_i over its rows)²         over objects
        − Σ (Σ e_i over its rows)²       over pairs of objects, which the first sum counts twice

An interval is the estimate ± t √(V m / (m − 1)), with m objects and the quantile t of Student's distribution with m − 1
degrees of freedom, cut off where the quantity ends. If V is less than the variance of independent pairs, which can
happen with few objects, that is taken.

Throughout, `by` (str, sequence of str or None) names the columns that define the groups (None: one group), and
`confidence` is by default that of the settings. Unreadable rows are left out and counted. With fewer than three
readable objects the interval of a group is NaN, with an `EstimateWarning`. Every function raises `InputError` if the
table is empty, wholly unreadable or lacks a column, or if a value or an argument is out of range.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from crosseyed.errors import InputError
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
from crosseyed.measure.protocols import CHOICES

OBJECTS = ("object", "object2")
"""Columns with the two objects of an image."""

_Estimate = tuple[float, np.ndarray]
"""A value, and by how much each row moves it."""

_Quantity = tuple[float, np.ndarray, tuple[float, float]]
"""The same, and the ends of its possible range."""


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
        on, off = _mean(correct, readable & together), _mean(correct, readable & ~together)
        rows.append(
            dyads.estimates(_quantities(on, off), readable, confidence)
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
            share, influence = _mean(chosen, readable) if choice != CHOICES[-1] else (np.nan, chosen)
            low, high = dyads.interval(share, influence, readable, confidence, (0, 100))
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
            _mean((table["choice"] == kept).to_numpy(dtype=float), inside) for kept in OBJECTS[::-1]
        )
        quantities = {
            "first": (*first, (0, 100)),
            "second": (*second, (0, 100)),
            "difference": (first[0] - second[0], first[1] - second[1], (-100, 100)),
        }
        rows.append(
            dyads.estimates(quantities, inside, confidence)
            | {
                "n": np.count_nonzero(inside),
                "n_objects": dyads.n_objects(inside),
                "unreadable": np.count_nonzero((codes == group) & ~readable),
                "confidence": confidence,
            }
        )
    return groups.join(pd.DataFrame(rows))


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

    def interval(
        self,
        value: float,
        influence: np.ndarray,
        rows: np.ndarray,
        confidence: float,
        ends: tuple[float, float],
    ) -> tuple[float, float]:
        n = self.n_objects(rows)
        if n < 3 or np.isnan(value):
            return np.nan, np.nan
        quantile = stats.t.ppf((1 + confidence) / 2, n - 1)
        half = quantile * np.sqrt(self.variance(influence, rows) * n / (n - 1))
        return max(ends[0], value - half), min(ends[1], value + half)

    def estimates(
        self, quantities: Mapping[str, _Quantity], rows: np.ndarray, confidence: float
    ) -> dict[str, float]:
        """Return each value by its name, with the ends of its interval under ``<name>_low`` and ``<name>_high``."""
        row = {}
        for name, (value, influence, ends) in quantities.items():
            low, high = self.interval(value, influence, rows, confidence, ends)
            row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        return row


def _mean(values: np.ndarray, rows: np.ndarray) -> _Estimate:
    """Return the percentage of rows whose value is 1; NaN without rows."""
    if not rows.any():
        return np.nan, np.zeros(len(values))
    share = values[rows].mean()
    return 100 * share, np.where(rows, 100 * (values - share) / np.count_nonzero(rows), 0.0)


def _quantities(on: _Estimate, off: _Estimate) -> dict[str, _Quantity]:
    """Return accuracies, gap and index with their influences and ends."""
    (together, moves_together), (apart, moves_apart) = on, off
    index, moves_index = np.nan, np.zeros(len(moves_together))
    if together > 0:
        index = 1 - apart / together
        moves_index = apart / together**2 * moves_together - moves_apart / together
    return {
        "together_accuracy": (together, moves_together, (0, 100)),
        "apart_accuracy": (apart, moves_apart, (0, 100)),
        "gap": (together - apart, moves_together - moves_apart, (-100, 100)),
        "bias_index": (index, moves_index, (-np.inf, 1)),
    }


def _check_choices(given: pd.Series) -> None:
    unknown = given[~given.isin(CHOICES)]
    if len(unknown):
        raise InputError(
            f"column 'choice' has the value {unknown.iloc[0]!r} in {len(unknown)} row(s); expected one of "
            f"{', '.join(CHOICES)} (the table of the four-caption protocol, not of a zero-shot one)"
        )
