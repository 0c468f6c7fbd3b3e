"""Compare mitigations and poolings on the same images: what helps, at what cost, and with what certainty.

The study has two steps, on images of different objects. On the *validation* split every candidate is scored and the
best setting of each family, such as cyclic shifts with any number of steps, is chosen. On the *test* split only the
chosen ones are scored. Changes are paired with the plain model image by image, with intervals that resample objects
and p-values corrected for the number of candidates::

    table = evaluate(model, candidates, make_split(cutouts, labels, seed=1))
    chosen = choose(table)

Throughout, `answers` are those of `crosseyed.mitigations.scoring.score_all`, and `sampling` is `confidence`,
`resamples` and `seed` of `crosseyed.measure.bootstrap.accuracy`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap, permutation
from crosseyed.measure.multiplicity import correct
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.pooling import PooledModel
from crosseyed.mitigations.scoring import BASELINE, score_all
from crosseyed.mitigations.tasks import Task
from crosseyed.models.clip import ClipModel

_SIDES = ("", "_low", "_high")

_SAME = 1e-3
"""Up to so much the margins of equal scores differ (in logits) where they were computed in other batches."""

_COLUMNS = (
    *("protocol", "candidate", "family", "kind", "oracle", "passes", "acts"),
    *(quantity + side for quantity in ("center", "off_center", "gap") for side in _SIDES),
    *(f"{quantity}_change{side}" for quantity in ("center", "off_center", "gap") for side in _SIDES),
    *("center_p", "off_center_p", "gap_p"),
    *("n_center", "n_off_center", "n_objects", "unreadable", "confidence"),
)


def evaluate(
    model: ClipModel,
    candidates: Sequence[Mitigation | PooledModel | str],
    data: Sequence[Task],
    *,
    progress: bool = True,
    **sampling: float,
) -> pd.DataFrame:
    """Score candidates with `crosseyed.mitigations.scoring.score_all`, then `compare` them with the plain model.

    Parameters
    ----------
    model, candidates, data, progress
        As for `score_all`, whose errors apply.
    **sampling
        See the module.

    Returns
    -------
    pandas.DataFrame
        As of `compare`.
    """
    return compare(score_all(model, candidates, data, progress=progress), **sampling)


def compare(answers: pd.DataFrame, **sampling: float) -> pd.DataFrame:
    """Measure what each candidate changes against the plain model, on the same images.

    Parameters
    ----------
    answers, **sampling
        See the module.

    Returns
    -------
    pandas.DataFrame
        One row per protocol and candidate, in the order of the answers:

        - `protocol, candidate, family, kind, oracle, passes` as in the answers;
        - `acts`: percentage of the readable images whose margin it changes; 0 for a candidate that finds nothing to
          change in a model, about which the model then says nothing (`acting`); NaN for answers without margins;
        - `center, off_center, gap`: accuracies in percent and their difference in percentage points, with intervals in
          columns ending in ``_low`` and ``_high``;
        - `center_change, off_center_change, gap_change`: the same minus the plain model's, in percentage points, with
          intervals, paired by image and resampled by object;
        - `center_p, off_center_p, gap_p`: two-sided p-values of these changes
          (`crosseyed.measure.permutation.sign_flip_test`), corrected for the number of candidates in the protocol by
          Holm's method (*Scandinavian Journal of Statistics* 6, 1979); NaN for the plain model;
        - `n_center, n_off_center, n_objects, unreadable, confidence`.

        Columns about off-center and gap are NaN in a protocol without off-center images (the control).

    Raises
    ------
    InputError
        The answers lack the plain model, or a candidate was scored on other images.
    """
    parts = []
    for protocol, rows in answers.groupby("protocol", sort=False):
        paired = _with_change(rows, protocol)
        about = paired.drop_duplicates("candidate")[
            ["protocol", "candidate", "family", "kind", "oracle", "passes"]
        ]
        measured = _levels(paired, sampling).merge(_changes(paired, sampling), on="candidate")
        measured["acts"] = measured["candidate"].map(_acts(rows))
        parts.append(about.merge(measured, on="candidate").reindex(columns=_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def acting(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `compare`'s table whose candidate changes at least one score, and the plain model's.

    A candidate that changes none, such as a mitigation of sinks in a tower without sinks, was not tested.
    """
    return table[(table["acts"] != 0) | (table["candidate"] == BASELINE)]


def contrast(
    answers: pd.DataFrame, column: str, baseline: str, panel: str, **sampling: float
) -> pd.DataFrame:
    """Compare models that differ in one column as `compare` compares candidates.

    Parameters
    ----------
    answers : pandas.DataFrame
        One row per image and model, with `correct`, `center` and `object`.
    column, baseline : str
        The column in which the models differ, and its value to compare with.
    panel : str
        Column whose values are compared separately.
    **sampling
        See the module.

    Returns
    -------
    pandas.DataFrame
        As of `compare`, with `column` as `candidate` and `panel` as `protocol`.
    """
    named = answers.assign(candidate=answers[column].replace(baseline, BASELINE), protocol=answers[panel])
    return compare(named.assign(family="", kind="", oracle=False, passes=1.0), **sampling)


def ranking(compared: pd.DataFrame, families: Sequence[str]) -> pd.DataFrame:
    """Sort the given families of `compare`'s table by their off-center gain in the grid, within each protocol.

    Rows without off-center images are dropped; `compared` should have one candidate per family.
    """
    part = compared[compared["off_center_change"].notna() & compared["family"].isin(list(families))]
    on_grid = part[part["protocol"] == "grid"].sort_values("off_center_change", ascending=False)
    order = {"protocol": list(part["protocol"].unique()), "family": list(on_grid["family"])}
    keys = part[[*order]].apply(lambda column: column.map(order[column.name].index))
    return part.loc[keys.sort_values([*order], kind="stable").index]


def choose(table: pd.DataFrame, most_loss: float = 2.0, protocol: str = "grid") -> pd.DataFrame:
    """Choose the best setting of each family.

    Among settings that cost the center at most `most_loss` points, it has the highest off-center accuracy; if all cost
    more, it costs least. Ties go to fewer passes, then to the first. A setting that changes no score is chosen only if
    no setting of its family changes one.

    Parameters
    ----------
    table : pandas.DataFrame
        From `evaluate`, on validation images.
    most_loss : float
        Percentage points that the center may lose.
    protocol : str
        The protocol to choose by; InputError if the table has no candidate for it.

    Returns
    -------
    pandas.DataFrame
        One row per family except the plain model, plus `settings` (number of settings to choose from) and `harmless`
        (whether the loss is within `most_loss`).
    """
    best = _from_the_best(table, most_loss, protocol)
    best = best.assign(settings=best.groupby("family")["candidate"].transform("size"))
    return best.drop_duplicates("family").sort_index().reset_index(drop=True)


def with_validation_rank(
    table: pd.DataFrame, validated: pd.DataFrame, most_loss: float = 2.0, protocol: str = "grid"
) -> pd.DataFrame:
    """Add which place each candidate took on the validation images, so that one can be picked without the test.

    The largest change of several on the same images is larger than what it would be on others, and its interval does
    not cover the truth as often as it says. That of a candidate which other objects picked does.

    Parameters
    ----------
    table : pandas.DataFrame
        From `compare`, on test images.
    validated : pandas.DataFrame
        From `evaluate`, on validation images.
    most_loss, protocol
        As for `choose`, by whose rule candidates are ranked.

    Returns
    -------
    pandas.DataFrame
        The rows of `table` with the column `validation_rank`: 1 for the best; NaN for what was not validated, such as
        the plain model.
    """
    order = _from_the_best(validated, most_loss, protocol)["candidate"]
    ranks = pd.Series(np.arange(1.0, len(order) + 1), index=order.to_numpy())
    return table.assign(validation_rank=table["candidate"].map(ranks))


def picked(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the candidate that the validation images ranked first, or no row if none was validated.

    Parameters
    ----------
    rows : pandas.DataFrame
        From `with_validation_rank`, one row for each candidate in question.
    """
    return rows[rows["validation_rank"].notna()].sort_values("validation_rank").head(1)


def _from_the_best(table: pd.DataFrame, most_loss: float, protocol: str) -> pd.DataFrame:
    """Sort the candidates by the rule of `choose`, with the column `harmless`."""
    rows = table[(table["protocol"] == protocol) & (table["candidate"] != BASELINE)]
    if rows.empty:
        raise InputError(f"table has no candidate under the protocol {protocol!r}; evaluate some first")
    rows = rows.assign(harmless=rows["center_change"] >= -most_loss - 1e-9)
    rows = rows.assign(merit=rows["off_center"].where(rows["harmless"], rows["center_change"]))
    order = {"idle": True, "harmless": False, "merit": False, "passes": True}
    best = rows.assign(idle=rows["acts"] == 0).sort_values(
        [*order], ascending=[*order.values()], kind="stable"
    )
    return best.drop(columns=["idle", "merit"])


def _with_change(rows: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Add `change`: 100, 0 or −100 points against the plain model on the same image."""
    plain = rows[rows["candidate"] == BASELINE].set_index("image")["correct"]
    if plain.empty:
        raise InputError(f"the answers to {protocol!r} lack those of the plain model, {BASELINE!r}")
    for name, part in rows.groupby("candidate", sort=False):
        if not part["image"].is_unique or set(part["image"]) != set(plain.index):
            raise InputError(f"{name!r} was not scored once on each image of the plain model in {protocol!r}")
    correct, before = (
        values.to_numpy(dtype=float, na_value=np.nan)
        for values in (rows["correct"], rows["image"].map(plain))
    )
    return rows.assign(change=100 * (correct - before))


def _acts(rows: pd.DataFrame) -> pd.Series:
    """Return by candidate the percentage of readable images with another margin than the plain model's."""
    if "margin" not in rows:
        return pd.Series(dtype=float)
    plain = rows[rows["candidate"] == BASELINE].set_index("image")["margin"]
    moved = (rows["margin"] - rows["image"].map(plain)).abs()
    return (100.0 * (moved > _SAME)).where(moved.notna()).groupby(rows["candidate"]).mean()


def _levels(paired: pd.DataFrame, sampling: dict[str, float]) -> pd.DataFrame:
    """Measure accuracies and gap of each candidate, with intervals."""
    if paired["center"].all():
        level = bootstrap.accuracy(paired, "candidate", **sampling).rename(
            columns={"accuracy": "center", "low": "center_low", "high": "center_high", "n": "n_center"}
        )
        return level.assign(n_off_center=0)
    level = bootstrap.center_bias(paired, "candidate", **sampling)
    return level.drop(columns=level.filter(like="bias_index").columns).rename(
        columns=lambda name: name.replace("_accuracy", "")
    )


def _changes(paired: pd.DataFrame, sampling: dict[str, float]) -> pd.DataFrame:
    """Measure the changes of each candidate, with intervals and corrected p-values."""
    if paired["center"].all():
        changes = bootstrap.mean(paired, "change", "candidate", **sampling).rename(
            columns={"mean": "center_change", "low": "center_change_low", "high": "center_change_high"}
        )
        changes = changes[["candidate", "center_change", "center_change_low", "center_change_high"]]
    else:
        changes = bootstrap.center_difference(paired, "change", "candidate", **sampling).rename(
            columns=lambda name: name.replace("_mean", "_change").replace("difference", "gap_change")
        )
        changes = changes.drop(columns="confidence")
    for quantity, contrast in _contrasts(paired).items():
        changes[f"{quantity}_p"] = changes["candidate"].map(_corrected(contrast, sampling))
    return changes


def _contrasts(paired: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return rows whose mean `change` is that of the center, of off-center and of the gap."""
    center = paired["center"].astype(bool)
    contrasts = {"center": paired[center]}
    if not center.all():
        n = paired.groupby("candidate")["change"].transform("count")
        n_side = paired.groupby(["candidate", "center"])["change"].transform("count")
        weight = np.where(center, 1, -1) * n / n_side
        contrasts |= {"off_center": paired[~center], "gap": paired.assign(change=paired["change"] * weight)}
    return contrasts


def _corrected(contrast: pd.DataFrame, sampling: dict[str, float]) -> pd.Series:
    """Return p-values of each candidate's mean change, by candidate, corrected for their number."""
    flips = {name: value for name, value in sampling.items() if name != "confidence"}
    tested = permutation.sign_flip_test(contrast, "change", "candidate", **flips)
    return correct(tested.set_index("candidate")["p_value"].drop(BASELINE))
