"""What every chapter does: load its models, write its tables, and say which tables are unavailable for its model."""

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown
from pandas.io.formats.style import Styler

from crosseyed.files import expand, try_writing
from crosseyed.models import loading
from crosseyed.models.clip import ClipModel
from crosseyed.report import notices, reading, tables
from crosseyed.report.parameters import check
from crosseyed.report.sizes import PRESETS
from crosseyed.report.tables import RECORD, Record, check_declared, read_record, write_record
from crosseyed.settings import Settings, settings
from crosseyed.validation import LARGEST_SEED


@dataclass
class Chapter:
    """One execution of a notebook."""

    name: str
    """Name of the notebook without suffix."""
    output: Path
    """Folder for its tables."""
    encoder: ClipModel | None = None
    """The model of the edition; None where the chapter is not about one model."""
    references: list[ClipModel] = field(default_factory=list)
    """Models shown beside it."""

    @property
    def settings(self) -> Settings:
        """What the whole study agrees on, with what the chapter overrides."""
        return settings

    @property
    def full(self) -> Mapping[str, object]:
        """How much a full edition takes of everything that other sizes take less of (`crosseyed.report.sizes`)."""
        return PRESETS[self.name]["full"]

    @property
    def encoders(self) -> list[ClipModel]:
        """The model of the edition and those beside it."""
        return [self.encoder, *self.references]

    def own(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows about the model of the edition, by the columns `model` and `pretrained`."""
        return table[
            (table["model"] == self.encoder.model) & (table["pretrained"] == self.encoder.pretrained)
        ]

    def write(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Write a table that `crosseyed.report.tables.TABLES` declares for the chapter, and return it."""
        check_declared(self.name, name)
        tables.write(self.output, name, self._with_weights(table))
        return table

    def _with_weights(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the digest of the weights behind each row, where the chapter knows its model."""
        if self.encoder is None or "weights" in table:
            return table
        if "model" not in table:
            return table.assign(weights=self.encoder.digest)
        digests = {each.model: each.digest for each in reversed(self.encoders)}
        if "pretrained" not in table:
            return table.assign(weights=table["model"].map(digests))
        digests = {(each.model, each.pretrained): each.digest for each in self.encoders}
        keys = [digests.get(key) for key in zip(table["model"], table["pretrained"], strict=True)]
        return table.assign(weights=pd.Series(keys, index=table.index, dtype="str"))

    def show(
        self, name: str, rows: pd.DataFrame, columns: Iterable[str] | Mapping[str, str], digits: int = 1
    ) -> Styler:
        """Show rows of a table of the chapter (`crosseyed.report.reading.table`), above a link to all of it."""
        check_declared(self.name, name)
        link = f'<a href="../results/{self.name}/{name}.csv">{name}.csv</a>'
        return reading.table(rows, columns, digits=digits, caption=f"All columns and rows: {link}")

    def write_some(self, name: str, table: pd.DataFrame, reason: str) -> None:
        """Write a table if it has rows; otherwise register it as unavailable with the reason."""
        if len(table):
            self.write(name, table)
        else:
            self.unavailable(reason, name)

    def unavailable(self, reason: str, *names: str) -> Markdown:
        """Register declared tables that the chapter cannot make for the model of the edition.

        The reason is a clause that a reader understands: ``"its tower has no class token"``. The tables may be
        written for other models. Returns a line that says so to readers.
        """
        for name in names:
            check_declared(self.name, name)
        record = read_record(self.output)
        record.unavailable |= dict.fromkeys(names, reason)
        write_record(self.output, record)
        return Markdown(f"*No numbers here: {reason}.*")

    def require(
        self, *needed: str, tables: Sequence[str] = (), instead: ClipModel | None = None
    ) -> HTML | None:
        """Say what the tower of the edition's model does not support, and register which tables are unavailable.

        Parameters
        ----------
        *needed : str
            What the cells below need, of `crosseyed.models.towers.base.CAPABILITIES`.
        tables : sequence of str
            Tables that are unavailable without it.
        instead : ClipModel, optional
            The model that is shown in its place.

        Returns
        -------
        IPython.display.HTML or None
            A box for the reader; None if the tower supports everything.
        """
        return self.leave_out(notices.reasons(self.encoder, *needed), tables=tables, instead=instead)

    def leave_out(
        self, reasons: Sequence[str], *, tables: Sequence[str] = (), instead: ClipModel | None = None
    ) -> HTML | None:
        """Do as `require` does for reasons that are known, such as ``["its tower has no class token"]``, or none."""
        if reasons:
            self.unavailable(" and ".join(reasons), *tables)
        return notices.left_out(self.encoder, reasons, instead=instead)


def begin(name: str, parameters: Mapping[str, object]) -> Chapter:
    """Start a chapter: check its parameters, load its models, delete the tables of an earlier execution.

    Parameters
    ----------
    name : str
        Name of the notebook without suffix.
    parameters : mapping
        ``globals()`` after the parameters cell (see `crosseyed.report.parameters`).

    Raises
    ------
    InputError
        A parameter is unknown or not what it can be, or the output folder cannot be written to.
    """
    if not gc.isenabled():  # put off by who executes the notebook (`crosseyed.workflow.execution`)
        gc.freeze()  # what imports have made stays
        gc.enable()
    given = check(name, parameters, begun=isinstance(parameters.get("chapter"), Chapter)).model_dump()
    settings.override(given["settings"])
    chapter = Chapter(name, expand(given["output"]))
    try_writing(chapter.output / RECORD)
    if "device" in given:
        chapter.encoder = load_edition(given)
        names = [each for each in given.get("references", []) if each != chapter.encoder.name]
        chapter.references = [loading.load(each, device=given["device"]) for each in names]
    tables.clear(chapter.output)
    write_record(chapter.output, Record(chapter.encoder.digest if chapter.encoder else None))
    return chapter


def load_edition(parameters: Mapping[str, object], **options: object) -> ClipModel:
    """Load the model of an edition.

    Parameters
    ----------
    parameters : mapping
        ``globals()`` of a notebook with `model`, `pretrained` (``"random"`` for random weights), `checkpoint`, `seed`,
        `device` and `precision`.
    **options
        For `crosseyed.models.loading.load`, such as `resize`.
    """
    given = {name: parameters[name] for name in ("pretrained", "checkpoint", "seed", "device", "precision")}
    return loading.load(parameters["model"], **given | options)


def load_untrained(parameters: Mapping[str, object]) -> ClipModel:
    """Load the model of an edition with random weights, which differ from its own also if those are random."""
    return load_edition(parameters, seed=(parameters["seed"] + 1) % LARGEST_SEED, untrained=True)
