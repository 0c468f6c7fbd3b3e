"""Submissions of the example lab, as tests need them."""

import json
from pathlib import Path

import nbformat

from crosseyed.course import handed_in, handout, judge, sandbox, source

HERE = Path(__file__).parent / "course"
LIMITS = sandbox.Limits(cell_seconds=8, notebook_seconds=30, check_seconds=5, memory=2**30, processes=24)


def example_lab():
    return source.read(HERE / "example_lab", HERE / "example_data")


def starter(lab, *cells):
    """Return the student's notebook with cells added to its end."""
    notebook = handout.student_notebook(lab)
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    return notebook


def solution(lab, *cells):
    """Return the solved notebook with cells added to its end."""
    notebook = handout.solution_notebook(lab)
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    return notebook


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def judged(lab, notebook, folder, *, isolated=True, limits=LIMITS, seed=0):
    """Return the verdict on a notebook, judged in this process."""
    write(notebook, folder / "given" / "counting.ipynb")
    read = handed_in.read(folder / "given", lab)
    return judge.judge(lab, read, folder, seed=seed, limits=limits, isolated=isolated)
