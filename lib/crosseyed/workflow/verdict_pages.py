"""What pages say about the claims: a table of verdicts with their links, and a page that states every test in full.

From each verdict three links lead on: to the figure in the chapter, to the table as a file, and to the function that
measured it. Claims whose chapter was executed under another version of the protocol stand in a table of their own.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from crosseyed.editions import Description
from crosseyed.escapes import markdown
from crosseyed.report import tables
from crosseyed.settings import PROTOCOL_VERSION
from crosseyed.workflow.claims import CLAIMS, Claim
from crosseyed.workflow.evidence import NOT_PUBLISHED, NOT_TESTABLE, Evidence

FOLDER = "results"
"""Folder of the tables among the pages."""


@dataclass(frozen=True)
class Judged:
    """A claim and what an edition found."""

    claim: Claim
    verdict: str
    """One of `crosseyed.workflow.evidence.VERDICTS`."""
    found: str
    """The evidence, or the reason why there is none, as Markdown."""
    version: int
    """Version of the protocol under which its chapter was executed."""
    has_table: bool
    evidence: Evidence | None = None
    """The same as numbers; None where there is a reason instead."""

    def __str__(self) -> str:
        """Return verdict and evidence as Markdown."""
        return f"**{self.verdict}** – {self.found}"

    @property
    def links(self) -> str:
        """Return the links to figure, table and function, for a page beside the introduction."""
        claim = self.claim
        figure = f"notebooks/{claim.chapter}.html#{_anchor(claim.section)}"
        links = [f'<a class="reference internal" href="{figure}">figure</a>']
        if self.has_table:
            links.append(f"{{download}}`table </{FOLDER}/{claim.chapter}/{claim.table}.csv>`")
        return " · ".join([*links, f"{{py:func}}`function <crosseyed.{claim.function}>`"])


def judge(folder: str | os.PathLike, model: Description) -> list[Judged]:
    """Test all claims with the tables of an edition.

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
    return [_judge(claim, Path(folder), model) for claim in CLAIMS]


def tabulate(judged: list[Judged]) -> str:
    """Return Markdown tables of all claims, those of each version of the protocol apart, this version first."""
    versions = sorted(
        {each.version for each in judged}, key=lambda version: (version != PROTOCOL_VERSION, version)
    )
    parts = []
    for version in versions:
        if version != PROTOCOL_VERSION:
            parts.append(
                f"Computed under version {version} of the protocol, so that these rows cannot be compared with those "
                f"of this version, {PROTOCOL_VERSION}:"
            )
        rows = ["| claim | in this edition | follow it |", "|---|---|---|"]
        rows += [
            f"| {each.claim.statement} {_source(each.claim)} | {each} | {each.links} |"
            for each in judged
            if each.version == version
        ]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def describe(judged: list[Judged]) -> str:
    """Return Markdown that states for each claim who makes it and where, its test, verdict and what would change it."""
    return "\n\n".join(_describe(number, each) for number, each in enumerate(judged, start=1))


def copy_tables(judged: list[Judged], results: Path, pages: Path) -> None:
    """Put the tables that the links lead to among the pages."""
    for each in judged:
        if each.has_table:
            copy_table(results, f"{each.claim.chapter}/{each.claim.table}.csv", pages)


def copy_table(results: Path, table: str, pages: Path) -> None:
    """Put a table such as ``"01_center_bias/bias.csv"`` among pages, in `FOLDER`."""
    copy = pages / FOLDER / table
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(results / table, copy)


def _judge(claim: Claim, folder: Path, model: Description) -> Judged:
    record = tables.read_record(folder / claim.chapter)
    found = None
    try:
        found = claim.evidence(folder, model)
        verdict, words = found.verdict, markdown(found)
    except tables.UnavailableTableError as reason:
        verdict, words = NOT_TESTABLE, str(reason)
    if claim.unpublished:
        ours = (
            f"of our own methods, {words}"
            if verdict == NOT_TESTABLE
            else f"our own methods are {verdict}: {words}"
        )
        verdict, words = NOT_PUBLISHED, f"{claim.unpublished}; {ours}"
    has_table = (folder / claim.chapter / f"{claim.table}.csv").is_file()
    return Judged(claim, verdict, words, record.protocol_version, has_table, found)


def _anchor(heading: str) -> str:
    """Return the identifier that Sphinx gives a section."""
    return re.sub("[^a-z0-9]+", "-", heading.lower()).strip("-")


def _source(claim: Claim) -> str:
    return f"({{cite:t}}`{claim.source}`: {claim.made})"


def _describe(number: int, judged: Judged) -> str:
    claim = judged.claim
    lines = {
        "Source": f"{{cite:t}}`{claim.source}`; {claim.made}",
        "Quantity": claim.quantity,
        "Rule": claim.rule,
        "Verdict": f"{judged} (version {judged.version} of the protocol)",
        "What would change it": claim.would_change,
        "Follow it": judged.links,
    }
    told = "\n".join(f"- *{name}*: {text}" for name, text in lines.items())
    return f"**{number}. {claim.statement}**\n\n{told}"
