"""What every estimate checks of its table, and how it groups the rows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.data.geometry import ROUNDING
from crosseyed.errors import InputError
from crosseyed.settings import settings
from crosseyed.tables import require_columns


class EstimateWarning(UserWarning):
    """An interval or a slope cannot be computed from this table and is NaN; the message says why."""


def is_center(table: pd.DataFrame) -> pd.Series:
    """Say which rows count as center.

    Parameters
    ----------
    table : pandas.DataFrame
        With a column `center` (bool), or else `eccentricity` (in [0, 1]).

    Returns
    -------
    pandas.Series of bool
        Named `center`, with the table's index: the column `center`, in which composed scenes say it of an object's
        place before its shift (`crosseyed.data.scenes`), otherwise whether the eccentricity is at most the setting
        `center_limit`.

    Raises
    ------
    InputError
        If neither column exists, or it has missing or impossible values.
    """
    if "center" in table:
        return _boolean(table, "center", missing_allowed=False).astype(bool)
    if "eccentricity" not in table:
        raise InputError(
            "table has neither a column 'center' nor 'eccentricity', so center and off-center cannot be told "
            "apart; add one of them"
        )
    central = eccentricity_of(table) <= settings.center_limit + ROUNDING
    return pd.Series(central, index=table.index, name="center")


def is_together(table: pd.DataFrame) -> pd.Series:
    """Return the column `together` of a table of pairs as bool; raise InputError if it is missing or not whole."""
    require_columns(table, ["together"], "the table")
    return _boolean(table, "together", missing_allowed=False).astype(bool)


def as_columns(by: str | Sequence[str] | None) -> list[str]:
    """Return the names of grouping columns as a list without repeats."""
    if by is None:
        return []
    return [by] if isinstance(by, str) else list(dict.fromkeys(by))


def require_rows(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError unless the table has rows and all the columns."""
    require_columns(table, columns, "the table")
    if table.empty:
        raise InputError("table has no rows; there is nothing to measure")


def require_readable(readable: np.ndarray) -> None:
    """Raise InputError unless some row is readable, given whether each is (n_rows,)."""
    if not readable.any():
        raise InputError(
            f"all {len(readable)} rows of the table are unreadable images; there is nothing to measure"
        )


def resolve(confidence: float | None = None, resamples: int | None = None) -> tuple[float, int]:
    """Take confidence and number of resamples from the settings if None; raise InputError if impossible."""
    confidence = settings.confidence if confidence is None else confidence
    resamples = settings.resamples if resamples is None else resamples
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence!r}; expected a number between 0 and 1, such as 0.95")
    if isinstance(resamples, bool) or not isinstance(resamples, int | np.integer) or resamples < 1:
        raise InputError(f"resamples is {resamples!r}; expected a whole number, at least 1, such as 10000")
    return confidence, resamples


def correct_of(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Check that the columns are there and return `correct` as float (n,): 0, 1 or NaN."""
    require_rows(table, [*columns, "correct"])
    return _boolean(table, "correct", missing_allowed=True).to_numpy(dtype=float, na_value=np.nan)


def values_of(table: pd.DataFrame, value: str, columns: Sequence[str]) -> np.ndarray:
    """Check that the columns are there and return any quantity as float (n,), NaN where there is none."""
    require_rows(table, [*columns, value])
    try:
        values = table[value].to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        held = ", ".join(map(str, table[value].dropna().unique()[:3]))
        raise InputError(f"column {value!r} holds {held}; expected numbers") from None
    if np.isinf(values).any():
        raise InputError(f"column {value!r} holds infinite numbers; expected finite ones, or NaN for none")
    return values


def _boolean(table: pd.DataFrame, column: str, *, missing_allowed: bool) -> pd.Series:
    try:
        values = table[column].astype("boolean")
    except (TypeError, ValueError):
        held = ", ".join(map(str, table[column].dropna().unique()[:3]))
        missing = " (and <NA> for unreadable images)" if missing_allowed else ""
        raise InputError(f"column {column!r} holds {held}; expected True and False{missing}") from None
    if not missing_allowed and values.isna().any():
        raise InputError(
            f"column {column!r} is missing in {values.isna().sum()} row(s); fill it or drop them"
        )
    return values


def _numbers(table: pd.DataFrame, column: str, low: float, high: float, expected: str) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~((values >= low) & (values <= high))
    if bad.any():
        first = table[column].iloc[np.flatnonzero(bad)[0]]
        raise InputError(f"column {column!r} holds {first} (in {bad.sum()} row(s)); expected {expected}")
    return values


def eccentricity_of(table: pd.DataFrame) -> np.ndarray:
    """Return the column `eccentricity` as float (n,) after checking its range."""
    expected = "distances from the image center between 0 and 1 (half the image diagonal)"
    return _numbers(table, "eccentricity", 0, 1 + ROUNDING, expected)


def positive_of(table: pd.DataFrame, column: str) -> np.ndarray:
    """Return a column as positive float (n,)."""
    return _numbers(table, column, np.finfo(float).tiny, np.finfo(float).max, "positive numbers")


def groups_of(table: pd.DataFrame, by: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the groups (n_groups, by), sorted, and each row's group (n_rows,)."""
    if not by:
        return pd.DataFrame(index=pd.RangeIndex(1)), np.zeros(len(table), dtype=int)
    codes = table.groupby(by, dropna=False, observed=True).ngroup().to_numpy()
    first = np.unique(codes, return_index=True)[1]
    return table[by].iloc[first].reset_index(drop=True), codes


def clusters_of(table: pd.DataFrame, cluster: str) -> np.ndarray:
    """Return each row's object as a number (n_rows,) from 0 in order of appearance."""
    codes = pd.factorize(table[cluster])[0]
    if (codes < 0).any():
        raise InputError(
            f"column {cluster!r} is missing in {np.count_nonzero(codes < 0)} row(s); fill it or drop them"
        )
    return codes


def recode(codes: np.ndarray) -> np.ndarray:
    """Return the codes renumbered from 0 without holes."""
    return np.unique(codes, return_inverse=True)[1]


def rows_by(codes: np.ndarray) -> list[np.ndarray]:
    """Return the positions of the rows of each code."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def varies_within(values: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Say for each row whether its object has more than one value."""
    by_object = pd.Series(values).groupby(objects)
    return (by_object.transform("max") > by_object.transform("min")).to_numpy()


def require_both_sides(
    groups: pd.DataFrame,
    codes: np.ndarray,
    off_center: np.ndarray,
    sides: tuple[str, str] = ("center", "off-center"),
) -> None:
    """Raise InputError unless every group has rows of both sides, center and off-center if not named otherwise."""
    for name, rows in zip(sides, (~off_center, off_center), strict=True):
        lacking = np.flatnonzero(np.bincount(codes[rows], minlength=len(groups)) == 0)
        if len(lacking):
            instead = f", or else eccentricity at most {settings.center_limit:.2g}" * (sides[0] == "center")
            raise InputError(
                f"table has no {name} rows{group_label(groups, lacking[0])}; the gap compares {' with '.join(sides)} "
                f"rows (column {sides[0]!r}{instead})"
            )


def group_label(groups: pd.DataFrame, group: int) -> str:
    """Return words that name a group, or nothing if the whole table is the group."""
    row = ", ".join(f"{column} = {groups[column].iloc[group]}" for column in groups)
    return f" for {row}" if row else ""
