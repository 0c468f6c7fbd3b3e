"""What came out for one submission."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from crosseyed.course.labs import Lab
from crosseyed.files import atomic_write


@dataclass(frozen=True)
class Judged:
    """A hidden check and what came out.

    Attributes
    ----------
    question, name, says : str
        Which check it is, and what feedback says it looks for.
    points, got : float
        What it is worth, and what the submission gets.
    outcome : str
        passed; wrong (the answer is another); late; unfit (of a type or shape that cannot be compared); or
        ``raised KIND``, with the name of a built-in exception.
    detail : str
        More about it, for teachers only: it may hold what the check asked.
    """

    question: str
    name: str
    says: str
    points: float
    got: float
    outcome: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What came out for a submission.

    Attributes
    ----------
    checks : tuple of Judged
        All hidden checks of the lab.
    failed : tuple of mapping
        Cells that raised: ``cell`` (its number among all cells, from 1), ``kind`` and ``text``.
    notes : tuple of str
        What is unusual about it, and does not keep it from being graded.
    isolated : bool
        Whether it ran inside bubblewrap.
    problem : str
        Why it could not be graded; ``""`` if it was.
    """

    checks: tuple[Judged, ...]
    failed: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    isolated: bool = False
    problem: str = ""

    @classmethod
    def of_none(cls, lab: Lab, problem: str, isolated: bool) -> "Verdict":
        """Return the verdict on what cannot be graded: no points, and why."""
        checks = (
            Judged(check.question, check.name, check.says, check.points, 0.0, "not graded", "")
            for cell in lab.hidden
            for check in cell.checks
        )
        return cls(tuple(checks), isolated=isolated, problem=problem)

    @classmethod
    def read(cls, path: Path) -> "Verdict":
        """Return the verdict that `write` wrote."""
        tree = json.loads(path.read_text(encoding="utf-8"))
        checks = tuple(Judged(**check) for check in tree.pop("checks"))
        failed, notes = tuple(tree.pop("failed")), tuple(tree.pop("notes"))
        return cls(checks, failed, notes, **tree)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        with atomic_write(path) as file:
            file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def with_notes(self, notes: tuple[str, ...]) -> "Verdict":
        """Return it with notes before its own."""
        return replace(self, notes=(*notes, *self.notes))

    def points(self) -> dict[str, float]:
        """Return what the submission gets, by question."""
        totals: dict[str, float] = {}
        for check in self.checks:
            totals[check.question] = totals.get(check.question, 0.0) + check.got
        return totals

    @property
    def total(self) -> float:
        """What the submission gets in all."""
        return sum(check.got for check in self.checks)
