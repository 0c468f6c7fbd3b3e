"""How a sweep runs by a profile of Snakemake: on this machine, on a Slurm cluster, or by another scheduler."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

from crosseyed.workflow import slurm
from crosseyed.workflow.requests import Limits, Place
from crosseyed.workflow.snakemake import BUILT_IN_EXECUTORS, find_profile
from crosseyed.workflow.sweep import Sweep

_ANY_CORES = 4096  # on a cluster a job has as many as it asks for


@dataclass(frozen=True)
class Run:
    """What a profile changes of the run of a sweep."""

    options: tuple[str, ...]
    """For Snakemake."""
    configuration: Mapping[str, object]
    """For the Snakefile: what notebooks ask for, unless they run on this machine."""
    alone: Callable[[], AbstractContextManager]
    """What the run happens in."""
    cores: int | None
    """Cores that Snakemake may use; None for those of this machine."""


def prepare(profile: str, sweep: Sweep, say: Callable[[str], object]) -> Run:
    """Read a profile, ask its cluster what it has, and plan what the notebooks of a sweep ask for.

    Parameters
    ----------
    profile : str
        A folder, or a name that Snakemake knows.
    sweep : Sweep
        The editions and notebooks.
    say : callable
        Is given the lines for the user.

    Raises
    ------
    InputError
        As of `crosseyed.workflow.snakemake.find_profile`, `slurm.settle` and `asked.of`.
    """
    file, chosen = find_profile(profile)
    options, alone, cores, place = ("--profile", str(file)), nullcontext, None, _place(chosen)
    if chosen.get("executor") == "slurm":
        settled = slurm.settle(chosen, str(file), slurm.ask())
        say(settled.note)
        options, place, cores = (*options, *settled.options), settled.place, _ANY_CORES
        alone = partial(slurm.alone, sweep.editions, sweep.notebooks)
    if place is None or not sweep.editions:
        return Run(options, {}, alone, cores)
    from crosseyed.workflow import asked  # imports torch

    return Run(
        options, {"requests": asked.announce(sweep.editions, sweep.notebooks, place, say)}, alone, cores
    )


def _place(profile: Mapping[str, object]) -> Place | None:
    """Return where jobs run that nothing is known of; None for this machine."""
    here = (profile.get("executor") or "local") in BUILT_IN_EXECUTORS
    return None if here else Place("the cluster", gpus=False, limits=Limits())
