"""The kept results of all models: one table for each edition, with its provenance.

Together they are what the study says about the family. They are files in ``data/results/models``: to combine results
of several machines, copy the files.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from crosseyed import provenance
from crosseyed.errors import InputError
from crosseyed.files import DATA, visible_files
from crosseyed.models.scorer import RANDOM
from crosseyed.tables import read_table

FOLDER = DATA / "results" / "models"
"""Where the repository keeps the results of models.

:meta hide-value:
"""

_QUANTITIES = ("center_accuracy", "off_center_accuracy", "gap", "bias_index")

_TEXT, _WHOLE, _NUMBER = "text", "whole", "number"

SCHEMA = {
    "edition": _TEXT,
    "model": _TEXT,
    "pretrained": _TEXT,
    "weights": _TEXT,
    "seed": _WHOLE,
    "protocol": _TEXT,
    **{f"{name}{end}": _NUMBER for name in _QUANTITIES for end in ("", "_low", "_high")},
    **dict.fromkeys(("n_center", "n_off_center", "n_objects", "unreadable"), _WHOLE),
    "confidence": _NUMBER,
    **dict.fromkeys(("tower", "pooling"), _TEXT),
    **dict.fromkeys(("image_size", "patch_size", "tokens", "layers", "parameters"), _WHOLE),
    "notebook_parameters": _TEXT,
    "rows": _WHOLE,
    **dict.fromkeys(provenance.COLUMNS, _TEXT),
}
"""Columns of a table of results and their kinds, as of `crosseyed.tables.read_table`. Accuracies are percent, the gap
percentage points, each with the ends of its interval; image and patch size are pixels (the longer side; the patch of a
convolutional tower is missing); `tokens` is the number of spatial tokens before pooling, `parameters` that of the whole
model; `notebook_parameters` is JSON; `weights` is the digest of the weights, and `rows` the number of rows of the
table, by which one that is cut off is noticed."""

_DTYPES = {"text": "string", "whole": "Int64", "number": "Float64"}

_REMEDY = "Make it anew with `make sweep`, or remove it."


def read(folder: str | os.PathLike = FOLDER) -> pd.DataFrame:
    """Read the results of all models, except those with random weights, which say nothing about any model.

    Parameters
    ----------
    folder : path
        Folder of CSV files; need not exist.

    Returns
    -------
    pandas.DataFrame
        The columns of `SCHEMA`; no rows if there is no file.

    Raises
    ------
    InputError
        A file is not whole, or two are of one edition; the message names it.
    """
    found = [read_one(path) for path in visible_files(folder, ".csv")]
    table = pd.concat([typed(pd.DataFrame(columns=list(SCHEMA))), *found], ignore_index=True)
    for edition, part in table.groupby("edition"):
        if part.duplicated(["protocol"]).any():
            raise InputError(f"{folder} has more than one table of the edition {edition}; keep one of them.")
    return table[table["pretrained"] != RANDOM].reset_index(drop=True)


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `SCHEMA` in its order, each in the type of its kind."""
    return table[list(SCHEMA)].astype({name: _DTYPES[kind] for name, kind in SCHEMA.items()})


def read_one(path: Path) -> pd.DataFrame:
    """Read the results of one edition; raise InputError for a file that is not whole or holds what cannot be."""
    table = typed(read_table(path, SCHEMA, _REMEDY))
    if not len(table) or not (table["rows"] == len(table)).all():
        raise InputError(
            f"{path} is cut off: it announces another number of rows than its {len(table)}. {_REMEDY}"
        )
    if fault := _fault(table):
        raise InputError(f"{path} {fault}. {_REMEDY}")
    return table


def is_whole(path: Path) -> bool:
    """Tell whether there are results of one edition that can be read."""
    try:
        read_one(path)
    except InputError:
        return False
    return True


def _fault(table: pd.DataFrame) -> str | None:
    """Say what of a table cannot be."""
    for name in ("edition", "model", "pretrained", "weights", "protocol"):
        if table[name].isna().any():
            return f"has a row without {name}"
    if table["edition"].nunique() > 1 or table["protocol"].duplicated().any():
        return "has rows of several editions, or a protocol twice"
    for name in _QUANTITIES:
        value, low, high = (
            table[f"{name}{end}"].to_numpy(float, na_value=np.nan) for end in ("", "_low", "_high")
        )
        if (np.isnan(low) != np.isnan(high)).any():
            return f"has an interval of {name} with one end"
        if (
            np.isinf([value, low, high]).any() or (low > high).any()
        ):  # a missing interval is none, and not wrong
            return f"has an interval of {name} that is infinite or upside down"
    levels = table[["center_accuracy", "off_center_accuracy"]].to_numpy(float, na_value=np.nan)
    gap = table["gap"].to_numpy(float, na_value=np.nan)
    if (np.abs(levels - 50) > 50).any() or (np.abs(levels[:, 0] - levels[:, 1] - gap) > 0.01).any():
        return "has accuracies that are no percentages, or whose difference is not the gap"
    confidence = table["confidence"].to_numpy(float, na_value=np.nan)
    if not ((confidence > 0) & (confidence < 1)).all() or (table.select_dtypes("Int64") < 0).any(axis=None):
        return "has a number that is out of its range"
    return None
