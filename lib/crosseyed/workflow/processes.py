"""Processes that end together: a command that is stopped stops what it started, and nothing outlives it."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import psutil

from crosseyed.editions import BUILD
from crosseyed.errors import InputError
from crosseyed.files import locked

_COMMAND = "CROSSEYED_COMMAND"  # environment variable by which a process knows the command that it belongs to
# Windows has no SIGHUP
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SECONDS_TO_END = 10
_SECONDS_TO_WAIT = 30

_received: list[int] = []  # signals that asked this process to stop


class Stopped(BaseException):
    """The process was asked to stop by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        """Say so, and what to do next."""
        word = "interrupted" if self.number == signal.SIGINT else "terminated"
        return f"{word}; what is done is kept, and the same command continues from there"


def stop_by_signals() -> None:
    """Raise `Stopped` in the main thread for SIGINT, SIGTERM and SIGHUP."""
    _received.clear()

    def stop(number: int, _frame: object) -> None:
        _received.append(number)
        raise Stopped(number)

    for number in _SIGNALS:
        signal.signal(number, stop)


def received_stop() -> Stopped | None:
    """Return the stop that was asked for; None if there was none.

    Compiled modules turn whatever is raised while they are imported into an error of their own.
    """
    return Stopped(_received[-1]) if _received else None


def stop_now(*_: object) -> None:
    """Raise `Stopped` for SIGTERM, in the place of a handler that another library would set."""
    raise Stopped(signal.SIGTERM)


def command_environment() -> dict[str, str]:
    """Return the environment for processes that end when this one is gone."""
    return {**os.environ, _COMMAND: f"{_place()}:{os.getpid()}:{psutil.Process().create_time()}"}


def is_shown() -> bool:
    """Tell whether a command on this machine shows how far this process is; a job of a cluster has a log of its own."""
    place, _, _ = os.environ.get(_COMMAND, "").partition(":")
    return place == _place()


def end_with_command() -> None:
    """End this process and its children when the command that it belongs to is gone, killed perhaps.

    A job on a cluster goes on, on whatever machine: only its scheduler ends it.
    """
    place, _, rest = os.environ.get(_COMMAND, "").partition(":")
    if place != _place():
        return
    number, _, born = rest.partition(":")

    def watch() -> None:
        while _is_alive(int(number), float(born)):
            time.sleep(0.3)
        kill_children()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _place() -> str:
    """Name the machine and the job of a cluster in which this process runs."""
    return f"{socket.gethostname()}/{os.environ.get('SLURM_JOB_ID', '')}"


def _is_alive(number: int, born: float) -> bool:
    try:
        process = psutil.Process(number)
        return process.create_time() == born and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_children() -> None:
    """End every process that this one started, at any depth: politely, and after ten seconds by force."""
    children = psutil.Process().children(recursive=True)
    for number, wait in ((signal.SIGTERM, _SECONDS_TO_END), (signal.SIGKILL, 1)):
        for child in children:
            try:
                child.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        _, children = psutil.wait_procs(children, timeout=wait)


def only_writer(name: str, wait: float = _SECONDS_TO_WAIT) -> AbstractContextManager[None]:
    """Hold the lock of an edition, or of a notebook of one, as `only_run` does."""
    return only_run(name, f"Another run is working on the edition {name}; wait for it.", wait)


@contextmanager
def only_run(name: str, busy: str, wait: float = _SECONDS_TO_WAIT) -> Iterator[None]:
    """Hold a lock that ends with the process, so that a killed run leaves nothing behind.

    Parameters
    ----------
    name : str
        What is written.
    busy : str
        What to say if another process holds the lock, and what to do then.
    wait : float
        Seconds to wait for another process; the children of a command that was killed end within a second.

    Raises
    ------
    InputError
        Another process holds it, or the folder of locks cannot be written to.
    """
    file = BUILD / "locks" / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{BUILD.resolve()} cannot be written to ({error.strerror}); the book is made there."
        ) from error
    with locked(file, busy, wait):
        yield


def end_children() -> None:
    """End every process that this one started, as its last act: no signal breaks this off, or what follows."""
    logging.getLogger("asyncio").disabled = True  # it would tell of every kernel that is ended
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    kill_children()


def report_stop(stop: Stopped) -> int:
    """End the children, say that the command was stopped, and return its exit status."""
    end_children()
    if _COMMAND not in os.environ:  # of a process that belongs to a command, the command speaks
        print(stop, file=sys.stderr)
    return 128 + stop.number
