"""How long the labs of the course take: the kept table of what was measured, as a page shows it."""

from pathlib import Path

from crosseyed.errors import InputError
from crosseyed.escapes import markdown
from crosseyed.files import DATA
from crosseyed.provenance import COLUMNS
from crosseyed.tables import read_table

TABLE = DATA / "course" / "timings.csv"  # which bench_labs.py writes

KINDS = {
    "lab": "text",
    "title": "text",
    "chapter": "text",
    "minutes": "whole",
    "seconds": "number",
    "graded_seconds": "number",
    "cores": "whole",
    **dict.fromkeys(COLUMNS, "text"),
}
"""Name, title and chapter of a lab; a student's minutes, by plan; the seconds of the solved lab from top to bottom, and
without its long cells, on so many cores; and where the numbers come from (`crosseyed.provenance`)."""

_REMEDY = "Make it anew: python tests/benchmarks/bench_labs.py --write"


def tabulate(path: Path | None = None) -> str:
    """Return a Markdown table of what the labs take; a sentence where nothing was measured.

    Parameters
    ----------
    path : path, optional
        The kept table; by default that among the data.

    Raises
    ------
    InputError
        It is not whole, or a time is not a positive number.
    """
    path = path or TABLE
    if not path.exists():
        return "*No lab has been measured here (`python tests/benchmarks/bench_labs.py --write`).*"
    table = read_table(path, KINDS, f"{_REMEDY}.")
    if table.empty or not (table[["minutes", "seconds", "graded_seconds", "cores"]] > 0).all(axis=None):
        raise InputError(f"{str(path)!r} has no lab, or one without a time. {_REMEDY}.")
    head = "| lab | chapter | a student's time, by plan | from top to bottom | what grading executes |"
    rows = [
        f"| {markdown(each.title)} | {{doc}}`/notebooks/{each.chapter}` | {each.minutes} min | {each.seconds:.0f} s | "
        f"{each.graded_seconds:.0f} s |"
        for each in table.itertuples()
    ]
    cores = int(table["cores"].max())
    where = f"Measured on {cores} core{'s' * (cores > 1)} without a graphics card, the start of the kernel included."
    return "\n".join([head, "|---|---|---|---|---|", *rows, "", where])
