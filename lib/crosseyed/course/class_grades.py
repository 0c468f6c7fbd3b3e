"""From what a class handed in to its grades: finds submissions, grades them, and writes what teachers get."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from crosseyed.course import gradebook, grading, submissions
from crosseyed.course.labs import Lab
from crosseyed.errors import InputError
from crosseyed.files import atomic_write, expand, try_writing


def grade_class(
    path: str | os.PathLike,
    lab: Lab,
    output: str | os.PathLike,
    *,
    seed: int = 0,
    at_a_time: int = 2,
    say: Callable[[str], None] = print,
) -> str:
    """Grade all submissions of a lab and write the tables; go on where an earlier run was interrupted.

    Parameters
    ----------
    path : path
        Folder or zip of submissions, as `crosseyed.course.submissions.find` takes it.
    lab : Lab
        The lab.
    output : path
        Folder for ``grades.csv``, ``summary.html`` and ``feedback/``.
    seed : int
        Seed of the hidden checks.
    at_a_time : int
        Submissions that are judged at a time.
    say : callable
        Takes a line for each submission that is done.

    Returns
    -------
    str
        What was made, for the terminal.

    Raises
    ------
    InputError
        There are no submissions, or the output folder lies among them, or is another command's.
    """
    submissions.require_apart(path, output)
    found = submissions.find(path)
    graded = grading.grade(found, lab, output, seed=seed, at_a_time=at_a_time, say=say)
    folder = expand(output)
    gradebook.write(folder, lab, graded, seed)
    problems = sum(bool(each.verdict.problem) for each in graded)
    walls = "" if all(each.verdict.isolated for each in graded) else "; not isolated, see the summary"
    return (
        f"{len(graded)} submissions, {problems} of them could not be graded{walls}; the summary is "
        f"{folder / 'summary.html'}"
    )


def grade_one(
    path: str | os.PathLike, lab: Lab, output: str | os.PathLike, results: Path, *, seed: int = 0
) -> None:
    """Grade what one student handed in, and write the file that Gradescope reads.

    Parameters
    ----------
    path : path
        Folder, zip or notebook of one student.
    lab : Lab
        The lab.
    output : path
        Folder for what is kept.
    results : path
        Gradescope's ``results.json``.
    seed : int
        Seed of the hidden checks.

    Raises
    ------
    InputError
        There is nothing at `path`, the output folder lies in it, or `results` cannot be written.
    """
    if not expand(path).exists():
        raise InputError(f"There is no {os.fspath(path)!r}; give the folder of a submission.")
    submissions.require_apart(path, output)
    try_writing(results)
    (graded,) = grading.grade([submissions.one(path)], lab, output, seed=seed, at_a_time=1)
    with atomic_write(results) as file:
        file.write_text(json.dumps(gradebook.gradescope(lab, graded.verdict), indent=1), encoding="utf-8")
