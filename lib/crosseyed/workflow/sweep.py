"""Which models a sweep is about, and how it ended."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosseyed.editions import BUILD, Edition
from crosseyed.errors import InputError, suggest
from crosseyed.files import atomic_write, visible_files
from crosseyed.models.scorer import RANDOM
from crosseyed.report.model_list import read_list
from crosseyed.workflow.notebooks import reads

RESULTS = "data/results/models"
"""What a notebook that compares the results of many models states that it reads."""


@dataclass(frozen=True)
class Sweep:
    """Models × seeds × notebooks."""

    editions: tuple[Edition, ...]
    """One for each model and seed."""
    notebooks: tuple[str, ...]
    """Names of the notebooks that are executed for each."""
    missing: tuple[str, ...]
    """Models whose checkpoint file is not there, each with where it was expected."""


def read_sweep(path: str | os.PathLike, notebooks: Sequence[str]) -> Sweep:
    """Read the models, seeds and notebooks of a sweep.

    Parameters
    ----------
    path : path
        A YAML file with the list `models` and perhaps the lists `seeds` (whole numbers, by default 0) and
        `notebooks` (by default all that are given here).
    notebooks : sequence of str
        Names of all notebooks.

    Raises
    ------
    InputError
        As `crosseyed.report.model_list.read_list`; and if a notebook does not exist.
    """
    listed = read_list(path)
    chosen = listed.notebooks or notebooks
    for name in chosen:
        if name not in notebooks:
            raise InputError(
                f"{path} names the notebook {name!r}, which does not exist{suggest(name, notebooks)}"
            )
    editions, missing = [], []
    for entry in listed.models:
        given = {key: entry[key] for key in ("model", "pretrained", "checkpoint") if entry.get(key)}
        if "checkpoint" in given and not Path(given["checkpoint"]).is_file():
            missing.append(f"{given['model']} needs its weights in {given['checkpoint']}")
            continue
        editions += [Edition.from_mapping({**given, "seed": seed}) for seed in listed.seeds]
    names = [edition.name for edition in editions]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path} names {name} more than once; keep one of the entries.")
    return Sweep(tuple(editions), tuple(chosen), tuple(missing))


def measuring(folder: Path) -> list[str]:
    """Name the notebooks of a folder that measure a model: all but those that compare the results of a sweep."""
    return [path.stem for path in visible_files(folder, ".ipynb") if RESULTS not in reads(path)]


def publish(sweep: Sweep, folder: Path) -> list[str]:
    """Copy the results of finished editions to the folder where results are kept, and return their names.

    Results of random weights are computed and not kept; files of other models stay.
    """
    done = [edition for edition in sweep.editions if (edition.folder / "result.csv").exists()]
    for edition in done:
        result, kept = edition.folder / "result.csv", folder / f"{edition.name}.csv"
        if edition.pretrained != RANDOM and not (kept.exists() and kept.read_bytes() == result.read_bytes()):
            with atomic_write(kept) as temporary:
                shutil.copyfile(result, temporary)
    return [edition.name for edition in done]


def summarize(sweep: Sweep, resume: str) -> str:
    """Say for a terminal what is done after a run, what failed and where, and which command continues it."""
    lines, failed = [], 0
    for edition in sweep.editions:
        state = _state(edition, sweep.notebooks)
        failed += state != "done"
        lines.append(f"  {edition.name}: {state}")
    lines += [f"  {words}" for words in sweep.missing]
    total = len(sweep.editions) + len(sweep.missing)
    left = failed + len(sweep.missing)
    lines.insert(0, f"{total - left} of {total} editions are done:")
    if left:
        lines.append(f"What is done is kept. When the causes are fixed, `{resume}` continues with the rest.")
    return "\n".join(lines)


def _state(edition: Edition, notebooks: Sequence[str]) -> str:
    if not (BUILD / "models" / f"{edition.name}.json").exists():
        return "its model could not be loaded (the message above says why)"
    failed = [name for name in notebooks if (edition.folder / "failed" / f"{name}.ipynb").exists()]
    if failed:
        return f"failed in {', '.join(failed)} (as far as they ran: {edition.folder / 'failed'})"
    open_ = [name for name in notebooks if not (edition.folder / "notebooks" / f"{name}.ipynb").exists()]
    if open_:
        return f"not run: {', '.join(open_)}"
    return (
        "done" if (edition.folder / "result.csv").exists() else "without a result, which needs 01_center_bias"
    )
