"""Compares a class's own mitigations (lab 5) on objects that the lab never shows.

What a student handed in runs in the grader's sandbox only. It gets images and captions and gives back similarities;
which object an image shows never reaches it, and what is right is decided here. All entries are compared at once with
the plain model, as chapter 5 compares its own, so that p-values are corrected for the size of the class.
"""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crosseyed.course import grading, handed_in, judge, submissions
from crosseyed.course.grading import Graded
from crosseyed.course.judge import Student, StudentError
from crosseyed.course.labs import Lab
from crosseyed.course.sandbox import Limits, adopt_orphans, can_isolate, end_family, hide_memory
from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.errors import InputError
from crosseyed.escapes import for_spreadsheets, one_line
from crosseyed.measure import protocols
from crosseyed.mitigations import evaluation
from crosseyed.mitigations.protocol import read_protocol
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.mitigations.tasks import Task, make_split, split_objects
from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load
from crosseyed.settings import settings
from crosseyed.tables import write_table

LAB = "repair_it"
"""The lab whose question 7 asks for an entry."""

QUESTION = "q7"
"""It has to have all points: then strength zero is the plain model, and no place is told."""

SPLIT = (24, 40)
"""Validation and test objects of the lab, which are dealt with the seed `SPLIT_SEED`."""

SPLIT_SEED = 5

_FRESH = 40  # objects that the lab does not show
_SIDE = 112
_SECONDS = 300  # for one entry: ten passes of the tower take less on a slow machine

_MEASURE = """
import numpy as np
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.models.loading import load

mitigation = Mine(strength=float(entry["strength"]))
scorer = mitigate(load("pocketclip-centered"), mitigation)
result = {
    "similarities": scorer.similarities([np.array(image) for image in images], texts, progress=False),
    "name": str(entry["name"]),
    "strength": float(entry["strength"]),
    "passes": float(mitigation.passes),
}
"""

_CHANGES = [
    f"{name}_change{end}" for name in ("off_center", "center", "control") for end in ("", "_low", "_high")
]

_TEXTS = ["student", "name", "problem"]  # which students or their files word

COLUMNS = ["rank", "student", "name", "strength", *_CHANGES, "off_center_p", "passes", "verdict", "problem"]


def make(
    path: str | os.PathLike,
    lab: Lab,
    output: str | os.PathLike,
    *,
    seed: int = 0,
    at_a_time: int = 2,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Rank the entries of a class, and write ``leaderboard.csv``.

    Parameters
    ----------
    path : path
        Folder or zip of submissions, as for `crosseyed.course.class_grades.grade_class`.
    lab : Lab
        The lab `LAB`.
    output : path
        Folder of the grades; what is graded already is not graded again.
    seed : int
        Seed of the hidden checks, as the class was graded.
    at_a_time : int
        Submissions that are graded at a time.
    say : callable
        Takes a line for each entry.

    Returns
    -------
    pandas.DataFrame
        As of `rank`.

    Raises
    ------
    InputError
        The lab is another one, or as for `crosseyed.course.grading.grade`.
    """
    if lab.name != LAB:
        raise InputError(f"The lab {lab.name!r} has no leaderboard; give the submissions of {LAB!r}.")
    submissions.require_apart(path, output)
    graded = grading.grade(submissions.find(path), lab, output, seed=seed, at_a_time=at_a_time, say=say)
    adopt_orphans()
    hide_memory()
    model, tasks = load("pocketclip-centered"), fresh_tasks()
    entries = []
    with grading.working_in(output) as folder:
        for each in (each for each in graded if each.counts):
            entries.append(_entry(each, lab, model, tasks, folder / ".leaderboard"))
            say(one_line(f"{each.submission.student}: {entries[-1]['problem'] or 'measured'}"))
        table = rank(entries, plain_answers(model, tasks))
        texts = {name: table[name].map(for_spreadsheets, na_action="ignore") for name in _TEXTS}
        write_table(table.assign(**texts), folder / "leaderboard.csv")
    return table


def fresh_tasks() -> list[Task]:
    """Draw a grid, and the control that a mitigation does no harm, of objects that the lab does not show."""
    cutouts = read_catalogue(["fluent", "twemoji"])
    *_, fresh = split_objects(cutouts, [*SPLIT, _FRESH], seed=SPLIT_SEED)
    return make_split(fresh, objects_of(cutouts), protocols=["grid", "control"], side=_SIDE, seed=3)


def plain_answers(model: ClipModel, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return what the plain model answers, as `crosseyed.mitigations.evaluation.compare` takes it."""
    return pd.concat([task.score(model) for task in tasks], ignore_index=True).assign(**_about(BASELINE, 1.0))


def measure(student: Student, model: ClipModel, tasks: Sequence[Task]) -> dict[str, object]:
    """Ask a submission's process for the similarities of all images, and decide here which answers are right.

    Returns
    -------
    dict
        `name`, `strength`, `passes` as the entry says, and `answers`, one row per image.

    Raises
    ------
    StudentError
        The student's code raised something, or took too long.
    InputError
        What it gave is not a table of finite similarities.
    """
    images = np.stack([np.asarray(image) for task in tasks for image in task.images])
    labels = tasks[0].labels
    texts = protocols.captions_of([settings.name(label) for label in labels], None, "label")
    said = student.run(_MEASURE, images=images, texts=texts)
    similarities = np.asarray(said["similarities"])
    fits = similarities.shape == (len(images), len(labels)) and similarities.dtype.kind == "f"
    if not fits or not np.isfinite(similarities).all() or not 0 < float(said["passes"]) < math.inf:
        raise InputError("What the mitigation gives is not one finite similarity for each image and caption.")
    parts, start = [], 0
    for task in tasks:
        rows = model.logit_scale * similarities[start : start + len(task.images)]
        parts.append(protocols.answers_of(model, task.table, rows, labels, task.protocol))
        start += len(task.images)
    return {
        "name": str(said["name"])[:60],
        "strength": float(said["strength"]),
        "passes": float(said["passes"]),
        "answers": pd.concat(parts, ignore_index=True),
    }


def rank(entries: Sequence[dict[str, object]], plain: pd.DataFrame) -> pd.DataFrame:
    """Compare all entries with the plain model, and sort them by what they gain off-center.

    Parameters
    ----------
    entries : sequence of dict
        Of each: `student` and `problem`; without a problem also what `measure` returns.
    plain : pandas.DataFrame
        Of `plain_answers`.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, one row per entry: `rank`, missing where there is a problem; changes against the plain model
        off-center, at the center and in the control, in percentage points with the ends of their intervals, which
        resample objects; `off_center_p`, corrected for all entries by Holm's method; `verdict` by the protocol of
        mitigations.
    """
    measured = [number for number, each in enumerate(entries) if not each["problem"]]
    about = pd.DataFrame([{name: each.get(name) for name in COLUMNS} for each in entries], columns=COLUMNS)
    if not measured:
        return about
    parts = [
        entries[number]["answers"].assign(**_about(str(number), entries[number]["passes"]))
        for number in measured
    ]
    compared = evaluation.compare(pd.concat([plain, *parts], ignore_index=True))
    verdicts = read_protocol().verdicts(compared)
    by_task = {name: rows.set_index("candidate") for name, rows in compared.groupby("protocol")}
    for number in measured:
        grid, control = (by_task[name].loc[str(number)] for name in ("grid", "control"))
        for end in ("", "_low", "_high"):
            about.loc[number, f"off_center_change{end}"] = grid[f"off_center_change{end}"]
            about.loc[number, f"center_change{end}"] = grid[f"center_change{end}"]
            about.loc[number, f"control_change{end}"] = control[f"center_change{end}"]
        about.loc[number, "off_center_p"] = grid["off_center_p"]
        about.loc[number, "verdict"] = verdicts[str(number)]
    about = about.sort_values("off_center_change", ascending=False, na_position="last", ignore_index=True)
    places = about["off_center_change"].astype(float).rank(method="min", ascending=False)
    return about.assign(rank=places.astype("Int64"))


def shown(table: pd.DataFrame) -> str:
    """Return a ranking as text for the terminal, with what to think of its first place."""
    lines = []
    for row in table.to_dict("records"):
        if row["problem"]:
            lines.append(f"   –  {one_line(row['student'])}: {one_line(row['problem'])}")
            continue
        off_center, center, control = (
            f"{row[f'{name}_change']:+.1f} [{row[f'{name}_change_low']:+.1f}, {row[f'{name}_change_high']:+.1f}]"
            for name in ("off_center", "center", "control")
        )
        who = one_line(f"{row['student']}, {row['name']}")
        lines.append(
            f"{row['rank']:>4}  {who} ({row['strength']:g}): off-center {off_center}, center {center}, "
            f"control {control}: {row['verdict']}"
        )
    measured = int(table["rank"].notna().sum())
    if measured > 1:
        lines.append(
            f"Changes are in percentage points. The best of {measured} looks better here than it would on yet other "
            "objects."
        )
    return "\n".join(lines)


def _entry(
    graded: Graded, lab: Lab, model: ClipModel, tasks: Sequence[Task], work: Path
) -> dict[str, object]:
    """Measure one submission; say why where that is not possible."""
    about: dict[str, object] = {"student": graded.submission.student, "problem": graded.verdict.problem}
    full = lab.question(QUESTION).points
    if not about["problem"] and graded.verdict.points().get(QUESTION, 0) < full:
        about["problem"] = f"Not entered: {QUESTION} has not all of its {full:g} points."
    if about["problem"]:
        return about
    shutil.rmtree(work, ignore_errors=True)
    try:
        submissions.collect(graded.submission, work / "given")
        notebook = handed_in.read(work / "given", lab)
        limits = Limits(check_seconds=_SECONDS)
        with judge.opened(lab, notebook, work, limits=limits, isolated=can_isolate()) as student:
            return about | measure(student, model, tasks)
    except (StudentError, InputError, ValueError, TypeError, KeyError) as error:
        return about | {"problem": f"It could not be measured ({type(error).__name__})."}
    finally:
        end_family()  # without walls, what an entry started would live on beside the next one
        shutil.rmtree(work, ignore_errors=True)


def _about(candidate: str, passes: float) -> dict[str, object]:
    kind = BASELINE if candidate == BASELINE else "mitigation"
    return {"candidate": candidate, "family": candidate, "kind": kind, "oracle": False, "passes": passes}
