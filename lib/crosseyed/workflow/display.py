"""Show how far a run is: a live display on a terminal, elsewhere a line for each notebook every half minute."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from crosseyed.editions import BUILD
from crosseyed.progress import hear
from crosseyed.workflow.heartbeats import FILE, Heartbeat, Pace, clock, describe, sentence
from crosseyed.workflow.jobs import Jobs

if TYPE_CHECKING:
    from rich.console import Console, Group

Planned = Mapping[tuple[str, str], float]
"""By edition and notebook the passes of the image tower that it will make in all."""

_STALE = 60.0  # seconds after which a heartbeat that does not change counts as left behind
_HEAD = ("cell", "passes", "images/s", "left")


@dataclass
class _Pulse:
    """What was heard of one notebook."""

    heartbeat: Heartbeat | None
    changed: float
    is_alive: bool
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True)
class Row:
    """A notebook that runs."""

    edition: str
    notebook: str
    words: tuple[str, str, str, str]
    """As of `crosseyed.workflow.heartbeats.describe`."""


class Watch:
    """Hears what the jobs of a run tell.

    Parameters
    ----------
    jobs : path
        The file of `crosseyed.workflow.jobs.Notes`.
    planned : mapping
        Passes by edition and notebook, as far as they are known.
    several : bool
        Whether the run is about more than one edition, so that its name has to be shown.
    """

    def __init__(self, jobs: Path, planned: Planned, *, several: bool) -> None:
        self.several = several
        self._jobs, self._planned, self._began = jobs, planned, time.monotonic()
        self._pulses: dict[tuple[str, str], _Pulse] = {}

    def look(self) -> tuple[list[Row], str]:
        """Return the notebooks that run and have told how far they are, and a line about all."""
        now, jobs = time.monotonic(), hear(self._jobs, Jobs) or Jobs()
        self._pulses = {key: self._feel(*key, now) for key in jobs.running}
        rows = [
            Row(*key, describe(pulse.heartbeat, pulse.pace.speed, self._planned.get(key)))
            for key, pulse in self._pulses.items()
            if pulse.is_alive and pulse.heartbeat
        ]
        return rows, f"{_total(jobs)}, {clock(now - self._began)} so far"

    def _feel(self, edition: str, notebook: str, now: float) -> _Pulse:
        """Hear a notebook again; it lives if it tells something else than what was there first, or than before."""
        heard = hear(BUILD / "editions" / edition / "running" / notebook / FILE, Heartbeat)
        pulse = self._pulses.get((edition, notebook))
        if pulse is None:
            return _Pulse(heard, now, is_alive=False)
        if heard and heard != pulse.heartbeat:
            pulse.heartbeat, pulse.changed, pulse.is_alive = heard, now, True
        elif now - pulse.changed > _STALE:
            pulse.is_alive = False
        if pulse.is_alive:
            pulse.pace.add(now, pulse.heartbeat.computed)
        return pulse


def follow(
    command: Sequence[str],
    environment: Mapping[str, str],
    watch: Watch,
    *,
    stream: TextIO | None = None,
    pause: float = 1.0,
    interval: float = 30.0,
) -> int:
    """Run a command in a session of its own, show meanwhile how far its jobs are, and return its exit status.

    On a terminal its words appear above the display, which vanishes at the end, also when an exception ends the wait.

    Parameters
    ----------
    command, environment
        As `subprocess.Popen` takes them.
    watch : Watch
        Tells what to show.
    stream : text file, optional
        Where to show it; by default the standard error.
    pause : float
        Seconds between two looks.
    interval : float
        Seconds between two times that lines are printed, where the stream is not a terminal.
    """
    stream = sys.stderr if stream is None else stream
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        return _show(command, environment, watch, stream, pause)
    printed = time.monotonic()
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    while (code := _wait(process, pause)) is None:
        rows, total = watch.look()
        if time.monotonic() - printed >= interval:
            printed = time.monotonic()
            names = [f"{row.edition}, {row.notebook}" if watch.several else row.notebook for row in rows]
            lines = [sentence(name, row.words) for name, row in zip(names, rows, strict=True)]
            with suppress(OSError):  # nobody reads any more
                print(*lines, total, sep="\n", file=stream, flush=True)
    return code


def _show(
    command: Sequence[str], environment: Mapping[str, str], watch: Watch, stream: TextIO, pause: float
) -> int:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, force_terminal=True, force_interactive=True, highlight=False)
    source, sink = os.pipe()
    reader = threading.Thread(target=_pass_on, args=(source, console), daemon=True)
    live = Live(console=console, auto_refresh=False, transient=True)
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stdout=sink if sys.stdout.isatty() else None,
            stderr=sink,
        )
    finally:
        os.close(sink)
        reader.start()
    try:
        live.start()
        while (code := _wait(process, pause)) is None:
            live.update(_picture(watch, console), refresh=True)
        reader.join(1)
    finally:
        with suppress(OSError):  # the terminal is gone
            live.stop()
    return code


def _wait(process: subprocess.Popen, seconds: float) -> int | None:
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None


def _pass_on(source: int, console: "Console") -> None:
    """Print each line of a pipe, above the display as long as there is one."""
    from rich.text import Text

    with open(source, "rb") as lines, suppress(OSError):
        for line in lines:
            text = line.decode("utf-8", errors="replace").rstrip("\r\n")
            console.print(Text.from_ansi(text), soft_wrap=True)


def _picture(watch: Watch, console: "Console") -> "Group":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rows, total = watch.look()
    shown = rows[: max(1, console.height - 4)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in (*(["model"] if watch.several else []), "chapter"):
        table.add_column(name)
    known = [any(row.words[number] for row in shown) for number in range(len(_HEAD))]
    for name in compress(_HEAD, known):
        table.add_column(name, justify="right", no_wrap=True)
    for row in shown:
        names = [row.edition, row.notebook] if watch.several else [row.notebook]
        cropped = (Text(name, no_wrap=True, overflow="ellipsis") for name in names)
        table.add_row(*cropped, *compress(row.words, known))
    if len(shown) < len(rows):
        total = f"and {len(rows) - len(shown)} more; {total}"
    return Group(*([table] if shown else []), Text(total, no_wrap=True, overflow="ellipsis"))


def _total(jobs: Jobs) -> str:
    if jobs.due is None:
        return "starting"
    if not jobs.due:
        return "no notebook is due"
    failed = f", {jobs.failed} failed" if jobs.failed else ""
    return f"{jobs.done} of {jobs.due} notebooks done{failed}"
