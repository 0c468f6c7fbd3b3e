"""Whether a model sees better to one side than to the other."""

import pandas as pd

from crosseyed.measure import bootstrap, permutation
from crosseyed.measure.multiplicity import correct

OPPOSITES = (("left", "right"), ("above", "below"))
"""Sides that are compared, of those of `crosseyed.data.arrangements.SIDES`."""


def compare_sides(
    answers: pd.DataFrame,
    *,
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare opposite sides at equal eccentricity, object by object.

    Parameters
    ----------
    answers : pandas.DataFrame
        Answers about the scenes of `crosseyed.data.arrangements.sides`, with the column `side`.
    confidence, resamples, seed
        As in `crosseyed.measure.bootstrap`.

    Returns
    -------
    pandas.DataFrame
        One row for each of `OPPOSITES`, as of `crosseyed.measure.bootstrap.paired_difference` (accuracy of the first
        minus that of the second side, points), and `p_value`: sign flips of objects, corrected for both by Holm's
        method.
    """
    draws = {"confidence": confidence, "resamples": resamples, "seed": seed}
    on = ["object", "style"]
    rows = [bootstrap.paired_difference(answers, "side", pair, on=on, **draws) for pair in OPPOSITES]
    right = answers.astype({"correct": "Float64"}).pivot(index=on, columns="side", values="correct")
    changes = [(right[first] - right[second]).rename("change").reset_index() for first, second in OPPOSITES]
    p_values = [
        permutation.sign_flip_test(each, "change", resamples=resamples, seed=seed)["p_value"].item()
        for each in changes
    ]
    return pd.concat(rows, ignore_index=True).assign(p_value=correct(pd.Series(p_values)))
