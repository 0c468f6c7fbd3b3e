"""What the pages say about an edition, in words and tables, from what its chapters wrote."""

import json
import os
from collections.abc import Mapping, Sequence

import pandas as pd

from crosseyed import provenance
from crosseyed.escapes import markdown, printable
from crosseyed.files import DATA
from crosseyed.measure.multiplicity import FAMILIES
from crosseyed.measure.rules import RULES
from crosseyed.tables import read_table
from crosseyed.training.evaluation import WHOLE
from crosseyed.training.model_card import format_accuracy, read_figures
from crosseyed.workflow.headline import Headline


def first_screen(headline: Headline, figure: str, alternative: str, links: Sequence[str]) -> str:
    """Return MyST Markdown of three sentences beside one figure, and links to where to go next.

    Parameters
    ----------
    headline : Headline
        What the edition says first.
    figure, alternative : str
        File among the pages, and what it shows in words.
    links : sequence of str
        As MyST Markdown.
    """
    said = [
        f"**{markdown(each.subject)}**{' ' * each.rest.startswith(' ')}{markdown(each.rest)}"
        for each in headline.sentences
    ]
    # an option is not Markdown, but YAML
    image = f"```{{image}} {figure}\n:alt: {json.dumps(printable(alternative), ensure_ascii=False)}\n```"
    text = "\n\n".join(said)
    screen = f":::::{{container}} first-screen\n::::{{container}} said\n{text}\n::::\n{image}\n:::::"
    return f"{screen}\n\n{' · '.join(links)}"


def tabulate_accuracy(files: Mapping[str, str | os.PathLike]) -> str:
    """Return a Markdown table of accuracies, with a row per rendering and position and a column per model.

    Parameters
    ----------
    files : mapping from str to path
        Name of each model and the ``accuracy.csv`` beside its model card (see `crosseyed.training.model_card`).
    """
    keys = ["rendering", "place"]
    columns = {
        markdown(name): figures[figures["factor"] == WHOLE].set_index(keys).apply(format_accuracy, axis=1)
        for name, figures in ((name, read_figures(path)) for name, path in files.items())
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
        above it; `coverage`, how many contain it, with its interval `low`, `high` (percent); `first_low`, `first_high`,
        the first interval; and how the row was made.

    Raises
    ------
    InputError
        The table is missing or not whole.
    """
    advice = "Make it anew with 'PYTHONPATH=tests python tests/benchmarks/measure_coverage.py'."
    return read_table(path, _COVERAGE_KINDS, advice)


def tabulate_rules() -> str:
    """Return a Markdown table of the kinds of intervals and how each is computed."""
    rows = ["| number | what varies | interval |", "|---|---|---|"]
    rows += [
        f"| {each.number} | {each.varies} | {each.interval} ({{doc}}`/api/{each.module}`) |"
        for each in RULES.values()
    ]
    return "\n".join(rows)


def tabulate_coverage(coverage: pd.DataFrame) -> str:
    """Return a Markdown table of how often intervals contain the truth.

    Parameters
    ----------
    coverage : pandas.DataFrame
        From `read_coverage`.
    """
    meant = " and ".join(f"{100 * level:g} %" for level in coverage["confidence"].unique())
    rows = [f"| {meant} interval of | case | contains the truth |", "|---|---|---|"]
    before = ""
    for each in coverage.itertuples():
        number = RULES[each.rule].number
        first = "" if number == before else number
        found = f"{each.coverage:.1f} % [{each.low:.1f}, {each.high:.1f}]"
        rows.append(f"| {first} | {markdown(each.case)} | {found} of {each.runs:,} |")
        before = number
    return "\n".join(rows)


def list_beyond(coverage: pd.DataFrame) -> str:
    """Return in words how many cases contain the truth about as often as is meant, and which do not.

    About is two points more or less. Parameters as of `tabulate_coverage`.
    """
    apart = coverage["coverage"] - 100 * coverage["confidence"]
    beyond = coverage[apart.abs() > 2]
    inside = f"{len(coverage) - len(beyond)} of {len(coverage)} cases lie within two points of what is meant."
    if beyond.empty:
        return inside
    cases = [
        f"{RULES[each.rule].number} ({markdown(each.case)}): {each.coverage:.1f} %"
        for each in beyond.itertuples()
    ]
    return f"{inside} Beyond them lie: {'; '.join(cases)}."


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
