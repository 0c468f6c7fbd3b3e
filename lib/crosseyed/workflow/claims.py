"""What the two papers claim, and what the tables of an edition say of it.

Each claim is tested by one quantity of one chapter, with its 95 % interval. A claim is *supported* where the interval
lies wholly on the side that the claim names, *contradicted* where it lies on the other, *not supported* where it
contains zero, and *not testable here* where the edition lacks what the test needs. Where the quantity is the best of
several, a p-value that is corrected for their number has to be below 0.05 too.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crosseyed.measure import bootstrap
from crosseyed.workflow import results
from crosseyed.workflow.editions import Description

VERDICTS = ("supported", "not supported", "contradicted", "not testable here")

"""What can be said of a claim."""

_POCKETCLIP = "pocketclip-"

_LEVEL = 0.05


@dataclass(frozen=True)
class Evidence:
    """What an edition says of a claim.

    Attributes
    ----------
    what : str
        The quantity, in words.
    value, low, high : float
        The quantity and the ends of its interval; positive values speak for the claim.
    unit : str
        Such as ``"points"``; may be empty.
    p : float, optional
        Corrected p-value, where the quantity is the best of several.
    """

    what: str
    value: float
    low: float
    high: float
    unit: str = "points"
    p: float | None = None

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        if self.p is not None and not self.p < _LEVEL:
            return VERDICTS[1]
        if self.low > 0:
            return VERDICTS[0]
        return VERDICTS[2] if self.high < 0 else VERDICTS[1]

    def __str__(self) -> str:
        """Write quantity and interval."""
        digits = 1 if self.unit == "points" else 2
        value, low, high = (f"{number:+.{digits}f}" for number in (self.value, self.low, self.high))
        corrected = "" if self.p is None else f", corrected p = {self.p:.3f}"
        return f"{self.what}: {value}{' ' if self.unit else ''}{self.unit} [{low}, {high}]{corrected}"


class Untestable(LookupError):  # noqa: N818 (a state of the edition, not a failure)
    """An edition lacks what the test of a claim needs; the message says what."""


@dataclass(frozen=True)
class Claim:
    """One claim and its test.

    Attributes
    ----------
    statement : str
        The claim, in our words.
    source : str
        Citation key of the paper.
    chapter : str
        Page with the figure that tests it.
    figure : str
        The figure, in words.
    test : callable
        From the folder of an edition's tables and its model to `Evidence`; raises `Untestable`.
    """

    statement: str
    source: str
    chapter: str
    figure: str
    test: Callable[[Path, Description], Evidence]


def tabulate(folder: str | os.PathLike, model: Description) -> str:
    """Write the table of all claims and what an edition found.

    Parameters
    ----------
    folder : path
        The edition's tables, one folder a chapter.
    model : Description
        The edition's model.

    Returns
    -------
    str
        A Markdown table: claim, source, figure that tests it, finding.
    """
    rows = ["| claim | tested by | in this edition |", "|---|---|---|"]
    for claim in CLAIMS:
        try:
            evidence = claim.test(Path(folder), model)
            found = f"**{evidence.verdict}** – {evidence}"
        except Untestable as reason:
            found = f"**{VERDICTS[3]}** – {reason}"
        figure = f"{{doc}}`{claim.figure} </notebooks/{claim.chapter}>`"
        rows.append(f"| {claim.statement} {{cite}}`{claim.source}` | {figure} | {found} |")
    return "\n".join(rows)


def _read(folder: Path, chapter: str, name: str) -> pd.DataFrame:
    path = folder / chapter / f"{name}.csv"
    if not path.exists():
        raise Untestable("the chapter has no such table for this model")
    return pd.read_csv(path)


def _own(table: pd.DataFrame, model: Description) -> pd.DataFrame:
    rows = table[table["model"] == model.model]
    if "pretrained" in table:
        rows = rows[rows["pretrained"] == model.pretrained]
    if rows.empty:
        raise Untestable("the chapter says nothing of this model")
    return rows


def _gap(protocol: str) -> Callable[[Path, Description], Evidence]:
    def test(folder: Path, model: Description) -> Evidence:
        if protocol == "whatsup" and not (folder / "01_center_bias" / "whatsup.csv").exists():
            raise Untestable("What'sUp's photographs are not on this machine (`crosseyed download whatsup`)")
        table = _read(folder, "01_center_bias", protocol).astype({"correct": "boolean"})
        bias = bootstrap.center_bias(_own(table, model)).iloc[0]
        return Evidence("center-bias gap", bias["gap"], bias["gap_low"], bias["gap_high"])

    return test


def _lost_at_pooling(folder: Path, model: Description) -> Evidence:
    lost = _read(folder, "02_embedding_decomposition", "lost")
    rows = lost[lost["reader"] == "probe"]
    if rows.empty:
        raise Untestable("no probe could be compared for this tower")
    row = rows.iloc[0]
    return Evidence(
        "gap of the embedding minus that of the tokens", row["difference"], row["low"], row["high"]
    )


def _overlooked(folder: Path, model: Description) -> Evidence:
    row = _own(_read(folder, "03_attention_maps", "found"), model).iloc[0]
    ends = (row["difference"], row["difference_low"], row["difference_high"])
    return Evidence("attention to the object over its area, center minus off-center", *ends, unit="")


def _background(folder: Path, model: Description) -> Evidence:
    scores = _own(_read(folder, "03_attention_maps", "scores"), model)
    row = bootstrap.mean(scores[scores["method"] == "ITSM"], "contrast").iloc[0]
    return Evidence(
        "similarity elsewhere minus on the object", -row["mean"], -row["high"], -row["low"], unit=""
    )


def _masked_max(folder: Path, model: Description) -> Evidence:
    changes = _read(folder, "04_pooling_ablation", "maps_changes")
    rows = changes[changes["map"] == "ITSM, trained"]
    if rows.empty:
        raise Untestable("this tower has no attention that could make the mask")
    row = rows.iloc[0]
    return Evidence("AUROC of the map, after minus before", row["mean"], row["low"], row["high"], unit="")


def _best_change(chapter: str, table: str, wanted: Callable[[pd.DataFrame], pd.Series]) -> Callable:
    """Take the candidate that is best off-center; its p-value is corrected for the number of candidates."""

    def test(folder: Path, model: Description) -> Evidence:
        rows = _read(folder, chapter, table)
        rows = rows[(rows["protocol"] == "grid") & (rows["candidate"] != _BASELINE) & wanted(rows)]
        if rows.empty:
            raise Untestable("this tower has nothing of the kind")
        row = rows.loc[rows["off_center_change"].idxmax()]
        ends = ("off_center_change", "off_center_change_low", "off_center_change_high")
        what = f"change off-center by the best of {len(rows)}, {row['candidate']}"
        return Evidence(what, *(row[end] for end in ends), p=row["off_center_p"])

    return test


def _family(folder: Path, model: Description) -> Evidence:
    table = results.read()
    published = table[(table["protocol"] == "grid") & ~table["model"].str.startswith(_POCKETCLIP)]
    if published.empty:
        raise Untestable(
            "no published model has been measured on this machine (`make sweep MODELS=models.yml`)"
        )
    row = published.loc[published["gap_low"].astype(float).idxmin()]
    what = f"smallest gap of {published['edition'].nunique()} models, {row['edition']}"
    return Evidence(what, float(row["gap"]), float(row["gap_low"]), float(row["gap_high"]))


_BASELINE = "none"

_ATTENTION = ("radial attention", "uniform mix", "attention temperature", "sink redistribution")

_ATTENTION += ("confidence scaling", "head suppression")


def _starts(*labels: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda rows: rows["family"].str.startswith(labels)


CLAIMS = (
    Claim(
        "An object off-center is recognised less often than the same object at the center.",
        "chew2026crosseyed",
        "01_center_bias",
        "accuracy against eccentricity",
        _gap("grid"),
    ),
    Claim(
        "Of two objects, the one off-center is left out of the caption that fits best (composed scenes).",
        "chew2026crosseyed",
        "01_center_bias",
        "captions chosen in pair scenes",
        _gap("pair"),
    ),
    Claim(
        "The same holds for What'sUp's photographs.",
        "chew2026crosseyed",
        "01_center_bias",
        "captions chosen for photographs",
        _gap("whatsup"),
    ),
    Claim(
        "The object off-center is present in the tokens and lost on the way to the embedding.",
        "chew2026crosseyed",
        "02_embedding_decomposition",
        "tokens and embedding by eccentricity",
        _lost_at_pooling,
    ),
    Claim(
        "The pooled token attends less to an object off-center.",
        "chew2026crosseyed",
        "03_attention_maps",
        "attention to the object by layer",
        _overlooked,
    ),
    Claim(
        "Tokens of the background are more similar to the caption than those of the object.",
        "li2022eclip",
        "03_attention_maps",
        "scores of the similarity map",
        _background,
    ),
    Claim(
        "A head with masked max pooling moves the similarity map onto the object.",
        "li2022eclip",
        "04_pooling_ablation",
        "maps before and after masked max pooling",
        _masked_max,
    ),
    Claim(
        "Another pooling of the same tokens, without training, brings objects off-center back.",
        "chew2026crosseyed",
        "04_pooling_ablation",
        "every pooling beside the model's own",
        _best_change("04_pooling_ablation", "training_free", lambda rows: rows["kind"] == "pooling"),
    ),
    Claim(
        "A visual prompt at the object brings objects off-center back.",
        "chew2026crosseyed",
        "05_mitigations",
        "remedies that are told the place",
        _best_change("05_mitigations", "evaluation", _starts("visual prompt")),
    ),
    Claim(
        "Redistributing attention brings objects off-center back.",
        "chew2026crosseyed",
        "05_mitigations",
        "remedies that are not told the place",
        _best_change("05_mitigations", "evaluation", _starts(*_ATTENTION)),
    ),
    Claim(
        "Center bias persists in recent models of the family.",
        "chew2026crosseyed",
        "06_model_family",
        "gap of each model",
        _family,
    ),
)

"""The claims, in the order of the chapters that test them."""
