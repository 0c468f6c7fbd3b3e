"""The kept results of all models: one table for each edition, with its provenance.

Together they are what the study says about the family. They are files in ``data/results/models``: to combine results
of several machines, copy the files.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from crosseyed import provenance
from crosseyed.editions import PRECISIONS, SIZES
from crosseyed.errors import InputError, shorten
from crosseyed.files import DATA
from crosseyed.models.scorer import RANDOM
from crosseyed.settings import UNSTATED_VERSION
from crosseyed.tables import read_table

FOLDER = DATA / "results" / "models"
"""Where the repository keeps the results of models.

:meta hide-value:
"""

_QUANTITIES = ("center_accuracy", "off_center_accuracy", "gap", "bias_index")

_ESTIMATES = tuple(f"{name}{end}" for name in _QUANTITIES for end in ("", "_low", "_high"))

_COUNTS = ("n_center", "n_off_center", "n_objects", "unreadable")

_TEXT, _WHOLE, _NUMBER = "text", "whole", "number"

SCHEMA = {
    "edition": _TEXT,
    "model": _TEXT,
    "pretrained": _TEXT,
    "weights": _TEXT,
    "seed": _WHOLE,
    "size": _TEXT,
    "precision": _TEXT,
    "protocol": _TEXT,
    "protocol_version": _WHOLE,
    **dict.fromkeys(_ESTIMATES, _NUMBER),
    **dict.fromkeys(_COUNTS, _WHOLE),
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
model; `protocol_version` is that of the study (`crosseyed.settings.PROTOCOL_VERSION`), the first where a table states
none; `size` is that of the edition (`crosseyed.report.sizes`), full where a table states none; `precision` that in
which the model computed (`crosseyed.editions.PRECISIONS`), fp32 where a table states none; `notebook_parameters` is
JSON; `weights` is the digest of the weights, and `rows` the number of rows of the
table, by which one that is cut off is noticed."""

_DTYPES = {"text": "string", "whole": "Int64", "number": "Float64"}

PROTOCOLS = ("grid", "pair", "whatsup")
"""What a model is measured by: one object in a grid, which every result has; a pair of objects; photographs."""

_OF_A_ROW = ("protocol", *_ESTIMATES, *_COUNTS)

_MAY_BE_MISSING = (*_ESTIMATES, "patch_size", "commit")

_CLOSE = 0.01  # points

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
        A file is not whole, two are of one edition, or their intervals differ in confidence; the message names them.
    """
    # also what is not a file, which would be passed over in silence
    paths = sorted(path for path in Path(folder).glob("[!.]*") if path.suffix.lower() == ".csv")
    found = {path: read_one(path) for path in paths}
    found = {path: table for path, table in found.items() if table["pretrained"].iloc[0] != RANDOM}
    _check_together(found)
    empty = typed(pd.DataFrame(columns=list(SCHEMA)))
    return pd.concat([empty, *found.values()], ignore_index=True)


def _check_together(found: Mapping[Path, pd.DataFrame]) -> None:
    """Raise InputError for tables that cannot stand side by side."""
    editions: dict[str, Path] = {}
    confidences: dict[float, Path] = {}
    for path, table in found.items():
        edition, confidence = table[["edition", "confidence"]].iloc[0]
        other = editions.setdefault(edition, path)
        if other != path:
            raise InputError(
                f"{str(other)!r} and {path.name!r} are more than one table of the edition {edition}; keep one of them."
            )
        confidences.setdefault(confidence, path)
        if len(confidences) > 1:
            first, other = confidences.values()
            raise InputError(
                f"{str(first)!r} and {other.name!r} have intervals of more than one confidence, "
                f"{' and '.join(f'{each:g}' for each in confidences)}. Make one of them anew with `make sweep`."
            )


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `SCHEMA` in its order, each in the type of its kind."""
    return table[list(SCHEMA)].astype({name: _DTYPES[kind] for name, kind in SCHEMA.items()})


def read_one(path: Path) -> pd.DataFrame:
    """Read the results of one edition; raise InputError for a file that is not whole or holds what cannot be."""
    unstated = {"protocol_version": UNSTATED_VERSION, "size": SIZES[-1], "precision": PRECISIONS[0]}
    table = typed(read_table(path, SCHEMA, _REMEDY, absent=unstated))
    if not len(table) or not (table["rows"].fillna(0) == len(table)).all():
        raise InputError(
            f"{str(path)!r} is cut off: it announces another number of rows than its {len(table)}. {_REMEDY}"
        )
    if fault := _fault(table):
        raise InputError(f"{str(path)!r} {fault}. {_REMEDY}")
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
    for name in (name for name in SCHEMA if name not in _MAY_BE_MISSING):
        if table[name].isna().any():
            return f"has a row without {name}"
    if table["protocol"].duplicated().any() or not {"grid"} <= set(table["protocol"]) <= set(PROTOCOLS):
        return f"has the protocols {shorten(list(table['protocol']))}; each is there once, of {', '.join(PROTOCOLS)}"
    for name in (name for name in SCHEMA if name not in _OF_A_ROW):
        if table[name].nunique(dropna=False) > 1:
            return f"has rows of several models or runs: they differ in {name}"
    if not table["weights"].str.fullmatch("[0-9a-f]{8}").all():
        return f"has the weights {shorten(table['weights'].iloc[0])}, which are no digest of eight digits"
    for column, choices in (("size", SIZES), ("precision", PRECISIONS)):
        if (told := table[column].iloc[0]) not in choices:
            return f"has the {column} {shorten(told)}; it is one of {', '.join(choices)}"
    numbers = {name: table[name].to_numpy(float, na_value=np.nan) for name in SCHEMA if SCHEMA[name] != _TEXT}
    grid = (table["protocol"] == "grid").to_numpy(bool)
    return _fault_of_quantities(numbers, grid) or _fault_of_numbers(numbers)


def _fault_of_quantities(numbers: dict[str, np.ndarray], grid: np.ndarray) -> str | None:
    """Say which accuracies, gaps, indices and intervals cannot be."""
    level, other, gap, index = (numbers[name] for name in _QUANTITIES)
    # a side may have no image that can be read, but those of the grid are made here
    sides = [grid | (numbers[name] > 0) for name in ("n_center", "n_off_center")]
    there = (*sides, sides[0] & sides[1], sides[0] & sides[1] & (level > 0))
    # on the grid each object is on both sides; elsewhere one object may be alone on its side, and has no interval
    resampled = grid & (numbers["n_objects"] > 1) & (numbers["unreadable"] == 0)
    limits = ((0, 100), (0, 100), (-100, 100), (-np.inf, 1))
    for name, known, (least, most) in zip(_QUANTITIES, there, limits, strict=True):
        value, low, high = (numbers[f"{name}{end}"] for end in ("", "_low", "_high"))
        if (np.isnan(value) == known).any():
            return f"has a row without {name}, or with one of nothing"
        if (np.isnan(low) != np.isnan(high)).any():
            return f"has an interval of {name} with one end"
        if (np.isnan(low) & known & resampled).any() or (~np.isnan(low) & ~known).any():
            return f"has a row without the interval of {name}, or with one of nothing"
        if np.isinf([value, low, high]).any() or (low > high).any():
            return f"has an interval of {name} that is infinite or upside down"
        beyond = np.concatenate([value, low, high])
        if ((beyond < least - _CLOSE) | (beyond > most + _CLOSE)).any():
            what = "percentages" if most == 100 else "shares"
            return f"has values of {name} or ends of its interval that are no {what}"
    if (np.abs(level - other - gap) > _CLOSE).any() or (np.abs(index * level - gap) > _CLOSE).any():
        return "has accuracies whose difference is not the gap, or a gap whose share of the first is not the index"
    return None


def _fault_of_numbers(numbers: dict[str, np.ndarray]) -> str | None:
    """Say which counts and sizes cannot be."""
    least = dict.fromkeys(("image_size", "patch_size", "tokens", "layers", "parameters", "n_objects"), 1)
    for name in (name for name in SCHEMA if SCHEMA[name] == _WHOLE):
        if (numbers[name] < least.get(name, 0)).any():
            return f"has a {name} that is out of its range"
    between = (numbers["confidence"] > 0) & (numbers["confidence"] < 1)
    return None if between.all() else "has a confidence that is out of its range"
