"""Judges one submission: hidden checks run here, in a process that runs none of a student's code.

A lab's hidden cells are ordinary Python. They get `hidden_check`, with which they declare checks, and `DATA`, the
folder of the lab's data. A check takes a `Student`, through which it asks the submission's process for plain data, and
a random generator; it passes when it returns.
"""

import builtins
import json
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from crosseyed.course import handed_in, source
from crosseyed.course.labs import Lab
from crosseyed.course.sandbox import (
    EndedError,
    LateError,
    Limits,
    Needs,
    Sandbox,
    adopt_orphans,
    end_family,
    hide_memory,
)
from crosseyed.course.verdict import Judged, Verdict
from crosseyed.errors import InputError
from crosseyed.workflow import processes

_MOST_STARTS = 4  # of a submission's process, which a cell or a check may end
_GRACE = 10  # seconds that a check may take beyond what it gives the student's code
UNFIT = "NotPlainError"
"""The kind of a `StudentError` for an answer that is not plain data."""

_BUILT_IN = frozenset(
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
)


class StudentError(Exception):
    """The student's code raised something, ended, took too long, or returned what is not plain data.

    Attributes
    ----------
    kind : str
        Name of a built-in exception; `UNFIT` for what is not plain data; or ``"an error"``, because names of other
        classes are the student's to choose.
    """

    def __init__(self, message: str, kind: str = "an error") -> None:
        super().__init__(message)
        self.kind = kind if kind in _BUILT_IN or kind == UNFIT else "an error"


class _LateCheckError(BaseException):
    """A check takes too long of itself."""


@dataclass(frozen=True)
class Check:
    """A hidden check: what `hidden_check` was given, and the function."""

    question: str
    points: float
    says: str
    run: Callable[["Student", np.random.Generator], None]


class Student:
    """What a check sees of a submission: its functions, its variables and its written answers, as plain data."""

    def __init__(self, session: "_Session", seconds: float) -> None:
        self._session = session
        self._until = time.monotonic() + seconds

    def call(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return what a function of the student's returns.

        Raises
        ------
        StudentError
            There is no such function, or it raised, ended its process, took too long, or returned no plain data.
        """
        return self._ask("call", name=function, args=list(args), kwargs=kwargs)

    def value(self, name: str) -> Any:
        """Return a variable of the student's; raise StudentError as `call` does."""
        return self._ask("value", name=name)

    def run(self, code: str, **inputs: Any) -> Any:
        """Execute our code among copies of the student's names and return what it leaves as ``result``.

        The code runs in the student's process. Let it return measurements, not verdicts: the comparison belongs here.

        Raises
        ------
        StudentError
            As `call`.
        """
        return self._ask("run", code=code, inputs=inputs)

    def text(self, question: str) -> str:
        """Return what the student wrote below a question, in Markdown; ``""`` if nothing."""
        return self._session.notebook.text(question)

    def _ask(self, do: str, **question: Any) -> Any:
        said = self._session.ask(do, max(self._until - time.monotonic(), 0.1), **question)
        if "error" in said:
            error = said["error"] if isinstance(said["error"], dict) else {}
            kind, text = str(error.get("kind", ""))[:60], str(error.get("text", ""))[:2000]
            if kind == "OutOfTimeError":
                raise StudentError("It took too long.", "TimeoutError")
            raise StudentError(f"{kind}: {text}", kind)
        return said["answer"]


class _Session:
    """A submission's process, begun again when it ended, and the notebook that it runs."""

    def __init__(self, notebook: handed_in.Notebook, start: Callable[[], Sandbox], limits: Limits) -> None:
        self.notebook = notebook
        self.failed: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._limits = limits
        self._start = start
        self._sandbox: Sandbox | None = None
        self._starts = 0
        self._asked = False
        self._ending: set[int] = set()  # cells that end the process

    def ready(self) -> bool:
        """Begin the process if it is not there, and tell whether it is."""
        while self._sandbox is None and self._starts < _MOST_STARTS:
            self._starts += 1
            self._execute()
        return self._sandbox is not None

    def ask(self, do: str, seconds: float, **question: Any) -> dict[str, Any]:
        if self._sandbox is None:
            raise StudentError("The process of the notebook has ended.")
        self._asked = True
        try:
            return self._sandbox.ask(do, seconds, **question)
        except EndedError as error:
            self.close()
            raise StudentError(str(error), "TimeoutError" if isinstance(error, LateError) else "") from None

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def _execute(self) -> None:
        self._sandbox = self._start()
        begun = [0]
        cells = [[number, code] for number, code in self.notebook.cells if number not in self._ending]
        try:
            said = self._sandbox.ask(
                "execute",
                self._limits.notebook_seconds,
                lambda told: begun.append(_number(told.get("cell"))),
                cells=cells,
                cell_seconds=self._limits.cell_seconds,
            )
        except EndedError as error:
            culprit, output = begun[-1], self._sandbox.output
            self.close()
            if culprit == 0:
                self._starts = _MOST_STARTS
                self.notes.append("The process that runs the notebook did not start.")
                print(output, file=sys.stderr)
            else:
                self.notes.append(f"Cell {culprit} ends the notebook's process, and is left out. {error}")
                self._ending.add(culprit)
            return
        if not self._asked:  # once a check has asked, what is said could hold what it asked
            self.failed = list(_failed(said.get("answer")))


def _number(told: Any) -> int:
    return told if type(told) is int else 0


def _failed(answer: Any) -> Iterator[dict[str, Any]]:
    """Return what a submission's process says of cells that failed, as far as it is what it should be."""
    for each in answer[:500] if isinstance(answer, list) else ():
        if isinstance(each, dict):
            number, kind, text = (each.get(key) for key in ("cell", "kind", "text"))
            if type(number) is int and isinstance(kind, str) and isinstance(text, str):
                yield {"cell": number, "kind": kind[:60], "text": text[:500]}


def judge(
    lab: Lab, notebook: handed_in.Notebook, folder: Path, *, seed: int, limits: Limits, isolated: bool
) -> Verdict:
    """Run a submission's notebook and judge it by a lab's hidden checks.

    Parameters
    ----------
    lab : Lab
        The lab.
    notebook : handed_in.Notebook
        What was handed in, as read.
    folder : pathlib.Path
        Holds a copy of what was handed in, ``given/``; the lab's data are put beside it.
    seed : int
        What the checks' random inputs depend on, with the names of lab, question and check.
    limits : Limits
        What the submission's process may use.
    isolated : bool
        Whether it runs inside bubblewrap.

    Returns
    -------
    Verdict
        A result for each check.
    """
    data = lab.copy_data(folder)
    with closing(_session(lab, notebook, folder, limits, isolated)) as session:
        with ThreadPoolExecutor(1) as beside:  # what checks import is loaded while the notebook runs
            collecting = beside.submit(declared_checks, lab, data)
            session.ready()  # in this thread: bubblewrap ends with the thread that started it
        checks = collecting.result()
        judged = tuple(_judge(lab, check, session, seed, limits) for check in checks)
    return Verdict(judged, tuple(session.failed), (*notebook.notes, *session.notes), isolated)


@contextmanager
def opened(
    lab: Lab, notebook: handed_in.Notebook, folder: Path, *, limits: Limits, isolated: bool
) -> Iterator[Student]:
    """Run a submission's notebook in its sandbox, and yield what can be asked of it until the block ends.

    Parameters
    ----------
    lab, notebook, folder, limits, isolated
        As of `judge`; all questions together may take the time of one check.
    """
    with closing(_session(lab, notebook, folder, limits, isolated)) as session:
        session.ready()
        yield Student(session, limits.check_seconds)


def _session(
    lab: Lab, notebook: handed_in.Notebook, folder: Path, limits: Limits, isolated: bool
) -> _Session:
    needs, hidden = Needs(lab.data, lab.models), (lab.folder.parent, folder.parent)
    return _Session(
        notebook,
        lambda: Sandbox(folder / "given", needs, limits, isolated=isolated, hidden=hidden),
        limits,
    )


def declared_checks(lab: Lab, data: Path) -> list[Check]:
    """Execute a lab's hidden cells, and return the checks that they declare, in their order.

    Parameters
    ----------
    lab : Lab
        The lab.
    data : pathlib.Path
        Folder with the lab's data.
    """
    checks: list[Check] = []

    def hidden_check(question: str, *, points: float, says: str) -> Callable[[Callable], Callable]:
        def declare(run: Callable) -> Callable:
            checks.append(Check(question, float(points), says, run))
            return run

        return declare

    space = {"__name__": f"hidden_checks_of_{lab.name}", "hidden_check": hidden_check, "DATA": data}
    for cell in lab.hidden:
        exec(compile(cell.source, f"<hidden cell {cell.id} of {lab.name}>", "exec"), space)
    return checks


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the random generator of a seed and names: the same for each submission, another for each name."""
    digest = sha256("/".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(list(digest))


def _judge(lab: Lab, check: Check, session: _Session, seed: int, limits: Limits) -> Judged:
    name = check.run.__name__
    _seed_all(seed)
    session.ready()
    student = Student(session, limits.check_seconds)
    outcome, detail = "passed", ""
    try:
        with _within(limits.check_seconds + _GRACE):
            check.run(student, generator(seed, lab.name, check.question, name))
    except AssertionError as error:
        outcome, detail = "wrong", str(error)
    except StudentError as error:
        outcome = {"TimeoutError": "late", UNFIT: "unfit"}.get(error.kind, f"raised {error.kind}")
        detail = str(error)
    except _LateCheckError:
        outcome, detail = "late", "the check itself"
    except (
        Exception
    ) as error:  # an answer of another type or shape than the check compares, or a defect of the check
        outcome, detail = "unfit", f"{type(error).__name__}: {error}"
    got = check.points if outcome == "passed" else 0.0
    return Judged(check.question, name, check.says, check.points, got, outcome, detail[:500])


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  for checks that use libraries which use it
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _LateCheckError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> None:
    """Judge the submission that a file describes: what `crosseyed.course.grading` starts, once for each submission."""
    processes.end_with_command()
    adopt_orphans()
    hide_memory()
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    lab = source.read(job["lab"], Path(job["data"]))
    try:
        notebook = handed_in.read(folder / "given", lab)
    except InputError as error:
        verdict = Verdict.of_none(lab, str(error), job["isolated"])
    else:
        verdict = judge(
            lab, notebook, folder, seed=job["seed"], limits=Limits(**job["limits"]), isolated=job["isolated"]
        )
    verdict.write(Path(job["result"]))
    end_family()


if __name__ == "__main__":
    main()
