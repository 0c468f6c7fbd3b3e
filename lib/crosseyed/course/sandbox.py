"""One submission's process: started behind walls, asked over a pipe, watched, and ended with all that it started.

With bubblewrap the process has no network, sees no other process, and of the disk only Python, the system's libraries,
this library, the data that its lab needs and a copy of what was handed in, all of it read-only; what it writes goes to
a file system in memory that is limited in size and vanishes. Without bubblewrap it is limited in time and memory only,
and the summary of the grades says so.
"""

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

import crosseyed
from crosseyed.course import plain
from crosseyed.errors import CrosseyedError
from crosseyed.files import DATA

_LIBRARY = Path(crosseyed.__file__).parent
_SYSTEM = ("/usr", "/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime")
_LINKED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")  # to /usr on most systems, folders on others
_FOLDER = "/submission"
_GIVEN = "/given"
_LAB = "/lab"  # stands for the root of the repository, of which there are only library and data
_KEPT_OUTPUT = 8_000  # bytes of it that are kept
_SECONDS_BETWEEN_LOOKS = 0.2
_GRACE = 3  # seconds for the runner to say that time is over
_MEMORY_DISKS = {"/tmp": 256, "/dev/shm": 64, _FOLDER: 512}  # MB


class EndedError(CrosseyedError):
    """The process is gone, or was ended because of a limit; the message says which."""


class LateError(EndedError):
    """An answer did not come in time, and the process was ended."""


@dataclass(frozen=True)
class Limits:
    """What one submission's process may use.

    Attributes
    ----------
    cell_seconds : float
        Wall time of one cell; it is broken off then, and the next one follows.
    notebook_seconds : float
        Wall time of all cells together; the process is ended then.
    check_seconds : float
        Wall time of one hidden check.
    memory : int
        Bytes of memory of all its processes together.
    processes : int
        Processes at a time.
    file_size : int
        Bytes of one file that it writes.
    """

    cell_seconds: float = 60
    notebook_seconds: float = 240
    check_seconds: float = 60
    memory: int = 4 * 2**30
    processes: int = 48
    file_size: int = 64 * 2**20


@dataclass(frozen=True)
class Needs:
    """What a lab needs beside Python and this library: `data` to lie in ``data/``, and `models` that are shipped."""

    data: tuple[Path, ...] = ()
    models: tuple[str, ...] = ()


class Sandbox:
    """The process of one submission.

    Parameters
    ----------
    given : pathlib.Path
        Folder with a copy of what was handed in; with isolation it is only read.
    needs : Needs
        What the lab needs.
    limits : Limits
        What the process may use.
    isolated : bool
        Whether bubblewrap is used; `can_isolate` says whether it can be.
    hidden : sequence of pathlib.Path
        Folders that it must not see, even if they lie below Python's.
    """

    def __init__(
        self, given: Path, needs: Needs, limits: Limits, *, isolated: bool, hidden: Sequence[Path] = ()
    ) -> None:
        self._limits = limits
        self._reason = ""
        self._output = b""
        self._line = bytearray()
        asked, self._questions = os.pipe()
        self._answers, answers = os.pipe()
        for number in (self._questions, self._answers):
            os.set_blocking(number, False)
        folder = _FOLDER if isolated else str(given)
        if not isolated:
            _bring(needs, given / "data")
        job = {"given": _GIVEN if isolated else "", "folder": folder, "limits": _resources(limits)}
        runner = ["-m", "crosseyed.course.runner", str(asked), str(answers), json.dumps(job)]
        walls = _walls(needs, hidden, given) if isolated else []
        with _behind(walls) as (prefix, numbers):
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-P", *runner],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(asked, answers, *numbers),
                env=_environment(isolated, given),
                cwd=None if isolated else given,
                start_new_session=True,
            )
        os.close(asked)
        os.close(answers)
        self._watchers = [threading.Thread(target=each, daemon=True) for each in (self._drain, self._watch)]
        for watcher in self._watchers:
            watcher.start()

    def ask(
        self, do: str, seconds: float, hear: Callable[[dict[str, Any]], None] | None = None, **question: Any
    ) -> dict[str, Any]:
        """Ask a question and return what is answered, with ``answer`` or ``error``.

        Parameters
        ----------
        do : str
            ``execute``, ``call``, ``value`` or ``run``.
        seconds : float
            Until when the answer must be there.
        hear : callable, optional
            Takes what is said before the answer.
        **question
            What else belongs to it: plain data.

        Raises
        ------
        EndedError
            The process ended before its answer.
        LateError
            It did not answer in time, and was ended.
        NotPlainError
            The question is not plain data.
        """
        number = secrets.token_hex(16)
        until = time.monotonic() + seconds + _GRACE
        self._send(plain.dumps({"seconds": seconds, **question, "id": number, "do": do}) + b"\n", until)
        while True:
            said = self._hear(until)
            if said.get("id") != number:  # said before it was asked
                continue
            if "answer" in said or "error" in said:
                return said
            if hear is not None:
                hear(said)

    def close(self) -> None:
        """End the process and all that it started, by force."""
        self._end("")
        self._process.wait()
        for watcher in self._watchers:
            watcher.join(2)
        for number in (self._questions, self._answers):
            with suppress(OSError):
                os.close(number)
        self._questions = self._answers = -1

    @property
    def output(self) -> str:
        """The end of what it printed."""
        return self._output.decode("utf-8", "replace")

    def _send(self, line: bytes, until: float) -> None:
        left = memoryview(line)
        while left:
            self._wait(until, writing=True)
            try:
                left = left[os.write(self._questions, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._ended() from None

    def _hear(self, until: float) -> dict[str, Any]:
        """Return the next line that is a dictionary; others are passed over."""
        while True:
            while b"\n" not in self._line:
                if len(self._line) > plain.LARGEST:
                    self._end("it said more than an answer may hold")
                    raise self._ended()
                self._wait(until, writing=False)
                try:
                    part = os.read(self._answers, 2**20)
                except BlockingIOError:
                    continue
                if not part:
                    raise self._ended()
                self._line += part
            line, _, rest = bytes(self._line).partition(b"\n")
            self._line = bytearray(rest)
            with suppress(plain.NotPlainError):
                said = plain.loads(line)
                if isinstance(said, dict):
                    return said

    def _wait(self, until: float, *, writing: bool) -> None:
        left = until - time.monotonic()
        ready = left > 0 and any(
            select.select([] if writing else [self._answers], [self._questions] if writing else [], [], left)
        )
        if not ready:
            self._end("it did not answer in time")
            raise LateError("The process did not answer in time, and was ended.")

    def _ended(self) -> EndedError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return EndedError(f"The process ended: {self._reason or 'it stopped by itself'}.")

    def _drain(self) -> None:
        """Take all that it prints, and keep the end."""
        while part := os.read(self._process.stdout.fileno(), 2**16):
            self._output = (self._output + part)[-_KEPT_OUTPUT:]
        self._process.stdout.close()

    def _watch(self) -> None:
        """End it when its processes together are too many or take too much memory."""
        try:
            root = psutil.Process(self._process.pid)
        except psutil.NoSuchProcess:
            return
        while self._process.poll() is None:
            memory = count = 0
            for process in _family(root):
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    count, memory = count + 1, memory + process.memory_info().rss
            if count > self._limits.processes:
                self._end(f"it started more than {self._limits.processes} processes")
            elif memory > self._limits.memory:
                self._end(f"it took more than {self._limits.memory / 2**30:.3g} GB of memory")
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _end(self, reason: str) -> None:
        self._reason = self._reason or reason
        with suppress(psutil.NoSuchProcess):
            family = list(_family(psutil.Process(self._process.pid)))
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            for process in family:
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    process.kill()


def _family(root: psutil.Process) -> Iterator[psutil.Process]:
    yield root
    with suppress(psutil.NoSuchProcess):
        yield from root.children(recursive=True)


def adopt_orphans() -> None:
    """Let processes whose parent ends become children of this one, so that `end_family` finds them (Linux)."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def hide_memory() -> None:
    """Keep other processes of this user from reading this one's memory (Linux)."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def end_family() -> None:
    """End every process that this one started or adopted, by force, until none is left."""
    for _ in range(50):
        children = psutil.Process().children(recursive=True)
        if not children:
            return
        for child in children:
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                child.kill()
        psutil.wait_procs(children, timeout=0.2)


@cache
def can_isolate() -> bool:
    """Tell whether bubblewrap is there and may do here what `Sandbox` asks of it: it is tried once."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="crosseyed-") as folder:
        given = Path(folder)
        try:
            with _behind(_walls(Needs(), (), given)) as (prefix, numbers):
                trial = subprocess.run(
                    [*prefix, sys.executable, "-P", "-c", "import numpy"],
                    env=_environment(True, given),
                    pass_fds=numbers,
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return trial.returncode == 0


@contextmanager
def _behind(walls: list[str]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Give the command in front of another that puts it behind walls, and the open files that it needs.

    The arguments stand in a file: the command line of bubblewrap is seen inside, and they name folders of this machine.
    """
    if not walls:
        yield [], ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(b"".join(os.fsencode(word) + b"\0" for word in walls))
        file.seek(0)
        yield ["bwrap", "--args", str(file.fileno()), "--"], (file.fileno(),)


def _walls(needs: Needs, hidden: Sequence[Path], given: Path) -> list[str]:
    """Return the arguments of bubblewrap."""
    shown = [*_SYSTEM, *dict.fromkeys(os.path.abspath(each) for each in _pythons())]
    walls = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    walls += ["--hostname", "lab", "--proc", "/proc", "--dev", "/dev"]
    for place in _LINKED:
        if os.path.islink(place):
            walls += ["--symlink", os.readlink(place), place]
        elif os.path.isdir(place):
            walls += ["--ro-bind", place, place]
    for place, size in _MEMORY_DISKS.items():
        walls += ["--size", str(size * 2**20), "--tmpfs", place]
    for place in shown:  # after the disks: an environment may lie in /tmp
        walls += ["--ro-bind-try", place, place]
    for path in (path.resolve() for path in hidden):
        if any(path.is_relative_to(place) for place in shown):
            walls += ["--tmpfs", str(path), "--remount-ro", str(path)]
    walls += ["--ro-bind", str(_LIBRARY), f"{_LAB}/lib/crosseyed", "--ro-bind", str(given), _GIVEN]
    for path in (DATA / "objects", *(DATA / "models" / name for name in needs.models)):
        walls += ["--ro-bind-try", str(path), f"{_LAB}/data/{path.relative_to(DATA).as_posix()}"]
    for path in needs.data:
        walls += ["--ro-bind", str(path), f"{_FOLDER}/data/{path.name}"]
    for path in _font_lists():
        walls += ["--ro-bind", str(path), f"/tmp/matplotlib/{path.name}"]
    return [*walls, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", _FOLDER]


def _pythons() -> list[str]:
    """Return the folders that Python needs: those of the environment and of the interpreter that it was made of."""
    real = Path(sys.executable).resolve()
    return [sys.base_prefix, sys.base_exec_prefix, sys.prefix, str(real.parent.parent)]


def _font_lists() -> list[Path]:
    """Return Matplotlib's list of fonts, which takes long to make."""
    import matplotlib

    return sorted(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))


def _environment(isolated: bool, given: Path) -> dict[str, str]:
    home = "/tmp" if isolated else str(given)
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
        "PYTHONPATH": f"{_LAB}/lib" if isolated else str(_LIBRARY.parent),
        "CROSSEYED_DATA": f"{_LAB}/data" if isolated else str(DATA.absolute()),
        "HOME": home,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "IPYTHONDIR": f"{home}/ipython",
        "MPLCONFIGDIR": f"{home}/matplotlib",
        "MPLBACKEND": "agg",
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",  # what cannot be fetched is not tried for long
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
    }


def _resources(limits: Limits) -> dict[str, int]:
    """Return what the kernel limits in each process, by the names of the module `resource`."""
    seconds = int(limits.notebook_seconds + 20 * limits.check_seconds)
    return {"DATA": limits.memory, "FSIZE": limits.file_size, "CPU": seconds, "NOFILE": 512}


def _bring(needs: Needs, data: Path) -> None:
    """Copy the lab's data to where the notebook reads them, in the place of what was handed in there."""
    if data.is_file():
        data.unlink()
    data.mkdir(exist_ok=True)
    for path in needs.data:
        if (data / path.name).is_dir():
            shutil.rmtree(data / path.name)
        shutil.copyfile(path, data / path.name)
