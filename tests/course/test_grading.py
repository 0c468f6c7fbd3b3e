"""A class is graded into the same tables, however often the run is killed, and what students wrote stays text."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
import submitted

from crosseyed.course import class_grades, gradebook, grading, sandbox, source, submissions
from crosseyed.course.grading import Graded
from crosseyed.course.submissions import Submission
from crosseyed.course.verdict import Judged, Verdict
from crosseyed.errors import InputError


def verdict_of(lab, *missed, outcome="wrong", **changes):
    """Return a verdict without the points of the checks that are named."""
    checks = [
        Judged(check.question, check.name, check.says, check.points, *result)
        for cell in lab.hidden
        for check in cell.checks
        for result in [(0.0, outcome, "") if check.name in missed else (check.points, "passed", "")]
    ]
    return Verdict(tuple(checks), isolated=True, **changes)


def table(folder):
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_of_two_submissions_of_one_student_the_better_counts(lab):
    worse = Graded(Submission("Zoë", "Zoë (1).ipynb"), verdict_of(lab, "unseen_gap"))
    better = Graded(Submission("zoe\u0308", "zoe\u0308.ipynb"), verdict_of(lab))
    broken = Graded(Submission("ZOË", "ZOË.zip"), Verdict.of_none(lab, "It is damaged.", True))
    other = Graded(Submission("Ben", "ben.ipynb"), verdict_of(lab, "unseen_gap"))
    for order in ([worse, better, broken, other], [other, broken, better, worse]):
        assert {each.submission.place: each.counts for each in grading.which_count(order)} == {
            "Zoë (1).ipynb": False,
            "zoe\u0308.ipynb": True,
            "ZOË.zip": False,
            "ben.ipynb": True,
        }


def test_the_table_holds_points_by_question_and_notes(lab, tmp_path):
    graded = grading.which_count(
        [
            Graded(Submission("Anna", "anna.ipynb"), verdict_of(lab, "unseen_gap")),
            Graded(Submission("Anna", "anna.zip"), verdict_of(lab)),
            Graded(Submission("Ben", "ben.pdf"), Verdict.of_none(lab, "It holds no notebook.", True)),
        ]
    )
    gradebook.write(tmp_path, lab, graded, seed=3)
    anna, ben = table(tmp_path)
    assert (anna["q1"], anna["q2"], anna["total"], anna["possible"]) == ("3", "2", "5", "5")
    assert anna["q3 (by hand)"] == "" and "anna.ipynb (4 points)" in anna["notes"]
    assert (ben["total"], ben["notes"]) == ("0", "It holds no notebook.")


def test_the_summary_counts_what_was_missed_among_what_could_be_graded(lab, tmp_path):
    verdicts = [verdict_of(lab), verdict_of(lab, "unseen_gap"), verdict_of(lab, "unseen_gap", outcome="late")]
    graded = [
        Graded(Submission(f"s{number}", f"s{number}.ipynb"), each) for number, each in enumerate(verdicts)
    ]
    graded.append(Graded(Submission("t", "t.pdf"), Verdict.of_none(lab, "No notebook.", True)))
    gradebook.write(tmp_path, lab, graded, seed=0)
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert "2 of 3" in page and "it took too long: 1" in page and "another answer than asked for: 1" in page
    assert (
        "mean 1.33 of 2, full points for 1 of 3 students" in page
    )  # of the second question, in the figure's text
    assert "Not isolated" not in page


EVIL = "<script>alert(1)</script>"


def test_what_students_wrote_is_text_on_all_pages(lab, tmp_path):
    failed = ({"cell": 1, "kind": EVIL, "text": f"{EVIL}\x1b[31m\ud800"},)
    verdict = verdict_of(lab, failed=failed, notes=(EVIL,))
    names = [EVIL, "=HYPERLINK(1)", "+1", "@a", "-1", "a/b", "..", "con", "A\nb", "x" * 250, "李", "\udce4"]
    graded = [Graded(Submission(name, f"{EVIL}{number}"), verdict) for number, name in enumerate(names)]
    gradebook.write(tmp_path, lab, graded, seed=0)
    pages = [tmp_path / "summary.html", *(tmp_path / "feedback").iterdir()]
    assert len(pages) == 1 + len(names)
    for page in pages:
        assert "<script" not in page.read_text(encoding="utf-8")
    assert {row["student"][0] for row in table(tmp_path)[1:5]} == {"'"}
    assert not any(row["notes"].startswith(("=", "+", "-", "@")) for row in table(tmp_path))


def test_feedback_of_names_that_differ_in_case_alone_is_kept_apart(lab, tmp_path):
    graded = [Graded(Submission(name, name), verdict_of(lab)) for name in ("a?", "A!", "a_")]
    gradebook.write(tmp_path, lab, graded, seed=0)
    assert sorted(path.name for path in (tmp_path / "feedback").iterdir()) == [
        "A_ [2].html",
        "a_ [3].html",
        "a_.html",
    ]


def test_feedback_shows_what_is_checked_and_nothing_of_the_checks(lab, tmp_path):
    verdict = verdict_of(lab, "unseen_gap")
    verdict = replace(verdict, checks=tuple(replace(check, detail="DETAIL") for check in verdict.checks))
    gradebook.write(tmp_path, lab, [Graded(Submission("Anna", "anna"), verdict)], seed=0)
    page = (tmp_path / "feedback" / "Anna.html").read_text(encoding="utf-8")
    assert "center minus off-center, in percentage points" in page and "4 of 5 points" in page
    shown = json.dumps(gradebook.gradescope(lab, verdict))
    for cell in lab.hidden:
        for line in cell.source.splitlines():
            if len(line.strip()) > 30 and "hidden_check" not in line:
                assert line.strip() not in page + shown
    for secret in ("unseen_gap", "DETAIL", "marmalade"):
        assert secret not in page + shown


def test_gradescope_gets_points_and_words(lab):
    result = gradebook.gradescope(lab, verdict_of(lab, "unseen_gap", outcome="raised TypeError"))
    assert result["score"] == 4 == sum(test["score"] for test in result["tests"])
    assert sum(test["max_score"] for test in result["tests"]) == 5
    assert [test["output"] for test in result["tests"] if test["status"] == "failed"] == [
        "the code raises TypeError"
    ]
    assert "q3" in result["output"]


def test_verdicts_come_back_as_they_were(lab, tmp_path):
    verdict = verdict_of(
        lab, "unseen_gap", failed=({"cell": 1, "kind": "a", "text": "\ud800"},), notes=("a", "b")
    )
    verdict.write(tmp_path / "v.json")
    assert Verdict.read(tmp_path / "v.json") == verdict


def test_the_output_may_not_lie_among_the_submissions(lab, tmp_path):
    submitted.write({}, tmp_path / "anna.ipynb")
    for output in (tmp_path, tmp_path / "grades"):
        with pytest.raises(InputError, match="lies among the submissions"):
            class_grades.grade_class(tmp_path, lab, output)


def test_a_folder_of_somebody_elses_is_left_alone(lab, tmp_path):
    submitted.write({}, tmp_path / "in" / "anna.ipynb")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("all of it")
    with pytest.raises(InputError, match="did not make"):
        class_grades.grade_class(tmp_path / "in", lab, tmp_path / "out")


@pytest.mark.parametrize("given", ["measureit", "", "nothing/there"])
def test_a_lab_that_is_none_is_named(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        source.find(given)


def test_one_submission_is_graded_for_gradescope(lab, tmp_path):
    submitted.write(submitted.solution(lab), tmp_path / "submission" / "counting.ipynb")
    class_grades.grade_one(tmp_path / "submission", lab, tmp_path / "out", tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text())["score"] == 5


def small_class(lab, folder):
    """Write nine submissions of all kinds; return the folder."""
    submitted.write(submitted.solution(lab), folder / "anna.ipynb")
    submitted.write(submitted.starter(lab), folder / "Anna (1).ipynb")
    submitted.write(
        submitted.starter(lab, "def accuracy(table):\n    return table['correct'].mean()"),
        folder / "ben.ipynb",
    )
    submitted.write(submitted.starter(lab), folder / "李" / "counting.ipynb")
    submitted.write(submitted.solution(lab, "1 / 0"), folder / "dora.ipynb")
    submitted.write(submitted.solution(lab, "import os\nos._exit(1)"), folder / "emil.ipynb")
    submitted.write(submitted.solution(lab), folder / "twin of anna.ipynb")
    (folder / "fritz.pdf").write_bytes(b"%PDF")
    (folder / "gerda.ipynb").write_bytes(b"")
    return folder


GRADE = """
import sys
from crosseyed.course import class_grades
import submitted
lab = submitted.example_lab()
print(class_grades.grade_class(sys.argv[1], lab, sys.argv[2], at_a_time=2, say=lambda _: None))
"""


def start(given, output):
    return subprocess.Popen([sys.executable, "-c", GRADE, str(given), str(output)], stdout=subprocess.PIPE)


def results(folder):
    pages = {path.name: path.read_text(encoding="utf-8") for path in (folder / "feedback").iterdir()}
    return (folder / "grades.csv").read_bytes(), (folder / "summary.html").read_text(encoding="utf-8"), pages


@pytest.mark.slow
def test_a_run_that_is_killed_at_ten_moments_ends_with_equal_tables(lab, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    given = small_class(lab, tmp_path / "class")
    begun = time.monotonic()
    assert start(given, tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - begun
    drawn = random.Random(1)
    killed = 0
    for number in range(10):
        # each goes on where the last ended, so that early and late parts are met
        run = start(given, tmp_path / "killed")
        time.sleep(drawn.uniform(0.3, seconds / 3))
        if run.poll() is None:
            run.send_signal(signal.SIGKILL if number % 2 else signal.SIGTERM)
            killed += 1
        run.wait()
        deadline = time.monotonic() + 10
        while (left := processes_of(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left  # the judges and what they started end with the command
    assert start(given, tmp_path / "killed").wait() == 0
    assert killed >= 3
    assert results(tmp_path / "killed") == results(tmp_path / "whole")
    assert not (tmp_path / "killed" / ".work").exists()


def processes_of(folder):
    def words(process):
        try:
            return " ".join(process.cmdline())
        except psutil.Error:
            return ""

    return [each for each in psutil.process_iter() if str(folder) in words(each) and each.pid != os.getpid()]


def test_a_second_run_judges_only_what_is_new(lab, tmp_path, monkeypatch):
    given = tmp_path / "class"
    submitted.write(submitted.starter(lab), given / "anna.ipynb")
    class_grades.grade_class(given, lab, tmp_path / "out", say=lambda _: None)
    before = results(tmp_path / "out")
    monkeypatch.setattr(sandbox, "Sandbox", None)
    monkeypatch.setattr(subprocess, "run", None)  # nothing is started
    class_grades.grade_class(given, lab, tmp_path / "out", say=lambda _: None)
    assert results(tmp_path / "out") == before


def test_two_who_hand_in_the_same_are_judged_once_and_get_the_same(lab, tmp_path):
    given = tmp_path / "class"
    for name in ("anna", "ben"):
        submitted.write(submitted.solution(lab), given / name / "counting.ipynb")
    said = []
    class_grades.grade_class(given, lab, tmp_path / "out", say=said.append)
    assert sorted(said) == ["anna: 5 points", "ben: 5 points"]
    assert len(list((tmp_path / "out" / "results").iterdir())) == 1


def test_other_seeds_and_labs_are_judged_anew(lab, tmp_path):
    (given,) = submissions.find(submitted.write(submitted.solution(lab), tmp_path / "anna.ipynb"))
    limits = sandbox.Limits()
    keys = {
        grading._digest_of_lab(lab, seed, isolated, limits) for seed in (0, 1) for isolated in (True, False)
    }
    assert len(keys) == 4
    submissions.collect(given, tmp_path / "copy")
    assert len({grading._digest(tmp_path / "copy", key) for key in keys}) == 4
