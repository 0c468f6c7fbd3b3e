"""Numbers with uncertainty: tidy tables in, tables out.

Every function takes the table of a protocol (one row per image, see `crosseyed.measure.protocols`) and returns a
labelled table. Accuracies are in percent, gaps in percentage points.

Images of one object are not independent, so every interval is clustered by object. An accuracy has Wilson's
interval with the clustered sample size (`crosseyed.measure.proportions`). The center-bias gap and index are made of
two of these (`crosseyed.measure.recovery`). Means, and what one model or condition changes against another, have the t
interval with the standard error of a bootstrap over whole objects (the cluster bootstrap; Davison and Hinkley,
*Bootstrap Methods and their Application*, 1997, section 3.8), longer on the side to which the draws are skewed
(`crosseyed.measure.resampling`). All groups of a call
share the same draws, so differences between groups are paired; draws without rows of a group are left out for it.
Unreadable rows (`correct` is ``<NA>``) are left out and counted. With fewer than two readable objects the interval of a
group is NaN, with an `EstimateWarning`. Images of two objects: see `crosseyed.measure.dyadic`.

Throughout, `by` (str, sequence of str or None) names the columns that define the groups (None: one group), and
`cluster`, `confidence`, `resamples`, `seed` are those of `crosseyed.measure.resampling.Resampling`. In results, `low`
and `high` (or ``gap_low`` and so on) are the ends of an interval and `confidence` its coverage; `n`, `n_objects`,
`unreadable` count the rows used, their objects and the rows left out. Every function raises `InputError` if the table
is empty, wholly unreadable or lacks a column, or if a value or an argument is out of range.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from crosseyed.data.geometry import rings
from crosseyed.errors import InputError, suggest
from crosseyed.measure import recovery
from crosseyed.measure.checks import (
    as_columns,
    clusters_of,
    correct_of,
    eccentricity_of,
    groups_of,
    is_center,
    require_both_sides,
    require_readable,
    require_rows,
    values_of,
)
from crosseyed.measure.proportions import clustered_wilson
from crosseyed.measure.recovery import with_ends
from crosseyed.measure.resampling import Resampling, warn_of_few

RANGES = {"accuracy": (-100, 100), "gap": (-200, 200)}
"""Smallest and largest possible change of a quantity, in points."""


def accuracy(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the accuracy of each group with its interval.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, with columns `correct` (true, false or ``<NA>``), `cluster` and those of `by`.
    by, cluster, confidence, resamples, seed
        See the module.

    Returns
    -------
    pandas.DataFrame
        Sorted by group: `by`, `accuracy`, `low`, `high` (percent), `n`, `n_objects`, `unreadable`, `confidence`.

    Examples
    --------
    >>> table = pd.DataFrame({"object": ["cup", "cup", "dog", "dog"], "correct": [True, True, True, False]})
    >>> accuracy(table)[["accuracy", "low", "high", "n", "n_objects"]]
       accuracy  low   high  n  n_objects
    0      75.0  1.2  100.0  4          2
    """
    by, sampling = as_columns(by), Resampling(cluster, confidence, resamples, seed)
    correct = correct_of(table, [*by, cluster])
    groups, codes = groups_of(table, by)
    measured = _shares(table, correct, codes, len(groups), sampling)
    return groups.join(measured.rename(columns={"share": "accuracy"})).assign(confidence=sampling.confidence)


def mean(
    table: pd.DataFrame,
    value: str,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the mean of any quantity in each group with its interval.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `value` (numbers; NaN where there is none), `cluster` and those of `by`.
    value : str
        The quantity.
    by, cluster, confidence, resamples, seed
        See the module.

    Returns
    -------
    pandas.DataFrame
        As of `accuracy`, with `mean`, `low`, `high` in the unit of `value`; rows without a value are `unreadable`.
    """
    by, sampling = as_columns(by), Resampling(cluster, confidence, resamples, seed)
    values = values_of(table, value, [*by, cluster])
    groups, codes = groups_of(table, by)
    means, draws, counts = sampling.means(table, values[:, None], codes, len(groups))
    low, high = sampling.interval(means[:, 0], draws[:, :, 0], counts["n_objects"].to_numpy())
    groups = groups.assign(mean=means[:, 0], low=low, high=high)
    return groups.join(counts).assign(confidence=sampling.confidence)


def accuracy_by_eccentricity(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    bins: int | Sequence[float] = 7,
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the accuracy in rings around the image center.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with a column `eccentricity` (in [0, 1]).
    bins : int or sequence of float
        Number of equal rings or their edges; see `crosseyed.data.geometry.rings`. The first of seven is the center.
    by, cluster, confidence, resamples, seed
        See the module.

    Returns
    -------
    pandas.DataFrame
        As of `accuracy`, one row per group and ring with rows, from the inside out; after `by` come `eccentricity`
        (mean of the rows), `eccentricity_low` and `eccentricity_high` (edges of the ring).
    """
    by = as_columns(by)
    require_rows(table, [*by, "eccentricity"])
    eccentricity = eccentricity_of(table)
    edges, ring = rings(eccentricity, bins, "the table's eccentricities")
    ringed = table.assign(
        eccentricity=eccentricity, eccentricity_low=edges[ring], eccentricity_high=edges[ring + 1]
    )
    keys = [*by, "eccentricity_low", "eccentricity_high"]
    draws = {"cluster": cluster, "confidence": confidence, "resamples": resamples, "seed": seed}
    result = accuracy(ringed, keys, **draws)
    means = ringed.groupby(keys, dropna=False, observed=True)["eccentricity"].mean()
    # Both tables are sorted by the same keys, so their rows agree.
    result.insert(len(by), "eccentricity", means.to_numpy())
    return result


def center_bias(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute how much better objects are recognised at the center than off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with a column `center` or `eccentricity` (see `crosseyed.measure.checks.is_center`).
    by, cluster, confidence, resamples, seed
        See the module.

    Returns
    -------
    pandas.DataFrame
        One row per group. With intervals: `center_accuracy`, `off_center_accuracy` (percent), `gap`, their difference
        (percentage points), and `bias_index`, `gap` divided by `center_accuracy` (at most 1; NaN where nothing is right
        at the center). Then `n_center`, `n_off_center`, `n_objects`, `unreadable`,
        `confidence`.

    Raises
    ------
    InputError
        Also if a group has no center or no off-center rows.
    """
    by, sampling = as_columns(by), Resampling(cluster, confidence, resamples, seed)
    correct = correct_of(table, [*by, cluster])
    sides = Sides(table, correct, by, sampling)
    shares = _shares(table, correct, sides.codes, 2 * len(sides.groups), sampling)
    center, off_center = (
        tuple(shares[name].to_numpy()[side::2] for name in ("share", "low", "high")) for side in (0, 1)
    )
    related = recovery.correlation(*sides.draws)
    gap = center[0] - off_center[0]
    least, most = recovery.ratio(off_center, center, related)
    index = np.divide(gap, center[0], out=np.full_like(gap, np.nan), where=center[0] > 0)
    result = sides.groups.assign(
        **with_ends("center_accuracy", center),
        **with_ends("off_center_accuracy", off_center),
        **with_ends("gap", (gap, *recovery.difference(center, off_center, related))),
        **with_ends("bias_index", (index, 1 - most, 1 - least)),
    )
    readable, codes = ~np.isnan(correct), sides.codes // 2
    objects = table.loc[readable, cluster].groupby(codes[readable]).nunique()
    return result.assign(
        n_center=sides.counts["n"].to_numpy()[0::2],
        n_off_center=sides.counts["n"].to_numpy()[1::2],
        n_objects=objects.reindex(range(len(result)), fill_value=0).to_numpy(),
        unreadable=sides.counts["unreadable"].to_numpy().reshape(-1, 2).sum(axis=1),
        confidence=sampling.confidence,
    )


def center_difference(
    table: pd.DataFrame,
    value: str,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute by how much the mean of any quantity is larger at the center than off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `mean`, with a column `center` or `eccentricity` (see `crosseyed.measure.checks.is_center`).
    value : str
        The quantity.
    by, cluster, confidence, resamples, seed
        See the module.

    Returns
    -------
    pandas.DataFrame
        Per group `center_mean`, `off_center_mean`, `difference` in the unit of `value`, with intervals; `confidence`.

    Raises
    ------
    InputError
        Also if a group has no center or no off-center rows.
    """
    by, sampling = as_columns(by), Resampling(cluster, confidence, resamples, seed)
    values = values_of(table, value, [*by, cluster])
    sides = Sides(table, values, by, sampling)
    (center, off_center), (of_center, of_off_center) = sides.means, sides.draws
    quantities = {
        "center_mean": (center, of_center),
        "off_center_mean": (off_center, of_off_center),
        "difference": (center - off_center, of_center - of_off_center),
    }
    n_objects = sides.counts["n_objects"].to_numpy().reshape(-1, 2).min(axis=1)
    result = sides.groups
    for name, (observed, draws) in quantities.items():
        ends = sampling.interval(observed, draws, n_objects)
        result = result.assign(**with_ends(name, (observed, *ends)))
    return result.assign(confidence=sampling.confidence)


def of_columns(
    measure: Callable[..., pd.DataFrame],
    table: pd.DataFrame,
    columns: Mapping[str, str],
    told_by: str,
    **options: object,
) -> pd.DataFrame:
    """Compute the same for several quantities of a table.

    Parameters
    ----------
    measure : callable
        `mean` or `center_difference`.
    table : pandas.DataFrame
        As for `measure`.
    columns : mapping of str to str
        Column of each quantity by its name in the result; at least one.
    told_by : str
        Column of the result that holds the name.
    **options
        For `measure`, such as `by` and `seed`.

    Returns
    -------
    pandas.DataFrame
        The results of `measure` one below the other in the order of `columns`, with `told_by` as the last column.
    """
    measured = [
        measure(table, column, **options).assign(**{told_by: name}) for name, column in columns.items()
    ]
    return pd.concat(measured, ignore_index=True)


def paired_difference(
    table: pd.DataFrame,
    column: str,
    levels: tuple[object, object],
    *,
    quantity: Literal["accuracy", "gap"] = "accuracy",
    on: str | Sequence[str] = "image",
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two encoders or conditions on the same images.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with `column`, `on` and, for the gap, `center` or `eccentricity`.
    column : str
        Column that tells the two apart, e.g. ``"model"`` or ``"resize"``.
    levels : tuple of two values of `column`
        ``(first, second)``; the difference is first minus second. Other levels are ignored.
    quantity : {"accuracy", "gap"}
        The accuracy, or the center-bias gap (see `center_bias`).
    on : str or sequence of str
        Columns that identify an image within a level, such as ``["object", "row", "col"]``.
    cluster, confidence, resamples, seed
        See the module. Both rows of a pair belong to the same cluster.

    Returns
    -------
    pandas.DataFrame
        One row: `column`, `quantity`, `first`, `second` (levels), `first_value`, `second_value` (percent or points),
        `difference`, `low`, `high` (points), `n` (pairs), `n_objects`, `unreadable` (pairs) and `confidence`.

    Raises
    ------
    InputError
        Also if a level is missing, images do not pair one to one, a pair disagrees about `cluster` or center, or (for
        the gap) there are no center or no off-center rows.
    """
    if quantity not in ("accuracy", "gap"):
        raise InputError(f"quantity is {quantity!r}; expected 'accuracy' or 'gap'")
    on, sampling = as_columns(on), Resampling(cluster, confidence, resamples, seed)
    correct = correct_of(table, [column, *on, cluster])
    off_center = ~is_center(table) if quantity == "gap" else False
    rows = table[on].assign(correct=correct, clusters=table[cluster], off_center=off_center)
    pairs = _pairs(rows, table[column], levels, on)
    for name, part in ((cluster, "clusters"), ("center", "off_center")):
        differ = np.count_nonzero(pairs[f"{part}_first"] != pairs[f"{part}_second"])
        if differ:
            raise InputError(
                f"{differ} pair(s) of {levels[0]!r} and {levels[1]!r} differ in {name!r}: not the same images"
            )
    values = pairs[["correct_first", "correct_second"]].to_numpy()
    off_center = pairs["off_center_first"].to_numpy(dtype=bool)
    contrast = np.ones(1)
    if quantity == "gap":
        contrast = np.array([1.0, -1.0])
        require_both_sides(pd.DataFrame(index=[0]), np.zeros(len(pairs), dtype=int), off_center)
    by_pair = replace(sampling, cluster="clusters_first")
    means, draws, counts = by_pair.means(pairs, values, off_center.astype(int), len(contrast))
    first, second = 100 * contrast @ means
    resampled = 100 * contrast @ draws
    n_objects = pairs.loc[~np.isnan(values).any(axis=1), "clusters_first"].nunique()
    low, high = sampling.interval(
        first - second, resampled[:, 0] - resampled[:, 1], n_objects, RANGES[quantity]
    )
    row = {
        "column": column,
        "quantity": quantity,
        "first": levels[0],
        "second": levels[1],
        "first_value": first,
        "second_value": second,
        "difference": first - second,
        "low": low,
        "high": high,
        "n": counts["n"].sum(),
        "n_objects": n_objects,
        "unreadable": counts["unreadable"].sum(),
        "confidence": sampling.confidence,
    }
    return pd.DataFrame([row])


def _shares(
    table: pd.DataFrame, correct: np.ndarray, codes: np.ndarray, n_groups: int, sampling: Resampling
) -> pd.DataFrame:
    """Return the share of right rows of each group in percent, with `low` and `high`, and counts as of `accuracy`."""
    readable = ~np.isnan(correct)
    require_readable(readable)
    clusters = clusters_of(table, sampling.cluster)[readable]
    shares, low, high, n_objects = clustered_wilson(
        correct[readable], clusters, codes[readable], n_groups, sampling.confidence
    )
    warn_of_few(n_objects)
    n, unreadable = (np.bincount(codes[rows], minlength=n_groups) for rows in (readable, ~readable))
    columns = {"share": 100 * shares, "low": 100 * low, "high": 100 * high}
    return pd.DataFrame(columns | {"n": n, "n_objects": n_objects, "unreadable": unreadable})


class Sides:
    """Both sides of each group, center and off-center, and what resampling makes of them.

    Attributes
    ----------
    groups : pandas.DataFrame
        One row per group.
    codes : int (n_rows,)
        2g for the center rows of group g, 2g + 1 for its off-center rows.
    means : pair of float (n_groups,)
        At the center and off-center.
    draws : pair of float (resamples, n_groups)
        The same of each draw.
    counts : pandas.DataFrame
        As of `Resampling.means`, two rows per group.
    """

    def __init__(self, table: pd.DataFrame, values: np.ndarray, by: list[str], sampling: Resampling) -> None:
        self.groups, codes = groups_of(table, by)
        off_center = ~is_center(table).to_numpy()
        require_both_sides(self.groups, codes, off_center)
        self.codes = 2 * codes + off_center
        means, draws, self.counts = sampling.means(table, values[:, None], self.codes, 2 * len(self.groups))
        self.means = means[0::2, 0], means[1::2, 0]
        self.draws = draws[:, 0::2, 0], draws[:, 1::2, 0]


def _pairs(
    rows: pd.DataFrame, level: pd.Series, levels: tuple[object, object], on: list[str]
) -> pd.DataFrame:
    """Return one row per image with the columns of both levels, suffixed ``_first`` and ``_second``."""
    if len(levels) != 2 or levels[0] == levels[1]:
        raise InputError(f"levels are {levels!r}; expected two different values of column {level.name!r}")
    sides = []
    for name in levels:
        side = rows[(level == name).to_numpy(dtype=bool, na_value=False)]
        if side.empty:
            present = list(dict.fromkeys(level.dropna().astype(str)))
            raise InputError(
                f"column {level.name!r} has no rows of level {name!r}; it has {', '.join(present)}"
                f"{suggest(str(name), present)}"
            )
        twice = side[side.duplicated(on)]
        if len(twice):
            raise InputError(
                f"level {name!r} has more than one row for {len(twice)} value(s) of {on}, first "
                f"{_values(twice, on)}; select one row an image or name more columns in 'on'"
            )
        sides.append(side)
    pairs = sides[0].merge(sides[1], on=on, how="outer", suffixes=("_first", "_second"), indicator="side")
    lone = pairs[pairs["side"] != "both"]
    if len(lone):
        present, absent = levels if lone["side"].iloc[0] == "left_only" else levels[::-1]
        raise InputError(
            f"{len(lone)} image(s) are not in both levels, first {_values(lone, on)}: in {present!r} but not "
            f"in {absent!r}; compare levels that saw the same images"
        )
    return pairs


def _values(rows: pd.DataFrame, columns: list[str]) -> str:
    return ", ".join(f"{column} = {rows[column].iloc[0]}" for column in columns)
