"""What an edition will cost on this machine, told before it starts: images, passes, minutes, memory, disk, download."""

import heapq
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, NonNegativeFloat, PositiveFloat

from crosseyed.editions import BUILD, SIZES, Edition
from crosseyed.errors import InputError
from crosseyed.progress import hear, tell
from crosseyed.workflow import costs
from crosseyed.workflow.costs import Cost
from crosseyed.workflow.notebooks import names, urgency

PAGES_SECONDS = 130.0
"""Seconds of one core for the table of families and the pages, where a pass of PocketCLIP takes `PAGES_UNIT`."""

PAGES_UNIT = 0.0047

EDITION_MB = 150.0
"""MB of the notebooks, tables and pages of an edition, while old and new pages lie side by side."""

_CHEAP = 30.0  # minutes in which a larger size is worth proposing
_FLOAT = 4  # bytes of a number of a kept embedding


class Speed(BaseModel):
    """What one model takes on this machine."""

    device: str
    """Kind of device: ``"cpu"``, ``"cuda"`` or ``"mps"``."""
    threads: int
    """Threads that the measurement used."""
    pass_seconds: PositiveFloat
    """Seconds of a pass of the image tower, in a batch."""
    shipped_seconds: PositiveFloat
    """The same for PocketCLIP, on one thread: how fast a core is."""
    start_seconds: NonNegativeFloat
    """Seconds of work in which a process imports the library and loads the model."""
    memory_mb: NonNegativeFloat
    """MiB of the model and of what a batch needs beside it."""
    weights_mb: NonNegativeFloat
    """MB of the model's parameters in single precision."""
    download: bool = False
    """Whether its weights have yet to be downloaded."""
    dimensions: int
    """Dimensions of its embeddings."""

    def write(self, edition: Edition) -> None:
        """Keep it for an edition; where that is impossible nothing is kept."""
        file = _file(edition)
        file.parent.mkdir(parents=True, exist_ok=True)
        tell(file, self.model_dump())

    @classmethod
    def read(cls, edition: Edition) -> "Speed | None":
        """Return what was kept for an edition; None if there is nothing whole."""
        return hear(_file(edition), cls)


@dataclass(frozen=True)
class Chapter:
    """What one notebook will take."""

    notebook: str
    images: float
    """Images that are shown to the models."""
    passes: float
    """Passes of the image towers, also of the PocketCLIPs beside the model."""
    seconds: float
    """On its share of the cores."""
    memory_mb: float
    """Peak of its process in MiB; 0 where none was measured, of one that loads no model."""


@dataclass(frozen=True)
class Plan:
    """What an edition will take."""

    edition: Edition
    chapters: tuple[Chapter, ...]
    minutes: float
    """In all, pages included."""
    disk_mb: float
    """Below ``_build``, the cache of embeddings included."""
    download_mb: float
    """0 where the weights are at hand."""
    memory_mb: float
    """Of all processes that run at a time."""


def make(edition: Edition, notebooks: Sequence[str], speed: Speed, cores: int) -> Plan:
    """Plan the notebooks of an edition on a number of cores."""
    known = costs.of(edition)
    none = Cost(0, 0, 0, 0, 0, speed.shipped_seconds)
    chapters = tuple(_chapter(name, known.get(name, none), speed) for name in notebooks)
    ordered = sorted(chapters, key=lambda each: (-urgency(each.notebook), each.notebook))
    seconds = schedule([each.seconds for each in ordered], cores)
    if speed.device != "cpu":  # which all chapters share
        seconds = max(seconds, sum(_passes_seconds(known.get(name, none), speed) for name in notebooks))
    seconds += PAGES_SECONDS * speed.shipped_seconds / PAGES_UNIT if speed.device == "cpu" else PAGES_SECONDS
    images = sum(each.images for each in chapters)
    largest = sorted((each.memory_mb for each in chapters), reverse=True)[:cores]
    return Plan(
        edition=edition,
        chapters=chapters,
        minutes=seconds / 60,
        disk_mb=EDITION_MB + images * speed.dimensions * _FLOAT / 1e6,
        download_mb=speed.weights_mb if speed.download else 0.0,
        memory_mb=sum(largest),
    )


def announce(edition: Edition, cores: int, say: Callable[[str], object]) -> None:
    """Say what a whole edition will take, if the speed of its model and the costs of chapters are known.

    Parameters
    ----------
    edition : Edition
        The edition.
    cores : int
        Cores that it may use.
    say : callable
        Is given the lines.

    Raises
    ------
    InputError
        Nothing of the edition is there, and the disk has less room than it needs.
    """
    speed, present = Speed.read(edition), names()
    if speed is None or not costs.TABLE.exists():
        return
    made = make(edition, present, speed, cores)
    others = {
        other: make(replace(edition, size=other), present, speed, cores).minutes
        for other in SIZES
        if other != edition.size
    }
    say(describe(made, speed, cores, others=others))
    if not edition.folder.exists():  # of one that was begun, nobody knows how much is there already
        require_disk(made, BUILD)


def schedule(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of several jobs ends, each begun in order as soon as a worker is free."""
    free = [0.0] * max(1, workers)
    for job in seconds:
        heapq.heapreplace(free, free[0] + job)
    return max(free)


def describe(plan: Plan, speed: Speed, cores: int, *, others: Mapping[str, float] | None = None) -> str:
    """Write a plan as a table for a terminal, with what other sizes would take (minutes by size) below it."""
    edition = plan.edition
    where = "GPU" if speed.device != "cpu" else f"{cores} core{'s' if cores > 1 else ''}"
    width = max([len("chapter"), *(len(each.notebook) for each in plan.chapters)])
    lines = [
        f"{edition.name}, size {edition.size}: about {minutes(plan.minutes)} ({where}, measured: "
        f"{1 / speed.pass_seconds:,.3g} images/s on {speed.threads} thread{'s' if speed.threads > 1 else ''})",
        f"  {'chapter':{width}}{'images':>9}{'passes':>9}{'minutes':>9}{'memory':>9}",
    ]
    for each in plan.chapters:
        lines.append(
            f"  {each.notebook:{width}}{_count(each.images):>9}{_count(each.passes):>9}"
            f"{each.seconds / 60:>9.1f}{size(each.memory_mb) if each.memory_mb else '–':>9}"
        )
    lines.append(
        f"  memory of all that run at a time: {size(plan.memory_mb)}; disk: {size(plan.disk_mb)}; download: "
        f"{size(plan.download_mb) if plan.download_mb else 'nothing'}"
    )
    if others:
        told = ", ".join(f"{name} about {minutes(value)}" for name, value in others.items())
        lines.append(f"  other sizes: {told}")
        if speed.device != "cpu" and edition.size != SIZES[-1] and others.get(SIZES[-1], _CHEAP) < _CHEAP:
            lines.append(f"  this GPU makes the largest cheap: SIZE={SIZES[-1]}")
    return "\n".join(lines)


def minutes(value: float) -> str:
    """Write a duration in minutes in words, as roughly as it is known."""
    if value < 1.5:
        return "a minute"
    return f"{value:.0f} minutes" if value < 90 else f"{value / 60:.1f} hours"


def size(megabytes: float) -> str:
    """Write an amount of memory, disk or download."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def require_disk(plan: Plan, folder: Path) -> None:
    """Raise InputError where less disk is free than a plan needs; a folder that cannot be asked is passed over."""
    try:
        free = shutil.disk_usage(folder).free / 1e6
    except OSError:
        return
    if free < plan.disk_mb:
        raise InputError(
            f"The disk of {str(folder)!r} has {size(free)} free, and the edition {plan.edition.name} needs about "
            f"{size(plan.disk_mb)}; free some space or choose a smaller size, SIZE={SIZES[0]}."
        )


def _chapter(name: str, cost: Cost, speed: Speed) -> Chapter:
    here = speed.shipped_seconds / cost.shipped_seconds if speed.device == "cpu" else 1.0
    return Chapter(
        notebook=name,
        images=cost.images,
        passes=cost.passes + cost.shipped_passes,
        seconds=speed.start_seconds + _passes_seconds(cost, speed) + cost.other_seconds * here,
        memory_mb=cost.memory_mb + speed.memory_mb if cost.memory_mb else 0.0,
    )


def _passes_seconds(cost: Cost, speed: Speed) -> float:
    return cost.passes * speed.pass_seconds + cost.shipped_passes * speed.shipped_seconds


def _count(value: float) -> str:
    return f"{value:,.0f}" if value else "–"


def _file(edition: Edition) -> Path:
    return BUILD / "models" / f"{edition.name}.speed.json"
