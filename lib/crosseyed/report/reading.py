"""Tables as readers see them: few columns, named in words with their units, each estimate with its interval."""

import hashlib
import math
from collections.abc import Iterable, Mapping

import pandas as pd
from pandas.io.formats.style import Styler

from crosseyed.errors import InputError
from crosseyed.report.verdicts.words import p_number
from crosseyed.tables import require_columns

MOST_COLUMNS = 6
"""Columns that a page shows side by side without becoming small."""

ESTIMATES = ("accuracy", "mean", "difference", "change", "correlation", "odds_ratio")
"""Columns to which ``low`` and ``high`` belong."""

NONE = "–"
"""What stands where there is no value."""

_LABELS = {
    "center_accuracy": "at the center (%)",
    "off_center_accuracy": "off-center (%)",
    "gap": "gap (points)",
    "bias_index": "index",
    "center_mean": "at the center",
    "off_center_mean": "off-center",
    "center_change": "change at the center (points)",
    "off_center_change": "change off-center (points)",
    "center_p": "p, corrected",
    "off_center_p": "p, corrected",
    "p_value": "p",
    "p_corrected": "p, corrected",
    "change_p": "p, corrected",
    "n": "images",
    "n_objects": "objects",
    "n_seeds": "seeds",
    "odds_ratio": "odds ratio",
}

_DIGITS = {"bias_index": 2, "odds_ratio": 2}

_P_VALUES = {name for name, label in _LABELS.items() if label.split(",")[0] == "p"}


def table(
    rows: pd.DataFrame,
    columns: Iterable[str] | Mapping[str, str],
    *,
    digits: int = 1,
    caption: str | None = None,
) -> Styler:
    r"""Show some columns of a table.

    Parameters
    ----------
    rows : pandas.DataFrame
        The table; its index is not shown.
    columns : iterable of str, or mapping of str to str
        At most `MOST_COLUMNS` columns in their order; a mapping gives their labels, where those of this module are not
        meant. A column with others of the same name that end in ``_low`` and ``_high`` is shown with them as its
        interval, and one of `ESTIMATES` with ``low`` and ``high``.
    digits : int
        Digits after the point of numbers that are not whole; p-values and ratios have their own.
    caption : str, optional
        HTML below the table.

    Raises
    ------
    InputError
        There is no such column, or there are more than `MOST_COLUMNS`.

    Examples
    --------
    >>> rows = pd.DataFrame({"model": ["a"], "gap": [64.04], "gap_low": [62.0], "gap_high": [66.1], "p_value": [0.0]})
    >>> table(rows, ["model", "gap", "p_value"]).data.iloc[0].tolist()
    ['a', '64.0 [62.0,\xa066.1]', '< 0.001']
    """
    labels = {name: _LABELS.get(name, name.replace("_", " ")) for name in columns}
    labels |= columns if isinstance(columns, Mapping) else {}
    require_columns(rows, labels, "the table to show")
    if len(labels) > MOST_COLUMNS:
        raise InputError(f"{len(labels)} columns are too many to read; show at most {MOST_COLUMNS}.")
    numbers = [name for name in labels if pd.api.types.is_numeric_dtype(rows[name].dtype)]
    numbers = [name for name in numbers if not pd.api.types.is_bool_dtype(rows[name].dtype)]
    shown = pd.DataFrame(
        {
            label: _cells(rows, name, _ends(rows, name), _DIGITS.get(name, digits))
            for name, label in labels.items()
        },
        dtype=object,
    )
    styler = (
        Styler(shown, uuid=_digest(shown, caption), cell_ids=False).hide(axis="index").format(escape="html")
    )
    styler = styler.set_table_attributes('class="readable mathjax_ignore"')
    right = {"selector": "", "props": "text-align: right"}
    styler = styler.set_table_styles({labels[name]: [right] for name in numbers})
    return styler if caption is None else styler.set_caption(caption)


def estimate(
    row: Mapping[str, object], name: str, *, digits: int = 1, signed: bool = False, unit: str = ""
) -> str:
    r"""Return a number with its interval, such as ``"64.0 [62.0,\xa066.1]"``.

    Parameters
    ----------
    row : mapping
        With the columns `name`, ``<name>_low`` and ``<name>_high``.
    name : str
        The quantity.
    digits : int
        Digits after the point.
    signed : bool
        Whether positive numbers have a plus, as changes do.
    unit : str
        What follows the number, such as ``" %"``.
    """
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return with_interval(row[name], low, high, digits, signed=signed, unit=unit)


def with_interval(
    value: object, low: float, high: float, digits: int, *, signed: bool = False, unit: str = ""
) -> str:
    """Return a number with the ends of its interval, NaN if it has none; the rest is as of `estimate`."""
    text, low_text, high_text = (_text(each, digits, signed=signed) for each in (value, low, high))
    return f"{text}{unit}" if math.isnan(low) else f"{text}{unit} [{low_text},\N{NO-BREAK SPACE}{high_text}]"


def _digest(shown: pd.DataFrame, caption: str | None) -> str:
    """Return an identifier that is the same in each execution, and another for another table of the page."""
    return hashlib.sha256(f"{shown.to_dict('split')}{caption}".encode()).hexdigest()[:8]


def _ends(rows: pd.DataFrame, name: str) -> tuple[str, str] | None:
    """Return the columns with the interval of a column, if there are any."""
    if f"{name}_low" in rows and f"{name}_high" in rows:
        return f"{name}_low", f"{name}_high"
    return ("low", "high") if name in ESTIMATES and {"low", "high"} <= set(rows) else None


def _cells(rows: pd.DataFrame, name: str, ends: tuple[str, str] | None, digits: int) -> list[str]:
    if name in _P_VALUES:
        return [NONE if pd.isna(value) else p_number(value) for value in rows[name]]
    if ends is None:
        return [_text(value, digits) for value in rows[name]]
    spans = zip(rows[name], *(rows[end] for end in ends), strict=True)
    return [with_interval(*each, digits) for each in spans]


def _text(value: object, digits: int, *, signed: bool = False) -> str:
    if isinstance(value, tuple):  # height and width, rows and columns
        return " × ".join(_text(each, digits) for each in value)
    if pd.isna(value):
        return NONE
    if isinstance(value, str):
        return value
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value):
        return f"{value:,}"
    # a minus of the same width as a plus, and none before a zero
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    return (text.lstrip("+-") if float(text) == 0 else text).replace("-", "−")
