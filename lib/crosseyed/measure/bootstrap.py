"""Numbers with uncertainty: tidy tables in, tables out.

Every function takes the table of a protocol (one row per image, see `crosseyed.measure.protocols`) and returns a
labelled table. Accuracies are in percent, gaps in percentage points.

Images of the same object are not independent trials: an object that a model does not know is wrong
everywhere. Every interval is therefore a percentile bootstrap that draws whole objects with replacement, each
with all its rows (the cluster bootstrap; Davison and Hinkley, *Bootstrap Methods and their Application*,
1997, section 3.8). All groups of one call are computed on the same draws, so that a difference between two
groups is paired. The same table and seed give the same numbers.

Rows of unreadable images (`correct` is ``<NA>``) are left out of every accuracy and counted in a column of
their own. An interval that cannot be computed is NaN, and an `EstimateWarning` says why.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from crosseyed.data.geometry import rings
from crosseyed.errors import InputError, suggest
from crosseyed.measure.tables import (
    EstimateWarning,
    as_columns,
    check_resampling,
    clusters_of,
    correct_of,
    eccentricity_of,
    groups_of,
    is_center,
    recode,
    require_both_sides,
    require_columns,
    values_of,
)

"""Largest eccentricity that counts as center where a table has no column `center`."""

CHOICES = ("both", "object", "object2", "other", "unreadable")

"""The What'sUp choices: which of the four captions won, or that the image could not be read."""

# Weights of the bootstrap are made in blocks of about this many numbers (32 MB) to keep memory constant.
_BLOCK = 2**22


def accuracy(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the accuracy of each group with its interval.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, with columns `correct` (true, false or ``<NA>``), `cluster` and those of `by`.
    by : str, sequence of str or None
        Columns whose combinations of values make the groups; None makes one group of the whole table.
    cluster : str
        Column whose values are drawn with replacement.
    confidence : float
        Coverage of the intervals, between 0 and 1.
    resamples : int
        Number of bootstrap draws, at least 1.
    seed : int
        Seed of the draws.

    Returns
    -------
    pandas.DataFrame
        One row per group, sorted by the columns of `by`, which come first; then

        - `accuracy`, `low`, `high`: percent; the ends of the percentile interval;
        - `n`: rows that the accuracy is taken over;
        - `n_objects`: distinct values of `cluster` among them;
        - `unreadable`: rows left out because `correct` is ``<NA>``;
        - `confidence`: as given.

    Raises
    ------
    InputError
        If the table is empty, wholly unreadable or lacks a column, or an argument is out of range.

    Warns
    -----
    EstimateWarning
        If a group has readable rows of fewer than two objects: its interval is NaN.

    Notes
    -----
    A draw without any row of a group says nothing about that group and is left out of its
    interval. In a group whose rows are all right or all wrong every draw is the same, so its interval has no
    width.

    Examples
    --------
    >>> table = pd.DataFrame({"object": ["cup", "cup", "dog", "dog"], "correct": [True, True, True, False]})
    >>> accuracy(table)[["accuracy", "low", "high", "n", "n_objects"]]
       accuracy   low   high  n  n_objects
    0      75.0  50.0  100.0  4          2
    """
    by = as_columns(by)
    correct = correct_of(table, [*by, cluster], confidence, resamples)
    groups, codes = groups_of(table, by)
    means, draws, counts = _bootstrap_means(
        table, correct[:, None], codes, len(groups), cluster=cluster, resamples=resamples, seed=seed
    )
    result = groups.assign(accuracy=100 * means[:, 0])
    result["low"], result["high"] = _interval(100 * draws[:, :, 0], confidence)
    result = result.join(counts)
    result["confidence"] = confidence
    return result


def accuracy_by_center(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the accuracy at the center and off-center (see `is_center`).

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with a column `center` or `eccentricity`.
    by, cluster, confidence, resamples, seed
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        As in `accuracy`, one row per group and value of `center`, off-center (False) first.

    Raises
    ------
    InputError
        As `accuracy` and `is_center`.
    """
    require_columns(table, as_columns(by))
    return accuracy(
        table.assign(center=is_center(table)),
        [*as_columns(by), "center"],
        cluster=cluster,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def accuracy_by_cell(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the accuracy in each cell of the grid.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with columns `row` and `col`.
    by, cluster, confidence, resamples, seed
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        As in `accuracy`, one row per group, `row` and `col`.

    Raises
    ------
    InputError
        As `accuracy`.
    """
    return accuracy(
        table,
        [*as_columns(by), "row", "col"],
        cluster=cluster,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def accuracy_by_eccentricity(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    bins: int | Sequence[float] = 6,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute the accuracy in rings around the image center.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with a column `eccentricity` (in [0, 1]).
    bins : int or sequence of float
        Number of rings of equal width from 0 to 1, or their increasing edges. A ring contains its outer edge,
        the first one also its inner edge. Six rings (the default) put an edge at 1/3, where the center ends.
    by, cluster, confidence, resamples, seed
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        As in `accuracy`, one row per group and ring that has rows, from the inside outwards. After the
        columns of `by` come `eccentricity` (the mean over the ring's rows), `eccentricity_low` and
        `eccentricity_high` (the ring's edges).

    Raises
    ------
    InputError
        As `accuracy`; and if `bins` are not edges, or do not cover every eccentricity of the table.
    """
    by = as_columns(by)
    require_columns(table, [*by, "eccentricity"])
    eccentricity = eccentricity_of(table)
    edges, ring = rings(eccentricity, bins, "the table's eccentricities")
    ringed = table.assign(
        eccentricity=eccentricity, eccentricity_low=edges[ring], eccentricity_high=edges[ring + 1]
    )
    keys = [*by, "eccentricity_low", "eccentricity_high"]
    result = accuracy(ringed, keys, cluster=cluster, confidence=confidence, resamples=resamples, seed=seed)
    means = ringed.groupby(keys, dropna=False, observed=True)["eccentricity"].mean()
    # Both tables are sorted by the same keys, so their rows agree.
    result.insert(len(by), "eccentricity", means.to_numpy())
    return result


def center_bias(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute how much better objects are recognised at the center than off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with a column `center` or `eccentricity` (see `is_center`).
    by, cluster, confidence, resamples, seed
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`; four quantities, each with the ends of its interval in columns
        ending in ``_low`` and ``_high``:

        - `center_accuracy`, `off_center_accuracy`: percent;
        - `gap`: `center_accuracy` minus `off_center_accuracy`, percentage points;
        - `bias_index`: `gap` divided by `center_accuracy`: the share of the center's accuracy that is lost
          off-center, 1 at most; NaN where nothing is right at the center;

        then `n_center`, `n_off_center` (rows behind the accuracies), `n_objects`, `unreadable` and
        `confidence` as in `accuracy`.

    Raises
    ------
    InputError
        As `accuracy` and `is_center`; and if a group has no center or no off-center rows.

    Warns
    -----
    EstimateWarning
        As `accuracy`, for the center and the off-center rows of each group.

    Notes
    -----
    Center and off-center are computed on the same draws of objects, so the interval of the gap is
    that of a paired difference. Draws in which nothing is right at the center are left out of the interval of
    the index.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "object": ["cup", "cup", "dog", "dog"],
    ...         "center": [True, False, True, False],
    ...         "correct": [True, False, True, True],
    ...     }
    ... )
    >>> center_bias(table)[["center_accuracy", "off_center_accuracy", "gap", "bias_index"]]
       center_accuracy  off_center_accuracy   gap  bias_index
    0            100.0                 50.0  50.0         0.5
    """
    by = as_columns(by)
    correct = correct_of(table, [*by, cluster], confidence, resamples)
    groups, codes = groups_of(table, by)
    off_center = ~is_center(table).to_numpy()
    require_both_sides(groups, codes, off_center)
    # Group 2g holds the center rows of group g, group 2g + 1 its off-center rows.
    means, draws, halves = _bootstrap_means(
        table,
        correct[:, None],
        2 * codes + off_center,
        2 * len(groups),
        cluster=cluster,
        resamples=resamples,
        seed=seed,
    )
    result = groups
    observed = _bias(100 * means[:, 0])
    resampled = _bias(100 * draws[:, :, 0])
    for name, values in observed.items():
        low, high = _interval(resampled[name], confidence)
        result = result.assign(**{name: values, f"{name}_low": low, f"{name}_high": high})
    readable = ~np.isnan(correct)
    objects = table.loc[readable, cluster].groupby(codes[readable]).nunique()
    result["n_center"] = halves["n"].to_numpy()[0::2]
    result["n_off_center"] = halves["n"].to_numpy()[1::2]
    result["n_objects"] = objects.reindex(range(len(groups)), fill_value=0).to_numpy()
    result["unreadable"] = halves["unreadable"].to_numpy().reshape(-1, 2).sum(axis=1)
    result["confidence"] = confidence
    return result


def paired_difference(
    table: pd.DataFrame,
    column: str,
    levels: tuple[object, object],
    *,
    quantity: Literal["accuracy", "gap"] = "accuracy",
    on: str | Sequence[str] = "image",
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two encoders or conditions on the same images.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `accuracy`, with columns `column` and `on`, and for the gap `center` or `eccentricity`. Rows of
        other levels are ignored.
    column : str
        Column that tells the two apart, e.g. ``"model"`` or ``"resize"``.
    levels : tuple of two values of `column`
        ``(first, second)``; the difference is first minus second.
    quantity : {"accuracy", "gap"}
        What is compared: the accuracy, or the center-bias gap (see `center_bias`).
    on : str or sequence of str
        Columns that identify an image within a level. Each level must have exactly one row for each of its
        values. Give for instance ``["object", "row", "col"]`` where the image names differ between the
        conditions.
    cluster, confidence, resamples, seed
        As for `accuracy`. Both rows of a pair belong to the same cluster.

    Returns
    -------
    pandas.DataFrame
        One row: `column`, `quantity`, `first`, `second` (the levels), `first_value`, `second_value` (percent,
        or percentage points for the gap), `difference`, `low`, `high` (percentage points), `n` (pairs),
        `n_objects`, `unreadable` (pairs left out because either row is unreadable) and `confidence`.

    Raises
    ------
    InputError
        As `accuracy`; and if a level does not exist, an image lacks its partner or occurs twice in a level,
        the rows of a pair disagree about `cluster` or center, or (for the gap) center or off-center rows are
        lacking.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "model": ["a", "a", "b", "b"],
    ...         "image": ["cup.png", "dog.png", "cup.png", "dog.png"],
    ...         "object": ["cup", "dog", "cup", "dog"],
    ...         "correct": [True, True, True, False],
    ...     }
    ... )
    >>> paired_difference(table, "model", ("a", "b"))["difference"].item()
    50.0
    """
    if quantity not in ("accuracy", "gap"):
        raise InputError(f"quantity is {quantity!r}; expected 'accuracy' or 'gap'")
    on = as_columns(on)
    correct = correct_of(table, [column, *on, cluster], confidence, resamples)
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
    means, draws, counts = _bootstrap_means(
        pairs,
        values,
        off_center.astype(int),
        len(contrast),
        cluster="clusters_first",
        resamples=resamples,
        seed=seed,
    )
    first, second = 100 * contrast @ means
    resampled = 100 * contrast @ draws
    low, high = _interval(resampled[:, 0] - resampled[:, 1], confidence)
    readable = ~np.isnan(values).any(axis=1)
    return pd.DataFrame(
        {
            "column": [column],
            "quantity": [quantity],
            "first": [levels[0]],
            "second": [levels[1]],
            "first_value": [first],
            "second_value": [second],
            "difference": [first - second],
            "low": [low],
            "high": [high],
            "n": [counts["n"].sum()],
            "n_objects": [pairs.loc[readable, "clusters_first"].nunique()],
            "unreadable": [counts["unreadable"].sum()],
            "confidence": [confidence],
        }
    )


def mean(
    table: pd.DataFrame,
    value: str,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
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
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        One row per group, sorted by the columns of `by`, which come first; then `mean`, `low`, `high` in the
        unit of `value`, `n`, `n_objects`, `unreadable` (rows without a value) and `confidence` as in `accuracy`.

    Raises
    ------
    InputError
        As `accuracy`; and if `value` holds what is not a number.

    Warns
    -----
    EstimateWarning
        As `accuracy`.

    Examples
    --------
    >>> table = pd.DataFrame({"object": ["cup", "dog"], "effect": [0.1, 0.3]})
    >>> mean(table, "effect")[["mean", "low", "high"]]
       mean  low  high
    0   0.2  0.1   0.3
    """
    by = as_columns(by)
    values = values_of(table, value, [*by, cluster], confidence, resamples)
    groups, codes = groups_of(table, by)
    means, draws, counts = _bootstrap_means(
        table, values[:, None], codes, len(groups), cluster=cluster, resamples=resamples, seed=seed
    )
    result = groups.assign(mean=means[:, 0])
    result["low"], result["high"] = _interval(draws[:, :, 0], confidence)
    return result.join(counts).assign(confidence=confidence)


def center_difference(
    table: pd.DataFrame,
    value: str,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute by how much the mean of any quantity is larger at the center than off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `mean`, with a column `center` or `eccentricity` (see `is_center`).
    value : str
        The quantity.
    by, cluster, confidence, resamples, seed
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`; `center_mean`, `off_center_mean` and `difference`, in the unit of
        `value` and each with the ends of its interval in columns ending in ``_low`` and ``_high``; `confidence`.
        Both sides are computed on the same draws of objects, so the difference is a paired one.

    Raises
    ------
    InputError
        As `mean` and `is_center`; and if a group has no center or no off-center rows.

    Warns
    -----
    EstimateWarning
        As `accuracy`, for the center and the off-center rows of each group.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "object": ["cup", "cup", "dog", "dog"],
    ...         "center": [True, False, True, False],
    ...         "effect": [0.75, 0.25, 0.5, 0.25],
    ...     }
    ... )
    >>> center_difference(table, "effect")[["difference", "difference_low", "difference_high"]]
       difference  difference_low  difference_high
    0       0.375            0.25              0.5
    """
    by = as_columns(by)
    values = values_of(table, value, [*by, cluster], confidence, resamples)
    groups, codes = groups_of(table, by)
    off_center = ~is_center(table).to_numpy()
    require_both_sides(groups, codes, off_center)
    means, draws, _ = _bootstrap_means(
        table,
        values[:, None],
        2 * codes + off_center,
        2 * len(groups),
        cluster=cluster,
        resamples=resamples,
        seed=seed,
    )
    result = groups
    observed, resampled = _sides(means[:, 0]), _sides(draws[:, :, 0])
    for name, numbers in observed.items():
        low, high = _interval(resampled[name], confidence)
        result = result.assign(**{name: numbers, f"{name}_low": low, f"{name}_high": high})
    return result.assign(confidence=confidence)


def choices(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Count which of What'sUp's four captions won, at the center and off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `choice` (one of `CHOICES`), `cluster`, and `center` or `eccentricity`.
    by, cluster, confidence, resamples, seed
        As for `accuracy`.

    Returns
    -------
    pandas.DataFrame
        One row per group, value of `center` (center first) and choice (in the order of `CHOICES`, also where
        its count is zero): the columns of `by`, `center`, `choice`; `count`; `share`, `low`, `high` (percent
        of the readable images, so that the share of ``"both"`` is the accuracy; NaN for ``"unreadable"``);
        `n` (readable images), `n_objects` and `confidence` as in `accuracy`.

    Raises
    ------
    InputError
        As `accuracy` and `is_center`; and if `choice` has other values.

    Warns
    -----
    EstimateWarning
        As `accuracy`.
    """
    by = as_columns(by)
    require_columns(table, [*by, cluster, "choice"])
    check_resampling(confidence, resamples)
    unknown = table.loc[~table["choice"].isin(CHOICES), "choice"]
    if len(unknown):
        raise InputError(
            f"column 'choice' has the value {unknown.iloc[0]!r} in {len(unknown)} row(s); expected one of "
            f"{', '.join(CHOICES)} (the table of the four-caption protocol, not of a zero-shot one)"
        )
    centered = table.assign(center=pd.Categorical(is_center(table), categories=[True, False]))
    groups, codes = groups_of(centered, [*by, "center"])
    groups["center"] = groups["center"].astype(bool)
    chosen = (centered["choice"].to_numpy()[:, None] == np.array(CHOICES)).astype(float)
    counts = np.stack([np.bincount(codes, column, minlength=len(groups)) for column in chosen.T], axis=1)
    chosen[chosen[:, -1] == 1] = np.nan
    means, draws, group_counts = _bootstrap_means(
        centered, chosen[:, :-1], codes, len(groups), cluster=cluster, resamples=resamples, seed=seed
    )
    low, high = _interval(100 * draws, confidence)
    no_share = np.full((len(groups), 1), np.nan)
    result = groups.loc[groups.index.repeat(len(CHOICES))].reset_index(drop=True)
    result["choice"] = list(CHOICES) * len(groups)
    result["count"] = counts.astype(int).ravel()
    for name, values in (("share", 100 * means), ("low", low), ("high", high)):
        result[name] = np.hstack([values, no_share]).ravel()
    for name in ("n", "n_objects"):
        result[name] = group_counts[name].repeat(len(CHOICES)).to_numpy()
    result["confidence"] = confidence
    return result


def _bootstrap_means(
    table: pd.DataFrame,
    values: np.ndarray,
    codes: np.ndarray,
    n_groups: int,
    *,
    cluster: str,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return means of values by group, observed and on resampled clusters, and what they are taken over.

    `values` is (n_rows, n_values), rows with a NaN being unreadable; `codes` (n_rows,) is each row's group.
    Means are (n_groups, n_values), their draws (resamples, n_groups, n_values); a group of fewer than two
    clusters has NaN draws. The counts have columns `n`, `n_objects` and `unreadable`.
    """
    readable = ~np.isnan(values).any(axis=1)
    if not readable.any():
        raise InputError(
            f"all {len(table)} rows of the table are unreadable images; there is nothing to measure"
        )
    n_values = values.shape[1]
    clusters = recode(clusters_of(table, cluster)[readable])
    n_clusters = clusters.max() + 1
    cell = clusters * n_groups + codes[readable]

    def by_cluster(weights: np.ndarray | None) -> np.ndarray:
        return np.bincount(cell, weights, n_clusters * n_groups).reshape(n_clusters, n_groups)

    counts = by_cluster(None)
    # All that resampling needs to know of a cluster: how many rows it brings to a group and their sum.
    totals = np.hstack([by_cluster(column) for column in values[readable].T] + [counts])
    observed = totals.sum(axis=0)
    draws = np.concatenate([weights @ totals for weights in _cluster_weights(n_clusters, resamples, seed)])

    def means(totals: np.ndarray) -> np.ndarray:
        totals = totals.reshape(*totals.shape[:-1], n_values + 1, n_groups)
        with np.errstate(invalid="ignore"):
            return np.moveaxis(totals[..., :-1, :] / totals[..., -1:, :], -1, -2)

    n_objects = (counts > 0).sum(axis=0)
    drawn = means(draws)
    drawn[:, n_objects < 2] = np.nan
    if (n_objects < 2).any():
        warnings.warn(
            f"the interval is NaN in {np.count_nonzero(n_objects < 2)} of {n_groups} group(s): the readable "
            f"rows belong to fewer than two objects, so nothing can be resampled",
            EstimateWarning,
            stacklevel=3,
        )
    summary = pd.DataFrame(
        {
            "n": counts.sum(axis=0),
            "n_objects": n_objects,
            "unreadable": np.bincount(codes[~readable], minlength=n_groups),
        }
    )
    return means(observed), drawn, summary


def _cluster_weights(n_clusters: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks (n_draws, n_clusters) of how often each draw with replacement takes each cluster."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // n_clusters)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(n_clusters, size=(size, n_clusters))
        drawn += n_clusters * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n_clusters).reshape(size, n_clusters).astype(float)


def _interval(draws: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the percentile interval of draws (resamples, ...), ignoring NaN draws."""
    tail = (1 - confidence) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        low, high = np.nanquantile(draws, [tail, 1 - tail], axis=0)
    return low, high


def _bias(percent: np.ndarray) -> dict[str, np.ndarray]:
    """Return the quantities of `center_bias` from accuracies (..., 2 n_groups), center before off-center."""
    center, off_center = percent[..., 0::2], percent[..., 1::2]
    gap = center - off_center
    index = np.divide(gap, center, out=np.full_like(gap, np.nan), where=center > 0)
    return {"center_accuracy": center, "off_center_accuracy": off_center, "gap": gap, "bias_index": index}


def _sides(means: np.ndarray) -> dict[str, np.ndarray]:
    """Return the quantities of `center_difference` from means (..., 2 n_groups), center before off-center."""
    center, off_center = means[..., 0::2], means[..., 1::2]
    return {"center_mean": center, "off_center_mean": off_center, "difference": center - off_center}


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
