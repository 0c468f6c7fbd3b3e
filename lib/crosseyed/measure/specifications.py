"""How much a result depends on decisions that could have been made otherwise: the gap under each of them.

A *specification* is the study with one decision made otherwise: another caption, another background. All are estimated
on the same objects, so that what a decision changes is a paired difference. The specification curve shows all estimates
in their order (Simonsohn, Simmons and Nelson, *Nature Human Behaviour* 4, 2020).

Throughout, `answers` is a table of answers with the columns `decision` (what is decided otherwise) and `option` (how)
beside those of `crosseyed.measure.bootstrap.center_bias`. In the rows of the study's own specification `decision` is
`OWN`.
"""

import numpy as np
import pandas as pd

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, permutation
from crosseyed.measure.checks import correct_of, is_center
from crosseyed.measure.multiplicity import correct
from crosseyed.measure.recovery import with_ends
from crosseyed.measure.resampling import Resampling

OWN = "as in the study"
"""Value of `decision` for the specification that everything else is compared with."""

KEYS = ["decision", "option"]
"""Columns that name a specification."""


def estimate(
    answers: pd.DataFrame,
    *,
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate the gap under each specification, and by how much it differs from the study's own.

    Parameters
    ----------
    answers : pandas.DataFrame
        See the module. Every specification has the same objects.
    confidence, resamples, seed
        As in `crosseyed.measure.bootstrap`.

    Returns
    -------
    pandas.DataFrame
        One row per specification in the order of the answers: those of `crosseyed.measure.bootstrap.center_bias`;
        `change`, `change_low`, `change_high`: its gap minus that of the study (points; paired by object, bootstrap of
        objects); `change_p`: sign flips of objects, corrected for the number of specifications by Holm's method. All
        four are NaN for the study's own.

    Raises
    ------
    InputError
        There is no row of the study's own specification, or a specification has other objects.
    """
    _check(answers)
    draws = {"confidence": confidence, "resamples": resamples, "seed": seed}
    gaps = bootstrap.center_bias(answers, by=KEYS, **draws)
    sampling = Resampling("object", **draws)
    sides = bootstrap.Sides(answers, correct_of(answers, KEYS), KEYS, sampling)
    own = int(np.flatnonzero(sides.groups["decision"] == OWN)[0])
    observed, resampled = (100 * (center - off_center) for center, off_center in (sides.means, sides.draws))
    change, n_objects = observed - observed[own], sides.counts["n_objects"].to_numpy()[0::2]
    ends = sampling.interval(change, resampled - resampled[:, [own]], n_objects, bootstrap.RANGES["gap"])
    changes = sides.groups.assign(**with_ends("change", (change, *ends)))
    changes.loc[own, ["change", "change_low", "change_high"]] = np.nan
    changes = changes.merge(_tested(answers, resamples, seed), on=KEYS, how="left")
    order = answers[KEYS].drop_duplicates()
    return order.merge(gaps, on=KEYS).merge(changes, on=KEYS)


def _check(answers: pd.DataFrame) -> None:
    own = answers[answers["decision"] == OWN]
    if own["option"].nunique() != 1:
        raise InputError(
            f"{own['option'].nunique()} specifications have the decision {OWN!r}; expected one to compare with."
        )
    objects = set(own["object"])
    for (decision, option), rows in answers.groupby(KEYS, sort=False):
        if set(rows["object"]) != objects:
            raise InputError(
                f"The specification {decision}: {option} has {rows['object'].nunique()} objects that are not the "
                f"{len(objects)} of the study's own; estimate all on the same."
            )


def _tested(answers: pd.DataFrame, resamples: int | None, seed: int) -> pd.DataFrame:
    """Test for each specification beside the study's own whether the gaps of objects differ from those in the study."""
    rows = answers.assign(correct=answers["correct"].astype("Float64"), center=is_center(answers))
    sides = rows.groupby([*KEYS, "object", "center"])["correct"].mean().unstack("center")
    gaps = (100 * (sides[True] - sides[False])).astype(float).rename("gap").reset_index()
    own = gaps[gaps["decision"] == OWN].set_index("object")["gap"]
    others = gaps[gaps["decision"] != OWN]
    if others.empty:
        return pd.DataFrame(columns=[*KEYS, "change_p"])
    others = others.assign(change=others["gap"] - others["object"].map(own))
    tested = permutation.sign_flip_test(others, "change", by=KEYS, resamples=resamples, seed=seed)
    tested["change_p"] = correct(tested["p_value"])
    return tested[[*KEYS, "change_p"]]
