"""What of one's own data cannot be used: why, how often, and in which words that is said."""

import warnings
from collections.abc import Sequence

import pandas as pd

from crosseyed.errors import InputError, shorten

NAMED_AT_MOST = 8
"""Entries that a message names; the rest are counted."""

_SHOWN_AT_MOST = 3


class LeftOutWarning(UserWarning):
    """Some entries of a file are faulty and were left out."""


class FaultError(Exception):
    """Why an entry cannot be used: a `reason` to count by, and what exactly is wrong."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class NothingUsableError(InputError):
    """No entry of a file can be used; `left_out` is a table as of `left_out_table`."""

    def __init__(self, message: str, left_out: pd.DataFrame) -> None:
        super().__init__(message)
        self.left_out = left_out


def left_out_table(rows: Sequence[tuple], entry: str) -> pd.DataFrame:
    """Make the table of what is left out: `entry` (the name of an entry's number), `image`, `reason`, `detail`."""
    return pd.DataFrame(rows, columns=[entry, "image", "reason", "detail"], dtype=object)


def share_used(used: int, entries: int, what: str, left_out: pd.DataFrame) -> str:
    """Say in a sentence how much of the data is used, and why not the rest."""
    reasons = ", ".join(
        f"{n} × {reason}" for reason, n in left_out["reason"].value_counts(sort=False).items()
    )
    return f"{used} of {entries} {what} are used{f' (left out: {reasons})' if reasons else ''}."


def first_faults(left_out: pd.DataFrame) -> str:
    """Tell the first faults in detail."""
    first = left_out.head(_SHOWN_AT_MOST)
    return "; ".join(
        f"{name}: {reason}{f' ({detail})' if detail else ''}"
        for name, reason, detail in zip(_names(first), first["reason"], first["detail"], strict=True)
    )


def warn_of(left_out: pd.DataFrame, what: str) -> None:
    """Warn, on behalf of the caller's caller, of what was left out: how many for which reason, and the first."""
    if left_out.empty:
        return
    parts = []
    for reason, rows in left_out.groupby("reason", sort=False):
        parts.append(f"{len(rows)} × {reason} ({listed(_names(rows))})")
    warnings.warn(
        f"{len(left_out)} faulty {what} were left out: {'; '.join(parts)}.", LeftOutWarning, stacklevel=3
    )


def listed(names: Sequence[str]) -> str:
    """Join names by commas; of many only the first."""
    more = f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more


def _names(left_out: pd.DataFrame) -> list[str]:
    """Name entries by their number, or else by their image."""
    entry = left_out.columns[0]
    return [
        f"{entry} {shorten(number)}"
        if number is not None
        else f"image {shorten(image) if image else 'without a name'}"
        for number, image in zip(left_out[entry], left_out["image"], strict=True)
    ]
