"""What is handed out of a lab: the student's notebook and the one with solutions, both made by Otter Assign.

Before Otter sees a lab, the cells with hidden checks and rubrics and the block `crosseyed` of its header are taken
out, and cells get identifiers that stay equal from one build to the next. Each notebook's metadata say which lab and
version it is; each cell's say its question and role. A grader recognises a submission by them.
"""

import logging
import re
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import yaml
from nbformat import NotebookNode

from crosseyed.course.labs import KEY, Cell, Lab, WrongAnswer
from crosseyed.errors import InputError

_PLACEHOLDER = "_Type your answer here, replacing this text._"  # Otter's own
_PDF_MARK = re.compile(r"<!-- (BEGIN|END) QUESTION -->\s*")  # for Otter's printing of single questions
_PROMPT = re.compile(r'^\s*"""\s*# BEGIN PROMPT$.*?^\s*"""\s*# END PROMPT$\n?', re.MULTILINE | re.DOTALL)
_MARK_LINE = re.compile(r"^\s*# (BEGIN|END) SOLUTION( NO PROMPT)?$\n?", re.MULTILINE)
_MARK = re.compile(r"\s*# ?SOLUTION( NO PROMPT)?$", re.MULTILINE)
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def student_notebook(lab: Lab) -> NotebookNode:
    """Return the notebook that students get: instructions, starter code and public checks, without outputs."""
    return _assigned(lab)[0]


def solution_notebook(lab: Lab) -> NotebookNode:
    """Return the student's notebook with the solutions in it, and with rubrics below open questions; not executed."""
    return _assigned(lab)[1]


def notebook_with(lab: Lab, wrong: WrongAnswer) -> NotebookNode:
    """Return the notebook of somebody who solves a lab, except for one wrong answer."""
    notebook = solution_notebook(lab)
    answers = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and (cell.metadata[KEY]["question"], cell.metadata[KEY]["role"]) == (wrong.question, "answer")
    ]
    if not answers:
        raise InputError(
            f"Question {wrong.question!r} of the lab {lab.name!r} has no code to put the wrong answer "
            f"{wrong.name!r} in the place of; give its solution a code cell."
        )
    answers[0].source = wrong.body
    notebook.cells = [cell for cell in notebook.cells if not any(cell is answer for answer in answers[1:])]
    return notebook


def file_name(lab: Lab) -> str:
    """Return the name of a lab's notebook, such as ``"measure_it.ipynb"``."""
    return f"{lab.name}.ipynb"


def _assigned(lab: Lab) -> tuple[NotebookNode, NotebookNode]:
    """Let Otter make the student's and the solved notebook."""
    from otter import assign

    logging.getLogger("otter").setLevel(logging.WARNING)
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        master = Path(folder, file_name(lab))
        result = Path(folder, "made")
        nbformat.write(_master(lab), master)
        try:
            assign.main(str(master), str(result), no_pdfs=True, no_run_tests=True)
        except Exception as error:  # Otter has many, of no common kind
            raise InputError(f"Otter Assign refuses the lab {lab.name!r}: {error}") from error
        student, solved = (
            nbformat.read(result / part / master.name, as_version=4) for part in ("student", "autograder")
        )
    return _finish(lab, student, solved=False), _finish(lab, solved, solved=True)


def _master(lab: Lab) -> NotebookNode:
    """Return what Otter gets."""
    points = {question.name: question.points for question in lab.questions}
    cells = []
    for cell in lab.cells:
        if cell.role in ("hidden", "rubric"):
            continue
        made = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}.get(
            cell.kind, nbformat.v4.new_raw_cell
        )(_settings(lab) if cell.role == "config" else cell.source, id=cell.id)
        if cell.role == "text" and cell.question in points:  # below a question's first text
            made.source += f"\n\n*Points: {points.pop(cell.question):g}*"
        made.metadata = NotebookNode(_cell_metadata(cell))
        cells.append(made)
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": _KERNEL})


def _settings(lab: Lab) -> str:
    settings = {
        "name": lab.name,
        "init_cell": True,
        "check_all_cell": False,
        "export_cell": False,
        "generate": False,
        "run_tests": False,
        "suppress_no_tests_warning": True,
    }
    return "# ASSIGNMENT CONFIG\n" + yaml.safe_dump(settings, sort_keys=False)


def _cell_metadata(cell: Cell) -> dict:
    ours = {"question": cell.question, "role": cell.role}
    return {KEY: ours} | ({"tags": list(cell.tags)} if cell.tags else {})


def _finish(lab: Lab, notebook: NotebookNode, solved: bool) -> NotebookNode:
    """Give Otter's own cells an identifier and a question, and the notebook its name and version."""
    for cell in notebook.cells:
        cell.source = _PDF_MARK.sub("", cell.source)
    cells = [cell for cell in notebook.cells if cell.source.strip()]
    counts: Counter[str] = Counter()
    for position, cell in enumerate(cells):
        if KEY in cell.metadata:
            continue
        question, role = _role_of_made(cells, position)
        group = f"{question or 'lab'}-made-{role}"
        counts[group] += 1
        cell.id = f"{group}-{counts[group]}"
        cell.metadata[KEY] = {"question": question, "role": role}
    if solved:
        cells = _with_rubrics(lab, cells)
        for cell in cells:
            if cell.cell_type == "code":
                cell.source = _without_marks(cell.source)
    notebook.cells = cells
    notebook.metadata[KEY] = {
        "lab": lab.name,
        "title": lab.title,
        "version": lab.version,
        "questions": {question.name: question.points for question in lab.questions},
    }
    notebook.metadata.pop("language_info", None)
    nbformat.validate(notebook)
    return notebook


def _role_of_made(cells: list[NotebookNode], position: int) -> tuple[str, str]:
    """Return question and role of a cell that Otter put into a notebook."""
    cell = cells[position]
    if cell.source.startswith("# Initialize Otter"):
        return "", "start"
    nearest = next((each for each in reversed(cells[:position]) if KEY in each.metadata), None)
    question = nearest.metadata[KEY]["question"] if nearest is not None else ""
    if cell.source.startswith("grader.check("):
        return cell.source.split('"')[1], "check"
    return question, "answer" if cell.source == _PLACEHOLDER else "text"


def _with_rubrics(lab: Lab, cells: list[NotebookNode]) -> list[NotebookNode]:
    """Put rubrics below open questions, and take away what asks for an answer where there is one."""
    rubrics = {cell.id: cell for cell in lab.cells if cell.role == "rubric"}
    last = {cell.metadata[KEY]["question"]: cell.id for cell in cells}
    found = []
    for cell in cells:
        if cell.source != _PLACEHOLDER:
            found.append(cell)
        if last[cell.metadata[KEY]["question"]] == cell.id:
            for rubric in rubrics.values():
                if rubric.question == cell.metadata[KEY]["question"]:
                    made = nbformat.v4.new_markdown_cell(f"**Rubric**\n\n{rubric.source}", id=rubric.id)
                    made.metadata = NotebookNode(_cell_metadata(rubric))
                    found.append(made)
    return found


def _without_marks(source: str) -> str:
    """Take away what tells Otter which lines are the solution, and the starter code that stands beside it."""
    for mark in (_PROMPT, _MARK_LINE, _MARK):
        source = mark.sub("", source)
    return source.rstrip()
