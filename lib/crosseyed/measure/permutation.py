"""Permutation and sign-flip tests.

Throughout, `by` names the columns that define groups tested separately (None: the whole table), `cluster` the column of
the objects; `resamples` is the number of shuffles or flips (by default that of the settings) and `seed` their seed.

A p-value is ``(1 + far) / (1 + resamples)``, where ``far`` counts the shuffles at least as far from the expected value
as the table (Phipson and Smyth, *Statistical Applications in Genetics and Molecular Biology* 9, 2010).
"""

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from crosseyed.data.geometry import ROUNDING
from crosseyed.errors import InputError
from crosseyed.measure.checks import (
    EstimateWarning,
    as_columns,
    clusters_of,
    correct_of,
    eccentricity_of,
    group_label,
    groups_of,
    is_center,
    require_both_sides,
    resolve,
    rows_by,
    values_of,
)


def permutation_test(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    position: Literal["center", "eccentricity"] = "center",
    cluster: str = "object",
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Test whether being right is associated with position within objects.

    Under the null hypothesis the positions of an object are exchangeable, so they are shuffled among its rows.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `correct`, `cluster` and `center` or `eccentricity`.
    by, cluster, resamples, seed
        See the module.
    position : {"center", "eccentricity"}
        Statistic: the center-bias gap, or the mean eccentricity of wrong minus right rows; positive if the center is
        better.

    Returns
    -------
    pandas.DataFrame
        Per group `position`, `statistic` (percentage points or eccentricity), `expected` (its mean under the null
        hypothesis), `p_value` (two-sided), `n`, `n_objects`, `unreadable`, `resamples`. A group without variation in
        `correct` or position gets NaN and an `EstimateWarning`.

    Raises
    ------
    InputError
        Bad table or argument, or a group without center or off-center rows.

    Notes
    -----
    The number of right center rows of a shuffled object is drawn from its hypergeometric distribution.
    """
    if position not in ("center", "eccentricity"):
        raise InputError(f"position is {position!r}; expected 'center' or 'eccentricity'")
    by = as_columns(by)
    needed = [*by, cluster] + (["eccentricity"] if position == "eccentricity" else [])
    correct = correct_of(table, needed)
    _, resamples = resolve(resamples=resamples)
    groups, codes = groups_of(table, by)
    if position == "center":
        place = is_center(table).to_numpy(dtype=float)
        require_both_sides(groups, codes, place == 0)
    else:
        place = eccentricity_of(table)
    objects = clusters_of(table, cluster)
    tests = []
    for group in range(len(groups)):
        rows = codes == group
        readable = rows & ~np.isnan(correct)
        right, where = correct[readable], place[readable]
        if len(np.unique(right)) < 2 or len(np.unique(where)) < 2:
            reason = "the readable rows are all right, all wrong or all at one position"
            message = f"no permutation test{group_label(groups, group)}: {reason}"
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
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Test whether paired differences have a mean other than zero.

    Under the null hypothesis either sign of a difference is equally likely (Fisher, *The Design of Experiments*, 1935,
    section 21). The signs of all differences of an object are flipped together.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `value` (differences of pairs; NaN where there is none), `cluster` and those of `by`.
    value : str
        The differences.
    by, cluster, resamples, seed
        See the module. All groups are tested on the same flips.

    Returns
    -------
    pandas.DataFrame
        Per group `mean` (unit of `value`), `p_value` (two-sided, uncorrected; NaN without values), `n`, `n_objects`,
        `unreadable`, `resamples`.

    Raises
    ------
    InputError
        The table is empty or lacks a column, or an argument is out of range.

    Examples
    --------
    >>> table = pd.DataFrame({"object": ["cup", "cup", "dog"], "change": [1.0, 1.0, 1.0]})
    >>> sign_flip_test(table, "change")["p_value"].round(1).item()  # two objects: four flips, two as far
    0.5
    """
    by = as_columns(by)
    values = values_of(table, value, [*by, cluster])
    _, resamples = resolve(resamples=resamples)
    groups, codes = groups_of(table, by)
    objects = clusters_of(table, cluster)
    shape = (objects.max() + 1, len(groups))
    readable = ~np.isnan(values)
    cell = (objects * shape[1] + codes)[readable]
    counts = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
    totals = np.bincount(cell, values[readable], np.prod(shape)).reshape(shape)
    n, observed = counts.sum(axis=0), totals.sum(axis=0)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (resamples, len(totals)))
    far = (np.abs(signs @ totals) >= np.abs(observed) * (1 - ROUNDING) - ROUNDING).sum(axis=0)
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


def _permute(
    correct: np.ndarray,
    place: np.ndarray,
    objects: np.ndarray,
    position: str,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[float, float, float]:
    """Return the statistic, its mean under the null hypothesis and the p-value; `place` is 0, 1 or eccentricity."""
    shuffled = np.zeros(resamples)
    expected = 0.0
    for rows in rows_by(objects):
        n_right = int(correct[rows].sum())
        expected += n_right * place[rows].mean()
        if position == "center":
            n_center = int(place[rows].sum())
            shuffled += rng.hypergeometric(n_center, len(rows) - n_center, n_right, size=resamples)
        else:
            places = np.broadcast_to(place[rows], (resamples, len(rows)))
            shuffled += rng.permuted(places, axis=1)[:, :n_right].sum(axis=1)
    # The sum of the right rows' places decides the statistic: all else that it is made of stays the same.
    observed = correct @ place
    far = np.abs(shuffled - expected) >= np.abs(observed - expected) * (1 - ROUNDING) - ROUNDING
    p_value = (1 + np.count_nonzero(far)) / (1 + resamples)

    def statistic(total: float) -> float:
        right, wrong = correct.sum(), len(correct) - correct.sum()
        if position == "eccentricity":
            return (place.sum() - total) / wrong - total / right
        center = place.sum()
        return 100 * (total / center - (right - total) / (len(place) - center))

    return statistic(observed), statistic(expected), p_value
