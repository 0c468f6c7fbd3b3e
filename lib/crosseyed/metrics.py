"""Numbers with uncertainty: tidy tables in, tables out.

Every function takes the table of a protocol (one row per image, see `crosseyed.protocols`) and returns a
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
from scipy import optimize, sparse, stats
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.discrete.discrete_model import Logit

from crosseyed.errors import InputError, suggest

CENTER_LIMIT = 1 / 3
"""Largest eccentricity that counts as center where a table has no column `center`."""

CHOICES = ("both", "object", "object2", "other", "unreadable")
"""The What'sUp choices: which of the four captions won, or that the image could not be read."""

# Up to this many rows an object the exact conditional likelihood takes a second (its cost grows with the
# square of the rows); above it, estimating the object effects overstates the slope by less than 1 / 30.
_MAX_CONDITIONAL_ROWS = 30

# Equal eccentricities differ in their last digits after a detour over x and y; no
# object may change sides for that.
_ROUNDING = 1e-9

# Weights of the bootstrap are made in blocks of about this many numbers (32 MB) to keep memory constant.
_BLOCK = 2**22


class EstimateWarning(UserWarning):
    """An interval or a slope cannot be computed from this table and is NaN; the message says why."""


def is_center(table: pd.DataFrame) -> pd.Series:
    """Say which rows count as center.

    Parameters
    ----------
    table : pandas.DataFrame
        With a column `center` (bool), or else `eccentricity` (in [0, 1]).

    Returns
    -------
    pandas.Series of bool
        Named `center`, with the table's index: the column `center` where the protocol defines it (What'sUp,
        the grid's middle cell), otherwise whether the eccentricity is at most 1/3 (`CENTER_LIMIT`).

    Raises
    ------
    InputError
        If neither column exists, or it has missing or impossible values.

    Examples
    --------
    >>> is_center(pd.DataFrame({"eccentricity": [0.0, 0.3, 0.8]})).tolist()
    [True, True, False]
    """
    if "center" in table:
        return _boolean(table, "center", missing_allowed=False).astype(bool)
    if "eccentricity" not in table:
        raise InputError(
            "table has neither a column 'center' nor 'eccentricity', so center and off-center cannot be told "
            "apart; add one of them"
        )
    return pd.Series(_eccentricity(table) <= CENTER_LIMIT + _ROUNDING, index=table.index, name="center")


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
    by = _columns(by)
    correct = _correct(table, [*by, cluster], confidence, resamples)
    groups, codes = _groups(table, by)
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
    _require(table, _columns(by))
    return accuracy(
        table.assign(center=is_center(table)),
        [*_columns(by), "center"],
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
        [*_columns(by), "row", "col"],
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
    by = _columns(by)
    _require(table, [*by, "eccentricity"])
    eccentricity = _eccentricity(table)
    edges = _edges(bins)
    if eccentricity.min() < edges[0] - _ROUNDING or eccentricity.max() > edges[-1] + _ROUNDING:
        raise InputError(
            f"bins reach from {edges[0]:g} to {edges[-1]:g}, but the table's eccentricities from "
            f"{eccentricity.min():g} to {eccentricity.max():g}; widen the bins or select the rows to measure"
        )
    ring = np.maximum(np.searchsorted(edges + _ROUNDING, eccentricity), 1)
    ringed = table.assign(
        eccentricity=eccentricity, eccentricity_low=edges[ring - 1], eccentricity_high=edges[ring]
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
    by = _columns(by)
    correct = _correct(table, [*by, cluster], confidence, resamples)
    groups, codes = _groups(table, by)
    off_center = ~is_center(table).to_numpy()
    _require_both(groups, codes, off_center)
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
    on = _columns(on)
    correct = _correct(table, [column, *on, cluster], confidence, resamples)
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
        _require_both(pd.DataFrame(index=[0]), np.zeros(len(pairs), dtype=int), off_center)
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
    by = _columns(by)
    values = _values_of(table, value, [*by, cluster], confidence, resamples)
    groups, codes = _groups(table, by)
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
    by = _columns(by)
    values = _values_of(table, value, [*by, cluster], confidence, resamples)
    groups, codes = _groups(table, by)
    off_center = ~is_center(table).to_numpy()
    _require_both(groups, codes, off_center)
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


def eccentricity_slope(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Estimate how the odds of a right answer change with eccentricity, for a given object.

    A logistic regression of `correct` on eccentricity with an effect of its own for each object, so that easy
    and hard objects cannot pass for an effect of position:
    ``logit P(correct) = object effect + slope * eccentricity + size slope * log(size)``.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `correct`, `eccentricity` (in [0, 1]) and `cluster`. A column `size` (positive, any unit)
        enters as its logarithm if it varies within an object; otherwise the object effects contain it.
    by : str, sequence of str or None
        Columns whose combinations of values are fitted separately.
    cluster : str
        Column of the objects.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`;

        - `odds_ratio`, `low`, `high`: factor on the odds of a right answer for each 0.1 of eccentricity
          (below 1: worse towards the border), with its interval;
        - `p_value`: two-sided, of the hypothesis that the factor is 1;
        - `n`, `n_objects`: readable rows and objects;
        - `n_informative`: objects among them that are neither always right nor always wrong;
        - `unreadable`: rows left out because `correct` is ``<NA>``;
        - `size_covariate`: whether log size is in the regression;
        - `note`: why there is no estimate, otherwise empty;
        - `confidence`: as given.

    Raises
    ------
    InputError
        If the table is empty or lacks a column, or a value is out of range.

    Warns
    -----
    EstimateWarning
        If the slope of a group cannot be estimated (its `note` says why); its numbers are NaN.

    Notes
    -----
    An object that is always right or always wrong has an infinite effect and says nothing about
    the slope; under the conditional likelihood, and equally in the limit of the full one, it drops out. The
    rest is fitted by the conditional logistic regression of statsmodels (Chamberlain, *Review of Economic
    Studies* 47, 1980), which is free of the bias of estimating one effect an object. Its cost grows with the
    square of the rows an object; where an object has more than 30 rows on average, object effects are
    estimated instead (statsmodels `Logit` with one dummy an object), which overstates the slope by about one
    part in the number of rows an object.

    Objects differ in how fast they are lost, so standard errors are clustered by object (sandwich estimator;
    Liang and Zeger, *Biometrika* 73, 1986) and the interval and p-value use Student's t with one degree of
    freedom less than there are informative objects.
    """
    by = _columns(by)
    correct = _correct(table, [*by, cluster, "eccentricity"], confidence)
    covariates = {"eccentricity": 10 * _eccentricity(table)}
    if "size" in table:
        covariates["size"] = np.log(_positive(table, "size"))
    groups, codes = _groups(table, by)
    objects = _objects(table, cluster)
    fits = []
    for group in range(len(groups)):
        rows = codes == group
        readable = rows & ~np.isnan(correct)
        fit = _fit_slope(
            correct[readable],
            {name: values[readable] for name, values in covariates.items()},
            objects[readable],
            confidence,
        )
        if fit["note"]:
            message = f"no slope{_label(groups, group)}: {fit['note']}"
            warnings.warn(message, EstimateWarning, stacklevel=2)
        fits.append({**fit, "unreadable": np.count_nonzero(rows & ~readable)})
    columns = ["odds_ratio", "low", "high", "p_value", "n", "n_objects", "n_informative", "unreadable"]
    result = groups.join(pd.DataFrame(fits)[[*columns, "size_covariate", "note"]])
    result["confidence"] = confidence
    return result


def permutation_test(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    position: Literal["center", "eccentricity"] = "center",
    cluster: str = "object",
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Test whether being right is associated with position within objects.

    Under the null hypothesis the positions of an object are exchangeable: they are shuffled among the rows of
    each object, which keeps how often the object is right and where it stood.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `correct`, `cluster` and `center` or `eccentricity`.
    by : str, sequence of str or None
        Columns whose combinations of values are tested separately.
    position : {"center", "eccentricity"}
        The statistic: the center-bias gap (see `center_bias`), or the mean eccentricity of the wrong rows
        minus that of the right rows. Both are positive where the center is better.
    cluster : str
        Column of the objects.
    resamples : int
        Number of random shuffles, at least 1; the smallest possible p-value is 1 / (resamples + 1).
    seed : int
        Seed of the shuffles.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`; `position`; `statistic` (percentage points for the gap,
        eccentricity otherwise); `expected`, its mean under the null hypothesis; `p_value`, two-sided; `n`,
        `n_objects`, `unreadable` as in `accuracy`; and `resamples`.

    Raises
    ------
    InputError
        If the table is empty or lacks a column, an argument is out of range, or a group has no center or no
        off-center rows.

    Warns
    -----
    EstimateWarning
        If all rows of a group are right, or all wrong, or all at one position: its test is NaN.

    Notes
    -----
    The p-value is ``(1 + far) / (1 + resamples)``, where ``far`` counts the shuffles whose
    statistic is at least as far from its expected value as that of the table; it is never zero (Phipson and
    Smyth, *Statistical Applications in Genetics and Molecular Biology* 9, 2010). Given its number of right
    rows and of center rows, the number of right center rows of a shuffled object has the hypergeometric
    distribution, from which it is drawn directly.
    """
    if position not in ("center", "eccentricity"):
        raise InputError(f"position is {position!r}; expected 'center' or 'eccentricity'")
    by = _columns(by)
    needed = [*by, cluster] + (["eccentricity"] if position == "eccentricity" else [])
    correct = _correct(table, needed, resamples=resamples)
    groups, codes = _groups(table, by)
    if position == "center":
        place = is_center(table).to_numpy(dtype=float)
        _require_both(groups, codes, place == 0)
    else:
        place = _eccentricity(table)
    objects = _objects(table, cluster)
    tests = []
    for group in range(len(groups)):
        rows = codes == group
        readable = rows & ~np.isnan(correct)
        right, where = correct[readable], place[readable]
        if len(np.unique(right)) < 2 or len(np.unique(where)) < 2:
            reason = "the readable rows are all right, all wrong or all at one position"
            message = f"no permutation test{_label(groups, group)}: {reason}"
            warnings.warn(message, EstimateWarning, stacklevel=2)
            statistic = expected = p_value = np.nan
        else:
            statistic, expected, p_value = _permute(
                right, where, objects[readable], position, resamples, np.random.default_rng(seed)
            )
        tests.append(
            {
                "position": position,
                "statistic": statistic,
                "expected": expected,
                "p_value": p_value,
                "n": len(right),
                "n_objects": len(np.unique(objects[readable])),
                "unreadable": np.count_nonzero(rows) - len(right),
                "resamples": resamples,
            }
        )
    return groups.join(pd.DataFrame(tests))


def sign_flip_test(
    table: pd.DataFrame,
    value: str,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Test whether paired differences have a mean other than zero.

    Under the null hypothesis the two sides of a pair are exchangeable, so a difference is as likely with the other
    sign (Fisher, *The Design of Experiments*, 1935, section 21). Rows of the same object are not independent, so the
    signs of all differences of an object are flipped together.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `value` (differences of pairs; NaN where there is none), `cluster` and those of `by`.
    value : str
        The differences.
    by : str, sequence of str or None
        Columns whose combinations of values are tested separately, on the same flips.
    cluster : str
        Column of the objects.
    resamples : int
        Number of random flips, at least 1; the smallest possible p-value is 1 / (resamples + 1).
    seed : int
        Seed of the flips.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`; `mean`, in the unit of `value`; `p_value`, two-sided and not corrected
        for the number of groups (NaN in a group without a value); `n`, `n_objects` and `unreadable` as in `mean`; and
        `resamples`.

    Raises
    ------
    InputError
        As `mean`.

    Notes
    -----
    The p-value is ``(1 + far) / (1 + resamples)``, where ``far`` counts the flips whose mean is at least as far from
    zero as that of the table, as in `permutation_test`.

    Examples
    --------
    >>> table = pd.DataFrame({"object": ["cup", "cup", "dog"], "change": [1.0, 1.0, 1.0]})
    >>> sign_flip_test(table, "change")["p_value"].round(1).item()  # two objects: four flips, two as far
    0.5
    """
    by = _columns(by)
    values = _values_of(table, value, [*by, cluster], 0.95, resamples)
    groups, codes = _groups(table, by)
    objects = _objects(table, cluster)
    shape = (objects.max() + 1, len(groups))
    readable = ~np.isnan(values)
    cell = (objects * shape[1] + codes)[readable]
    counts = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
    totals = np.bincount(cell, values[readable], np.prod(shape)).reshape(shape)
    n, observed = counts.sum(axis=0), totals.sum(axis=0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (resamples, len(totals)))
    far = (np.abs(signs @ totals) >= np.abs(observed) * (1 - _ROUNDING) - _ROUNDING).sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = observed / n
    return groups.assign(
        mean=means,
        p_value=np.where(n > 0, (1 + far) / (1 + resamples), np.nan),
        n=n,
        n_objects=(counts > 0).sum(axis=0),
        unreadable=np.bincount(codes[~readable], minlength=len(groups)),
        resamples=resamples,
    )


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
    by = _columns(by)
    _require(table, [*by, cluster, "choice"])
    _check_resampling(confidence, resamples)
    unknown = table.loc[~table["choice"].isin(CHOICES), "choice"]
    if len(unknown):
        raise InputError(
            f"column 'choice' has the value {unknown.iloc[0]!r} in {len(unknown)} row(s); expected one of "
            f"{', '.join(CHOICES)} (the table of the four-caption protocol, not of a zero-shot one)"
        )
    centered = table.assign(center=pd.Categorical(is_center(table), categories=[True, False]))
    groups, codes = _groups(centered, [*by, "center"])
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


# --- the bootstrap ---


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
    clusters = _recode(_objects(table, cluster)[readable])
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


# --- the regression and the permutation test ---


def _fit_slope(
    correct: np.ndarray, covariates: dict[str, np.ndarray], objects: np.ndarray, confidence: float
) -> dict[str, object]:
    """Return the slope on eccentricity of one group as the columns of `eccentricity_slope`.

    `correct` (n,) is 0 or 1, each covariate and `objects` are (n,).
    """
    n_objects = len(np.unique(objects))
    informative = _varies_within(correct, objects)
    correct, objects = correct[informative], _recode(objects[informative])
    covariates = {name: values[informative] for name, values in covariates.items()}
    n_informative = len(np.unique(objects))
    varying = [name for name, values in covariates.items() if _varies_within(values, objects).any()]
    fit = {
        "odds_ratio": np.nan,
        "low": np.nan,
        "high": np.nan,
        "p_value": np.nan,
        "n": len(informative),
        "n_objects": n_objects,
        "n_informative": n_informative,
        "size_covariate": "size" in varying,
        "note": "",
    }
    if n_informative < 2:
        return fit | {
            "note": f"{n_informative} of {n_objects} objects are both right and wrong; two are needed"
        }
    if "eccentricity" not in varying:
        return fit | {"note": "no object that is both right and wrong stood at more than one eccentricity"}
    design = np.column_stack([covariates[name] for name in varying])
    # Object means say nothing beside object effects; without them the numbers stay small and the rank is that
    # of the variation within objects.
    design -= pd.DataFrame(design).groupby(objects).transform("mean").to_numpy()
    if np.linalg.matrix_rank(design) < len(varying):
        return fit | {"note": "size changes in step with eccentricity, so their effects cannot be told apart"}
    if _separated(correct, design, objects):
        return fit | {"note": "position or size separates right from wrong rows without exception"}
    few_rows = len(correct) <= _MAX_CONDITIONAL_ROWS * n_informative
    slope, error = (_conditional_logit if few_rows else _dummy_logit)(correct, design, objects)
    df = n_informative - 1
    half_width = stats.t.ppf((1 + confidence) / 2, df) * error
    return fit | {
        "odds_ratio": np.exp(slope),
        "low": np.exp(slope - half_width),
        "high": np.exp(slope + half_width),
        "p_value": 2 * stats.t.sf(abs(slope) / error, df),
    }


def _separated(correct: np.ndarray, design: np.ndarray, objects: np.ndarray) -> bool:
    """Say whether some direction of `design` (n, k) puts no right row below a wrong row of the same object.

    Then the likelihood has no maximum (Albert and Anderson, *Biometrika* 71, 1984). The direction and one
    threshold an object are sought by a linear program (Konis, doctoral thesis, University of Oxford, 2007).
    """
    n_rows, n_covariates = design.shape
    thresholds = sparse.csr_array((np.ones(n_rows), (np.arange(n_rows), objects)))
    sides = sparse.diags_array(2 * correct - 1) @ sparse.hstack([sparse.csr_array(design), -thresholds])
    bounds = [(-1, 1)] * n_covariates + [(None, None)] * thresholds.shape[1]
    program = optimize.linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(n_rows), bounds=bounds)
    return -program.fun > 1e-6


def _conditional_logit(correct: np.ndarray, design: np.ndarray, objects: np.ndarray) -> tuple[float, float]:
    """Return the first slope and its clustered standard error, conditional on each object's right rows."""
    model = ConditionalLogit(correct, design, groups=objects)
    fit = model.fit(disp=False)
    scores = np.array([model.score_grp(group, fit.params) for group in range(objects.max() + 1)])
    bread = fit.cov_params()
    covariance = bread @ scores.T @ scores @ bread * len(scores) / (len(scores) - 1)
    return fit.params[0], np.sqrt(covariance[0, 0])


def _dummy_logit(correct: np.ndarray, design: np.ndarray, objects: np.ndarray) -> tuple[float, float]:
    """Return the first slope and its clustered standard error, with one dummy an object."""
    dummies = np.eye(objects.max() + 1)[objects]
    fit = Logit(correct, np.hstack([design, dummies])).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": objects}
    )
    return fit.params[0], fit.bse[0]


def _permute(
    correct: np.ndarray,
    place: np.ndarray,
    objects: np.ndarray,
    position: str,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Return the statistic of `permutation_test`, its mean under the null hypothesis and the p-value.

    `correct` (n,) is 0 or 1; `place` (n,) is 1 at the center and 0 elsewhere, or the eccentricity.
    """
    shuffled = np.zeros(resamples)
    expected = 0.0
    for rows in _rows_by(objects):
        n_right = int(correct[rows].sum())
        expected += n_right * place[rows].mean()
        if position == "center":
            n_center = int(place[rows].sum())
            shuffled += rng.hypergeometric(n_center, len(rows) - n_center, n_right, size=resamples)
        else:
            places = np.broadcast_to(place[rows], (resamples, len(rows)))
            shuffled += rng.permuted(places, axis=1)[:, :n_right].sum(axis=1)
    # The sum of the right rows' places decides the statistic, as all that it is made of besides stays the
    # same.
    observed = correct @ place
    far = np.abs(shuffled - expected) >= np.abs(observed - expected) * (1 - 1e-9) - 1e-9
    p_value = (1 + np.count_nonzero(far)) / (1 + resamples)

    def statistic(total: float) -> float:
        right, wrong = correct.sum(), len(correct) - correct.sum()
        if position == "eccentricity":
            return (place.sum() - total) / wrong - total / right
        center = place.sum()
        return 100 * (total / center - (right - total) / (len(place) - center))

    return statistic(observed), statistic(expected), p_value


# --- checks and groups ---


def _columns(by: str | Sequence[str] | None) -> list[str]:
    if by is None:
        return []
    return [by] if isinstance(by, str) else list(dict.fromkeys(by))


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError unless the table has rows and all the columns."""
    for column in columns:
        if column not in table:
            raise InputError(
                f"table has no column {column!r}{suggest(str(column), map(str, table.columns))} "
                f"(its columns are {', '.join(map(str, table.columns)) or 'none'})"
            )
    if table.empty:
        raise InputError("table has no rows; there is nothing to measure")


def _check_resampling(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence!r}; expected a number between 0 and 1, such as 0.95")
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 1:
        raise InputError(f"resamples is {resamples!r}; expected a whole number, at least 1, such as 10000")


def _correct(
    table: pd.DataFrame, columns: Sequence[str], confidence: float = 0.95, resamples: int = 1
) -> np.ndarray:
    """Check the arguments that most functions share and return `correct` as float (n,): 0, 1 or NaN."""
    _check_resampling(confidence, resamples)
    _require(table, [*columns, "correct"])
    return _boolean(table, "correct", missing_allowed=True).to_numpy(dtype=float, na_value=np.nan)


def _values_of(
    table: pd.DataFrame, value: str, columns: Sequence[str], confidence: float, resamples: int
) -> np.ndarray:
    """Check the arguments of functions on any quantity and return it as float (n,), NaN where there is none."""
    _check_resampling(confidence, resamples)
    _require(table, [*columns, value])
    try:
        values = table[value].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        held = ", ".join(map(str, table[value].dropna().unique()[:3]))
        raise InputError(f"column {value!r} holds {held}; expected numbers") from None
    if np.isinf(values).any():
        raise InputError(f"column {value!r} holds infinite numbers; expected finite ones, or NaN for none")
    return values


def _boolean(table: pd.DataFrame, column: str, *, missing_allowed: bool) -> pd.Series:
    try:
        values = table[column].astype("boolean")
    except (TypeError, ValueError):
        held = ", ".join(map(str, table[column].dropna().unique()[:3]))
        missing = " (and <NA> for unreadable images)" if missing_allowed else ""
        raise InputError(f"column {column!r} holds {held}; expected True and False{missing}") from None
    if not missing_allowed and values.isna().any():
        raise InputError(
            f"column {column!r} is missing in {values.isna().sum()} row(s); fill it or drop them"
        )
    return values


def _numbers(table: pd.DataFrame, column: str, low: float, high: float, expected: str) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~((values >= low) & (values <= high))
    if bad.any():
        first = table[column].iloc[np.flatnonzero(bad)[0]]
        raise InputError(f"column {column!r} holds {first} (in {bad.sum()} row(s)); expected {expected}")
    return values


def _eccentricity(table: pd.DataFrame) -> np.ndarray:
    expected = "distances from the image center between 0 and 1 (half the image diagonal)"
    return _numbers(table, "eccentricity", 0, 1 + _ROUNDING, expected)


def _positive(table: pd.DataFrame, column: str) -> np.ndarray:
    return _numbers(table, column, np.finfo(float).tiny, np.finfo(float).max, "positive numbers")


def _edges(bins: int | Sequence[float]) -> np.ndarray:
    if isinstance(bins, int | np.integer):
        if bins < 1:
            raise InputError(f"bins is {bins}; expected at least 1 ring, or the edges of the rings")
        return np.linspace(0, 1, bins + 1)
    edges = np.asarray(bins, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"bins are {bins!r}; expected a number of rings or at least two increasing edges")
    return edges


def _groups(table: pd.DataFrame, by: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the groups (n_groups, by), sorted, and each row's group (n_rows,)."""
    if not by:
        return pd.DataFrame(index=pd.RangeIndex(1)), np.zeros(len(table), dtype=int)
    codes = table.groupby(by, dropna=False, observed=True).ngroup().to_numpy()
    first = np.unique(codes, return_index=True)[1]
    return table[by].iloc[first].reset_index(drop=True), codes


def _objects(table: pd.DataFrame, cluster: str) -> np.ndarray:
    """Return each row's object as a number (n_rows,) from 0 in order of appearance."""
    codes = pd.factorize(table[cluster])[0]
    if (codes < 0).any():
        raise InputError(
            f"column {cluster!r} is missing in {np.count_nonzero(codes < 0)} row(s); fill it or drop them"
        )
    return codes


def _recode(codes: np.ndarray) -> np.ndarray:
    """Return the codes renumbered from 0 without holes."""
    return np.unique(codes, return_inverse=True)[1]


def _rows_by(codes: np.ndarray) -> list[np.ndarray]:
    """Return the positions of the rows of each code."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _varies_within(values: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Say for each row whether its object has more than one value."""
    by_object = pd.Series(values).groupby(objects)
    return (by_object.transform("max") > by_object.transform("min")).to_numpy()


def _require_both(groups: pd.DataFrame, codes: np.ndarray, off_center: np.ndarray) -> None:
    """Raise InputError unless every group has center and off-center rows."""
    for name, rows in (("center", ~off_center), ("off-center", off_center)):
        lacking = np.flatnonzero(np.bincount(codes[rows], minlength=len(groups)) == 0)
        if len(lacking):
            raise InputError(
                f"table has no {name} rows{_label(groups, lacking[0])}; the gap compares center with "
                f"off-center rows (column 'center', or else eccentricity at most 1/3)"
            )


def _label(groups: pd.DataFrame, group: int) -> str:
    """Return words that name a group, or nothing if the whole table is the group."""
    row = ", ".join(f"{column} = {groups[column].iloc[group]}" for column in groups)
    return f" for {row}" if row else ""
