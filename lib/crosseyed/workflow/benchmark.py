"""Measure mitigations by the protocol that chapter 5 follows, one row of a table for each."""

import os
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from crosseyed.errors import CrosseyedError, InputError, shorten
from crosseyed.files import try_writing
from crosseyed.mitigations import evaluation, registry
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.decision import summarize
from crosseyed.mitigations.protocol import FILE, BenchmarkProtocol, Dealt, deal, read_protocol
from crosseyed.mitigations.scoring import BASELINE, score_all
from crosseyed.models.clip import ClipModel
from crosseyed.report.verdicts.mitigations import change
from crosseyed.settings import settings
from crosseyed.workflow import benchmark_table
from crosseyed.workflow.given_mitigations import Given, find
from crosseyed.workflow.mitigation_trial import ChangedModelError, State, try_out

_RESAMPLES_TO_CHOOSE = 100  # of intervals by which nothing is chosen


class FailedMitigationsError(CrosseyedError):
    """Some mitigations could not be measured; the rows of the others are written."""


def run(
    load: Callable[[], ClipModel],
    mitigations: Sequence[str],
    output: str | os.PathLike,
    *,
    protocol: str | os.PathLike | None = None,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Measure mitigations, and write the row of each as soon as it is known.

    Parameters
    ----------
    load : callable
        Loads the model; called when all else is in order, and again after a mitigation that left the model changed.
    mitigations : sequence of str
        As for `crosseyed.workflow.given_mitigations.find`. One that the table has with the same code and weights is not
        measured again.
    output : path
        The table: a new file, or one of an earlier run by the same protocol, which is added to.
    protocol : path, optional
        Another protocol than that of the study.
    say : callable
        Takes a sentence about what is going on.

    Returns
    -------
    pandas.DataFrame
        The table, with the columns of `crosseyed.workflow.benchmark_table.SCHEMA`.

    Raises
    ------
    InputError
        A mitigation cannot be found, the protocol or table cannot be used, or nothing can be written.
    FailedMitigationsError
        A mitigation fails, changes the model, gives scores that are none, does something at strength zero, or has no
        candidate that can be applied. All others are measured.
    """
    agreed = read_protocol(FILE if protocol is None else protocol)
    if len(set(mitigations)) < len(mitigations) or not mitigations:
        raise InputError("Name at least one mitigation, and each once.")
    given = [find(name) for name in mitigations]
    table = benchmark_table.read(output, agreed)
    try_writing(output)
    with settings.overridden(**agreed.settings):
        model, dealt, failed = load(), deal(agreed), []
        for each in given:
            if benchmark_table.has(table, _identity(model, each)):
                say(f"{each.label}: its row is in the table")
                continue
            say(f"{each.label}: measuring with {model.name}")
            try:
                row = measure(model, each, agreed, dealt)
            except ChangedModelError as error:
                failed.append(str(error))
                model = load()
            except InputError as error:
                failed.append(str(error))
            else:
                table = benchmark_table.add(output, row, agreed, model.device.type)
        for row in table[table["weights"] == model.digest].to_dict("records"):
            say(sentence(row))
    if failed:
        raise FailedMitigationsError(" ".join(failed))
    return table


def measure(model: ClipModel, given: Given, agreed: BenchmarkProtocol, dealt: Dealt) -> dict[str, object]:
    """Measure one mitigation: choose its setting on the validation images, and score that on the test images.

    Parameters
    ----------
    model : ClipModel
        The model, which is checked to be the same afterwards.
    given : Given
        The mitigation.
    agreed : BenchmarkProtocol
        The protocol; the settings of the study have to be those that it states.
    dealt : Dealt
        Its images.

    Returns
    -------
    dict
        For `crosseyed.workflow.benchmark_table.add`.

    Raises
    ------
    InputError
        As `run`, with ChangedModelError if the model is another one afterwards.
    """
    validation, before = dealt.validation[0], State.of(model, dealt.validation[0])
    try:
        candidates, left_out, dearest = _candidates(model, given, agreed, dealt)
        row = {
            "model": model.model,
            "pretrained": model.pretrained,
            **_identity(model, given),
            "candidates": len(candidates),
            "left_out": len(left_out),
        }
        if not candidates:
            return {**row, "passes": dearest}
        with given.answering("a trial on two images"):
            try_out(model, candidates, validation)
        before.check(given.label)
        with given.answering("the validation"):
            tries = score_all(model, candidates, dealt.validation)
        before.check(given.label)
        with given.answering("the test"):
            best = _chosen(candidates, _compared(tries, _RESAMPLES_TO_CHOOSE, agreed), given, agreed)
            answers = score_all(model, [best], dealt.test)
            found = _compared(answers, agreed.statistics.resamples, agreed)
    except ChangedModelError:
        raise
    except InputError:
        before.check(given.label)
        raise
    before.check(given.label)
    measured = summarize(found).iloc[0].to_dict()
    known = {name: value for name, value in measured.items() if name in benchmark_table.SCHEMA}
    return {**row, **known, "p_uncorrected": measured["off_center_p"]}


def sentence(row: dict[str, object]) -> str:
    """Say what a row says; from `crosseyed.workflow.benchmark_table.read`."""
    if pd.isna(row["acts"]):
        return f"{row['mitigation']}: {row['verdict']}, with {row['passes']:g} passes."
    told = ", told where the object is" if row["oracle"] else ""
    return f"{row['candidate']}{told}: {change(pd.Series(row))}: {row['verdict']}."


def _identity(model: ClipModel, given: Given) -> dict[str, str]:
    return {
        "weights": model.digest,
        "mitigation": given.label,
        "source": given.source,
        "code": given.code,
    }


def _candidates(
    model: ClipModel, given: Given, agreed: BenchmarkProtocol, dealt: Dealt
) -> tuple[list[Mitigation], dict[str, str], float | None]:
    """List the candidates within the budget, why others are left out, and the fewest passes of those beyond it."""
    left_out: dict[str, str] = {}
    with given.answering("giving its candidates"):
        settings_ = registry.settings_of(given.kind, model, dealt.validation[0], left_out)
        settings_ = settings_ or ([] if left_out else [given.kind()])
        for each in settings_:
            if not isinstance(each, Mitigation):
                raise InputError(
                    f"{shorten(each)} is among its candidates and is not a mitigation; give only these."
                )
        possible = registry.applicable(settings_, model, left_out)
        within = registry.applicable(possible, model, left_out, agreed.budget.most_passes)
    if not possible:
        reasons = " ".join(dict.fromkeys(left_out.values()))
        raise InputError(f"The mitigation {given.label!r} cannot be applied to {model.name}: {reasons}")
    return within, left_out, min((each.passes for each in possible if each not in within), default=None)


def _compared(answers: pd.DataFrame, resamples: int, agreed: BenchmarkProtocol) -> pd.DataFrame:
    """Compare with the plain model; raise InputError if a candidate has answers that are none."""
    finite = np.isfinite(answers["margin"].to_numpy(float, na_value=np.nan))
    if not finite.all():
        worst = answers.loc[~finite, "candidate"].iloc[0]
        raise InputError(
            f"{worst} gives scores that are not finite; give a number for each image and caption."
        )
    return evaluation.compare(answers, resamples=resamples, seed=agreed.seed)


def _chosen(
    candidates: Sequence[Mitigation], tried: pd.DataFrame, given: Given, agreed: BenchmarkProtocol
) -> Mitigation:
    """Choose among all candidates of a class, those first whose measured passes are within the budget."""
    affordable = tried[(tried["passes"] <= agreed.budget.most_passes) | (tried["candidate"] == BASELINE)]
    rows = affordable if len(affordable) > 1 else tried
    best = evaluation.choose(rows.assign(family=given.label), agreed.choice.most_loss, agreed.choice.task)
    return next(each for each in candidates if each.name == best["candidate"].iloc[0])
