"""What an edition says first: three sentences and the rows of one figure, read from the tables of its chapters."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crosseyed.editions import Description
from crosseyed.report import tables
from crosseyed.report.verdicts import headline
from crosseyed.report.verdicts.headline import Sentence
from crosseyed.workflow.results import CHAPTER, own_rows

MITIGATIONS = "05_mitigations"
"""The chapter whose table says what helps."""


@dataclass(frozen=True)
class Headline:
    """What the first screen of an edition says."""

    sentences: tuple[Sentence, Sentence, Sentence]
    """What center bias is, how large it is for the model, and what helps."""
    sides: pd.DataFrame
    """For `crosseyed.report.figures.headline.both_sides`: the model, those beside it, and what helps."""
    bias: pd.Series
    """The row of the model in the first chapter's table ``bias``."""
    best: pd.Series | None
    """The row of the mitigation that other objects picked; None where there is none."""


def read(results: Path, model: Description) -> Headline:
    """Read what an edition says first.

    Parameters
    ----------
    results : pathlib.Path
        The edition's tables, one folder for each chapter.
    model : Description
        The edition and its model.

    Raises
    ------
    MissingTableError
        A chapter did not write its table, nor register why.
    InputError
        A table has no row of the model.
    """
    every = tables.read(results, CHAPTER, "bias")
    bias = own_rows(every, model).iloc[0]
    others = every[every["model"] != bias["model"]].drop_duplicates("model")
    sides = [_side(row, row["model"]) for row in [bias, *(row for _, row in others.iterrows())]]
    try:
        evaluation = tables.read(results, MITIGATIONS, "evaluation")
    except tables.UnavailableTableError as reason:
        third, best = Sentence("What helps is not known here", f": {reason}."), None
    else:
        third, best = headline.what_helps(evaluation), headline.best(evaluation)
    if best is not None:
        plain = headline.plain(evaluation)
        names = (f"{bias['model']}, {plain['n_objects']} other objects", f"the same with {best['family']}")
        sides += [_side(row, name, "") for row, name in zip((plain, best), names, strict=True)]
    sentences = (headline.WHAT, headline.how_large(str(bias["model"]), bias), third)
    return Headline(sentences, pd.DataFrame(sides), bias, best)


def _side(row: pd.Series, label: str, named: str = "_accuracy") -> dict[str, object]:
    ends = {
        f"{side}{end}": row[f"{side}{named}{end}"]
        for side in ("center", "off_center")
        for end in ("", "_low", "_high")
    }
    return {"label": label, **ends, "confidence": row["confidence"]}
