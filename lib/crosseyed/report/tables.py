"""The tables that chapters write, by name: the interface between chapters, introduction, claims and results.

A chapter writes each table that `TABLES` declares for it, or says why it cannot (`crosseyed.report.chapter.Chapter`).
Whoever needs a number of a chapter reads it here and does not compute it again. Throughout, `chapter` is the name of a
notebook without suffix, such as ``"01_center_bias"``, and `name` the name of a table without suffix.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, field
from pathlib import Path

import pandas as pd
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from crosseyed.documents import read_json
from crosseyed.errors import CrosseyedError, InputError, check_choice
from crosseyed.files import atomic_write, content_digest
from crosseyed.settings import PROTOCOL_VERSION, UNSTATED_VERSION
from crosseyed.tables import kinds_of, read_table, write_table

RECORD = "tables.json"
"""File beside the tables of a chapter that says what they hold: a `Record`."""

_EXACT = ConfigDict(extra="forbid")

_REMEDY = "Make it anew: execute the chapter again (make book)."

TABLES: dict[str, tuple[str, ...]] = {
    "01_center_bias": (
        *("grid", "grid_by_eccentricity", "bias", "slope", "permutation", "slide"),
        *("pair", "pair_bias", "pair_left_out", "pair_places", "pair_separated"),
        *("whatsup", "whatsup_bias", "whatsup_left_out"),
        *("controls", "control_bias", "crop"),
    ),
    "02_embedding_decomposition": (
        *("tokens", "tokens_by_eccentricity", "tokens_bias", "lost", "layers"),
        *("layer_effects", "radial_profile", "effect_parts", "heads", "textspan", "ablation"),
        *("ablation_changes", "exchanged"),
        *("splice", "name_share", "concepts_instead"),
    ),
    "03_attention_maps": (
        *("radial", "found", "on_object", "sinks"),
        *("scores", "summary", "attributed", "background", "contrast"),
    ),
    "04_pooling_ablation": (
        *("validation", "answers", "by_eccentricity", "training_free", "poolings"),
        *("heads_history", "heads_answers", "heads_by_eccentricity", "heads"),
        *("pretraining", "pretraining_seeds", "pretraining_by_pooling", "pretraining_by_recipe"),
        *("maps", "maps_summary", "maps_parts", "maps_changes", "masked_max"),
    ),
    "05_mitigations": (
        *("validation", "chosen", "answers", "evaluation"),
        *("visual_prompts", "zoom", "attention_changes", "outcomes"),
    ),
    "06_model_family": (
        *("results", "other_versions", "published", "recent"),
        *("correlations", "by_pooling", "by_data", "awaiting"),
    ),
    "07_origins": ("positions", "dose_response", "preference", "contrasts", "effects"),
    "08_robustness": (
        *("specifications", "sides", "crowds", "calibration", "discrimination", "retrieval"),
        *("sizes", "resolutions", "positions", "receptive_field"),
    ),
    "09_move_it_yourself": ("places", "place_bias", "arrangements"),
}
"""Names of the tables of each chapter, in the order in which it writes them."""


class MissingTableError(InputError):
    """A table that a chapter declares is not there."""


class UnavailableTableError(CrosseyedError):
    """A chapter registered a table as unavailable for its model; the message is the reason."""


def check_declared(chapter: str, name: str) -> None:
    """Raise InputError unless `TABLES` declares the table for the chapter."""
    check_choice("chapter", chapter, TABLES)
    check_choice(f"table of the chapter {chapter}", name, TABLES[chapter])


@dataclass(config=_EXACT)
class Written:
    """A table that a chapter wrote."""

    digest: str
    """Of the file's content, as of `crosseyed.files.content_digest`."""
    kinds: dict[str, str]
    """The kind of each column, as of `crosseyed.tables.kinds_of`."""


@dataclass(config=_EXACT)
class Record:
    """What a chapter wrote, by which a table that is cut off, altered or of another run is told from a whole one."""

    weights: str | None = None
    """Digest of the weights of the edition's model; None where the chapter is not about one model."""
    tables: dict[str, Written] = field(default_factory=dict)
    """The tables that it wrote, by name."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """For each table that it could not make: the reason."""
    protocol_version: int = PROTOCOL_VERSION
    """Version of the protocol that it followed (`crosseyed.settings.PROTOCOL_VERSION`)."""


def read_record(folder: Path) -> Record:
    """Return the record of the chapter with this folder, an empty one if there is none; InputError if damaged."""
    path = folder / RECORD
    if not path.exists():
        return Record()
    try:
        return Record(**{"protocol_version": UNSTATED_VERSION, **read_json(path, "the record of a chapter")})
    except (TypeError, ValueError) as error:
        reason = error if isinstance(error, InputError) else "it is not what this version writes"
        raise InputError(f"{str(path)!r} is damaged: {reason}. {_REMEDY}") from error


def write_record(folder: Path, record: Record) -> None:
    """Write the record of the chapter with this folder."""
    with atomic_write(folder / RECORD) as part:
        part.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")


def clear(folder: Path) -> None:
    """Delete the tables of an earlier execution by its record, and the record."""
    with suppress(InputError):  # what a damaged record does not name is not deleted, and `write` refuses it
        for name in read_record(folder).tables:
            (folder / f"{name}.csv").unlink(missing_ok=True)
    (folder / RECORD).unlink(missing_ok=True)


def write(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write a table of the chapter with this folder, and what it holds into the record.

    Raises
    ------
    InputError
        A file of this name is there that the chapter did not write, or the folder cannot be written to.
    """
    record, path = read_record(folder), folder / f"{name}.csv"
    if name not in record.tables and path.exists():
        raise InputError(
            f"{str(path)!r} was not made by this chapter and is left as it is; give another output folder."
        )
    write_table(table, path)
    record.tables[name] = Written(content_digest([path]), kinds_of(table))
    write_record(folder, record)


def read(results: Path, chapter: str, name: str) -> pd.DataFrame:
    """Read a table that a chapter wrote.

    Parameters
    ----------
    results : pathlib.Path
        Folder with one folder of tables for each chapter.
    chapter, name : str
        As in `TABLES`.

    Raises
    ------
    UnavailableTableError
        The chapter cannot make the table for its model.
    MissingTableError
        The table is not there, and the chapter did not say why.
    InputError
        `TABLES` does not declare it, or it is not whole.
    """
    check_declared(chapter, name)
    path = results / chapter / f"{name}.csv"
    record = read_record(path.parent)
    if name in record.unavailable:
        raise UnavailableTableError(record.unavailable[name])
    if not path.exists() or name not in record.tables:
        raise MissingTableError(
            f"The table {name!r} of the chapter {chapter} is not at {path}. Execute the chapter again (make book)."
        )
    if path.is_file() and not _is_whole(path, record.tables[name]):
        raise InputError(
            f"{str(path)!r} is not as the chapter wrote it: it is cut off, altered, or of another run. {_REMEDY}"
        )
    return read_table(path, record.tables[name].kinds, _REMEDY)


def are_whole(folder: Path) -> bool:
    """Tell whether the chapter with this folder left a record, and its tables are as it wrote them."""
    try:
        written = read_record(folder).tables
    except InputError:
        return False
    return all(_is_whole(folder / f"{name}.csv", each) for name, each in written.items())


def _is_whole(path: Path, written: Written) -> bool:
    return path.is_file() and content_digest([path]) == written.digest


def check_complete(folder: Path, chapter: str) -> None:
    """Raise MissingTableError unless each table of the chapter is in its folder or registered as unavailable."""
    record = read_record(folder)
    known = {*record.tables, *record.unavailable}
    missing = [name for name in TABLES[chapter] if name not in known]
    if missing:
        raise MissingTableError(
            f"The chapter {chapter} ended without its table(s) {', '.join(missing)}. A chapter writes every table "
            "that crosseyed.report.tables declares, or calls chapter.unavailable with the reason."
        )


def in_order(table: pd.DataFrame, **orders: Sequence[object]) -> pd.DataFrame:
    """Sort the rows by columns whose values have a given order, the first column first; others keep their order."""
    for column, order in reversed(orders.items()):
        table = table.sort_values(
            column, key=lambda values, order=list(order): values.map(order.index), kind="stable"
        )
    return table


def in_order_of(pattern: pd.DataFrame, columns: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """Put the rows of a table in the order in which the values of its key columns first occur in another one."""
    return pattern[columns].drop_duplicates().merge(table, on=columns)
