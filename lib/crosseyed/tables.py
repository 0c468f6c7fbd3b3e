"""The one pair of functions that writes and reads tables, and the check of what functions are given.

A table is a CSV file in UTF-8 with a line of column names; a missing value is an empty field. Each column has a kind:
``"text"`` (names, whatever they look like: ``007``, ``null``, ``1e5``), ``"whole"``, ``"number"`` or ``"truth"``.
"""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from crosseyed.errors import InputError, shorten, suggest
from crosseyed.files import atomic_write, require_file

_LARGEST = 2**28

_TRUTHS = {"True": True, "False": False}

_EXPECTED = {"truth": "True or False", "whole": "a whole number", "number": "a number"}

_KINDS = {"boolean": "truth", "integer": "whole", "floating": "number", "mixed-integer-float": "number"}


def write_table(table: pd.DataFrame, path: str | os.PathLike) -> None:
    r"""Write a table by `atomic_write`, compressed if the name ends in ``.gz``.

    Halves of characters, as in file names that are not UTF-8, are written as ``\udc80``.
    """
    texts = table.select_dtypes(exclude=["number", "bool"])
    # the standard library quotes no carriage return by itself
    odd = any(isinstance(value, str) and "\r" in value for column in texts for value in texts[column])
    quoting = csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", errors="backslashreplace", quoting=quoting)


def kinds_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the kind of each column, by which `read_table` reads the table as it was written."""
    columns = {name: table[name].astype(object) for name in table}
    return {
        str(name): _KINDS.get(pd.api.types.infer_dtype(values, skipna=True), "text")
        for name, values in columns.items()
    }


def read_table(
    path: str | os.PathLike,
    kinds: Mapping[str, str],
    advice: str,
    *,
    rows: int | None = None,
    absent: Mapping[str, object] | None = None,
) -> pd.DataFrame:
    """Read a table that `write_table` wrote, and refuse one that is not whole.

    Parameters
    ----------
    path : path
        A CSV file, perhaps compressed (``.gz``).
    kinds : mapping of str to str
        The kind of every column; the file must have these columns, in any order.
    advice : str
        A sentence that says how the table is made anew.
    rows : int, optional
        How many rows it must have.
    absent : mapping of str to object, optional
        Columns that tables of earlier versions lack, and what they stand for there.

    Returns
    -------
    pandas.DataFrame
        The columns in the order of `kinds`. A missing value is NaN, in columns of whole numbers and truths NA.

    Raises
    ------
    InputError
        The file is missing, cut off or damaged, or has other columns, values or rows.
    """
    try:
        file = require_file(path, "a table")
    except InputError as error:
        raise InputError(f"{error} {advice}") from error
    try:
        header, *lines = _lines(file)
        for name, value in (absent or {}).items():
            if name not in header:
                header, lines = [*header, name], [[*line, str(value)] for line in lines]
        _check_columns(header, kinds)
        for number, line in enumerate(lines, start=2):
            if len(line) != len(header):
                raise ValueError(f"line {number} has {len(line)} fields instead of {len(header)}")
        if rows not in (None, len(lines)):
            raise ValueError(f"it has {len(lines)} rows instead of {rows}")
        fields = dict(zip(header, zip(*lines, strict=True) if lines else [()] * len(header), strict=True))
        return pd.DataFrame({name: _column(name, fields[name], kind) for name, kind in kinds.items()})
    except (ValueError, OSError, EOFError, csv.Error, zlib.error) as error:
        raise InputError(f"{str(file)!r} is not a whole table of this version: {error}. {advice}") from error


def _lines(file: Path) -> list[list[str]]:
    opened = gzip.open if file.suffix == ".gz" else open
    # spreadsheets add a mark at the beginning
    with opened(file, "rt", encoding="utf-8-sig", newline="") as stream:
        text = stream.read(_LARGEST + 1)
    if len(text) > _LARGEST:  # a small archive can hold more than the memory does
        raise ValueError(f"it has more than {_LARGEST:,} characters")
    if not text.endswith("\n"):
        raise ValueError("its last line is cut off" if text else "it is empty")
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def _check_columns(header: list[str], kinds: Mapping[str, str]) -> None:
    if sorted(header) != sorted(kinds):
        lacking, surplus = [
            [name for name in a if name not in b] for a, b in ((kinds, header), (header, kinds))
        ]
        faults = [f"it lacks {shorten(lacking)}"] if lacking else []
        faults += [f"it should not have {shorten(surplus)}"] if surplus else []
        raise ValueError(" and ".join(faults) or "a column comes twice")


def _column(name: str, fields: tuple[str, ...], kind: str) -> pd.Series:
    given = [None if field == "" else field for field in fields]
    missing = None in given
    try:
        if kind == "text":
            return pd.Series(given, dtype="str")
        if kind == "number":
            return pd.Series([np.nan if field is None else float(field) for field in given], dtype="float64")
        convert = _TRUTHS.__getitem__ if kind == "truth" else int
        values = [pd.NA if field is None else convert(field) for field in given]
        small, nullable = ("bool", "boolean") if kind == "truth" else ("int64", "Int64")
        return pd.Series(values, dtype=nullable if missing else small)
    except (ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"the column {name!r} holds what is not {_EXPECTED[kind]} ({error})") from error


def require_columns(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raise InputError for a table that lacks a column; `what` is its name in the message ("the table of rings")."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        near = suggest(str(missing[0]), map(str, table.columns)) or "."
        raise InputError(
            f"The columns {missing} are missing from {what}, which has {list(table.columns)}. "
            f"Use a table that has them, or rename its columns{near}"
        )
