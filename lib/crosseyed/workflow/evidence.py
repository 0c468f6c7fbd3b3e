"""What the tables of an edition say about each claim: a quantity with its interval, and the verdict that follows.

Each function takes the table that a claim names (`crosseyed.workflow.claims`) and returns its evidence. The rules are
those of the claims, which were fixed before any table was looked at.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crosseyed.internals.layer_answers import CONTROLS
from crosseyed.mitigations import evaluation
from crosseyed.report.candidates import in_words
from crosseyed.report.presence import PROBE
from crosseyed.report.reading import with_interval
from crosseyed.settings import SIGNIFICANCE

SUPPORTED, NOT_SUPPORTED, CONTRADICTED, NOT_TESTABLE, NOT_PUBLISHED = VERDICTS = (
    "supported",
    "not supported",
    "contradicted",
    "not testable here",
    "method not published",
)
"""The possible verdicts on a claim."""


@dataclass(frozen=True)
class Evidence:
    """What an edition says about a claim: a quantity with its interval, of which positive values support it."""

    what: str
    """The quantity, in words."""
    value: float
    low: float
    high: float
    unit: str = "points"
    needs: tuple["Evidence", ...] = ()
    """Conditions without which the quantity says nothing for the claim; against it they say nothing."""

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`: supported as far as the weakest of all is, contradicted by the quantity alone."""
        conditions = (self, *self.needs)
        if any(np.isnan([each.low, each.high]).any() for each in conditions):
            return NOT_TESTABLE
        if all(each.low > 0 for each in conditions):
            return SUPPORTED
        return CONTRADICTED if self.high < 0 else NOT_SUPPORTED

    @property
    def number(self) -> str:
        """The quantity alone, with its unit and interval."""
        digits = 1 if self.unit == "points" else 2
        return _signed(self.value, self.low, self.high, digits, f" {self.unit}" if self.unit else "")

    def __str__(self) -> str:
        """Write the quantity and interval of each condition."""
        return "; ".join([f"{self.what}: {self.number}", *map(str, self.needs)])


def gap(bias: pd.DataFrame) -> Evidence:
    """Read the center-bias gap of the first row."""
    row = bias.iloc[0]
    return Evidence("center-bias gap", row["gap"], row["gap_low"], row["gap_high"])


def left_out(shares: pd.DataFrame) -> Evidence:
    """Read which of two objects is left out more often."""
    ends = shares.iloc[0][["difference", "difference_low", "difference_high"]]
    return Evidence("left out: the object at the border minus the one at the center", *ends)


def lost_on_the_way(lost: pd.DataFrame) -> Evidence:
    """Read by how much more often a probe finds the object in its tokens than in the embedding, and in the controls."""
    rows = lost[lost["reader"] == PROBE].set_index("against")[["difference", "low", "high"]]
    what = f"found off-center by a probe ({PROBE}) in the object's tokens, minus in the embedding"
    needs = tuple(Evidence(f"minus {control}", *rows.loc[control]) for control in CONTROLS)
    return Evidence(what, *rows.loc["embedding"], needs=needs)


def overlooked(found: pd.DataFrame) -> Evidence:
    """Read how much more attention an object adds at the center than off-center."""
    rows = found.set_index("attention")[["difference", "difference_low", "difference_high"]]
    alone = _signed(*rows.loc["the place alone"], digits=2)
    what = f"attention that the object adds, over its area, center minus off-center (of the place alone: {alone})"
    return Evidence(what, *rows.loc["added by the object"], unit="")


def background(contrasts: pd.DataFrame) -> Evidence:
    """Read how much more similar to the caption tokens elsewhere are than those on the object, as the map is."""
    row, own = (contrasts[contrasts["contrast"] == name].iloc[0] for name in ("before", "own"))
    added = _signed(-own["mean"], -own["high"], -own["low"], digits=2)
    what = (
        f"similarity elsewhere minus on the object (what the object itself adds, on one scale with the map of its "
        f"place without it: {added})"
    )
    return Evidence(what, -row["mean"], -row["high"], -row["low"], unit="")


def masked_max(auroc: pd.DataFrame) -> Evidence:
    """Read how much more an object adds to the agreement of its map with it once a head is trained, and what then."""
    rows = auroc.set_index(["quantity", "part"])[["mean", "low", "high"]]
    parts = {"the whole map": "with the object", "the place alone": "the place alone"}
    others = [f"of {name}: {_signed(*rows.loc[('change', part)], digits=2)}" for name, part in parts.items()]
    what = f"AUROC that the object adds to the map, after minus before ({'; '.join(others)})"
    change, after = (rows.loc[(quantity, "added by the object")] for quantity in ("change", "after"))
    return Evidence(what, *change, unit="", needs=(Evidence("after", *after, unit=""),))


def picked_change(candidates: pd.DataFrame) -> Evidence:
    """Take the candidate that other objects picked, and say how many of all change something."""
    row = evaluation.picked(candidates).iloc[0]
    sure = candidates.loc[candidates["off_center_p"] < SIGNIFICANCE, "off_center_change"]
    what = (
        f"change off-center by {in_words(row['candidate'])}, picked on other objects; of {len(candidates)}, "
        f"{(sure > 0).sum()} gain and {(sure < 0).sum()} lose"
    )
    return Evidence(what, *row[["off_center_change", "off_center_change_low", "off_center_change_high"]])


def smallest_gap(recent: pd.DataFrame) -> Evidence:
    """Read the gap of the recent model whose interval begins lowest."""
    row = recent.loc[recent["gap_low"].idxmin()]
    what = (
        f"smallest gap of {recent['edition'].nunique()} models since {recent['year'].min()}, {row['edition']}"
    )
    return Evidence(what, row["gap"], row["gap_low"], row["gap_high"])


def _signed(value: float, low: float, high: float, digits: int, unit: str = "") -> str:
    return with_interval(float(value), float(low), float(high), digits, signed=True, unit=unit)
