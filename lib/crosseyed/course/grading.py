"""Grades a class: several submissions at a time, each judged by a process of its own, and each kept when it is done.

What is kept is named by a digest of the submission, the lab and the seed. So a run that was killed goes on where it
was, and a submission that is handed in again is judged again.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import crosseyed
from crosseyed.course import sandbox, submissions
from crosseyed.course.labs import Lab
from crosseyed.course.submissions import Submission
from crosseyed.course.verdict import Verdict
from crosseyed.errors import InputError
from crosseyed.escapes import one_line
from crosseyed.files import claim_folder, locked
from crosseyed.workflow import processes

MAKER = "grade"
"""The command that makes folders with grades."""

_FORM = 1  # of what is kept; raised with each change after which it is to be made anew
_LIBRARY = Path(crosseyed.__file__).parents[1]


@dataclass(frozen=True)
class Graded:
    """One submission and what came out.

    Attributes
    ----------
    submission : Submission
        What was handed in.
    verdict : Verdict
        What came out.
    counts : bool
        Whether it is the one that counts of its student's.
    """

    submission: Submission
    verdict: Verdict
    counts: bool = True


def grade(
    handed_in: Sequence[Submission],
    lab: Lab,
    output: str | os.PathLike,
    *,
    seed: int = 0,
    at_a_time: int = 2,
    limits: sandbox.Limits | None = None,
    say: Callable[[str], None] = print,
) -> list[Graded]:
    """Grade submissions, several at a time.

    Parameters
    ----------
    handed_in : sequence of Submission
        From `crosseyed.course.submissions.find`.
    lab : Lab
        The lab that they are of.
    output : path
        Folder for results, which are kept in ``results/``.
    seed : int
        What the hidden checks' random inputs depend on.
    at_a_time : int
        Submissions that are judged at a time.
    limits : Limits, optional
        What a submission's process may use.
    say : callable
        Takes a line for each submission that is done.

    Returns
    -------
    list of Graded
        In the order of `handed_in`. Of two of one student, that with more points counts.

    Raises
    ------
    InputError
        The folder is not this command's, or another run writes to it.
    """
    if sys.platform == "win32":
        raise InputError(
            "Submissions are graded on Linux and macOS only; on Windows, use its subsystem for Linux."
        )
    with working_in(output) as folder:
        shutil.rmtree(folder / ".work", ignore_errors=True)  # of a run that was killed
        grader = _Grader(lab, folder, seed, limits or sandbox.Limits(), sandbox.can_isolate(), say)
        done = grader.all(handed_in, at_a_time)
        shutil.rmtree(folder / ".work", ignore_errors=True)
    return which_count(done)


@contextmanager
def working_in(output: str | os.PathLike) -> Iterator[Path]:
    """Hold a folder of grades for this run alone, and give its path; raise InputError as `grade` does."""
    folder = claim_folder(output, MAKER).resolve()
    busy = f"Another run is grading into {str(folder)!r}; wait for it, or give another folder with --output."
    with locked(folder / ".lock", busy):
        yield folder


def which_count(graded: Iterable[Graded]) -> list[Graded]:
    """Return submissions with `counts` set: of one student's, the one with most points, then the last by name."""
    graded = list(graded)
    best: dict[str, Graded] = {}
    for each in graded:
        person = each.submission.person
        if person not in best or _rank(each) > _rank(best[person]):
            best[person] = each
    return [replace(each, counts=best[each.submission.person] is each) for each in graded]


def _rank(graded: Graded) -> tuple[bool, float, str]:
    return not graded.verdict.problem, graded.verdict.total, graded.submission.place


class _Grader:
    """Judges submissions of one lab into one folder."""

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        seed: int,
        limits: sandbox.Limits,
        isolated: bool,
        say: Callable[[str], None],
    ) -> None:
        self._lab, self._folder, self._seed, self._limits = lab, folder, seed, limits
        self._isolated, self._say = isolated, say
        self._key = _digest_of_lab(lab, seed, isolated, limits)
        self._locks: dict[str, threading.Lock] = {}
        self._stopping = threading.Event()

    def all(self, handed_in: Sequence[Submission], at_a_time: int) -> list[Graded]:
        pool = ThreadPoolExecutor(at_a_time)
        try:
            tasks = [pool.submit(self._grade, number, each) for number, each in enumerate(handed_in)]
            return [task.result() for task in tasks]
        except BaseException:
            self._stopping.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _grade(self, number: int, submission: Submission) -> Graded:
        work = self._folder / ".work" / str(number)
        try:
            notes = submissions.collect(submission, work / "given")
            verdict = self._verdict(work).with_notes(tuple(notes))
        except InputError as error:
            verdict = Verdict.of_none(self._lab, str(error), self._isolated)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        points = verdict.problem or f"{verdict.total:g} points"
        self._say(one_line(f"{submission.student}: {points}"))
        return Graded(submission, verdict)

    def _verdict(self, work: Path) -> Verdict:
        """Return the verdict that is kept for what lies in a folder, or judge it."""
        name = f"{_digest(work / 'given', self._key)}.json"
        result = self._folder / "results" / name
        with self._locks.setdefault(name, threading.Lock()):  # two may have handed in the same
            with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
                return Verdict.read(result)
            self._judge(work, result)
            try:
                return Verdict.read(result)
            except OSError:
                return Verdict.of_none(
                    self._lab, "The process that judges it ended; see the terminal.", self._isolated
                )

    def _judge(self, work: Path, result: Path) -> None:
        job = {
            "folder": str(work),
            "lab": str(self._lab.folder.resolve()),
            "data": str(self._lab.data_folder.resolve()),
            "seed": self._seed,
            "limits": asdict(self._limits),
            "isolated": self._isolated,
            "result": str(result),
        }
        file = work / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        if self._stopping.is_set():
            return
        environment = processes.command_environment() | {"OMP_NUM_THREADS": "1"}
        paths = [str(_LIBRARY), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, "-P", "-m", "crosseyed.course.judge", str(file)],
                env=environment,
                check=False,
                timeout=self._longest(),
            )

    def _longest(self) -> float:
        """Return the seconds after which a judge has failed: more than all its limits together."""
        checks = sum(len(cell.checks) for cell in self._lab.hidden)
        return 300 + 4 * self._limits.notebook_seconds + checks * (self._limits.check_seconds + 30)


def _digest_of_lab(lab: Lab, seed: int, isolated: bool, limits: sandbox.Limits) -> str:
    """Return what the verdicts on a lab depend on beside the submission."""
    digest = hashlib.sha256(
        json.dumps([_FORM, crosseyed.__version__, seed, isolated, asdict(limits)]).encode()
    )
    for path in (lab.folder / "lab.py", *lab.data):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _digest(folder: Path, key: str) -> str:
    """Return what stands for the files in a folder, and for what else the verdict depends on."""
    digest = hashlib.sha256(key.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")
        digest.update(hashlib.sha256(name).digest() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:24]
