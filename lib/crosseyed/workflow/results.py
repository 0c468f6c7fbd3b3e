"""The result of an edition: the bias of its model by protocol, read from the tables of its first chapter."""

import json
import os
from pathlib import Path

import pandas as pd

from crosseyed import provenance
from crosseyed.editions import Description
from crosseyed.errors import InputError
from crosseyed.report import kept_results, tables

CHAPTER = "01_center_bias"
"""The chapter whose tables are the result of an edition."""

_TABLES = {"grid": "bias", "pair": "pair_bias", "whatsup": "whatsup_bias"}
_OF_PAIRS = {"together": "center", "apart": "off_center"}


def collect(results: str | os.PathLike, model: Description) -> pd.DataFrame:
    """Collect the result of an edition from the tables of its first chapter.

    Parameters
    ----------
    results : path
        Folder with one folder of tables for each chapter.
    model : Description
        The edition and its model.

    Returns
    -------
    pandas.DataFrame
        The columns of `crosseyed.report.kept_results.SCHEMA`, one row per protocol.

    Raises
    ------
    InputError
        A table is missing, has no row of the edition's model, or was made with other weights.
    """
    check_weights(results, model)
    rows = pd.concat([_bias(Path(results), each, model) for each in _TABLES], ignore_index=True)
    tower = model.tower
    rows = rows.assign(
        edition=model.edition.name,
        seed=model.edition.seed,
        size=model.edition.size,
        precision=model.edition.precision,
        tower=tower["kind"],
        pooling=tower["pooling"],
        image_size=max(tower["image_size"]),
        patch_size=max(tower["patch_size"]) if tower["patch_size"] else pd.NA,
        tokens=tower["grid"][0] * tower["grid"][1],
        layers=tower["layers"],
        parameters=model.parameters,
        notebook_parameters=json.dumps(model.edition.parameters, sort_keys=True),
        weights=model.weights,
        protocol_version=tables.read_record(Path(results) / CHAPTER).protocol_version,
        rows=len(rows),
    )
    return kept_results.typed(provenance.stamp(rows, model.device))


def check_weights(results: str | os.PathLike, model: Description) -> None:
    """Raise InputError if a chapter was executed with other weights than those that the description is about."""
    for chapter in tables.TABLES:
        weights = tables.read_record(Path(results) / chapter).weights
        if weights not in (None, model.weights):
            raise InputError(
                f"The chapter {chapter} of {model.edition.name} was executed with the weights {weights}, and the model "
                f"has the weights {model.weights} now. Delete {Path(results).parent} and start again."
            )


def own_rows(table: pd.DataFrame, model: Description) -> pd.DataFrame:
    """Return the rows about the edition's model, or all of a table without models; raise InputError if empty."""
    if "model" not in table:
        return table
    rows = table[table["model"] == model.model]
    if "pretrained" in rows:
        rows = rows[rows["pretrained"] == model.pretrained]
    if rows.empty:
        raise InputError(f"The table has no row of the model {model.model} ({model.pretrained}).")
    return rows


def _bias(results: Path, protocol: str, model: Description) -> pd.DataFrame:
    try:
        table = tables.read(results, CHAPTER, _TABLES[protocol])
    except tables.UnavailableTableError:
        return pd.DataFrame()
    for own, shared in _OF_PAIRS.items():
        table.columns = table.columns.str.replace(own, shared)
    return own_rows(table, model).assign(protocol=protocol)
