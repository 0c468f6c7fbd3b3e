"""Which verdict on a mitigation follows from its measured changes, by a rule that was fixed before.

A rule is data: verdicts in an order, each with lines of conditions such as
``off_center_change_low > 0 and off_center_p < significance``. The first verdict counts of which one line holds.
"""

import operator
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pydantic import ConfigDict

from crosseyed.errors import InputError, suggest
from crosseyed.measure.recovery import ENDS
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.validation import Checked

_ABOUT = ("candidate", "family", "kind", "oracle", "passes", "acts")

_OF_GRID = (
    *(f"{quantity}_change{end}" for quantity in ("off_center", "center") for end in ENDS),
    *("off_center_p", "center_p", "n_objects", "n_center", "n_off_center", "confidence"),
)

_ELSEWHERE = {"pair": ("pair", "off_center"), "control": ("control", "center")}

COLUMNS = (
    *_ABOUT,
    *_OF_GRID,
    *(f"{name}_change{end}" for name in _ELSEWHERE for end in ENDS),
    *("center_loss", "control_loss"),
)
"""Columns of `summarize`."""

QUANTITIES = tuple(name for name in COLUMNS if name not in ("candidate", "family", "kind", "oracle"))
"""What a condition can be about."""

_TOO_MANY = "passes > most_passes"  # decides also about what was not measured for this reason

_SIGNS = {">": operator.gt, "<": operator.lt, "=": operator.eq}


class Verdict(Checked):
    """One verdict of a rule."""

    model_config = ConfigDict(strict=False)

    verdict: str
    """A word or two."""
    words: str
    """What it means: a clause that follows the mitigation's name."""
    when: tuple[str, ...]
    """Lines of conditions, of which one has to hold; without any it always holds."""


def summarize(compared: pd.DataFrame) -> pd.DataFrame:
    """Put what a rule is about into one row for each candidate.

    Parameters
    ----------
    compared : pandas.DataFrame
        From `crosseyed.mitigations.evaluation.compare`, on the grid and perhaps other tasks; one row per candidate and
        protocol.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`, without the plain model: those of the grid by their own names; ``pair_change``, of pairs
        that are apart, and ``control_change``, of large objects at the center, each with ``_low`` and ``_high``; and
        ``center_loss`` and ``control_loss``, the changes with their sign reversed. NaN for what was not measured.
    """
    rows = compared[compared["candidate"] != BASELINE]
    found = rows[rows["protocol"] == "grid"][[*_ABOUT, *_OF_GRID]]
    for protocol, (name, quantity) in _ELSEWHERE.items():
        part = rows[rows["protocol"] == protocol].set_index("candidate")
        for end in ENDS:
            changes = part[f"{quantity}_change{end}"]
            found = found.assign(**{f"{name}_change{end}": found["candidate"].map(changes)})
    found = found.assign(center_loss=-found["center_change"], control_loss=-found["control_change"])
    return found[[*COLUMNS]].reset_index(drop=True)


def check_rule(rule: Sequence[Verdict], limits: Mapping[str, float], what: str) -> None:
    """Raise InputError for conditions that say nothing, and for a rule without a beginning or an end."""
    for each in rule:
        for line in each.when:
            for condition in line.split(" and "):
                _check(condition, limits, what)
    names = [each.verdict for each in rule]
    if not rule or rule[0].when != (_TOO_MANY,) or rule[-1].when or len(set(names)) < len(names):
        raise InputError(
            f"The rule of {what} has to name each verdict once, to begin with one for {_TOO_MANY!r}, and to end with "
            "one without conditions, which holds otherwise; change that."
        )


def decide(row: Mapping[str, object], rule: Sequence[Verdict], limits: Mapping[str, float]) -> Verdict:
    """Return the verdict on a candidate.

    Parameters
    ----------
    row : mapping
        A row of `summarize`; a condition about what is NaN does not hold.
    rule : sequence of Verdict
        As `check_rule` wants it.
    limits : mapping of str to float
        The limits that conditions name.
    """

    def holds(condition: str) -> bool:
        quantity, sign, limit = condition.split()
        value = np.nan if pd.isna(row[quantity]) else round(float(row[quantity]), 9)
        return bool(_SIGNS[sign](value, limits[limit] if limit in limits else float(limit)))

    return next(
        each
        for each in rule
        if not each.when or any(all(map(holds, line.split(" and "))) for line in each.when)
    )


def _check(condition: str, limits: Mapping[str, float], what: str) -> None:
    parts = condition.split()
    if len(parts) != 3 or parts[1] not in _SIGNS:
        raise InputError(
            f"The rule of {what} has the condition {condition!r}; write one such as 'center_loss > most_loss', with >, "
            "< or =, and join several by 'and'."
        )
    quantity, _, limit = parts
    if quantity not in QUANTITIES:
        near = suggest(quantity, QUANTITIES) or "."
        raise InputError(f"The rule of {what} names {quantity!r}, which is not measured{near}")
    if limit not in limits and not _is_number(limit):
        raise InputError(
            f"The rule of {what} has the limit {limit!r}; give a number, or one of {', '.join(limits)}."
        )


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text))
    except ValueError:
        return False
