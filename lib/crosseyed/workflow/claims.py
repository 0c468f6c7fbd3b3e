"""What the two papers claim, and what the tables of an edition say about it.

Each claim is tested by one table of one chapter, which holds a quantity with its interval. A claim is *supported* where
the interval lies wholly on the side that the claim names, *contradicted* where it lies on the other, *not supported*
where it contains zero, and *not testable here* where the chapter registered the table as unavailable. Where several
candidates belong to a claim, the one that is best on other objects is taken, so that the choice does not favour it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crosseyed.editions import Description
from crosseyed.escapes import markdown
from crosseyed.mitigations import evaluation
from crosseyed.report import tables
from crosseyed.settings import SIGNIFICANCE
from crosseyed.workflow.results import own_rows

VERDICTS = ("supported", "not supported", "contradicted", "not testable here")
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

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        if self.low > 0:
            return VERDICTS[0]
        return VERDICTS[2] if self.high < 0 else VERDICTS[1]

    def __str__(self) -> str:
        """Write quantity and interval."""
        digits = 1 if self.unit == "points" else 2
        value, low, high = (f"{number:+.{digits}f}" for number in (self.value, self.low, self.high))
        return f"{self.what}: {value}{' ' if self.unit else ''}{self.unit} [{low}, {high}]"


@dataclass(frozen=True)
class Claim:
    """One claim, in our words, and its test."""

    statement: str
    source: str
    """Citation key of the paper."""
    chapter: str
    figure: str
    """The figure of the chapter that tests it, in words."""
    table: str
    """Table of the chapter, by its name in `crosseyed.report.tables.TABLES`."""
    test: Callable[[pd.DataFrame], Evidence]
    every_model: bool = False
    """Whether the test is about all models of the table, not only that of the edition."""

    def evidence(self, folder: Path, model: Description) -> Evidence:
        """Test the claim with the tables of an edition; raise UnavailableTableError where it cannot be tested."""
        table = tables.read(folder, self.chapter, self.table)
        return self.test(table if self.every_model else own_rows(table, model))


def tabulate(folder: str | os.PathLike, model: Description) -> str:
    """Return a Markdown table of all claims, with the figure that tests each and what an edition found.

    Parameters
    ----------
    folder : path
        The edition's tables, one folder for each chapter.
    model : Description
        The edition and its model.

    Raises
    ------
    MissingTableError
        A table that a claim needs is missing, and its chapter did not register why.
    """
    rows = ["| claim | tested by | in this edition |", "|---|---|---|"]
    for claim in CLAIMS:
        try:
            evidence = claim.evidence(Path(folder), model)
            found = f"**{evidence.verdict}** – {markdown(evidence)}"
        except tables.UnavailableTableError as reason:
            found = f"**{VERDICTS[3]}** – {reason}"
        figure = f"{{doc}}`{claim.figure} </notebooks/{claim.chapter}>`"
        rows.append(f"| {claim.statement} {{cite}}`{claim.source}` | {figure} | {found} |")
    return "\n".join(rows)


def _gap(bias: pd.DataFrame) -> Evidence:
    row = bias.iloc[0]
    return Evidence("center-bias gap", row["gap"], row["gap_low"], row["gap_high"])


def _left_out(shares: pd.DataFrame) -> Evidence:
    ends = shares.iloc[0][["difference", "difference_low", "difference_high"]]
    return Evidence("left out: the object at the border minus the one at the center", *ends)


def _lost_at_pooling(lost: pd.DataFrame) -> Evidence:
    row = lost[lost["reader"] == "probe"].iloc[0]
    what = "gap of the embedding minus that of the tokens"
    return Evidence(what, row["difference"], row["low"], row["high"])


def _overlooked(found: pd.DataFrame) -> Evidence:
    rows = found.set_index("attention")
    own, place = rows.loc["added by the object"], rows.loc["the place alone"]
    what = (
        "attention that the object adds, over its area, center minus off-center (of the place alone: "
        f"{place['difference']:+.2f})"
    )
    return Evidence(what, *own[["difference", "difference_low", "difference_high"]], unit="")


def _background(contrasts: pd.DataFrame) -> Evidence:
    row = contrasts[contrasts["contrast"] == "before"].iloc[0]
    what = "similarity elsewhere minus on the object"
    return Evidence(what, -row["mean"], -row["high"], -row["low"], unit="")


def _masked_max(changes: pd.DataFrame) -> Evidence:
    row = changes[changes["map"] == "ITSM, trained"].iloc[0]
    return Evidence("AUROC of the map, after minus before", row["mean"], row["low"], row["high"], unit="")


def _picked_change(candidates: pd.DataFrame) -> Evidence:
    """Take the candidate that other objects picked, and say how many of all change something."""
    row = evaluation.picked(candidates).iloc[0]
    sure = candidates.loc[candidates["off_center_p"] < SIGNIFICANCE, "off_center_change"]
    what = (
        f"change off-center by {row['candidate']}, picked on other objects; of {len(candidates)}, "
        f"{(sure > 0).sum()} gain and {(sure < 0).sum()} lose"
    )
    return Evidence(what, *row[["off_center_change", "off_center_change_low", "off_center_change_high"]])


def _smallest_gap(recent: pd.DataFrame) -> Evidence:
    row = recent.loc[recent["gap_low"].idxmin()]
    what = (
        f"smallest gap of {recent['edition'].nunique()} models since {recent['year'].min()}, {row['edition']}"
    )
    return Evidence(what, row["gap"], row["gap_low"], row["gap_high"])


CLAIMS = (
    Claim(
        "An object off-center is recognised less often than the same object at the center.",
        "chew2026crosseyed",
        "01_center_bias",
        "accuracy against eccentricity",
        "bias",
        _gap,
    ),
    Claim(
        "Of two objects, the one off-center is left out of the caption that fits best (composed scenes).",
        "chew2026crosseyed",
        "01_center_bias",
        "captions chosen in pair scenes",
        "pair_left_out",
        _left_out,
    ),
    Claim(
        "The same holds for What'sUp's photographs.",
        "chew2026crosseyed",
        "01_center_bias",
        "captions chosen for photographs",
        "whatsup_left_out",
        _left_out,
    ),
    Claim(
        "The object off-center is present in the tokens and lost on the way to the embedding.",
        "chew2026crosseyed",
        "02_embedding_decomposition",
        "tokens and embedding by eccentricity",
        "lost",
        _lost_at_pooling,
    ),
    Claim(
        "The pooled token attends less to an object off-center.",
        "chew2026crosseyed",
        "03_attention_maps",
        "attention to the object by layer",
        "found",
        _overlooked,
    ),
    Claim(
        "Tokens of the background are more similar to the caption than those of the object.",
        "li2022eclip",
        "03_attention_maps",
        "scores of the similarity map",
        "contrast",
        _background,
    ),
    Claim(
        "A head with masked max pooling moves the similarity map onto the object.",
        "li2022eclip",
        "04_pooling_ablation",
        "maps before and after masked max pooling",
        "masked_max",
        _masked_max,
    ),
    Claim(
        "Another pooling of the same tokens, without training, brings objects off-center back.",
        "chew2026crosseyed",
        "04_pooling_ablation",
        "every pooling beside the model's own",
        "poolings",
        _picked_change,
    ),
    Claim(
        "A visual prompt at the object (a mark, or less of everything else) brings objects off-center back.",
        "chew2026crosseyed",
        "05_mitigations",
        "mitigations that are told the place",
        "visual_prompts",
        _picked_change,
    ),
    Claim(
        "Zooming in, by a crop around the object, brings objects off-center back.",
        "shtedritski2023redcircle",
        "05_mitigations",
        "mitigations that are told the place",
        "zoom",
        _picked_change,
    ),
    Claim(
        "Redistributing attention brings objects off-center back.",
        "chew2026crosseyed",
        "05_mitigations",
        "mitigations that are not told the place",
        "attention_changes",
        _picked_change,
    ),
    Claim(
        "Center bias persists in recent models of the family.",
        "chew2026crosseyed",
        "06_model_family",
        "gap of each model",
        "recent",
        _smallest_gap,
        every_model=True,
    ),
)
"""The claims, in the order of the chapters that test them."""
