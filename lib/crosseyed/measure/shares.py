"""How much of a whole its parts make up: ratios of means, with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.measure import recovery
from crosseyed.measure.checks import as_columns, groups_of, values_of
from crosseyed.measure.resampling import Resampling


def share(
    table: pd.DataFrame,
    part: str,
    whole: str,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Divide the mean of a part by the mean of the whole, row by row of the same images.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `part` and `whole` (numbers of the same unit), `cluster` and those of `by`.
    part, whole : str
        Names of columns.
    by, cluster, confidence, resamples, seed
        See `crosseyed.measure.bootstrap`. Part and whole are drawn together.

    Returns
    -------
    pandas.DataFrame
        Per group `part`, `whole` and `share`, each with the ends of its interval (columns ending in ``_low`` and
        ``_high``), `n`, `n_objects`, `unreadable` and `confidence`. The share is NaN where the interval of the whole
        contains zero: of what may be nothing there are no shares.
    """
    by, sampling = as_columns(by), Resampling(cluster, confidence, resamples, seed)
    values = np.stack([values_of(table, column, [*by, cluster]) for column in (part, whole)], 1)
    groups, codes = groups_of(table, by)
    means, draws, counts = sampling.means(table, values, codes, len(groups))
    n_objects = counts["n_objects"].to_numpy()[:, None]
    ends = sampling.interval(means, draws, n_objects)
    for number, name in enumerate((part, whole)):
        measured = (means[:, number], *(end[:, number] for end in ends))
        groups = groups.assign(**recovery.with_ends(name, measured))
    signed, reach = means * np.sign(means[:, [1]]), sampling.t_reach(draws, n_objects)
    parts, wholes = zip(signed.T, (signed - reach).T, (signed + reach).T, strict=True)
    low, high = recovery.ratio(parts, wholes, recovery.correlation(draws[..., 0], draws[..., 1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = parts[0] / wholes[0]
    there = (wholes[1] > 0) & (ends[0][:, 1] * ends[1][:, 1] > 0)
    ratio, low, high = (np.where(there, each, np.nan) for each in (ratio, low, high))
    groups = groups.assign(**recovery.with_ends("share", (ratio, low, high)))
    return groups.join(counts).assign(confidence=sampling.confidence)
