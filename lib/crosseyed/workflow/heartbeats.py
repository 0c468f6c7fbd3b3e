"""The heartbeat of a notebook that is being executed: a small file that says how far it is.

Beside the notebook's partial copy lies `FILE`. The process that executes the notebook writes it, from the cells that it
has started and the passes that the kernel tells (`crosseyed.progress`), and removes it at the end. Whoever shows
progress reads it: the command above, also on another machine of a cluster that sees the folder.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import NonNegativeInt

from crosseyed.progress import PASSES_VARIABLE, Passes, hear, tell

FILE = "heartbeat.json"

_SILENCE = 5.0  # seconds after which a heartbeat is written again though nothing has changed
_WINDOW = 30.0  # seconds over which the speed is measured
_SECONDS_TO_END = 5


class Heartbeat(Passes):
    """How far a notebook is."""

    cell: NonNegativeInt = 0
    """Code cells that have been started."""
    cells: NonNegativeInt = 0
    """Code cells."""
    beat: NonNegativeInt = 0
    """Another number each time, which tells the living from what was left behind."""


class Pace:
    """How fast passes are made, over the last half minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def add(self, seconds: float, passes: float) -> None:
        """Note how many passes were made until a time in seconds; measuring begins before the first ones."""
        if passes == 0:
            self._seen.clear()
        self._seen.append((seconds, passes))
        while len(self._seen) > 2 and self._seen[1][0] <= seconds - _WINDOW:
            self._seen.popleft()

    @property
    def speed(self) -> float:
        """Images per second; 0 while nothing is known."""
        if len(self._seen) < 2:
            return 0.0
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return max(0.0, after - before) / (end - start) if end > start else 0.0


def describe(heartbeat: Heartbeat, speed: float, planned: float | None = None) -> tuple[str, str, str, str]:
    """Say in words how far a notebook is.

    Parameters
    ----------
    heartbeat : Heartbeat
        What it told last.
    speed : float
        Passes per second; 0 if unknown.
    planned : float, optional
        Passes that it will make in all, computed or kept, if that is known.

    Returns
    -------
    cell, passes, images per second, remaining time : str
        Empty where nothing is known.
    """
    done = heartbeat.computed + heartbeat.kept
    passes = f"{done:,.0f} of {planned:,.0f}" if planned else f"{done:,.0f}" if done else ""
    pace = f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}" if speed > 0 else ""
    left = clock((planned - done) / speed) if planned and speed > 0 and planned > done else ""
    return f"{heartbeat.cell} of {heartbeat.cells}", passes, pace, left


def sentence(name: str, words: tuple[str, str, str, str]) -> str:
    """Join what `describe` returns to one line about a notebook."""
    forms = ("cell {}", "{} passes", "{} images/s", "{} left")
    said = [form.format(word) for form, word in zip(forms, words, strict=True) if word]
    return f"{name}: {', '.join(said)}"


def clock(seconds: float) -> str:
    """Write a duration as ``minutes:seconds`` or ``hours:minutes:seconds``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


@contextmanager
def beating(
    folder: Path, name: str, cells: int, *, aloud: bool, pause: float = 0.5, interval: float = 30.0
) -> Iterator[Callable[..., None]]:
    """Keep the heartbeat of a notebook while it is executed, and let its kernel tell its passes.

    Parameters
    ----------
    folder : path
        Where the notebook runs.
    name : str
        Name of the notebook, for the lines.
    cells : int
        Its code cells.
    aloud : bool
        Whether to print a line now and then, because no command above shows the heartbeat.
    pause : float
        Seconds between two looks at what the kernel tells.
    interval : float
        Seconds between two lines.

    Yields
    ------
    callable
        To be called before each cell, with `cell` by its name.
    """
    folder, before = folder.resolve(), os.environ.get(PASSES_VARIABLE)  # papermill changes to it
    told = folder / "passes.json"
    now, ended = Heartbeat(cells=cells), threading.Event()

    def start_cell(*, cell: dict, **_: object) -> None:
        now.cell += cell["cell_type"] == "code"

    def beat() -> None:
        pace, written, line = Pace(), -_SILENCE, time.monotonic()
        last = None
        while not ended.wait(pause):
            seconds, passes = time.monotonic(), hear(told, Passes)
            if passes:
                now.computed, now.kept = passes.computed, passes.kept
            pace.add(seconds, now.computed)
            state = (now.cell, now.computed, now.kept)
            if state != last or seconds - written >= _SILENCE:
                last, written = state, seconds
                now.beat += 1
                tell(folder / FILE, now.model_dump())
            if aloud and seconds - line >= interval:
                line = seconds
                print(sentence(name, describe(now, pace.speed)), file=sys.stderr, flush=True)

    os.environ[PASSES_VARIABLE] = str(told)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield start_cell
    finally:
        ended.set()
        thread.join(_SECONDS_TO_END)
        if before is None:
            os.environ.pop(PASSES_VARIABLE, None)
        else:
            os.environ[PASSES_VARIABLE] = before
        for file in (told, folder / FILE):
            with suppress(OSError):
                file.unlink()
