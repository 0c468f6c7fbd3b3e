"""Which tests are corrected together: one family of p-values for each question of a chapter, by Holm's method."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Family:
    """Tests whose p-values are corrected for their number."""

    chapter: str
    tests: str
    """What is tested, in words: one p-value for each of these."""
    columns: str
    """Where the corrected p-values stand, as table and column."""


FAMILIES = (
    Family(
        "01_center_bias",
        "the slope of each model that is shown",
        "`slope`, `p_corrected`",
    ),
    Family(
        "01_center_bias",
        "the permutation test of the edition's model: one test, so that nothing is corrected",
        "`permutation`, `p_value`",
    ),
    Family(
        "02_embedding_decomposition",
        "every concept beside an object's own name, off-center against center",
        "`concepts_instead`, `p_value`",
    ),
    Family(
        "04_pooling_ablation",
        "every pooling without training against the model's own; one family for each of center, off-center and gap",
        "`poolings`, `center_p`, `off_center_p`, `gap_p`",
    ),
    Family(
        "04_pooling_ablation",
        "every trained head against the unchanged model, in each of the three comparisons, in the same way",
        "`heads`, the same columns",
    ),
    Family(
        "04_pooling_ablation",
        "every model trained from scratch against the one that it is compared with, in the same way",
        "`pretraining_by_pooling` and `pretraining_by_recipe`, the same columns",
    ),
    Family(
        "05_mitigations",
        "the chosen setting of every mitigation and pooling against the unchanged model, in each protocol; one family "
        "for each of center, off-center and gap",
        "`evaluation`, `center_p`, `off_center_p`, `gap_p`",
    ),
    Family(
        "08_robustness",
        "every other specification against the study's own",
        "`specifications`, `change_p`",
    ),
    Family(
        "08_robustness",
        "left against right, and above against below",
        "`sides`, `p_value`",
    ),
    Family(
        "07_origins",
        "three habits × two measures, the strongest dose against the weakest",
        "`effects`, `p_corrected`",
    ),
)
"""All families of the study; a p-value that is not in one of them is not used for a statement."""


def correct(p_values: pd.Series) -> pd.Series:
    """Correct the p-values of one family by Holm's step-down method.

    The i-th smallest of n becomes the largest of ``(n - j + 1) p_j`` over the j ≤ i smallest, at most 1. statsmodels'
    `multipletests` gives the same, but collects all garbage of the process at each call, which takes half a second in
    a notebook.

    Parameters
    ----------
    p_values : pandas.Series
        In [0, 1]; NaN for a test that could not be made, which does not count.

    Returns
    -------
    pandas.Series
        With the same index: each the smallest level at which its hypothesis is rejected while the probability of
        any wrong rejection is at most this level (Holm, *Scandinavian Journal of Statistics* 6, 1979); NaN where it
        was NaN.
    """
    made = p_values.dropna().astype(float).sort_values(kind="stable")
    rising = np.maximum.accumulate(made.to_numpy() * np.arange(len(made), 0, -1)).clip(max=1)
    return pd.Series(rising, made.index, dtype=float).reindex(p_values.index)
