"""Means over two samples that are crossed: objects, and the training seeds of the models that all saw them.

A model trained again from other initial weights gives other answers, and other objects would too. Every model sees
every object, so an answer shares its object with other answers, and its seed with still others. Of n images and k
seeds, let y be the mean, r_i and c_s the deviations of the means of image i and seed s from it, and d_is what is
left of a single value. The variance of y is (Cameron, Gelbach and Miller, *Journal of Business & Economic
Statistics* 29, 2011)::

    V = V_objects + V_seeds − V_both
    V_objects = cluster variance of Σ r_i / n            by object, or by both objects of an image (dyadic)
    V_seeds   = Σ c_s² / (k (k − 1))
    V_both    = Σ_s cluster variance of Σ d_is / n       over k (k − 1); the first two both contain it

but not less than either of the first two. The interval is y ± t √V, with the degrees of freedom of Satterthwaite
(*Biometrics Bulletin* 2, 1946), in which those of the seeds count most: few seeds make a wide interval.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from crosseyed.errors import InputError
from crosseyed.measure import dyadic
from crosseyed.measure.checks import (
    EstimateWarning,
    as_columns,
    clusters_of,
    group_label,
    groups_of,
    resolve,
    values_of,
)


def mean(
    table: pd.DataFrame,
    value: str,
    by: str | Sequence[str] | None = None,
    *,
    seed: str = "seed",
    image: str = "image",
    objects: Sequence[str] = ("object",),
    confidence: float | None = None,
) -> pd.DataFrame:
    """Compute the mean of a quantity over objects and training seeds, of which both are samples.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `value` (numbers), `seed`, `image`, `objects` and those of `by`; in each group, every image once
        with every seed.
    value, seed, image : str
        The quantity, the training seed of the model, and what is seen by all models.
    by : str, sequence of str or None
        Columns that define the groups (None: one group).
    objects : sequence of str
        The column with the object of an image, or both columns of `crosseyed.measure.dyadic.OBJECTS`.
    confidence : float, optional
        Coverage of the interval, in (0, 1); by default that of the settings.

    Returns
    -------
    pandas.DataFrame
        One row per group: `by`; `mean`, `low`, `high` in the unit of `value`; `p_value`, two-sided, of the hypothesis
        that the mean is zero; `least` and `most`, the smallest and largest mean of a seed; `n_seeds`, `n_objects`,
        `confidence`. With one seed, interval and p-value are NaN, with an `EstimateWarning`.

    Raises
    ------
    InputError
        The table is empty or lacks a column, a value is missing, or an image is not there once with every seed.
    """
    by, (confidence, _) = as_columns(by), resolve(confidence)
    values = values_of(table, value, [*by, seed, image, *objects])
    groups, codes = groups_of(table, by)
    rows = []
    for group in range(len(groups)):
        inside = table[codes == group].assign(value=values[codes == group])
        rows.append(_mean(inside, seed, image, list(objects), confidence, group_label(groups, group)))
    return groups.join(pd.DataFrame(rows))


def _mean(
    rows: pd.DataFrame, seed: str, image: str, objects: list[str], confidence: float, label: str
) -> dict[str, float]:
    """Return the row of one group; `label` names it."""
    if rows.duplicated([image, seed]).any():
        raise InputError(f"an image is there more than once with a seed{label}; select one row of each")
    wide = rows.pivot(index=image, columns=seed, values="value")
    if wide.isna().any(axis=None):
        raise InputError(
            f"{int(wide.isna().sum().sum())} image(s) have no value with some seed{label}; compare models that saw "
            "the same images, and leave out images that one of them could not read"
        )
    shown = rows.drop_duplicates(image).set_index(image).loc[wide.index].reset_index()
    matrix, (n, k) = wide.to_numpy(), wide.shape
    m, clustered = _clusters(shown, objects)
    found = matrix.mean()
    of_image, of_seed = matrix.mean(axis=1) - found, matrix.mean(axis=0) - found
    row = {"mean": found, "low": np.nan, "high": np.nan, "p_value": np.nan}
    if k > 1 and m > 1:
        by_object = clustered(of_image / n) * m / (m - 1)
        by_seed = of_seed @ of_seed / (k * (k - 1))
        left = matrix - found - of_image[:, None] - of_seed
        both = sum(clustered(column / n) for column in left.T) * m / (m - 1) / (k * (k - 1))
        variance = max(by_object + by_seed - both, by_object, by_seed)
        if variance > 0:
            freedom = variance**2 / (by_object**2 / (m - 1) + by_seed**2 / (k - 1))
            student, error = stats.t(max(freedom, min(k, m) - 1)), np.sqrt(variance)
            reach = student.ppf((1 + confidence) / 2) * error
            row |= {
                "low": found - reach,
                "high": found + reach,
                "p_value": 2 * student.sf(abs(found) / error),
            }
        else:
            row |= {"low": found, "high": found, "p_value": float(found == 0)}
    else:
        warnings.warn(
            f"the interval{label} is NaN: there is one seed or one object", EstimateWarning, stacklevel=3
        )
    ends = {"least": found + of_seed.min(), "most": found + of_seed.max()}
    return row | ends | {"n_seeds": k, "n_objects": m, "confidence": confidence}


def _clusters(shown: pd.DataFrame, objects: list[str]) -> tuple[int, Callable[[np.ndarray], float]]:
    """Return the number of objects, and a function from influences of images (n,) to their clustered variance."""
    if len(objects) == 1:
        codes = clusters_of(shown, objects[0])
        return codes.max() + 1, lambda influence: float((np.bincount(codes, influence) ** 2).sum())
    return shown[objects].stack().nunique(), lambda influence: dyadic.variance(shown, influence)
