"""What the pages say about an edition, in words and tables, from what its chapters wrote."""

import os
from collections.abc import Mapping

import pandas as pd

from crosseyed import provenance
from crosseyed.escapes import markdown
from crosseyed.files import DATA
from crosseyed.measure.multiplicity import FAMILIES
from crosseyed.measure.rules import RULES
from crosseyed.tables import read_table
from crosseyed.training.model_card import format_accuracy, read_figures


def describe_bias(bias: pd.Series) -> str:
    """Say how much better a model recognises objects at the center: a verdict by the interval, and the figures.

    Parameters
    ----------
    bias : pandas.Series
        The row of the model in the table ``bias`` of the first chapter.
    """
    if bias["gap_low"] > 0:
        verdict = "It is cross-eyed"
    elif bias["gap_high"] < 0:
        verdict = "It recognises objects better off-center than at the center"
    else:
        verdict = "Its interval does not tell a center bias from chance"
    return (
        f"**{verdict}.** Of single objects in the center of the image it names "
        f"{bias['center_accuracy']:.0f} % correctly, of the same objects off-center "
        f"{bias['off_center_accuracy']:.0f} %: a center-bias gap of {bias['gap']:.0f} percentage points "
        f"({100 * bias['confidence']:g} % interval {bias['gap_low']:.0f} to {bias['gap_high']:.0f}; "
        f"{bias['n_objects']} objects in {bias['n_center'] + bias['n_off_center']} scenes)."
    )


def tabulate_accuracy(files: Mapping[str, str | os.PathLike]) -> str:
    """Return a Markdown table of accuracies, with a row per rendering and position and a column per model.

    Parameters
    ----------
    files : mapping from str to path
        Name of each model and the ``accuracy.csv`` beside its model card (see `crosseyed.training.model_card`).
    """
    keys = ["rendering", "zone"]
    columns = {
        markdown(name): read_figures(path).set_index(keys).apply(format_accuracy, axis=1)
        for name, path in files.items()
    }
    table = pd.DataFrame(columns).sort_index(level="rendering", ascending=False, sort_remaining=False)
    rows = [
        " | ".join([f"renderings {markdown(seen)}", markdown(zone), *cells])
        for (seen, zone), cells in zip(table.index, table.values, strict=True)
    ]
    return "\n".join(
        f"| {row} |"
        for row in [" | ".join(["", "position", *columns]), "---|---" + "|---" * len(columns), *rows]
    )


COVERAGE = DATA / "results" / "coverage.csv"
"""How often intervals contain the truth in simulated studies.

:meta hide-value:
"""

_COVERAGE_KINDS = {
    "rule": "text",
    "case": "text",
    "confidence": "number",
    "runs": "whole",
    "truth": "number",
    "below": "whole",
    "above": "whole",
    "coverage": "number",
    "low": "number",
    "high": "number",
    "hard": "truth",
    "first_low": "number",
    "first_high": "number",
    **dict.fromkeys(provenance.COLUMNS, "text"),
}


def read_coverage(path: str | os.PathLike = COVERAGE) -> pd.DataFrame:
    """Read how often intervals contain the truth in simulated studies.

    Parameters
    ----------
    path : path
        The table that ``tests/benchmarks/measure_coverage.py`` makes.

    Returns
    -------
    pandas.DataFrame
        One row per case: `rule` (a key of `crosseyed.measure.rules.RULES`) and `case`; `confidence`, what the intervals
        should cover; `runs`, the studies simulated; `truth`; `below` and `above`, how many intervals lie below and
        above it; `coverage`, how many contain it, with the 95 % interval `low`, `high` (percent); `hard`, whether the
        case shows the limits of its rule; `first_low`, `first_high`, the first interval; and how the row was made.

    Raises
    ------
    InputError
        The table is missing or not whole.
    """
    remedy = "Make it anew with 'PYTHONPATH=tests python tests/benchmarks/measure_coverage.py'."
    return read_table(path, _COVERAGE_KINDS, remedy)


def tabulate_rules() -> str:
    """Return a Markdown table of the kinds of intervals and how each is computed."""
    rows = ["| number | what varies | interval |", "|---|---|---|"]
    rows += [
        f"| {each.number} | {each.varies} | {each.interval} ({{doc}}`/api/{each.module}`) |"
        for each in RULES.values()
    ]
    return "\n".join(rows)


def tabulate_coverage(coverage: pd.DataFrame, *, hard: bool) -> str:
    """Return a Markdown table of how often intervals contain the truth.

    Parameters
    ----------
    coverage : pandas.DataFrame
        From `read_coverage`.
    hard : bool
        Whether of the cases that show the limits of a rule, or of all others.
    """
    shown = coverage[coverage["hard"] == hard]
    meant = " and ".join(f"{100 * level:g} %" for level in shown["confidence"].unique())
    rows = [f"| {meant} interval of | case | contains the truth |", "|---|---|---|"]
    before = ""
    for each in shown.itertuples():
        number = RULES[each.rule].number
        first = "" if number == before else number
        found = f"{each.coverage:.1f} % [{each.low:.1f}, {each.high:.1f}]"
        rows.append(f"| {first} | {markdown(each.case)} | {found} of {each.runs:,} |")
        before = number
    return "\n".join(rows)


def tabulate_tests() -> str:
    """Return a Markdown table of the families of tests whose p-values are corrected together."""
    rows = ["| chapter | tests of one family | where |", "|---|---|---|"]
    rows += [f"| {{doc}}`/notebooks/{each.chapter}` | {each.tests} | {each.columns} |" for each in FAMILIES]
    return "\n".join(rows)


def tabulate_families(table: pd.DataFrame) -> str:
    """Return a Markdown table of what each kind of tower supports, and a list of its poolings and what is missing.

    Parameters
    ----------
    table : pandas.DataFrame
        What `crosseyed.report.family_table.what_works` returned.
    """
    columns = [name for name in table if name not in ("family", "pooling", "models", "poolings", "missing")]
    marks = table[columns].replace({"yes": "✓", "no": "–"})
    table = table.map(markdown)
    examples = table["models"].str.split(",| and ", regex=True).str[0]
    kinds = table["family"] + ", pooling by " + table["pooling"] + ", as " + examples
    rows = [["tower", *columns], ["---"] * (1 + len(columns))]
    rows += [[kind, *cells] for kind, cells in zip(kinds, marks.to_numpy(), strict=True)]
    lines = [f"| {' | '.join(row)} |" for row in rows] + [""]
    for kind, row in zip(kinds, table.itertuples(), strict=True):
        missing = f" Missing – {row.missing}." if row.missing else ""
        lines.append(f"- **{kind}**, in all {row.models}. Poolings: {row.poolings}.{missing}")
    return "\n".join(lines)
