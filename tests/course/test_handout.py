"""What students get works by Otter's own checks, and holds no solution; what teachers get holds all of them."""

import io
import json
import os
from contextlib import chdir, redirect_stdout
from pathlib import Path

import nbformat
import pytest

from crosseyed.course import handout

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def student(lab):
    return handout.student_notebook(lab)


@pytest.fixture(scope="module")
def solved(lab):
    return handout.solution_notebook(lab)


def checked(notebook, tmp_path):
    """Run a notebook's code in this process and return Otter's public checks' results, by question."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "answers.csv").write_bytes(
        (HERE / "example_data" / "counting" / "answers.csv").read_bytes()
    )
    nbformat.write(notebook, tmp_path / "counting.ipynb")
    names = {}
    with chdir(tmp_path), redirect_stdout(io.StringIO()):
        for cell in notebook.cells:
            if cell.cell_type == "code" and not cell.source.startswith("grader.check"):
                exec(cell.source, names)
        return {name: names["grader"].check(name, global_env=names).grade for name in ("q1", "q2")}


def test_the_students_notebook_holds_nothing_that_is_not_for_students(student):
    text = json.dumps(student)
    for secret in (
        "hidden_check",
        "unseen_table",
        "unseen_gap",
        "rng",
        ".mean()",
        "marmalade",
        "names the object",
    ):
        assert secret not in text
    assert "SOLUTION" not in text and "crosseyed:" not in text


def test_the_students_notebook_has_no_outputs_and_the_public_checks(student):
    assert not any(cell.get("outputs") for cell in student.cells)
    assert set(student.metadata.otter.tests) == {"q1", "q2"}


def test_a_notebook_says_which_lab_and_version_it_is(student, solved):
    for notebook in (student, solved):
        ours = notebook.metadata[handout.KEY]
        assert (ours["lab"], ours["version"], ours["questions"]) == (
            "counting",
            3,
            {"q1": 3, "q2": 2, "q3": 4},
        )


def test_answers_are_found_by_their_metadata(student):
    answers = [
        (cell.cell_type, cell.metadata[handout.KEY]["question"])
        for cell in student.cells
        if cell.metadata[handout.KEY]["role"] == "answer"
    ]
    assert answers == [("code", "q1"), ("code", "q2"), ("markdown", "q3")]


def test_notebooks_are_equal_from_one_build_to_the_next(lab, student, solved):
    assert handout.student_notebook(lab) == student
    assert handout.solution_notebook(lab) == solved
    for notebook in (student, solved):
        assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_identifiers_are_those_of_the_source(lab, student):
    assert set(lab.long) <= {cell.id for cell in student.cells}


def test_the_solution_passes_its_public_checks(solved, tmp_path):
    assert checked(solved, tmp_path) == {"q1": 1, "q2": 1}


def test_the_starter_passes_none(student, tmp_path):
    student = nbformat.from_dict(student)
    student.cells = [cell for cell in student.cells if "resampled" not in cell.source]
    assert checked(student, tmp_path) == {"q1": 0, "q2": 0}


def test_teachers_get_solutions_and_rubrics_without_marks(solved):
    text = "\n".join(cell.source for cell in solved.cells)
    assert "marmalade" in text and "names the object" in text
    assert "SOLUTION" not in text and "PROMPT" not in text and "Type your answer" not in text


def test_a_wrong_answer_takes_the_place_of_the_solution(lab, tmp_path):
    percent = handout.notebook_with(lab, lab.wrong[0])
    grades = checked(percent, tmp_path)
    assert grades["q1"] == 0
    text = "\n".join(cell.source for cell in percent.cells)
    assert "100 * float" in text and "return float" not in text


def test_the_working_folder_stays(lab):
    before = os.getcwd()
    handout.student_notebook(lab)
    assert os.getcwd() == before
