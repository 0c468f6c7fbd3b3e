"""What a job asks a cluster for, by its kind: cores, memory, time and GPUs. The one place for these figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

HOURS = 60  # minutes


@dataclass(frozen=True)
class Request:
    """What one job asks for."""

    threads: int
    """Cores."""
    mem_mb: int
    """Memory in MiB."""
    runtime: int
    """Minutes after which the job is ended."""
    gpu: int = 0
    """GPUs."""


@dataclass(frozen=True)
class Limits:
    """The most that one job can have; nothing stands for no limit."""

    threads: int | None = None
    """Cores of the largest machine."""
    mem_mb: int | None = None
    """MiB of memory of the largest machine."""
    runtime: int | None = None
    """Minutes."""


# Generous, because a job that asks for too little is ended: no model of models.yml needs more memory, the largest of
# them take some hours for a chapter on a GPU, and on four cores without one the better part of a day.
_NOTEBOOK = Request(threads=4, mem_mb=24_000, runtime=24 * HOURS)
_NOTEBOOK_ON_GPU = Request(threads=4, mem_mb=24_000, runtime=4 * HOURS, gpu=1)
# A book is rendered from tables and pictures, and the families of towers are described from tiny models.
_PAGES = Request(threads=1, mem_mb=8_000, runtime=30)


def requests(*, gpus: bool = False, limits: Limits | None = None) -> dict[str, Request]:
    """Return what each kind of job asks for, by the name of its rule.

    Parameters
    ----------
    gpus : bool
        Whether a notebook gets a GPU.
    limits : Limits
        What no job can have more of; by default there are no limits.
    """
    asked = {"notebook": _NOTEBOOK_ON_GPU if gpus else _NOTEBOOK, "families": _PAGES, "book": _PAGES}
    return {kind: _within(request, limits or Limits()) for kind, request in asked.items()}


def threads_of(n_notebooks: int, cores: int) -> int:
    """Return the threads of each notebook of an edition on this machine: its share of the cores."""
    return max(1, cores // max(1, n_notebooks))


def from_configuration(given: Mapping[str, Mapping[str, int]]) -> dict[str, Request]:
    """Return the requests that a configuration file of Snakemake holds, as `dataclasses.asdict` of each."""
    return {kind: Request(**request) for kind, request in given.items()}


def _within(request: Request, limits: Limits) -> Request:
    given = {name: most for name, most in asdict(limits).items() if most is not None}
    return replace(request, **{name: min(getattr(request, name), most) for name, most in given.items()})
