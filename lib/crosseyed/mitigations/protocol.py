"""The protocol by which mitigations are compared, read from a file that was fixed before any of them was measured.

It says how objects are dealt to validation and test, what the model is asked, how one setting is chosen, how many
passes are allowed, and which verdict follows from the measured changes (`crosseyed.mitigations.decision`).
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, ConfigDict, Field

from crosseyed.data.cutouts import STYLES, Cutout, objects_of, read_catalogue, reordered
from crosseyed.documents import read_yaml
from crosseyed.errors import InputError, shorten
from crosseyed.files import DATA
from crosseyed.mitigations.decision import Verdict, check_rule, decide, summarize
from crosseyed.mitigations.tasks import Task, deal_split, make_split
from crosseyed.settings import GridSize, Settings
from crosseyed.validation import Checked, Count, Seed, one_of, validated

FILE = DATA / "protocols" / "mitigations.yml"
"""The protocol of the study.

:meta hide-value:
"""

_Share = Annotated[float, Field(gt=0, le=1)]
_Tasks = Annotated[list[Literal["grid", "pair", "control"]], Field(min_length=1)]


def _check_first(names: list[str]) -> list[str]:
    if names[0] != "grid" or len(set(names)) < len(names):
        raise InputError(f"{shorten(names)} does not begin with grid, or names a task twice; change that.")
    return names


class _Part(Checked):
    """A part of the protocol, whose numbers are the text of a YAML file."""

    model_config = ConfigDict(strict=False)


class Splits(_Part):
    """How objects are dealt."""

    styles: Annotated[list[Annotated[str, one_of("style", STYLES)]], Field(min_length=1)]
    """Renderings."""
    n_validation: Count
    """Objects on which settings are chosen."""
    n_test: Count
    """Other objects, on which the chosen ones are measured."""
    validation_cells: Count
    """Places beside the center for each object and rendering."""
    test_cells: Count


class Tasks(_Part):
    """What the model is asked."""

    validation: Annotated[_Tasks, AfterValidator(_check_first)]
    """Tasks of `crosseyed.mitigations.tasks.make_split`, the grid first."""
    test: Annotated[_Tasks, AfterValidator(_check_first)]
    grid_size: GridSize
    center_limit: _Share
    object_size: _Share
    """Longer side over the side of the image."""
    control_size: _Share
    image_size: Annotated[int, Field(ge=16, le=4096)]
    """Pixels along each side."""
    language: str


class Choice(_Part):
    """How one setting of several is chosen (`crosseyed.mitigations.evaluation.choose`)."""

    task: Literal["grid"]
    criterion: Literal["off_center"]
    most_loss: Annotated[float, Field(ge=0, le=100)]
    """Percentage points that a harmless setting may cost the center."""


class Budget(_Part):
    """What a mitigation may cost."""

    most_passes: Annotated[float, Field(ge=1)]
    """Passes of the image tower for one image."""


class Statistics(_Part):
    """How certain a change has to be."""

    confidence: Annotated[float, Field(gt=0, lt=1)]
    resamples: Count
    correction: Literal["holm"]
    significance: Annotated[float, Field(gt=0, lt=1)]


class BenchmarkProtocol(Checked):
    """How mitigations are compared; from `read_protocol`."""

    version: int
    seed: int
    splits: Splits
    tasks: Tasks
    choice: Choice
    budget: Budget
    statistics: Statistics
    rule: tuple[Verdict, ...]
    """Verdicts; the first counts of which one line of conditions holds."""

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that stand for all that the protocol says."""
        content = json.dumps(self.model_dump(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def settings(self) -> dict[str, object]:
        """What it says about the settings of the study, by their names."""
        return {name: value for name, value in self._values().items() if name in Settings.model_fields}

    @property
    def limits(self) -> dict[str, float]:
        """The limits that the rule names."""
        return {
            "most_loss": self.choice.most_loss,
            "most_passes": self.budget.most_passes,
            "significance": self.statistics.significance,
        }

    def altered(self, **values: object) -> "BenchmarkProtocol":
        """Return the protocol with other values by their names, such as ``n_test=8``.

        Raises
        ------
        InputError
            The protocol has no such name, or a value is out of range.
        """
        content = self.model_dump()
        for name, value in values.items():
            parts = [part for part in content.values() if isinstance(part, dict) and name in part]
            if not parts and name not in _Head.model_fields:
                raise InputError(
                    f"The protocol of mitigations has no {name!r}; it has {', '.join(self._values())}."
                )
            (parts[0] if parts else content)[name] = value
        return _checked(content, "the altered protocol of mitigations")

    def differences(self, other: "BenchmarkProtocol") -> list[str]:
        """Say for each value that another protocol has otherwise what it is there, such as ``"n_test 8 (not 40)"``."""
        own, others = self._values(), other._values()
        return [
            f"{name} {others[name]} (not {value})" for name, value in own.items() if others[name] != value
        ]

    def verdicts(self, compared: pd.DataFrame) -> dict[str, str]:
        """Return by candidate the verdict that its changes have, from `crosseyed.mitigations.evaluation.compare`."""
        rows = summarize(compared).to_dict("records")
        return {row["candidate"]: decide(row, self.rule, self.limits).verdict for row in rows}

    def _values(self) -> dict[str, object]:
        values = {}
        for name, value in self.model_dump().items():
            values |= value if isinstance(value, dict) else {name: value}
        return values


class _Head(_Part):
    """What stands above the parts."""

    version: Count
    seed: Seed


_PARTS: Mapping[str, type[_Part]] = {
    "splits": Splits,
    "tasks": Tasks,
    "choice": Choice,
    "budget": Budget,
    "statistics": Statistics,
}


def read_protocol(path: str | os.PathLike = FILE) -> BenchmarkProtocol:
    """Read and check a protocol.

    Parameters
    ----------
    path : path
        A YAML file such as `FILE`.

    Raises
    ------
    InputError
        The file is missing or no YAML, lacks something, has something unknown, or a value is out of its range.
    """
    what = f"the protocol of mitigations {os.fspath(path)!r}"
    content = read_yaml(path, "a protocol such as data/protocols/mitigations.yml")
    if not isinstance(content, Mapping):
        raise InputError(
            f"{what[0].upper()}{what[1:]} holds no names with values; copy the one of the study."
        )
    return _checked(content, what)


def _checked(content: Mapping[str, object], what: str) -> BenchmarkProtocol:
    """Check each part by itself, so that a message names what is wrong in it."""
    head = {name: value for name, value in content.items() if name not in (*_PARTS, "rule")}
    parts = {name: _section(content, name, what) for name in (*_PARTS, "rule")}
    checked = {
        name: validated(kind, parts[name], f"the part {name} of {what}") for name, kind in _PARTS.items()
    }
    rule = tuple(validated(Verdict, each, f"a verdict of the rule of {what}") for each in parts["rule"])
    top = validated(_Head, head, what)
    found = BenchmarkProtocol(version=top.version, seed=top.seed, rule=rule, **checked)
    check_rule(rule, found.limits, what)
    return found


def _section(content: Mapping[str, object], name: str, what: str) -> object:
    found = content.get(name)
    if name == "rule":
        if not isinstance(found, list | tuple) or not all(isinstance(each, Mapping) for each in found):
            raise InputError(f"{what[0].upper()}{what[1:]} lacks the rule, a list of verdicts; give it.")
    elif not isinstance(found, Mapping):
        raise InputError(f"{what[0].upper()}{what[1:]} lacks the part {name!r} with its values; give it.")
    return found


@dataclass(frozen=True, eq=False)
class Dealt:
    """The images of a protocol."""

    labels: list[str]
    """What the model chooses among: the names of all objects."""
    validation: list[Task]
    test: list[Task]
    shown: list[Cutout]
    """The cut-outs of the test."""
    every: list[Cutout]
    """Those and others, to all of which places and backgrounds were dealt, in this order."""


def deal(agreed: BenchmarkProtocol, among: BenchmarkProtocol | None = None) -> Dealt:
    """Deal the objects to validation and test, and draw the images.

    Parameters
    ----------
    agreed : BenchmarkProtocol
        What is dealt. The settings of the study have to be those of the protocol (`BenchmarkProtocol.settings`).
    among : BenchmarkProtocol, optional
        One with more objects, of whose sets those of `agreed` are parts (`crosseyed.mitigations.tasks.deal_split`).
    """
    splits, asked, seed = agreed.splits, agreed.tasks, agreed.seed
    cutouts = read_catalogue(splits.styles)
    labels = objects_of(cutouts)
    most = (among or agreed).splits
    sizes = [splits.n_validation, splits.n_test]
    shown, every = deal_split(cutouts, sizes, [most.n_validation, most.n_test], seed)
    tested = reordered(every[1], seed)  # so that backgrounds do not tell a probe the object
    new = [cutout for cutout in tested if cutout in shown[1]]
    alike = {"size": asked.object_size, "control_size": asked.control_size, "side": asked.image_size}
    return Dealt(
        labels,
        make_split(
            every[0],
            labels,
            shown=shown[0],
            protocols=asked.validation,
            cells=splits.validation_cells,
            seed=seed + 1,
            **alike,
        ),
        make_split(
            tested,
            labels,
            shown=new,
            protocols=asked.test,
            cells=splits.test_cells,
            seed=seed + 2,
            **alike,
        ),
        new,
        tested,
    )
