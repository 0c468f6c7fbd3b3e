"""The bootstrap behind every interval: draws of whole objects, each with all its rows."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from crosseyed.measure.checks import EstimateWarning, clusters_of, recode, require_readable, resolve

# Weights of the bootstrap are made in blocks of about this many numbers (32 MB) to keep memory constant.
_BLOCK = 2**22


@dataclass
class Resampling:
    """How an estimate is resampled; the same table and seed give the same draws.

    Attributes
    ----------
    cluster : str
        Column whose values are drawn with replacement.
    confidence : float or None
        Coverage of the intervals, in (0, 1); by default that of the settings.
    resamples : int or None
        Number of draws, at least 1; by default that of the settings.
    seed : int
        Seed of the draws.
    """

    cluster: str
    confidence: float | None
    resamples: int | None
    seed: int

    def __post_init__(self) -> None:
        """Take from the settings what is not given; raise InputError for a value out of range."""
        self.confidence, self.resamples = resolve(self.confidence, self.resamples)

    def means(
        self, table: pd.DataFrame, values: np.ndarray, codes: np.ndarray, n_groups: int
    ) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
        """Compute the means of values by group, observed and in every draw.

        Parameters
        ----------
        table : pandas.DataFrame
            With the column `cluster`.
        values : float (n_rows, n_values)
            A row with a NaN is unreadable.
        codes : int (n_rows,)
            Group of each row, from 0.
        n_groups : int
            Number of groups.

        Returns
        -------
        observed : float (n_groups, n_values)
            Means of the table.
        draws : float (resamples, n_groups, n_values)
            Means of the draws; NaN for a group of fewer than two clusters.
        counts : pandas.DataFrame
            One row per group: `n`, `n_objects` and `unreadable`.

        Raises
        ------
        InputError
            All rows are unreadable.
        """
        readable = ~np.isnan(values).any(axis=1)
        require_readable(readable)
        clusters = recode(clusters_of(table, self.cluster)[readable])
        shape = (clusters.max() + 1, n_groups)
        cell = clusters * n_groups + codes[readable]

        def by_cluster(weights: np.ndarray | None) -> np.ndarray:
            return np.bincount(cell, weights, np.prod(shape)).reshape(shape)

        def means(totals: np.ndarray) -> np.ndarray:
            totals = totals.reshape(*totals.shape[:-1], values.shape[1] + 1, n_groups)
            with np.errstate(invalid="ignore"):
                return np.moveaxis(totals[..., :-1, :] / totals[..., -1:, :], -1, -2)

        counts = by_cluster(None)
        # All that resampling needs to know of a cluster: how many rows it brings to a group and their sum.
        totals = np.hstack([by_cluster(column) for column in values[readable].T] + [counts])
        draws = means(np.concatenate([weights @ totals for weights in self.weights(len(totals))]))
        n_objects = (counts > 0).sum(axis=0)
        draws[:, n_objects < 2] = np.nan
        warn_of_few(n_objects)
        unreadable = np.bincount(codes[~readable], minlength=n_groups)
        summary = pd.DataFrame({"n": counts.sum(axis=0), "n_objects": n_objects, "unreadable": unreadable})
        return means(totals.sum(axis=0)), draws, summary

    def interval(
        self,
        observed: np.ndarray | float,
        draws: np.ndarray,
        n_objects: np.ndarray | int,
        ends: tuple[float, float] = (-np.inf, np.inf),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the interval of an estimate: a t interval, longer on the side to which draws are skewed.

        Parameters
        ----------
        observed : float (...,)
            The estimate; NaN gives NaN.
        draws : float (resamples, ...)
            NaN draws are ignored.
        n_objects : int (...,) or int
            Clusters behind each estimate; with fewer than two the ends are NaN.
        ends : tuple of float
            Ends of the possible range, where the interval is cut off.

        Notes
        -----
        With the standard error of `t_reach`, the quantile t there and the skewness g of the draws, the interval is::

            estimate - error · (t + max(-g, 0) (1 + 2 t²) / 6)
            estimate + error · (t + max( g, 0) (1 + 2 t²) / 6)

        Where few objects make most of an effect, a sample that has none of them has too small an estimate and too small
        an error, too. The term with g is that of Johnson (*Journal of the American Statistical Association* 73, 1978),
        who moves both ends. Here it only makes the longer side longer: the skewness of a sample is uncertain, and where
        it is there by chance, as in a change that is rarely other than zero, moving the nearer end closer leaves the
        truth outside of one interval in seven or more. Percentiles of the draws contain the truth less often than
        either.
        """
        observed, reach = np.asarray(observed, dtype=float), self.t_reach(draws, n_objects)
        t = self._quantile(np.broadcast_to(n_objects, draws.shape[1:]))
        longer = _skewness(draws) * (1 + 2 * t**2) / (6 * t)
        low, high = (reach * (1 + np.maximum(sign * longer, 0)) for sign in (-1, 1))
        return np.maximum(observed - low, ends[0])[()], np.minimum(observed + high, ends[1])[()]

    def t_reach(self, draws: np.ndarray, n_objects: np.ndarray | int) -> np.ndarray:
        """Return how far the t interval of an estimate reaches to either side (...,), from its draws as in `interval`.

        This is t √(m / (m − 1)) s, with s the standard deviation of the draws, m clusters, and the quantile t of
        Student's distribution with m − 1 degrees of freedom (Efron and Tibshirani, *An Introduction to the Bootstrap*,
        1993, chapter 12). The root is there because a bootstrap of m clusters is too narrow by it (Hesterberg, *The
        American Statistician* 69, 2015).
        """
        n_objects = np.broadcast_to(n_objects, draws.shape[1:])
        several = n_objects > 1
        m = np.where(several, n_objects, 2)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Degrees of freedom", RuntimeWarning)
            error = np.nanstd(draws, axis=0, ddof=1) * np.sqrt(m / (m - 1))
        return np.where(several, self._quantile(n_objects) * error, np.nan)[()]

    def _quantile(self, n_objects: np.ndarray) -> np.ndarray:
        """Return the quantile of Student's distribution; of fewer than two clusters that of two."""
        return stats.t.ppf((1 + self.confidence) / 2, np.maximum(n_objects, 2) - 1)

    def weights(self, n_clusters: int) -> Iterator[np.ndarray]:
        """Yield blocks (n_draws, n_clusters) of how often each draw takes each cluster."""
        rng = np.random.default_rng(self.seed)
        block = max(1, _BLOCK // n_clusters)
        for start in range(0, self.resamples, block):
            size = min(block, self.resamples - start)
            drawn = rng.integers(n_clusters, size=(size, n_clusters))
            drawn += n_clusters * np.arange(size)[:, None]
            yield (
                np.bincount(drawn.ravel(), minlength=size * n_clusters)
                .reshape(size, n_clusters)
                .astype(float)
            )


def _skewness(draws: np.ndarray) -> np.ndarray:
    """Return the skewness (...,) of draws (resamples, ...) without those that are NaN; 0 where they do not vary."""
    there = ~np.isnan(draws)
    n = np.maximum(there.sum(axis=0), 1)
    apart = np.where(there, draws - np.where(there, draws, 0).sum(axis=0) / n, 0)
    squares = apart**2
    second, third = squares.sum(axis=0) / n, (squares * apart).sum(axis=0) / n
    varies = np.sqrt(second) > 1e-12 * np.abs(np.where(there, draws, 0)).max(axis=0, initial=0)
    return np.divide(third, second**1.5, out=np.zeros(second.shape), where=varies)


def warn_of_few(n_objects: np.ndarray) -> None:
    """Warn of groups with fewer than two objects (n_groups,), which have no interval."""
    if (n_objects < 2).any():
        warnings.warn(
            f"the interval is NaN in {np.count_nonzero(n_objects < 2)} of {len(n_objects)} group(s): the readable "
            f"rows belong to fewer than two objects, so nothing can be resampled",
            EstimateWarning,
            stacklevel=5,
        )
