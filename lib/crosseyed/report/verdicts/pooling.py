"""The verdict of the chapter on pooling.

Throughout, tables are those of `crosseyed.mitigations.evaluation.compare`: one row per candidate, of which ``"none"``
is the model with its own pooling.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.mitigations.evaluation import picked
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.report.candidates import in_words
from crosseyed.report.verdicts.words import span
from crosseyed.settings import GAP_FLOOR, SIGNIFICANCE


def left_out(unsupported: Mapping[str, Sequence[str]]) -> str:
    """Name the poolings that a tower does not support, each with what it needs."""
    named = [f"*{name}* (needs {' and '.join(needs)})" for name, needs in unsupported.items()]
    return f"Its tower does not support {', '.join(named)}; this page leaves them out." if named else ""


def alone(name: str, own: str, free: pd.DataFrame) -> str:
    """Say what poolings without training change.

    Parameters
    ----------
    name, own : str
        The model and its own pooling.
    free : pandas.DataFrame
        See the module; with `validation_rank`.
    """
    name = markdown(name)
    plain, others = _split(free)
    with_own = (
        f"**Pooling alone.** With its own pooling by {own}, {name} is right in {plain['center']:.0f} % at the center "
        f"and {plain['off_center']:.0f} % off-center."
    )
    if others.empty:
        return f"{with_own} Its tower supports no other pooling without training."
    sure = others.loc[others["off_center_p"] < SIGNIFICANCE, "off_center_change"]
    best = picked(others).iloc[0]
    return (
        f"{with_own} Other poolings without training: {len(others)}; **better off-center: {(sure > 0).sum()}**, worse: "
        f"{(sure < 0).sum()} (corrected p < {SIGNIFICANCE}). The best on the validation images, "
        f"{in_words(best['candidate'])}, changes the accuracy off-center by {_change(best)}."
    )


def with_head(compared: pd.DataFrame, best: str) -> str:
    """Say what a trained head changes on objects that it was not trained on, and on those it was.

    Parameters
    ----------
    compared : pandas.DataFrame
        See the module.
    best : str
        The head that did best on the validation objects.
    """
    _, tried = _split(compared[compared["protocol"] == "other objects, all names"])
    _, familiar = _split(compared[compared["protocol"] == "the head's objects"])
    head = tried.set_index("candidate", drop=False).loc[best]
    there = familiar.set_index("candidate").loc[best, "off_center"]
    return (
        f"**A trained head.** The head that did best on the validation objects, {best}, is right in "
        f"{head['center']:.0f} % at the center and {head['off_center']:.0f} % off-center on objects that it was not "
        f"trained on: off-center **{_change(head)}** against the unchanged model. On those that it was trained on, it "
        f"is right in {there:.0f} % off-center."
    )


def from_scratch(levels: pd.DataFrame | None) -> str:
    """Say what pooling and training images contribute where models are trained from scratch.

    Models that learned more can lose more, so they are compared by the index, the gap over the accuracy at the center;
    those under `GAP_FLOOR` are named and left out.

    Parameters
    ----------
    levels : pandas.DataFrame or None
        Of `crosseyed.measure.bootstrap.center_bias` by `positions` and `pooling`; None where there are no such models.
    """
    if levels is None:
        return "**From the start.** The table of models trained from scratch is not on this machine."
    return (
        "**From the start.** The share of the center's accuracy that is lost off-center is, trained on centered "
        f"images, {_indices(levels, 'centered')}; on uniform ones, {_indices(levels, 'uniform')}."
    )


def in_maps(parts: pd.DataFrame, differences: pd.DataFrame) -> str:
    """Say how well maps agree with the object before pooling, and what each way of pooling changes.

    Parameters
    ----------
    parts : pandas.DataFrame
        AUROC by `method`, `place` and `part` (those of `crosseyed.internals.map_scores.AUROC_PARTS`) with `mean`.
    differences : pandas.DataFrame
        Mean change of the AUROC by `map` and `part`, with its interval.
    """
    before = parts[parts["method"] == "before pooling"].groupby("part", observed=True)["mean"].mean()
    whole, own = (
        differences[differences["part"] == part].to_dict("records")
        for part in ("with the object", "added by the object")
    )
    changes = [
        f"{row['mean']:+.2f} ({span(row, digits=2)}) in the map *{row['map']}*, where what the object adds changes by "
        f"{added['mean']:+.2f} ({span(added, digits=2)})"
        for row, added in zip(whole, own, strict=True)
    ]
    return (
        f"**Maps.** Before pooling, a place on the object has the higher similarity with probability "
        f"{before['with the object']:.2f}; without the object the same place has it with probability "
        f"{before['the place alone']:.2f}, so the object adds {before['added by the object']:.2f}."
        + (f" The AUROC changes by {'; by '.join(changes)}." if changes else "")
    )


def _split(table: pd.DataFrame) -> tuple[pd.Series, pd.DataFrame]:
    baseline = table["candidate"] == BASELINE
    return table[baseline].iloc[0], table[~baseline]


def _change(row: pd.Series) -> str:
    return f"{row['off_center_change']:+.1f} points ({span(row, 'off_center_change')})"


def _indices(levels: pd.DataFrame, positions: str) -> str:
    """Name the index of each pooling, and those that say nothing."""
    rows = levels[levels["positions"] == positions]
    above = rows["center_accuracy"] >= GAP_FLOOR
    named = [
        f"{row['bias_index']:.2f} with {row['pooling']} ({span(row, 'bias_index', digits=2)})"
        for row in rows[above].to_dict("records")
    ]
    silent = [
        f"{row['pooling']} ({row['center_accuracy']:.0f} % at the center)"
        for row in rows[~above].to_dict("records")
    ]
    under = (
        f"; under the floor of {GAP_FLOOR:g} %, and so without a word about gaps: {', '.join(silent)}"
        if silent
        else ""
    )
    return f"{', '.join(named) or 'unknown'}{under}"
