"""The check that every function makes of the tables it is given."""

from collections.abc import Iterable

import pandas as pd

from crosseyed.errors import InputError, suggest


def require_columns(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raise InputError for a table that lacks a column; `what` is its name in the message ("the table of rings")."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        near = suggest(str(missing[0]), map(str, table.columns)) or "."
        raise InputError(
            f"The columns {missing} are missing from {what}, which has {list(table.columns)}. "
            f"Use a table that has them, or rename its columns{near}"
        )
