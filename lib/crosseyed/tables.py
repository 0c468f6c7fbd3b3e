"""The check that every function makes of the tables it is given."""

from collections.abc import Iterable

import pandas as pd

from crosseyed.errors import InputError, suggest


def require_columns(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raise InputError for a table that lacks a column.

    Parameters
    ----------
    table : pandas.DataFrame
        What was given.
    columns : iterable of str
        The columns it must have.
    what : str
        What the message calls the table, for example "the table of rings".

    Raises
    ------
    InputError
        A column is missing; the message names the missing ones and those that are there.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        near = suggest(str(missing[0]), map(str, table.columns)) or "."
        raise InputError(
            f"The columns {missing} are missing from {what}, which has {list(table.columns)}. "
            f"Use a table that has them, or rename its columns{near}"
        )
