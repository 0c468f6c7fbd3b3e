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
    found = [_read(path) for path in visible_files(folder, ".csv")]
    table = pd.concat([typed(pd.DataFrame(columns=list(SCHEMA))), *found], ignore_index=True)
    for edition, part in table.groupby("edition"):
        if part.duplicated(["protocol"]).any():
            raise InputError(f"{folder} has more than one table of the edition {edition}; keep one of them.")
    return table[table["pretrained"] != RANDOM].reset_index(drop=True)


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `SCHEMA` in its order, each in the type of its kind."""
    return table[list(SCHEMA)].astype({name: _DTYPES[kind] for name, kind in SCHEMA.items()})


def _read(path: Path) -> pd.DataFrame:
    table = typed(read_table(path, SCHEMA, _REMEDY))
    if not len(table) or not (table["rows"] == len(table)).all():
        raise InputError(
            f"{path} is cut off: it announces another number of rows than its {len(table)}. {_REMEDY}"
        )
    for name in _QUANTITIES:
        ends = [table[f"{name}{end}"].to_numpy(float, na_value=np.nan) for end in ("_low", "_high")]
        if np.isinf(ends).any() or (ends[0] > ends[1]).any():  # a missing interval is none, and not wrong
            raise InputError(f"{path} has an interval of {name} that is infinite or upside down. {_REMEDY}")
    return table
