"""What a job asks a cluster for: cores, memory, time and GPUs, from what it is planned to take and lacked."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

SAFETY: Mapping[str, float] = MappingProxyType({"mem_mb": 1.5, "runtime": 2.0})
"""How many times what is planned a job asks for, because one that asks for too little is ended."""

LEAST: Mapping[str, int] = MappingProxyType({"mem_mb": 2_000, "runtime": 20})
"""What a job asks for at least."""

GROWTH = 2
"""How many times what was too little a job asks for the next time."""

_STEPS = {"mem_mb": 500, "runtime": 5}  # requests are whole multiples of these


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


@dataclass(frozen=True)
class Place:
    """Where jobs run."""

    name: str
    """For messages, such as ``"the partition short"``."""
    gpus: bool
    """Whether a notebook that loads a model gets a GPU."""
    limits: Limits
    """The most that one job can have."""
    fixed: frozenset[str] = frozenset()
    """Resources that the user has set for all notebooks: what is planned of these does not matter."""
    advice: str = ""
    """What to do where the limits are too low, a sentence."""


UNPLANNED = Request(threads=4, mem_mb=24_000, runtime=24 * 60)
"""What a notebook asks for where Snakemake is run by hand, and nothing is planned."""

# A book is rendered from tables and figures, and the families of towers are described from tiny models.
PAGES = Request(threads=1, mem_mb=8_000, runtime=30)
"""What the jobs ask for that render pages and describe families of towers."""

_NOTHING: Mapping[str, int] = MappingProxyType({})


def needed(planned: Mapping[str, float], too_little: Mapping[str, int] = _NOTHING) -> dict[str, float]:
    """Return the least that a job can be expected to need of each resource.

    Parameters
    ----------
    planned : mapping from str to float
        `mem_mb` (MiB) and `runtime` (minutes) that it is planned to take.
    too_little : mapping from str to int
        What it had of one or both when it was ended for lack of it.
    """
    return {name: max(value, too_little.get(name, -1) + 1) for name, value in planned.items()}


def request(
    planned: Mapping[str, float],
    too_little: Mapping[str, int] = _NOTHING,
    limits: Limits | None = None,
    *,
    threads: int = 1,
    gpu: int = 0,
) -> Request:
    """Return what a job asks for: more than it needs, and as much as one job can have at most.

    `planned` and `too_little` are as of `needed`; of `threads` it gets no more than there are.
    """
    asked = {
        name: _up(max(LEAST[name], SAFETY[name] * value, GROWTH * too_little.get(name, 0)), _STEPS[name])
        for name, value in planned.items()
    }
    given = {name: most for name, most in asdict(limits or Limits()).items() if most is not None}
    whole = Request(threads=threads, gpu=gpu, **asked)
    return replace(whole, **{name: min(getattr(whole, name), most) for name, most in given.items()})


def exceeding(needs: Mapping[str, float], limits: Limits) -> dict[str, int]:
    """Return the limits that are too low for what a job needs (`needed`), by the name of the resource."""
    most = {name: getattr(limits, name) for name in needs}
    return {name: limit for name, limit in most.items() if limit is not None and needs[name] > limit}


def threads_of(n_notebooks: int, cores: int) -> int:
    """Return the threads of each notebook of an edition on this machine: its share of the cores."""
    return max(1, cores // max(1, n_notebooks))


def from_configuration(
    given: Mapping[str, Mapping[str, Mapping[str, int]]],
) -> dict[tuple[str, str], Request]:
    """Return the requests of notebooks by names of edition and notebook, as `to_configuration` wrote them."""
    return {
        (edition, notebook): Request(**each)
        for edition, notebooks in given.items()
        for notebook, each in notebooks.items()
    }


def to_configuration(asked: Mapping[tuple[str, str], Request]) -> dict[str, dict[str, dict[str, int]]]:
    """Return requests of notebooks as a configuration file of Snakemake holds them."""
    written: dict[str, dict[str, dict[str, int]]] = {}
    for (edition, notebook), each in asked.items():
        written.setdefault(edition, {})[notebook] = asdict(each)
    return written


def _up(value: float, step: int) -> int:
    return math.ceil(value / step) * step
