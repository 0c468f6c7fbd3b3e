"""A notebook is read whatever was done to it: what can be graded is, what is unusual is noted, the rest is named."""

import json

import nbformat
import pytest
import submitted

from crosseyed.course import handed_in, judge, sandbox
from crosseyed.errors import InputError


@pytest.fixture
def solved(lab):
    return submitted.solution(lab)


def read(lab, notebook, folder):
    submitted.write(notebook, folder / "counting.ipynb")
    return handed_in.read(folder, lab)


def code_of(notebook):
    return "\n".join(code for _, code in notebook.cells)


def test_code_is_read_in_its_order_and_long_cells_are_left_out(lab, solved, tmp_path):
    notebook = read(lab, solved, tmp_path)
    code = code_of(notebook)
    assert (
        code.index("read_csv") < code.index("def accuracy") < code.index("def gap") < code.index("globals()")
    )
    assert "random_state" not in code and not notebook.notes
    numbers = [number for number, _ in notebook.cells]
    assert all(
        solved.cells[number - 1].source == code for number, code in notebook.cells
    ) and numbers == sorted(numbers)


def test_written_answers_are_read(lab, solved, tmp_path):
    assert "marmalade" in read(lab, solved, tmp_path).text("q3")
    assert read(lab, solved, tmp_path).text("q1") == ""


def test_changed_metadata_change_little(lab, solved, tmp_path):
    for cell in solved.cells:
        cell["metadata"] = {}
    solved["metadata"] = {"kernelspec": {"name": "julia"}, "authors": [{"name": "x"}]}
    notebook = read(lab, solved, tmp_path)
    assert "random_state" not in code_of(notebook)  # by the comment that such cells begin with
    assert "marmalade" in notebook.text("q3")  # by the cell's identifier
    assert "which lab" in notebook.notes[0]


@pytest.mark.parametrize(
    "metadata",
    [None, [], "x", {"crosseyed": 7}, {"crosseyed": {"lab": ["counting"]}}, {"crosseyed": {"version": 3}}],
)
def test_odd_metadata_are_noted_or_named(lab, solved, tmp_path, metadata):
    solved["metadata"] = metadata
    try:
        assert read(lab, solved, tmp_path).notes
    except InputError as error:
        assert "notebook" in str(error)


def test_an_older_version_is_graded_and_noted(lab, solved, tmp_path):
    solved["metadata"]["crosseyed"]["version"] = 1
    assert "version 1" in read(lab, solved, tmp_path).notes[0]


def test_another_lab_is_named(lab, solved, tmp_path):
    solved["metadata"]["crosseyed"]["lab"] = "pooling"
    with pytest.raises(InputError, match="'pooling'"):
        read(lab, solved, tmp_path)


def test_an_old_format_is_read(lab, tmp_path):
    cells = [
        {
            "cell_type": "code",
            "input": ["x = 1\n", "y = 2"],
            "language": "python",
            "outputs": [],
            "metadata": {},
        }
    ]
    notebook = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {},
        "worksheets": [{"cells": cells, "metadata": {}}],
    }
    assert read(lab, notebook, tmp_path).cells == ((1, "x = 1\ny = 2"),)


TEXTS = {
    "empty": "",
    "white space": "  \n",
    "no JSON": "%PDF-1.4",
    "cut off": '{"cells": [{"cell_type": "code", "sou',
    "another JSON": "[1, 2]",
    "a number": "7",
    "no cells": '{"metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "cells of another kind": '{"cells": 7, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "nothing in it": '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "deep": "[" * 100_000,
    "of tomorrow": '{"cells": [], "metadata": {}, "nbformat": 99, "nbformat_minor": 0}',
    "a page": "<!DOCTYPE html><p>Sign in to download</p>",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_is_no_notebook_is_named(lab, tmp_path, text):
    (tmp_path / "counting.ipynb").write_text(text)
    with pytest.raises(InputError, match="notebook"):
        handed_in.read(tmp_path, lab)


def test_bytes_that_are_no_text_are_named(lab, tmp_path):
    (tmp_path / "counting.ipynb").write_bytes(b"\xff\xfe\x00\x01" * 100)
    with pytest.raises(InputError, match="not a notebook"):
        handed_in.read(tmp_path, lab)


def test_a_byte_order_mark_does_not_matter(lab, solved, tmp_path):
    (tmp_path / "counting.ipynb").write_text(json.dumps(solved), encoding="utf-8-sig")
    assert handed_in.read(tmp_path, lab).cells


@pytest.mark.parametrize(
    "cell", [None, 7, {}, {"cell_type": "code"}, {"cell_type": "code", "source": 7, "metadata": 7}]
)
def test_odd_cells_are_passed_over(lab, solved, tmp_path, cell):
    solved["cells"].append(cell)
    try:
        assert "def accuracy" in code_of(read(lab, solved, tmp_path))
    except InputError as error:
        assert "not a notebook" in str(error)


def test_of_several_notebooks_the_labs_own_is_read(lab, solved, tmp_path):
    other = json.loads(json.dumps(solved))
    other["metadata"]["crosseyed"]["lab"] = "pooling"
    submitted.write(other, tmp_path / "another.ipynb")
    submitted.write(other, tmp_path / ".ipynb_checkpoints" / "counting-checkpoint.ipynb")
    submitted.write(solved, tmp_path / "my work.ipynb")
    notebook = handed_in.read(tmp_path, lab)
    assert "def accuracy" in code_of(notebook)
    assert notebook.notes == ("2 notebooks were handed in; 'my work.ipynb' is graded.",)


needs_walls = pytest.mark.skipif(
    not sandbox.can_isolate(), reason="bubblewrap is not there, or may not do its work"
)


def code(source):
    return nbformat.v4.new_code_cell(source)


def replaced(cells, old, new):
    assert any(old in cell.source for cell in cells)
    for cell in cells:
        cell.source = cell.source.replace(old, new)
    return cells


EXITS = [code("exit()"), code("quit()"), code("import sys; sys.exit(1)")]
SHELL = code("!echo installed\n%matplotlib inline\n%time 1 + 1")
FIGURE = code("import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()")

# what is done to the solution, what it still gets, and what its cells raise
CHANGES = {
    "a check cell is deleted": (
        lambda cells: [cell for cell in cells if "grader.check" not in cell.source],
        (3, 2),
        [],
    ),
    "a check cell is renamed": (
        lambda cells: replaced(cells, 'grader.check("q1")', "grader.check(q)"),
        (3, 2),
        ["NameError"],
    ),
    "a check cell is emptied": (lambda cells: replaced(cells, 'grader.check("q1")', ""), (3, 2), []),
    "it exits": (lambda cells: [*EXITS, *cells], (3, 2), ["SystemExit"]),
    "a syntax error": (lambda cells: [*cells, code("def f(:")], (3, 2), ["SyntaxError"]),
    "a tab too many": (lambda cells: replaced(cells, "    center =", "\t\t  center ="), (3, 0), ["TabError"]),
    "out of order": (lambda cells: [code("share = accuracy(answers)"), *cells], (3, 2), ["NameError"]),
    "the data are elsewhere": (
        lambda cells: replaced(cells, "data/answers.csv", "C:\\\\me\\\\answers.csv"),
        (3, 2),
        ["FileNotFoundError", "NameError"],
    ),
    "a command of the shell": (lambda cells: [SHELL, *cells], (3, 2), []),
    "a figure is shown": (lambda cells: [FIGURE, *cells], (3, 2), []),
    "what is asked is typed in": (
        lambda cells: [code("input('?')"), *cells],
        (3, 2),
        ["EOFError"],
    ),
}


@needs_walls
@pytest.mark.parametrize(("change", "points", "kinds"), CHANGES.values(), ids=CHANGES)
def test_what_is_done_to_a_notebook_costs_what_it_breaks(lab, solved, tmp_path, change, points, kinds):
    solved.cells = change(solved.cells)
    verdict = submitted.judged(lab, solved, tmp_path)
    assert tuple(verdict.points().values()) == points
    assert [failed["kind"] for failed in verdict.failed][: len(kinds)] == kinds and bool(kinds) == bool(
        verdict.failed
    )


@needs_walls
def test_an_endless_cell_is_broken_off_and_the_rest_is_graded(lab, solved, tmp_path):
    solved.cells = [code("while True:\n    pass"), *solved.cells]
    limits = sandbox.Limits(cell_seconds=1)
    verdict = submitted.judged(lab, solved, tmp_path, limits=limits)
    assert verdict.total == 5 and verdict.failed[0]["kind"] == "OutOfTimeError"


def test_random_inputs_depend_on_seed_lab_question_and_check_alone():
    one = judge.generator(1, "counting", "q1", "a").random(3).tolist()
    assert one == judge.generator(1, "counting", "q1", "a").random(3).tolist()
    for other in (
        (2, "counting", "q1", "a"),
        (1, "pooling", "q1", "a"),
        (1, "counting", "q2", "a"),
        (1, "counting", "q1", "b"),
    ):
        assert one != judge.generator(*other).random(3).tolist()
