"""A lab as its teacher wrote it: one notebook as text, and the wrong answers beside it.

A lab is a folder with ``lab.py``, a notebook in jupytext's percent format and in Otter Assign's format, and ``wrong/``.
Its data files lie in ``data/`` beside the student's notebook, by their names, whatever folder they have here. Two kinds
of cells are not Otter's: those tagged ``hidden`` hold checks that a student never sees, and those tagged ``rubric`` say
how an open question is graded. A lab is read and checked here once; nothing in it is executed.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from crosseyed.course.labs import (
    Cell,
    HiddenCell,
    HiddenCheck,
    Lab,
    Question,
    WrongAnswer,
    automatic_points,
)
from crosseyed.errors import InputError, shorten, suggest
from crosseyed.files import DATA, expand, require_file, require_folder, visible_files
from crosseyed.validation import Checked, Count, validated

_BOUNDARY = re.compile(r"#\s+(begin|end)\s+(question|solution|prompt|tests)\b", re.IGNORECASE)
_CONFIG = re.compile(r"#\s+assignment\s+config\b", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LINE_OF_POINTS = re.compile(r"^\s*(?P<question>[a-z][a-z0-9_]*)\s*:\s*(?P<points>\d+(\.\d+)?)\s*$")


LABS = Path("notebooks") / "labs"
"""Folder of the labs in the repository.

:meta hide-value:
"""


class _Header(Checked):
    title: Annotated[str, Field(min_length=1)]
    version: Count
    chapter: str
    minutes: Count
    data: list[str]
    models: list[str]


_Name = Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]  # within a class, Sphinx cannot read it


class _QuestionHeader(Checked):
    name: _Name
    points: Annotated[int | float, Field(gt=0, le=1000)]
    manual: bool = False


def read(folder: str | Path, data: str | Path | None = None) -> Lab:
    """Read a lab from its folder and check it.

    Parameters
    ----------
    folder : path
        Holds ``lab.py`` and, where there are any, wrong answers in ``wrong/``.
    data : path, optional
        Where the lab's data files lie; ``course/`` of the repository's data, if not given.

    Raises
    ------
    InputError
        Something in it is missing or contradicts itself; the message names lab, cell and what to do.
    """
    folder = require_folder(folder, "the folder of a lab")
    data = DATA / "course" if data is None else expand(data)
    path = require_file(folder / "lab.py", "a lab: a notebook in jupytext's percent format")
    cells = _cells(path)
    name, header = _header(folder, cells)
    headers = _questions(name, cells)
    hidden = tuple(_hidden_cell(name, cell) for cell in cells if cell.role == "hidden")
    questions = tuple(_question(name, header, cells) for header in headers)
    _compare_points(name, questions, hidden, cells)
    return Lab(
        folder=folder,
        name=name,
        title=header.title,
        version=header.version,
        chapter=header.chapter,
        minutes=header.minutes,
        data_folder=data,
        data=_data_files(name, header.data, data),
        models=_models(name, header.models),
        questions=questions,
        cells=cells,
        hidden=hidden,
        long=tuple(cell.id for cell in cells if "long" in cell.tags),
        wrong=tuple(_wrong_answer(name, file, questions) for file in visible_files(folder / "wrong", ".py")),
    )


def read_all(folder: Path = LABS, names: Sequence[str] = (), data: Path | None = None) -> tuple[Lab, ...]:
    """Read labs from the folder of all.

    Parameters
    ----------
    folder : path
        Holds a folder for each lab.
    names : sequence of str
        Names of labs or of their folders; all labs, if not given.
    data : path, optional
        As for `read`.

    Raises
    ------
    InputError
        There is no lab, or none of such a name, or one is faulty.
    """
    labs = tuple(read(path.parent, data) for path in sorted(folder.glob("[!.]*/lab.py")))
    if not labs:
        raise InputError(f"{str(folder)!r} has no lab; a lab is a folder with a file lab.py in it.")
    if len({lab.name for lab in labs}) < len(labs):
        raise InputError(f"Two labs in {str(folder)!r} have one name; rename one in its header.")
    known = {name for lab in labs for name in (lab.name, lab.folder.name)}
    for name in names:
        if name not in known:
            raise _unknown(name, [lab.name for lab in labs])
    return tuple(lab for lab in labs if not names or {lab.name, lab.folder.name} & set(names))


def find(given: str) -> Lab:
    """Return a lab by its name, its folder's name or its folder; no other lab is read.

    Parameters
    ----------
    given : str
        Such as ``"measure_it"``, ``"1_measure_it"`` or a path.

    Raises
    ------
    InputError
        There is no such lab, or it is faulty.
    """
    known = {path.parent.name: path.parent for path in sorted(LABS.glob("[!.]*/lab.py"))}
    for name, folder in known.items():
        if given in (name, name.partition("_")[2]):
            return read(folder)
    if expand(given).is_dir():
        return read(given)
    raise _unknown(given, [name.partition("_")[2] or name for name in known])


def _unknown(given: str, names: Sequence[str]) -> InputError:
    near = suggest(given, names) or "."
    rest = (
        f"Choose from {', '.join(names)}."
        if names
        else "Run this in the repository, or give the folder of a lab."
    )
    return InputError(f"There is no lab {shorten(given)}{near} {rest}")


def _cells(path: Path) -> tuple[Cell, ...]:
    """Read the cells, and give each its role and an identifier that does not change between readings."""
    import jupytext

    try:
        notebook = jupytext.read(path, fmt="py:percent")
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{str(path)!r} is not a notebook in jupytext's percent format ({error})."
        ) from error
    lab = path.parent.name
    question, block = "", ""
    counts: dict[str, int] = {}
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        tags = tuple(cell.metadata.get("tags", ()))
        boundary = _BOUNDARY.match(cell.source) if cell.cell_type == "raw" else None
        if boundary:
            begins, kind = boundary[1].lower() == "begin", boundary[2].lower()
            where = _numbered(lab, number, cell.source)
            if kind == "question":
                if begins == bool(question) or block:
                    raise InputError(
                        f"{where} stands {'inside' if begins else 'outside'} a question or in an open block; let each "
                        "question begin and end once, and end its blocks before."
                    )
                question = str(_yaml(where, cell.source).get("name", "")) if begins else question
            elif not question or begins == bool(block) or (not begins and block != kind):
                raise InputError(
                    f"{where} does not match the cells before it; begin and end each block, in a question."
                )
            else:
                block = kind if begins else ""
        role = _role(cell.cell_type, cell.source, tags, bool(boundary), block)
        group = f"{question or 'lab'}-{role}"
        counts[group] = counts.get(group, 0) + 1
        found.append(
            Cell(f"{group}-{counts[group]}", number, cell.cell_type, cell.source, tags, question, role)
        )
        if boundary and not begins and kind == "question":
            question = ""
    if question or block:
        raise InputError(f"The lab {lab!r} ends inside question {question!r}; add the cell '# END QUESTION'.")
    return tuple(found)


def _role(kind: str, source: str, tags: tuple[str, ...], boundary: bool, block: str) -> str:
    if boundary:
        return "boundary"
    if kind == "raw" and _CONFIG.match(source):
        return "config"
    for tag in ("hidden", "rubric"):
        if tag in tags:
            return tag
    in_block = {"solution": "answer", "prompt": "prompt", "tests": "test"}
    return in_block.get(block) or ("code" if kind == "code" else "text")


def _header(folder: Path, cells: tuple[Cell, ...]) -> tuple[str, _Header]:
    configs = [cell for cell in cells if cell.role == "config"]
    if len(configs) != 1:
        raise InputError(
            f"The lab {folder.name!r} has {len(configs)} cells that begin with '# ASSIGNMENT CONFIG'; give it one, a "
            "raw cell, before all others."
        )
    where = _place(folder.name, configs[0])
    config = _yaml(where, configs[0].source)
    name = config.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{where} names the lab {name!r}; give a name of small letters, digits and underscores."
        )
    ours = config.get("crosseyed")
    if not isinstance(ours, dict):
        raise InputError(
            f"{where} has no block 'crosseyed'; give it title, version, chapter, minutes, data, models."
        )
    unknown = set(config) - {"name", "crosseyed"}
    if unknown:
        raise InputError(
            f"{where} has {', '.join(sorted(map(str, unknown)))}; only name and crosseyed are read."
        )
    return name, validated(_Header, ours, f"the block 'crosseyed' of the lab {name!r}")


def _questions(lab: str, cells: tuple[Cell, ...]) -> list[_QuestionHeader]:
    headers: dict[str, _QuestionHeader] = {}
    for cell in cells:
        begun = _BOUNDARY.match(cell.source) if cell.role == "boundary" else None
        if begun and (begun[1].lower(), begun[2].lower()) == ("begin", "question"):
            where = _place(lab, cell)
            header = validated(_QuestionHeader, _yaml(where, cell.source), where[0].lower() + where[1:])
            if header.name in headers:
                raise InputError(
                    f"{where} begins question {header.name!r} a second time; give each its own name."
                )
            headers[header.name] = header
    if not headers:
        raise InputError(f"The lab {lab!r} has no question; begin one with a raw cell '# BEGIN QUESTION'.")
    return list(headers.values())


def _question(lab: str, header: _QuestionHeader, cells: tuple[Cell, ...]) -> Question:
    own = [cell for cell in cells if cell.question == header.name]
    for cell in own:
        if cell.role == "rubric" and cell.kind != "markdown":
            raise InputError(
                f"{_place(lab, cell)} has the tag 'rubric' and holds code; begin it '# %% [markdown]'."
            )
    rubric = "\n\n".join(cell.source for cell in own if cell.role == "rubric")
    if header.manual and not rubric:
        raise InputError(
            f"Question {header.name!r} of the lab {lab!r} is graded by a person and has no rubric; add a Markdown cell "
            "with the tag 'rubric' to it."
        )
    if not any(cell.role == "answer" for cell in own):
        raise InputError(
            f"Question {header.name!r} of the lab {lab!r} has no solution; put one between the cells "
            "'# BEGIN SOLUTION' and '# END SOLUTION'."
        )
    return Question(header.name, float(header.points), header.manual, rubric)


def _hidden_cell(lab: str, cell: Cell) -> HiddenCell:
    where = _place(lab, cell)
    if cell.kind != "code":
        raise InputError(
            f"{where} has the tag 'hidden' and is not code; only cells with hidden checks have it."
        )
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        raise InputError(f"{where} is not Python: {error.msg}, line {error.lineno} of the cell.") from error
    checks = tuple(_hidden_checks(where, tree))
    if not checks:
        raise InputError(
            f"{where} has the tag 'hidden' and declares no check; write @hidden_check(...) above a function in it."
        )
    return HiddenCell(cell.id, cell.source, checks)


def _hidden_checks(where: str, tree: ast.Module) -> Iterator[HiddenCheck]:
    for node in tree.body:
        for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            if not (isinstance(call, ast.Call) and getattr(call.func, "id", "") == "hidden_check"):
                continue
            try:
                (question,) = (ast.literal_eval(argument) for argument in call.args)
                given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
                points, says = given.pop("points"), given.pop("says")
                fits = not given and isinstance(question, str) and isinstance(says, str) and points > 0
            except (ValueError, KeyError, TypeError):
                fits = False
            if not fits:
                raise InputError(
                    f'{where}: the check {node.name!r} is declared otherwise than @hidden_check("q1", points=2, '
                    'says="..."), with plain values and points above 0; declare it so.'
                )
            yield HiddenCheck(node.name, question, float(points), says)


def _compare_points(
    lab: str, questions: tuple[Question, ...], hidden: tuple[HiddenCell, ...], cells: tuple[Cell, ...]
) -> None:
    """Compare what questions and their hidden checks say."""
    places = {cell.id: _place(lab, cell) for cell in cells}
    names = [question.name for question in questions]
    sums = dict.fromkeys(names, 0.0)
    seen: set[tuple[str, str]] = set()
    for cell in hidden:
        for check in cell.checks:
            if check.question not in sums:
                near = suggest(check.question, names) or "."
                raise InputError(
                    f"{places[cell.id]} checks question {check.question!r}, which the lab does not have{near} It has "
                    f"{', '.join(names)}."
                )
            if (check.question, check.name) in seen:
                raise InputError(
                    f"{places[cell.id]} has a second check {check.name!r} of question {check.question!r}; rename one."
                )
            seen.add((check.question, check.name))
            sums[check.question] += check.points
    for question in questions:
        total = sums[question.name]
        if question.manual and total:
            raise InputError(
                f"Question {question.name!r} of the lab {lab!r} is graded by a person and has hidden checks; take away "
                "'manual: true', or the checks."
            )
        if not question.manual and not total:
            raise InputError(
                f"Question {question.name!r} of the lab {lab!r} has no hidden check; add a cell with the tag 'hidden' "
                f"and @hidden_check(\"{question.name}\", ...) in it, or write 'manual: true'."
            )
        if not question.manual and abs(total - question.points) > 1e-9:
            raise InputError(
                f"Question {question.name!r} of the lab {lab!r} has {question.points:g} points and its hidden checks "
                f"{total:g}; make them equal."
            )


def _data_files(lab: str, names: list[str], folder: Path) -> tuple[Path, ...]:
    what = f"a data file of the lab {lab!r}, which its header names"
    files = tuple(require_file(folder / name, what) for name in names)
    if len({file.name for file in files}) < len(files):
        raise InputError(
            f"Two data files of the lab {lab!r} have one name; they lie side by side for students, so rename one."
        )
    return files


def _models(lab: str, names: list[str]) -> tuple[str, ...]:
    for name in names:
        if not (DATA / "models" / name).is_dir() or Path(name).name != name:
            shipped = [path.name for path in (DATA / "models").iterdir() if path.is_dir()]
            near = suggest(name, shipped) or "."
            raise InputError(f"The lab {lab!r} names the model {name!r}, which is not shipped{near}")
    return tuple(names)


def _wrong_answer(lab: str, file: Path, questions: tuple[Question, ...]) -> WrongAnswer:
    where = f"The wrong answer {file.name!r} of the lab {lab!r}"
    text = file.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise InputError(f"{where} is not Python: {error.msg}, line {error.lineno}.") from error
    said = ast.get_docstring(tree)
    if not said:
        raise InputError(f"{where} has no docstring; begin it with one that states the misconception.")
    body = "\n".join(text.splitlines()[tree.body[0].end_lineno :]).strip("\n")
    fields = dict(re.findall(r"^\s*(Question|Points)\s*:\s*(\S+)\s*$", said, re.MULTILINE))
    automatic = automatic_points(questions)
    question = fields.get("Question", "")
    if question not in automatic:
        raise InputError(
            f"{where} is for question {question!r}; give 'Question: ' and one of {', '.join(automatic)}."
        )
    points = automatic | {question: _points(where, fields.get("Points", ""))}
    for line in said.splitlines():
        other = _LINE_OF_POINTS.match(line)
        if other and other["question"] not in automatic:
            raise InputError(
                f"{where} has points for {other['question']!r}; the lab grades {', '.join(automatic)}."
            )
        if other:
            points[other["question"]] = float(other["points"])
    for name, number in points.items():
        if number > automatic[name]:
            raise InputError(
                f"{where} gets {number:g} points for {name}, which has {automatic[name]:g}; give fewer."
            )
    return WrongAnswer(file.stem, said.splitlines()[0], question, points, body)


def _points(where: str, given: str) -> float:
    try:
        return float(given)
    except ValueError:
        raise InputError(
            f"{where} has 'Points: {given}'; give what its question still gets, as a number."
        ) from None


def _yaml(where: str, source: str) -> dict:
    try:
        found = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise InputError(f"{where} is not YAML below its first line ({shorten(str(error))}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{where} has no settings; give lines such as 'name: q1' below its first line.")
    return {str(name): value for name, value in found.items()}


def _place(lab: str, cell: Cell) -> str:
    return _numbered(lab, cell.number, cell.source)


def _numbered(lab: str, number: int, source: str) -> str:
    first_line = shorten(source.strip().split("\n", 1)[0], 60)
    return f"Cell {number} of the lab {lab!r} ({first_line})"
