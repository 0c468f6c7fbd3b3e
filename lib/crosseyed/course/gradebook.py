"""What a teacher gets of a graded class: a table, a summary and a page of feedback for each student.

Feedback shows what a check looks for and what came out, never what it asked or expected: of what a student's code said
while it was asked, only the name of a built-in exception passes. What a student wrote is text on all pages.
"""

import csv
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from crosseyed import __version__
from crosseyed.course.grading import Graded
from crosseyed.course.labs import Lab
from crosseyed.course.verdict import Judged, Verdict
from crosseyed.escapes import for_spreadsheets, printable
from crosseyed.files import atomic_write, exchange
from crosseyed.report.figures.style import COLORS, styled
from crosseyed.workflow.standalone import picture, write_page

_OUTCOMES = {
    "passed": "as it should be",
    "wrong": "another answer than asked for",
    "late": "it took too long",
    "unfit": "an answer of another type or shape than asked for",
    "not graded": "not graded",
}
_LONGEST_FILE_NAME = 180  # bytes
_COLUMNS = 4  # panels side by side


def write(folder: Path, lab: Lab, graded: Sequence[Graded], seed: int) -> None:
    """Write ``grades.csv``, ``summary.html`` and ``feedback/``.

    Parameters
    ----------
    folder : pathlib.Path
        Where they go; what an earlier run wrote there is replaced.
    lab : Lab
        The lab.
    graded : sequence of Graded
        From `crosseyed.course.grading.grade`.
    seed : int
        The seed of the hidden checks.
    """
    counted = [each for each in graded if each.counts]
    files = _file_names(counted)
    notes = [_notes(each, graded) for each in counted]
    making = folder / ".feedback"
    shutil.rmtree(making, ignore_errors=True)
    for each, file, said in zip(counted, files, notes, strict=True):
        _write_feedback(making / file, lab, each, said)
    exchange(making, folder / "feedback")
    _write_table(folder / "grades.csv", lab, counted, notes)
    _write_summary(folder / "summary.html", lab, graded, counted, files, notes, seed)


def gradescope(lab: Lab, verdict: Verdict) -> dict[str, Any]:
    """Return one submission's result as Gradescope reads it (``results.json``)."""
    tests = [
        {
            "name": f"{check.question}: {check.says}",
            "score": check.got,
            "max_score": check.points,
            "status": "passed" if check.outcome == "passed" else "failed",
            "output": _in_words(check),
            "visibility": "visible",
        }
        for check in verdict.checks
    ]
    said = [verdict.problem, *map(_of_cell, verdict.failed), *verdict.notes]
    if manual := lab.manual:
        said.append(f"Graded by your teacher: {', '.join(manual)}.")
    return {"score": verdict.total, "output": printable("\n".join(filter(None, said))), "tests": tests}


def _in_words(check: Judged) -> str:
    """Return what came out of a check, in words that hold nothing that it asked."""
    if check.outcome.startswith("raised "):
        return f"the code raises {check.outcome.removeprefix('raised ')}"
    return _OUTCOMES[check.outcome]


def _of_cell(failed: Mapping[str, Any]) -> str:
    return f"Cell {failed['cell']} raises {failed['kind']}: {failed['text']}"


def _by_hand(lab: Lab) -> str:
    """Return what to say of questions that a person grades; ``""`` if there are none."""
    manual = lab.manual
    if not manual:
        return ""
    return f", and {sum(manual.values()):g} by your teacher ({', '.join(manual)})"


def _notes(own: Graded, graded: Iterable[Graded]) -> list[str]:
    """Return all notes on the submission that counts for a student."""
    others = [
        each
        for each in graded
        if each.submission.person == own.submission.person and each.submission.place != own.submission.place
    ]
    notes = [own.verdict.problem] if own.verdict.problem else []
    if others:
        places = ", ".join(f"{each.submission.place} ({_result(each.verdict)})" for each in others)
        notes.append(f"{own.submission.place} counts; also handed in: {places}.")
    return notes + list(own.verdict.notes)


def _result(verdict: Verdict) -> str:
    return "not graded" if verdict.problem else f"{verdict.total:g} points"


def _file_names(graded: Sequence[Graded]) -> list[str]:
    """Return a file name for each student's feedback: none is another's, on no file system."""
    taken: Counter[str] = Counter()
    names = []
    for each in graded:
        stem = re.sub(r"[^\w .()-]", "_", printable(each.submission.student)).strip(". ") or "student"
        stem = stem.encode("utf-8")[:_LONGEST_FILE_NAME].decode("utf-8", "ignore")
        taken[stem.casefold()] += 1
        number = taken[stem.casefold()]
        names.append(f"{stem}.html" if number == 1 else f"{stem} [{number}].html")
    return names


def _write_feedback(path: Path, lab: Lab, graded: Graded, notes: list[str]) -> None:
    verdict, points = graded.verdict, graded.verdict.points()
    questions = [
        {
            "name": question.name,
            "points": f"{question.points:g}",
            "got": "–" if question.manual else f"{points.get(question.name, 0):g}",
            "manual": question.manual,
            "checks": [
                {
                    "says": check.says,
                    "got": f"{check.got:g}",
                    "points": f"{check.points:g}",
                    "outcome": _in_words(check),
                }
                for check in verdict.checks
                if check.question == question.name
            ],
        }
        for question in lab.questions
    ]
    write_page(
        path,
        "feedback.html",
        student=printable(graded.submission.student),
        place=printable(graded.submission.place),
        title=lab.title,
        lab=lab.name,
        version=lab.version,
        problem=printable(verdict.problem),
        total=f"{verdict.total:g}",
        possible=f"{sum(lab.automatic.values()):g}",
        by_hand=_by_hand(lab) + ".",
        questions=questions,
        failed=[
            {key: printable(str(cell[key])) for key in ("cell", "kind", "text")} for cell in verdict.failed
        ],
        notes=[printable(note) for note in notes if note != verdict.problem],
    )


def _write_table(path: Path, lab: Lab, graded: Sequence[Graded], notes: Sequence[list[str]]) -> None:
    automatic, manual = lab.automatic, lab.manual
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["student", *automatic, *(f"{name} (by hand)" for name in manual), "total", "possible", "notes"]
        )
        for each, said in zip(graded, notes, strict=True):
            points = each.verdict.points()
            row = [for_spreadsheets(each.submission.student)]
            row += [f"{points.get(name, 0):g}" for name in automatic] + [""] * len(manual)
            row += [
                f"{each.verdict.total:g}",
                f"{sum(automatic.values()):g}",
                for_spreadsheets(" ".join(said)),
            ]
            writer.writerow(row)


def _write_summary(
    path: Path,
    lab: Lab,
    graded: Sequence[Graded],
    counted: Sequence[Graded],
    files: Sequence[str],
    notes: Sequence[list[str]],
    seed: int,
) -> None:
    automatic = lab.automatic
    rows = [
        {
            "student": printable(each.submission.student),
            "file": file,
            "points": [f"{each.verdict.points().get(name, 0):g}" for name in automatic],
            "total": f"{each.verdict.total:g}",
            "notes": printable(" ".join([*said, *_failed_cells(each.verdict)])),
        }
        for each, file, said in zip(counted, files, notes, strict=True)
    ]
    gradable = [each.verdict for each in counted if not each.verdict.problem]
    points = {name: [verdict.points().get(name, 0.0) for verdict in gradable] for name in automatic}
    figure = None
    if gradable:
        figure = picture(_distribution_figure(points, automatic), _alternative(points, automatic))
    write_page(
        path,
        "grades.html",
        title=lab.title,
        lab=lab.name,
        version=lab.version,
        seed=seed,
        crosseyed=__version__,
        students=len(counted),
        submissions=len(graded),
        possible=f"{sum(automatic.values()):g}",
        by_hand=_by_hand(lab),
        isolated=all(each.verdict.isolated for each in graded),
        questions=list(automatic),
        rows=rows,
        figure=figure,
        distribution=[_distribution(name, automatic[name], values) for name, values in points.items()],
        missed=_missed(gradable),
    )


def _failed_cells(verdict: Verdict) -> list[str]:
    if not verdict.failed:
        return []
    return [f"Cells that fail: {', '.join(str(cell['cell']) for cell in verdict.failed)}."]


def _distribution(name: str, possible: float, values: list[float]) -> dict[str, str]:
    row = {"question": name, "points": f"{possible:g}", "mean": "–", "median": "–", "full": "–", "none": "–"}
    if values:
        row |= {"mean": f"{mean(values):.2f}", "median": f"{median(values):g}"}
        row |= {"full": str(sum(value >= possible for value in values)), "none": str(values.count(0.0))}
    return row


def _missed(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """Return the checks that somebody missed, those that most missed first."""
    ways: dict[tuple[str, str, str], Counter[str]] = {}
    for verdict in verdicts:
        for check in verdict.checks:
            if check.outcome != "passed":
                ways.setdefault((check.question, check.name, check.says), Counter())[_in_words(check)] += 1
    return [
        {
            "question": question,
            "says": says,
            "count": how.total(),
            "of": len(verdicts),
            "how": "; ".join(f"{word}: {count}" for word, count in how.most_common()),
        }
        for (question, _, says), how in sorted(ways.items(), key=lambda item: (-item[1].total(), item[0]))
    ]


@styled
def _distribution_figure(points: Mapping[str, list[float]], possible: Mapping[str, float]) -> Figure:
    """Show for each question how many students got how many points."""
    rows = -(-len(points) // _COLUMNS)
    columns = min(len(points), _COLUMNS)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.4 * columns, 2.0 * rows), sharey=True, squeeze=False
    )
    for axis, (name, values) in zip(axes.flat, points.items(), strict=False):
        kinds = sorted({*range(int(possible[name]) + 1), possible[name], *values})
        axis.bar(np.arange(len(kinds)), [values.count(kind) for kind in kinds], color=COLORS[0], width=0.7)
        axis.set_xticks(np.arange(len(kinds)), [f"{kind:g}" for kind in kinds])
        axis.set_title(name)
        axis.set_xlabel(f"points of {possible[name]:g}")
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.grid(False, axis="x")
    for axis in axes.flat[len(points) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("students")
    return figure


def _alternative(points: Mapping[str, list[float]], possible: Mapping[str, float]) -> str:
    parts = [
        f"{name}: mean {mean(values):.2f} of {possible[name]:g}, full points for "
        f"{sum(value >= possible[name] for value in values)} of {len(values)} students"
        for name, values in points.items()
    ]
    return "Bars for each question: how many students got how many points. " + "; ".join(parts) + "."
