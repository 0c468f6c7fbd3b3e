"""The summary of an edition on one page, its PDF, and the card for sharing, read from the tables of its chapters."""

from functools import partial
from pathlib import Path

import pandas as pd

from crosseyed import __version__
from crosseyed.editions import Description
from crosseyed.report import tables
from crosseyed.report.figures import curves, style
from crosseyed.report.figures import headline as figures
from crosseyed.report.reading import NONE, estimate
from crosseyed.settings import PROTOCOL_VERSION, settings
from crosseyed.workflow.headline import Headline
from crosseyed.workflow.page_heads import CARD
from crosseyed.workflow.printing import print_page
from crosseyed.workflow.results import CHAPTER, own_rows
from crosseyed.workflow.standalone import picture, write_page
from crosseyed.workflow.verdict_pages import Judged

PAGE, PDF = "summary.html", "summary.pdf"
"""Names of the files at the top of an edition's pages."""


def write(
    folder: Path,
    model: Description,
    origin: str,
    results: Path,
    headline: Headline,
    judged: list[Judged],
    address: str = "",
) -> str:
    """Write summary, PDF and card of an edition.

    Parameters
    ----------
    folder : pathlib.Path
        Gets `PAGE`, `CARD` and, where a browser is there to print it, `PDF`, to which the page then leads.
    model : Description
        The edition and its model.
    origin : str
        Where the model comes from, in words.
    results : pathlib.Path
        The edition's tables, one folder for each chapter.
    headline : Headline
        What the edition says first.
    judged : list of Judged
        The claims and what the edition says of them.
    address : str
        Address of the folder on the web, ending in a slash, if it is known; a card is named by its whole address.

    Returns
    -------
    str
        Why there is no PDF, a clause; empty if there is one.
    """
    sides = figures.both_sides(headline.sides)
    rings = curves.accuracy_by_eccentricity(tables.read(results, CHAPTER, "grid_by_eccentricity"))
    write_summary = partial(
        write_page,
        folder / PAGE,
        "summary.html",
        model=model.model,
        edition=model.edition.name,
        size=model.edition.size,
        origin=origin,
        parameters=model.parameters_in_words,
        weights=model.weights,
        version=PROTOCOL_VERSION,
        crosseyed=__version__,
        interval=settings.interval,
        sentences=headline.sentences,
        sides=picture(sides, in_words(headline)),
        rings=picture(rings, style.describe(rings)),
        numbers=key_numbers(results, model, headline),
        claims=[_brief(each) for each in judged],
        card=f"{address}{CARD}" if address else "",
    )
    said = [f"{each.subject}{each.rest}" for each in headline.sentences[1:]]
    footer = f"Edition {model.edition.name}, size {model.edition.size}: an executable study of center bias"
    style.save_card(figures.card(headline.sides, "Is CLIP cross-eyed?", said, footer), folder / CARD)
    write_summary(pdf=True)
    if reason := print_page(folder / PAGE, folder / PDF):
        write_summary(pdf=False)
    return reason


def in_words(headline: Headline) -> str:
    """Return what the figure of the first screen shows, as its alternative text."""
    rows = [
        f"{row['label']}: {estimate(row, 'center', digits=0, unit=' %')} at the center, "
        f"{estimate(row, 'off_center', digits=0, unit=' %')} off-center"
        for row in headline.sides.to_dict("records")
    ]
    return f"Objects named correctly, with intervals. {'; '.join(rows)}."


def key_numbers(results: Path, model: Description, headline: Headline) -> list[dict[str, str]]:
    """List the numbers that stand for an edition: `what`, `value` with its interval, and how much was `counted`."""
    bias = headline.bias
    counted = f"{bias['n_objects']} objects, {bias['n_center'] + bias['n_off_center']:,} scenes"
    rows = [
        ("one object at the center (%)", estimate(bias, "center_accuracy"), counted),
        ("the same objects off-center (%)", estimate(bias, "off_center_accuracy"), ""),
        ("center-bias gap (points)", estimate(bias, "gap"), ""),
        ("center-bias index (gap / center)", estimate(bias, "bias_index", digits=2), ""),
    ]
    pairs, why = _own_row(results, model, "pair_bias")
    if pairs is None:
        rows.append(("two objects, both named", NONE, why))
    else:
        counted = f"{pairs['n_objects']} objects, {pairs['n_together'] + pairs['n_apart']:,} scenes"
        rows += [
            ("two objects together, both named (%)", estimate(pairs, "together_accuracy"), counted),
            ("apart, one at the border (%)", estimate(pairs, "apart_accuracy"), ""),
        ]
    left, why = _own_row(results, model, "pair_left_out")
    value = NONE if left is None else estimate(left, "difference", signed=True)
    counted = why if left is None else f"{left['n_objects']} objects, {left['n']:,} scenes"
    rows.append(("border object left out, minus its partner (points)", value, counted))
    if (best := headline.best) is not None:
        counted = f"{best['n_objects']} objects, {best['passes']:.3g} passes an image"
        rows += [
            (f"{best['family']}: off-center (points)", _change(best, "off_center"), counted),
            (f"{best['family']}: at the center (points)", _change(best, "center"), ""),
        ]
    return [dict(zip(("what", "value", "counted"), row, strict=True)) for row in rows]


def _change(row: pd.Series, side: str) -> str:
    return estimate(row, f"{side}_change", signed=True)


def _own_row(results: Path, model: Description, name: str) -> tuple[pd.Series | None, str]:
    """Return the row of the model in a table of the first chapter, or why there is none."""
    try:
        return own_rows(tables.read(results, CHAPTER, name), model).iloc[0], ""
    except tables.UnavailableTableError as reason:
        return None, str(reason)


def _brief(judged: Judged) -> dict[str, str]:
    value = NONE if judged.evidence is None else judged.evidence.number
    return {"what": judged.claim.statement, "verdict": judged.verdict, "value": value}
