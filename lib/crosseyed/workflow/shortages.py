"""What jobs had too little of, so that the next run asks for more.

Beside its edition is kept which memory or time a notebook had when it was ended for lack of it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, PositiveInt

from crosseyed.editions import Edition
from crosseyed.progress import hear, tell

_STATES = {"TIMEOUT": "runtime", "OUT_OF_MEMORY": "mem_mb"}  # Slurm's, and the resource that was too little
# If only a step of a job was ended for its memory, Slurm says that the job has failed, and the log alone tells why: in
# words of what gathers the accounting, of the kernel's cgroup, or of `crosseyed.workflow.execution`.
_MEMORY = re.compile(
    r"slurmstepd.* error: .*(Exceeded job memory limit|oom.kill|out-of-memory)|srun: error: .*Out Of Memory|"
    r"the kernel died, most often for lack of memory"
)


class _Shortage(BaseModel):
    mem_mb: PositiveInt | None = None
    runtime: PositiveInt | None = None


def cause(reason: str, log: str) -> str | None:
    """Return which resource a job lacked, ``"mem_mb"`` or ``"runtime"``, by what is said of it; None if it lacked none.

    Parameters
    ----------
    reason : str
        What Snakemake's executor says, with Slurm's state of the job in quotes.
    log : str
        What the job said.
    """
    found = (resource for state, resource in _STATES.items() if f"'{state}'" in reason)
    return next(found, "mem_mb" if _MEMORY.search(log) else None)


def note(folder: Path, notebook: str, resource: str, had: int) -> None:
    """Keep how much of a resource was too little for a notebook: MiB of memory, or minutes.

    Parameters
    ----------
    folder : path
        Folder of the edition.
    notebook : str
        Its name.
    resource : str
        As of `cause`.
    had : int
        What the job had; if more was too little before, that stays.
    """
    file = _file(folder, notebook)
    file.parent.mkdir(parents=True, exist_ok=True)
    known = _read(file)
    tell(file, known | {resource: max(had, known.get(resource, 0))})


def read(edition: Edition, notebook: str) -> Mapping[str, int]:
    """Return what was too little for a notebook of an edition, by resource."""
    return _read(_file(edition.folder, notebook))


def _read(file: Path) -> dict[str, int]:
    found = hear(file, _Shortage)
    return found.model_dump(exclude_none=True) if found else {}


def _file(folder: Path, notebook: str) -> Path:
    return folder / "shortages" / f"{notebook}.json"
