"""The tables that chapters write, by name: the interface between chapters, introduction, claims and results.

A chapter writes each table that `TABLES` declares for it, or says why it cannot (`crosseyed.report.chapter.Chapter`).
Whoever needs a number of a chapter reads it here and does not compute it again.
"""

import json
from pathlib import Path

import pandas as pd

from crosseyed.errors import CrosseyedError, InputError, suggest

RECORD = "tables.json"
TABLES: dict[str, tuple[str, ...]] = {}


class MissingTableError(InputError):
    """A table that a chapter declares is not there."""


class UnavailableTableError(CrosseyedError):
    """A chapter registered a table as unavailable for its model; the message is the reason."""


def declared(chapter: str) -> tuple[str, ...]:
    """Return the names of the tables of a chapter.

    Parameters
    ----------
    chapter : str
        Name of the notebook without suffix, such as ``"01_center_bias"``.

    Raises
    ------
    InputError
        There is no such chapter in `TABLES`.
    """
    if chapter not in TABLES:
        raise InputError(f"No tables are declared for the chapter {chapter!r}{suggest(chapter, TABLES)}.")
    return TABLES[chapter]


def check_declared(chapter: str, name: str) -> None:
    """Raise InputError unless `TABLES` declares the table for the chapter."""
    names = declared(chapter)
    if name not in names:
        raise InputError(
            f"The chapter {chapter} declares no table {name!r}{suggest(name, names)}; "
            f"add it to TABLES in crosseyed.report.tables, or choose from {', '.join(names)}."
        )


def read_record(folder: Path) -> dict[str, str]:
    """Return the tables that a chapter could not make, each with its reason.

    Parameters
    ----------
    folder : pathlib.Path
        Folder with the tables of the chapter.
    """
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def read(results: Path, chapter: str, name: str) -> pd.DataFrame:
    """Read a table that a chapter wrote.

    Parameters
    ----------
    results : pathlib.Path
        Folder with one folder of tables for each chapter.
    chapter, name : str
        As in `TABLES`.

    Returns
    -------
    pandas.DataFrame
        The table.

    Raises
    ------
    MissingTableError
        The table is not there, and the chapter did not say why.
    UnavailableTableError
        The chapter cannot make the table for its model; the message is the reason.
    InputError
        `TABLES` does not declare it.
    """
    check_declared(chapter, name)
    folder = results / chapter
    path = folder / f"{name}.csv"
    if path.exists():
        return pd.read_csv(path)
    unavailable = read_record(folder)
    if name in unavailable:
        raise UnavailableTableError(unavailable[name])
    raise MissingTableError(
        f"The table {name!r} of the chapter {chapter} is not at {path}. Execute the chapter again (make book)."
    )


def check_complete(folder: Path, chapter: str) -> None:
    """Raise MissingTableError unless each declared table is there or registered as unavailable."""
    known = {path.stem for path in folder.glob("*.csv")} | set(read_record(folder))
    missing = [name for name in declared(chapter) if name not in known]
    if missing:
        raise MissingTableError(
            f"The chapter {chapter} ended without its table(s) {', '.join(missing)}. A chapter writes every table "
            "that crosseyed.report.tables declares, or calls chapter.unavailable with the reason."
        )
