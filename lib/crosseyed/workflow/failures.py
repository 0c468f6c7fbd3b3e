"""Why a job on a cluster failed: a note beside what is kept of its notebook, for the summary of a sweep."""

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from crosseyed.editions import Edition
from crosseyed.files import atomic_write
from crosseyed.workflow import shortages

_ELSEWHERE = "For further error details see the cluster/cloud log"  # by which Snakemake ends what it says of such a job
_NO_REASON = re.compile(r" (Detailed failure reason unavailable.*|Reason: Unknown\.)")
_TOO_LITTLE = {"mem_mb": "{} MB of memory were too little", "runtime": "{} minutes were too little"}
_LINES = 15  # of a log that are shown
# A job runs Snakemake, which says what it will do before the command of its rule speaks, and afterwards that it failed.
_BEFORE = "    resources: "
_AFTER = re.compile(
    r"\[\w{3} \w{3} |Error in rule |    (message|jobid|input|output|shell): ?|        (python -m |\(command exited )|"
    r"(RuleException|WorkflowError):|(CalledProcessError|Shutting down|Exiting because|At least one job|Storing output|"
    r"Elapsed time)\b"
)
_HOW_FAR = re.compile(r"\S+: cell \d+ of \d+\b")  # as of `crosseyed.workflow.heartbeats.sentence`


def note_job(
    outputs: Sequence[str],
    message: str | None,
    logs: Sequence[str],
    asked: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Write down why a job that ran elsewhere failed, and say so; one on this machine has said it by itself.

    Parameters
    ----------
    outputs : sequence of str
        What the job was to make: the note that something of an edition is done.
    message : str
        What the executor says, of which the first sentences tell the reason.
    logs : sequence of str
        Files with what the job printed.
    asked : mapping
        What it asked for: `mem_mb` and `runtime`. If it was ended for lack of one, that is kept for the next run
        (`crosseyed.workflow.shortages`).
    """
    reason, elsewhere, _ = (message or "").partition(_ELSEWHERE)
    if not elsewhere:
        return
    done = Path(outputs[0])
    lines = [_NO_REASON.sub("", next(iter(reason.strip().splitlines()), "no reason is given"))]
    said = [line for log in map(Path, logs) for line in (f"log: {_short(log)}", *_last_lines(log))]
    lacked = shortages.cause(reason, "\n".join(said))
    if lacked and isinstance(had := asked.get(lacked), int):
        shortages.note(done.parents[1], done.name, lacked, had)
        lines.append(
            f"{_TOO_LITTLE[lacked].format(had)}; the next run asks for more, unless the profile sets it."
        )
    lines += said
    with atomic_write(done.parents[1] / "failed" / f"{done.name}.txt") as note:
        note.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="backslashreplace")
    print(f"{done.parents[1].name}, {done.name}: {lines[0]}", file=sys.stderr, flush=True)


def read(edition: Edition, notebook: str) -> str:
    """Return the note of `note_job` on a notebook, or an empty text."""
    with suppress(OSError):
        return (edition.folder / "failed" / f"{notebook}.txt").read_text(encoding="utf-8")
    return ""


def forget(edition: Edition) -> None:
    """Remove the notes of an earlier run."""
    for note in (edition.folder / "failed").glob("*.txt"):
        note.unlink()


def _last_lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ["| (there is no such file)"]
    spoken = text.rpartition(f"\n{_BEFORE}")[2].splitlines()
    spoken = spoken[1:] if _BEFORE in text else spoken
    told = [line for line in spoken if line.strip() and not _AFTER.match(line) and not _HOW_FAR.match(line)]
    return [f"| {line.rstrip()}" for line in told][-_LINES:]


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
