"""The kept results of all models: one table for each edition, with its provenance.

Together they are what the study says about the family. They are files in ``data/results/models``: to combine results
of several machines, copy the files.
"""

import os
from pathlib import Path

import pandas as pd

from crosseyed import provenance
from crosseyed.errors import InputError
from crosseyed.files import DATA, visible_files
from crosseyed.models.scorer import RANDOM

FOLDER = DATA / "results" / "models"
"""Where the repository keeps the results of models.

:meta hide-value:
"""

_QUANTITIES = ("center_accuracy", "off_center_accuracy", "gap", "bias_index")

_TEXT, _WHOLE, _NUMBER = "string", "Int64", "Float64"

SCHEMA = {
    "edition": _TEXT,
    "model": _TEXT,
    "pretrained": _TEXT,
    "seed": _WHOLE,
    "protocol": _TEXT,
    **{f"{name}{end}": _NUMBER for name in _QUANTITIES for end in ("", "_low", "_high")},
    **dict.fromkeys(("n_center", "n_off_center", "n_objects", "unreadable"), _WHOLE),
    "confidence": _NUMBER,
    **dict.fromkeys(("tower", "pooling"), _TEXT),
    **dict.fromkeys(("image_size", "patch_size", "tokens", "layers", "parameters"), _WHOLE),
    "notebook_parameters": _TEXT,
    **dict.fromkeys(provenance.COLUMNS, _TEXT),
}
"""Columns of a table of results and their types. Accuracies are percent, the gap percentage points, each with the ends
of its interval; image and patch size are pixels (the longer side; the patch of a convolutional tower is missing);
`tokens` is the number of spatial tokens before pooling, `parameters` that of the whole model;
`notebook_parameters` is JSON."""


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
        A file has other columns, or a value that is not of its column's type; the message names the file.
    """
    found = [_read(path) for path in visible_files(folder, ".csv")]
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in SCHEMA.items()})
    table = pd.concat([empty, *found], ignore_index=True)
    return table[table["pretrained"] != RANDOM].reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=object, keep_default_na=False, na_values=[""])
    differing = sorted(set(SCHEMA) ^ set(table.columns))
    if differing:
        raise InputError(
            f"{path} is not a table of results of this version: it lacks or should not have "
            f"{', '.join(differing)}. Make it anew with `make sweep`, or remove it."
        )
    try:
        return table[list(SCHEMA)].astype(SCHEMA)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} holds a value of another type: {error}.") from error
