"""What every chapter does: load its models, write its tables, and say what its model lacks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from crosseyed.files import atomic_write, write_table
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load
from crosseyed.report.tables import RECORD, check_declared, read_record
from crosseyed.settings import settings


@dataclass
class Chapter:
    """One execution of a notebook.

    Attributes
    ----------
    name : str
        Name of the notebook without suffix.
    output : pathlib.Path
        Folder for its tables.
    seed : int
        The one seed of the notebook.
    encoder : ClipModel or None
        The model of the edition; None where the chapter is not about one model.
    references : list of ClipModel
        Models shown beside it.
    """

    name: str
    output: Path
    seed: int
    encoder: ClipModel | None = None
    references: list[ClipModel] = field(default_factory=list)

    @property
    def encoders(self) -> list[ClipModel]:
        """The model of the edition and those beside it."""
        return [self.encoder, *self.references]

    def write(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Write a table that `crosseyed.report.tables.TABLES` declares for the chapter, and return it.

        Parameters
        ----------
        name : str
            Name of the table.
        table : pandas.DataFrame
            Its rows.

        Raises
        ------
        InputError
            The chapter declares no such table.
        """
        check_declared(self.name, name)
        write_table(table, self.output / f"{name}.csv")
        return table

    def unavailable(self, reason: str, *names: str) -> None:
        """Register tables that the chapter cannot make for its model.

        Parameters
        ----------
        reason : str
            Why, in words that a reader understands.
        *names : str
            Names of the tables.

        Raises
        ------
        InputError
            The chapter declares no such table.
        """
        for name in names:
            check_declared(self.name, name)
            (self.output / f"{name}.csv").unlink(missing_ok=True)
        record = read_record(self.output) | dict.fromkeys(names, reason)
        with atomic_write(self.output / RECORD) as part:
            part.write_text(json.dumps(record, indent=1), encoding="utf-8")


def begin(name: str, parameters: Mapping[str, object]) -> Chapter:
    """Start a chapter from the values of its parameters cell.

    Parameters
    ----------
    name : str
        Name of the notebook without suffix.
    parameters : mapping
        ``globals()`` of the notebook. Read are `model`, `pretrained` (``"random"`` for random weights), `checkpoint`,
        `references`, `seed`, `device`, `output` and `settings`; without `device` no model is loaded.

    Returns
    -------
    Chapter
        With the model and its references loaded, and `crosseyed.settings.settings` overridden.
    """
    settings.override(parameters.get("settings") or {})
    chapter = Chapter(name, Path(parameters["output"]), parameters["seed"])
    (chapter.output / RECORD).unlink(missing_ok=True)
    if "device" in parameters:
        chapter.encoder = load_edition(parameters)
        names = [each for each in parameters.get("references", []) if each != chapter.encoder.name]
        chapter.references = [load(each, device=parameters["device"]) for each in names]
    return chapter


def load_edition(parameters: Mapping[str, object], **options: object) -> ClipModel:
    """Load the model of an edition from the parameters of a notebook.

    Parameters
    ----------
    parameters : mapping
        With `model`, `pretrained`, `checkpoint`, `seed` and `device`.
    **options
        For `crosseyed.models.loading.load`, such as `resize`.
    """
    if parameters["pretrained"] == "random":
        weights = {"random_init": True, "seed": parameters["seed"]}
    else:
        weights = {"pretrained": parameters["pretrained"], "checkpoint": parameters["checkpoint"]}
    return load(parameters["model"], device=parameters["device"], **weights, **options)
