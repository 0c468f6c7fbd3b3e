"""Every lab: its solution gets full points, its starter none, and typical wrong answers what they say they should.

``python -m pytest tests/course/test_labs.py -m slow -k measure_it -s`` does this for one lab, and prints how long its
graded path takes and what each check said.
"""

import json
import time
from pathlib import Path

import nbformat
import pytest

from crosseyed.course import grading, handout, source, submissions

LABS = {
    path.parent.name.partition("_")[2]: path.parent
    for path in sorted(Path("notebooks/labs").glob("[0-9]_*/lab.py"))
}
WRONG = {
    f"{name}-{file.stem}": (name, file.stem)
    for name, folder in LABS.items()
    for file in sorted((folder / "wrong").glob("[!.]*.py"))
}
SHORTEST_SECRET = 30  # characters of a line that could not stand anywhere by chance

pytestmark = pytest.mark.slow


class LabGrades:
    """What the notebooks made of a lab get, graded when they are first asked for."""

    def __init__(self, folder, output):
        self.lab = source.read(folder)
        self.output = output
        self.known = {}

    def __getitem__(self, name):
        if name not in self.known:
            wrong = {each.name: each for each in self.lab.wrong}
            if name in ("solution", "starter"):
                make = handout.solution_notebook if name == "solution" else handout.student_notebook
                notebook = make(self.lab)
            else:
                notebook = handout.notebook_with(self.lab, wrong[name])
            file = self.output / f"{name}.ipynb"
            nbformat.write(notebook, file)
            begun = time.monotonic()
            (graded,) = grading.grade(
                submissions.find(file), self.lab, self.output / "grades", say=lambda _: None
            )
            self.known[name] = graded.verdict
            print(f"\n{self.lab.name}, {name}: {time.monotonic() - begun:.1f} s")
            for failed in graded.verdict.failed:
                print(f"  cell {failed['cell']} raises {failed['kind']}: {failed['text']}")
            for check in graded.verdict.checks:
                points = f"{check.got:g} of {check.points:g}"
                print(f"  {check.question} {check.name}: {points}, {check.outcome} {check.detail}")
        return self.known[name]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grades of each lab, by its name."""
    return {name: LabGrades(folder, tmp_path_factory.mktemp(name)) for name, folder in LABS.items()}


@pytest.mark.parametrize("name", LABS)
def test_a_solution_gets_full_points_and_no_cell_of_it_fails(graded, name):
    verdict = graded[name]["solution"]
    assert not verdict.problem and not verdict.notes and not verdict.failed
    assert verdict.points() == graded[name].lab.automatic


@pytest.mark.parametrize("name", LABS)
def test_a_starter_gets_no_points(graded, name):
    verdict = graded[name]["starter"]
    assert not verdict.problem
    assert not {check.name: check.got for check in verdict.checks if check.got}


@pytest.mark.parametrize(("name", "wrong"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_gets_what_it_should(graded, name, wrong):
    verdict = graded[name][wrong]
    (answer,) = (each for each in graded[name].lab.wrong if each.name == wrong)
    assert not verdict.problem
    assert verdict.points() == dict(answer.points), answer.misconception


@pytest.mark.parametrize("name", LABS)
def test_a_lab_has_five_wrong_answers_that_lose_points(graded, name):
    lab = graded[name].lab
    lost = [each for each in lab.wrong if sum(each.points.values()) < sum(lab.automatic.values())]
    assert len(lost) >= 5


@pytest.mark.parametrize("name", LABS)
def test_nothing_of_solution_and_hidden_checks_is_handed_out(graded, name):
    lab = graded[name].lab
    student = handout.student_notebook(lab)
    shown = json.dumps(student, ensure_ascii=False)
    lines = {line.strip() for cell in student.cells for line in cell.source.splitlines()}
    in_code = {
        line for cell in lab.cells if cell.role not in ("hidden", "answer", "rubric") for line in parts(cell)
    }
    secret = {
        line for cell in lab.cells if cell.role in ("hidden", "rubric") for line in parts(cell)
    } - in_code
    assert not {line for line in secret if len(line) >= SHORTEST_SECRET and json.dumps(line)[1:-1] in shown}
    solved = {
        line.strip() for cell in handout.solution_notebook(lab).cells for line in cell.source.splitlines()
    }
    answers = {line for cell in lab.cells if cell.role == "answer" for line in between_marks(cell)}
    assert not {line for line in answers & solved if len(line) >= SHORTEST_SECRET} & lines
    assert "hidden_check" not in shown and "BEGIN SOLUTION" not in shown
    assert not any(cell.get("outputs") for cell in student.cells)


def parts(cell):
    return (line.strip() for line in cell.source.splitlines())


def between_marks(cell):
    """Lines of an answer that only the solution has."""
    if cell.kind == "markdown":
        yield from parts(cell)
    inside = False
    for line in parts(cell):
        if line.startswith(("# BEGIN SOLUTION", "# END SOLUTION")):
            inside = line.startswith("# BEGIN")
        elif inside:
            yield line
        elif "# SOLUTION" in line:
            yield line.split("# SOLUTION")[0].strip()
