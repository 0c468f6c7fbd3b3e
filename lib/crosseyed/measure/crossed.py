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

Each of the first two has its own quantile of Student's t, t_o with one degree of freedom less than there are objects
and t_s with one less than there are seeds, and the interval is y ± w ::

    w² = t_o² V_objects + t_s² V_seeds − t_o t_s V_both, but at least t_o² V_objects

(Banerjee, *Sankhyā* 22, 1960, for independent parts: where one part makes all of the variance, the interval is that
of Student). So few seeds make a wide interval. One quantile for all, with the degrees of freedom of Satterthwaite, is
too small with three seeds: where they vary little by chance, their quantile counts little.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

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
        parts = _Parts(by_object, by_seed, both, m - 1, k - 1)
        reach = parts.reach(1 - confidence)
        row |= {"low": found - reach, "high": found + reach, "p_value": parts.p_value(found)}
    else:
        warnings.warn(
            f"the interval{label} is NaN: there is one seed or one object", EstimateWarning, stacklevel=3
        )
    ends = {"least": found + of_seed.min(), "most": found + of_seed.max()}
    return row | ends | {"n_seeds": k, "n_objects": m, "confidence": confidence}


@dataclass(frozen=True)
class _Parts:
    """The variances of a mean, and the degrees of freedom of the first two."""

    by_object: float
    by_seed: float
    both: float
    of_objects: int
    of_seeds: int

    def reach(self, tails: float) -> float:
        """Return how far the interval reaches to either side if both tails together have a probability."""
        first, second = (stats.t.isf(tails / 2, freedom) for freedom in (self.of_objects, self.of_seeds))
        of_objects = first**2 * self.by_object
        square = of_objects + second**2 * self.by_seed - first * second * self.both
        return float(np.sqrt(max(square, of_objects)))

    def p_value(self, mean: float) -> float:
        """Return the probability of the tails with which the interval just reaches from the mean to zero."""
        least = 1e-12  # what is less counts as zero
        if self.reach(least) <= abs(mean):
            return float(mean == 0)
        return optimize.brentq(lambda tails: self.reach(tails) - abs(mean), least, 1, xtol=1e-15)


def _clusters(shown: pd.DataFrame, objects: list[str]) -> tuple[int, Callable[[np.ndarray], float]]:
    """Return the number of objects, and a function from influences of images (n,) to their clustered variance."""
    if len(objects) == 1:
        codes = clusters_of(shown, objects[0])
        return codes.max() + 1, lambda influence: float((np.bincount(codes, influence) ** 2).sum())
    return shown[objects].stack().nunique(), lambda influence: dyadic.variance(shown, influence)
