"""What a lab is: its cells, questions, hidden checks and typical wrong answers, as values that nothing changes."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crosseyed.errors import InputError, suggest

DATA_FOLDER = "data"
"""Folder beside a student's notebook that holds the lab's tables, by their file names."""

KEY = "crosseyed"
"""Key of our metadata, in a notebook and in its cells."""


@dataclass(frozen=True)
class Cell:
    """One cell of a lab.

    Attributes
    ----------
    id : str
        Stays equal from one reading to the next: the question, the role, and a number, such as ``"q1-answer-1"``.
    number : int
        Its place in the lab, from 1.
    kind : str
        code, markdown or raw.
    source : str
        Its text.
    tags : tuple of str
        Its tags.
    question : str
        The question it belongs to, or ``""``.
    role : str
        config, boundary, text, code, answer, prompt, test, hidden or rubric.
    """

    id: str
    number: int
    kind: str
    source: str
    tags: tuple[str, ...]
    question: str
    role: str


@dataclass(frozen=True)
class HiddenCheck:
    """A check that a student never sees: its function, its question, its points, and what feedback says of it."""

    name: str
    question: str
    points: float
    says: str


@dataclass(frozen=True)
class HiddenCell:
    """A cell of hidden checks: ordinary Python, its `source`, and the `checks` it declares, one or more."""

    id: str
    source: str
    checks: tuple[HiddenCheck, ...]


@dataclass(frozen=True)
class Question:
    """A question of a lab: its points, whether a person grades it (`manual`), and then by which `rubric` (Markdown)."""

    name: str
    points: float
    manual: bool
    rubric: str


def automatic_points(questions: Iterable[Question]) -> dict[str, float]:
    """Return the points of each question that hidden checks grade, by its name."""
    return {question.name: question.points for question in questions if not question.manual}


@dataclass(frozen=True)
class WrongAnswer:
    """A typical wrong answer.

    Attributes
    ----------
    name : str
        Name of its file.
    misconception : str
        What somebody who answers so believes.
    question : str
        The question that it answers.
    points : mapping
        By question, what a submission with this answer should get for each question that is graded automatically.
    body : str
        Code that takes the place of the answer.
    """

    name: str
    misconception: str
    question: str
    points: Mapping[str, float]
    body: str


@dataclass(frozen=True)
class Lab:
    """A lab, read and checked.

    Attributes
    ----------
    folder : path
        Where it lies.
    name, title : str
        For programs, and for people.
    version : int
        Raised when a question changes, so that submissions of an older one are told apart.
    chapter : str
        The chapter of the book that it belongs to.
    minutes : int
        A student's time.
    data_folder : path
        Folder with the data of all labs.
    data : tuple of path
        Files of it that lie in `data/` beside the student's notebook.
    models : tuple of str
        Shipped models that it loads.
    questions : tuple of Question
        In their order.
    cells : tuple of Cell
        All cells, in their order.
    hidden : tuple of HiddenCell
        The cells with hidden checks.
    long : tuple of str
        Identifiers of cells that grading skips.
    wrong : tuple of WrongAnswer
        Typical wrong answers.
    """

    folder: Path
    name: str
    title: str
    version: int
    chapter: str
    minutes: int
    data_folder: Path
    data: tuple[Path, ...]
    models: tuple[str, ...]
    questions: tuple[Question, ...]
    cells: tuple[Cell, ...]
    hidden: tuple[HiddenCell, ...]
    long: tuple[str, ...]
    wrong: tuple[WrongAnswer, ...]

    def copy_data(self, folder: Path) -> Path:
        """Copy its data files into ``data/`` of a folder, beside which its notebook runs; return that ``data/``."""
        place = folder / DATA_FOLDER
        place.mkdir(parents=True, exist_ok=True)
        for file in self.data:
            shutil.copyfile(file, place / file.name)
        return place

    @property
    def automatic(self) -> dict[str, float]:
        """The points of each question that hidden checks grade, by its name."""
        return automatic_points(self.questions)

    @property
    def manual(self) -> dict[str, float]:
        """The points of each question that a person grades, by its name."""
        return {question.name: question.points for question in self.questions if question.manual}

    def question(self, name: str) -> Question:
        """Return the question of a name; raise InputError for one that the lab does not have."""
        for each in self.questions:
            if each.name == name:
                return each
        names = [each.name for each in self.questions]
        near = suggest(name, names) or "."
        raise InputError(f"The lab {self.name!r} has no question {name!r}{near} It has {', '.join(names)}.")
