"""How much of a whole its parts make up: ratios of means, with intervals."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

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
    n_objects = counts["n_objects"].to_numpy()
    ends = sampling.interval(draws, n_objects[:, None])
    for number, name in enumerate((part, whole)):
        columns = {name: means[:, number]}
        groups = groups.assign(**columns, **_ends(name, *(end[:, number] for end in ends)))
    some = (ends[0][:, 1] > 0) | (ends[1][:, 1] < 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, drawn = means[:, 0] / means[:, 1], draws[..., 0] / draws[..., 1]
    low, high = sampling.interval(np.where(some, drawn, np.nan), n_objects)
    groups = groups.assign(share=np.where(some, ratio, np.nan), **_ends("share", low, high))
    return groups.join(counts).assign(confidence=sampling.confidence)


def _ends(name: str, low: np.ndarray, high: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}_low": low, f"{name}_high": high}
