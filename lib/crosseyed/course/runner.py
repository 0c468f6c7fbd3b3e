"""Runs a notebook's cells and answers questions about what they left: the program inside a submission's sandbox.

It stands alone but for the codec. What it is asked comes as lines of plain data on one pipe, what it says goes out on
another; each answer carries the number of its question, drawn anew by who asks. Everything here shares its process
with a submission's code, so whoever reads the answers takes them as that code's own words.

Questions are dictionaries with ``id``, ``seconds`` and ``do``: ``execute`` (the cells, once), ``call``, ``value`` or
``run``. An answer has ``id`` and either ``answer`` or ``error``, the kind and the text of what was raised.
"""

import json
import os
import shutil
import signal
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from crosseyed.course import plain

LONGEST_TEXT = 2000
"""Most characters of an error's text that are passed on."""

_MOST_THREADS = 256


class OutOfTimeError(BaseException):
    """A cell or a question took longer than it may; no ordinary ``except`` catches it."""


class _Grader:
    """Stands for Otter's notebook: public checks carry no points, so that nothing hangs on them here."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


def main() -> None:
    """Serve the two pipes whose numbers the command line gives, until the first is closed."""
    questions, answers = (int(number) for number in sys.argv[1:3])
    job = json.loads(sys.argv[3])
    for number in (questions, answers):
        os.set_inheritable(number, False)
    _limit(job["limits"])
    if job["given"]:
        _copy(job["given"], job["folder"])
    shell = _shell()
    os.chdir(job["folder"])
    sys.path.insert(0, job["folder"])
    with os.fdopen(questions, "rb") as asked:
        for line in asked:
            _write(answers, _answer(shell, plain.loads(line), answers))


def _limit(limits: dict[str, int]) -> None:
    """Lower what this process and its children may use; none of them can raise it again."""
    with suppress(ImportError):
        import resource

        for name, most in {"CORE": 0, "NPROC": _MOST_THREADS, **limits}.items():
            if (kind := getattr(resource, f"RLIMIT_{name}", None)) is not None:
                with suppress(ValueError, OSError):
                    resource.setrlimit(kind, (most, most))


def _copy(given: str, folder: str) -> None:
    """Copy what was handed in beside what is there of the lab's data, which stays as it is."""
    data, brought = Path(folder, "data"), Path(given, "data")
    names = {path.name for path in data.iterdir()} if data.is_dir() else set()
    ignore = lambda source, _: names if Path(source) == brought else ()  # noqa: E731
    shutil.copytree(given, folder, dirs_exist_ok=True, ignore=ignore)


def _shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def enable_gui(self, gui: str | None = None) -> None:
            """Take what ``%matplotlib`` asks for; figures are not shown."""

        def ask_exit(self) -> None:
            """Go on: ``exit()`` ends no notebook here."""

    grader = types.ModuleType("otter")
    grader.Notebook = _Grader
    sys.modules["otter"] = grader
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    shell = Shell.instance(config=config)
    shell.showtraceback = shell.showsyntaxerror = lambda *_, **__: (
        None
    )  # what was raised is reported, not printed
    return shell


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` in the block when the seconds are over."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise OutOfTimeError(f"more than {seconds:g} seconds")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again, should the code catch the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(shell: Any, question: dict[str, Any], answers: int) -> bytes:
    """Return the line that answers a question; what cannot be passed on is an error of the code that made it."""
    number = {"id": question["id"]}
    try:
        if question["do"] == "execute":
            return plain.dumps(number | {"answer": _execute(shell, question, answers)})
        with _within(question["seconds"]):
            return plain.dumps(number | {"answer": _ask(shell.user_ns, question)})
    except BaseException as error:
        return plain.dumps(number | {"error": _described(error)})


def _ask(names: dict[str, Any], question: dict[str, Any]) -> Any:
    """Return what a function returns, a variable is, or our code leaves as `result`."""
    if question["do"] == "run":
        space = dict(names) | question["inputs"]
        space.pop("result", None)
        exec(compile(question["code"], "<check>", "exec"), space)
        return space["result"]
    name = question["name"]
    if name not in names:
        raise NameError(f"name {name!r} is not defined")
    if question["do"] == "value":
        return names[name]
    return names[name](*question["args"], **question["kwargs"])


def _execute(shell: Any, question: dict[str, Any], answers: int) -> list[dict[str, Any]]:
    """Execute cells in order, past those that fail; return what each raised."""
    failed = []
    for number, source in question["cells"]:
        _write(answers, plain.dumps({"id": question["id"], "cell": number}))
        error = _run_cell(shell, source, question["cell_seconds"])
        if error is not None:
            failed.append({"cell": number, **_described(error)})
    return failed


def _run_cell(shell: Any, source: str, seconds: float) -> BaseException | None:
    try:
        with _within(seconds):
            result = shell.run_cell(source, store_history=False)
            if pyplot := sys.modules.get("matplotlib.pyplot"):
                pyplot.close("all")
        return result.error_before_exec or result.error_in_exec
    except BaseException as error:
        return error


def _described(error: BaseException) -> dict[str, str]:
    """Return kind and text of an error, neither of them longer than a message may be."""
    try:
        text = str(error)
    except BaseException:
        text = ""
    return {"kind": str(type(error).__name__)[:60], "text": str(text)[:LONGEST_TEXT]}


def _write(number: int, line: bytes) -> None:
    left = memoryview(line + b"\n")
    while left:
        left = left[os.write(number, left) :]


if __name__ == "__main__":
    main()
