"""Which models a sweep is about, and how it ended."""

import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import indent

from crosseyed.editions import BUILD, SIZES, Edition
from crosseyed.errors import InputError, check_choice, suggest
from crosseyed.files import atomic_write
from crosseyed.models.scorer import RANDOM
from crosseyed.report.model_list import read_list
from crosseyed.workflow import failures
from crosseyed.workflow.notebooks import names, reads
from crosseyed.workflow.results import CHAPTER

RESULTS = "data/results/models"
"""What a notebook that compares the results of many models states that it reads."""

_EXPLORER = "lib/crosseyed/explorer/answers.py"


@dataclass(frozen=True)
class Sweep:
    """Models × seeds × notebooks."""

    editions: tuple[Edition, ...]
    """One for each model and seed."""
    notebooks: tuple[str, ...]
    """Names of the notebooks that are executed for each."""
    missing: tuple[str, ...]
    """Models whose checkpoint or folder cannot be used, each with the reason."""


def read_sweep(
    path: str | os.PathLike,
    notebooks: Sequence[str],
    size: str | None = None,
    on_request: Collection[str] = (),
) -> Sweep:
    """Read the models, seeds and notebooks of a sweep.

    Parameters
    ----------
    path : path
        A YAML file with the list `models` and perhaps the lists `seeds` (whole numbers, by default 0) and
        `notebooks` (by default all that are given here).
    notebooks : sequence of str
        Names of the notebooks that a sweep executes.
    size : str, optional
        Size of the editions whose entries state none; by default that of each model.
    on_request : collection of str
        Names of those that it executes only where the file names them.

    Raises
    ------
    InputError
        As `crosseyed.report.model_list.read_list`; and if a notebook or the size does not exist.
    """
    if size:
        check_choice("size", size, SIZES)
    listed = read_list(path)
    chosen, offered = dict.fromkeys(listed.notebooks or notebooks), [*notebooks, *on_request]
    for name in chosen:
        if name not in offered:
            raise InputError(
                f"{path} names the notebook {name!r}, which does not exist{suggest(name, offered)}"
            )
    editions, missing = [], []
    for entry in listed.models:
        keys = ("model", "pretrained", "checkpoint", "size", "precision")
        given = {key: entry[key] for key in keys if entry.get(key)}
        try:
            edition = Edition.from_mapping({"size": size} | given)
        except InputError as error:
            missing.append(f"{given['model']}: {error}")
            continue
        editions += [replace(edition, seed=seed) for seed in listed.seeds]
    found = [edition.name for edition in editions]
    for name in found:
        if found.count(name) > 1:
            raise InputError(f"{path} names {name} more than once; keep one of the entries.")
    return Sweep(tuple(editions), tuple(chosen), tuple(missing))


def measuring(folder: Path) -> list[str]:
    """Name the notebooks of a folder that measure a model: all but those that compare the results of a sweep.

    The explorer is not among them either (`explorers`): what it computes serves its page, and a sweep makes no pages.
    """
    left_out = explorers(folder)
    return [
        name
        for name in names(folder)
        if name not in left_out and RESULTS not in reads(folder / f"{name}.ipynb")
    ]


def explorers(folder: Path) -> list[str]:
    """Name the notebooks of a folder that compute what a page lets readers explore."""
    return [name for name in names(folder) if _EXPLORER in reads(folder / f"{name}.ipynb")]


def publish(sweep: Sweep, folder: Path, due: Collection[Path] = ()) -> None:
    """Copy the results of finished editions to the folder where results are kept.

    Results of random weights are computed and not kept; files of other models stay. Parameters are as of `summarize`.
    """
    for edition in sweep.editions:
        result, kept = edition.folder / "result.csv", folder / f"{edition.name}.csv"
        if not _is_done(edition, "result", due) or edition.pretrained == RANDOM:
            continue
        if not (kept.exists() and kept.read_bytes() == result.read_bytes()):
            with atomic_write(kept) as temporary:
                shutil.copyfile(result, temporary)


def other_sizes(sweep: Sweep, folder: Path) -> str:
    """Say which results of the same models at other sizes are kept already; an empty text if there are none.

    Each edition of a size has a file of its own, so that none takes the place of another.

    Parameters
    ----------
    sweep : Sweep
        What was asked for.
    folder : path
        Where results are kept.
    """
    found = [
        f"{other.name} ({size})"
        for edition in sweep.editions
        for size in SIZES
        if size != edition.size and (folder / f"{(other := replace(edition, size=size)).name}.csv").exists()
    ]
    if not found:
        return ""
    return (
        f"{folder} keeps results of other sizes: {', '.join(found)}. They stay, and those of this sweep get files of "
        "their own; where models are compared, the largest size of each counts."
    )


def refusal(edition: Edition) -> Path:
    """Return the path of a note that is there if the model of an edition could not be loaded, and says why."""
    return BUILD / "models" / f"{edition.name}.refused"


def is_done(sweep: Sweep, due: Collection[Path] = ()) -> bool:
    """Tell whether every edition of a sweep is done; parameters are as of `summarize`."""
    states = (_state(edition, sweep.notebooks, due) for edition in sweep.editions)
    return not sweep.missing and all(state == "done" for state in states)


def summarize(sweep: Sweep, resume: str, due: Collection[Path] = ()) -> str:
    """Say for a terminal what is done after a run, what failed and where, and which command continues it.

    Parameters
    ----------
    sweep : Sweep
        What was asked for.
    resume : str
        The command.
    due : collection of path
        What is not done, or not with the present inputs (`crosseyed.workflow.snakemake.unfinished`).
    """
    states = {edition.name: _state(edition, sweep.notebooks, due) for edition in sweep.editions}
    done = sum(state == "done" for state in states.values())
    total = len(states) + len(sweep.missing)
    lines = [f"{done} of {total} editions are done:"]
    lines += [f"  {name}: {state}" for name, state in states.items()]
    lines += [f"  {words}" for words in sweep.missing]
    if done < total:
        lines.append(f"What is done is kept. When the causes are fixed, `{resume}` continues with the rest.")
    return "\n".join(lines)


def _state(edition: Edition, notebooks: Sequence[str], due: Collection[Path]) -> str:
    open_ = [name for name in notebooks if not _is_done(edition, name, due)]
    if open_ and refusal(edition).exists():
        return "its model could not be loaded (the message above says why)"
    notes = {name: note for name in open_ if (note := failures.read(edition, name))}
    told = "".join(f"\n{indent(f'{name}: {note.rstrip()}', ' ' * 6)}" for name, note in notes.items())
    failed = [name for name in open_ if (edition.folder / "failed" / f"{name}.ipynb").exists()]
    if failed:
        return f"failed in {', '.join(failed)} (as far as they ran: {edition.folder / 'failed'}){told}"
    if open_:
        return f"not run: {', '.join(open_)}{told or ' (the message above says why)'}"
    if CHAPTER in notebooks and not _is_done(edition, "result", due):
        return "without a result (the message above says why)"
    return "done"


def _is_done(edition: Edition, name: str, due: Collection[Path]) -> bool:
    note = edition.folder / "done" / name
    return note.exists() and note not in due
