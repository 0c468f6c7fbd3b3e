"""A Slurm cluster: what it has, what a sweep can ask of it, and the jobs that an earlier run has left there."""

import getpass
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crosseyed.editions import Edition
from crosseyed.errors import InputError, suggest
from crosseyed.workflow.processes import end_children
from crosseyed.workflow.requests import Limits, Place

_LONGEST_PAUSE = 180  # seconds that the executor lets pass between two questions about its jobs
_NOT_CONFIGURED = (
    1  # MiB of memory of machines whose memory slurm.conf does not state; jobs can ask for no more
)
_PAUSE = 10  # seconds between two looks at what an earlier run has left


@dataclass(frozen=True)
class Partition:
    """Machines with one queue."""

    name: str
    is_default: bool
    limits: Limits
    has_gpus: bool


@dataclass(frozen=True)
class Cluster:
    """What a cluster says of itself."""

    partitions: tuple[Partition, ...]
    has_accounting: bool
    """Whether its database answers."""
    remembers: int
    """Seconds for which the controller itself knows how a job has ended (MinJobAge)."""
    accounts: tuple[str, ...]
    """Accounts of this user that the database names."""
    needs_account: bool
    """Whether it refuses jobs without one."""


@dataclass(frozen=True)
class Settled:
    """What a sweep takes to a cluster."""

    options: tuple[str, ...]
    """For Snakemake."""
    place: Place
    """Where its jobs run."""
    note: str
    """For the user."""


def ask() -> Cluster:
    """Ask the cluster what it has.

    Raises
    ------
    InputError
        There are no commands of Slurm on this machine, or the cluster does not answer.
    """
    settings = _settings(_run("scontrol", "show", "config"))
    enforced = settings.get("AccountingStorageEnforce", "")
    database = "slurmdbd" in settings.get("AccountingStorageType", "") and _answers("sacct", "-n", "-X")
    mine = ("list", "associations", f"user={getpass.getuser()}", "format=account")
    accounts = _try("sacctmgr", "-nP", *mine) if database else None
    return Cluster(
        partitions=_partitions(_run("sinfo", "--noheader", "--exact", "--format=%P|%l|%c|%m|%G")),
        has_accounting=database,
        remembers=_number(settings.get("MinJobAge", "")),
        accounts=tuple(sorted(set((accounts or "").split()))),
        needs_account="associations" in enforced or "limits" in enforced,
    )


def settle(profile: Mapping[str, object], file: str, cluster: Cluster) -> Settled:
    """Decide what a sweep asks of a cluster, by what its profile says and what the cluster has.

    Parameters
    ----------
    profile : mapping
        Options of Snakemake, as in ``profiles/slurm/config.yaml``; what they say is taken.
    file : str
        Where they stand, for messages.
    cluster : Cluster
        What the cluster has.

    Raises
    ------
    InputError
        The profile has to say more, or something else: partition, account, GPUs, memory or time. Or the cluster
        forgets finished jobs before they are asked for.
    """
    partition = _partition(_chosen(profile, "slurm_partition"), file, cluster)
    _check_account(_chosen(profile, "slurm_account"), file, cluster)
    wanted = _chosen(profile, "gpu", default=False)
    declined = str(wanted) == "0"
    gpus = partition.has_gpus and not declined
    others = [each.name for each in cluster.partitions if each.has_gpus]
    hint = f"; {', '.join(others)} has: set slurm_partition in {file}" if others else ""
    if wanted is not None and not declined and not gpus:
        raise InputError(
            f"{file} asks for GPUs, and the partition {partition.name} has none{hint or '; remove that line'}."
        )
    fixed = {key: _chosen(profile, key, default=False) for key in ("mem_mb", "runtime")}
    fixed = {key: str(value) for key, value in fixed.items() if value is not None}
    for key, value in fixed.items():
        most = getattr(partition.limits, key)
        if most is not None and value.isdigit() and int(value) > most:
            raise InputError(
                f"{file} sets {key} of notebooks to {value}, and the partition {partition.name} gives a job {most} at "
                "most. Lower that figure or remove the line, and notebooks ask for what they are planned to take."
            )
    note = f"partition {partition.name}: notebooks run with{' a GPU each' if gpus else 'out GPUs'}"
    return Settled(
        ("--slurm-status-command", _status_command(profile, file, cluster)),
        Place(
            f"the partition {partition.name}",
            gpus,
            partition.limits,
            frozenset(fixed) | ({"mem_mb"} if partition.limits.mem_mb == _NOT_CONFIGURED else set()),
            _advice(partition, file, cluster),
        ),
        note if gpus or declined else note + hint,
    )


def mend_executor() -> None:
    """Keep Snakemake's executor from two mistakes, after each of which it waits for ever.

    It takes a job that somebody cancelled (`CANCELLED by 1000`, says sacct) for one that is running. And it takes a
    controller that is away for one that forgets, and asks a database from then on that may not exist.
    """
    import snakemake_executor_plugin_slurm as executor

    ask_for_states, remembers = executor.query_job_status, executor.get_min_job_age()

    async def query(command: str, logger: object) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await ask_for_states(command, logger)
        return states and {number: state.split()[0] for number, state in states.items() if state}, seconds

    executor.query_job_status = query
    executor.get_min_job_age = lambda: remembers


@contextmanager
def alone(editions: Iterable[Edition], notebooks: Sequence[str]) -> Iterator[None]:
    """Wait for the jobs of an earlier run, which was killed, and leave none behind at the end.

    What they still make is kept, so that nothing is computed twice. The caller holds the locks of the editions: no
    living run has jobs for them.
    """
    ours = {f"rule_notebook_wildcards_{edition.name}_{name}" for edition in editions for name in notebooks}
    _wait_until_gone(ours)
    try:
        yield
    finally:
        end_children()  # first what submits jobs, then the jobs
        _cancel(ours)


def _wait_until_gone(ours: set[str]) -> None:
    told = False
    while numbers := _jobs(ours):
        if not told:
            print(
                f"waiting for jobs of an earlier run, queued or running: {' '.join(numbers)}; what they make is kept "
                "(to have it made anew instead: scancel with these numbers)",
                file=sys.stderr,
                flush=True,
            )
        told = True
        time.sleep(_PAUSE)


def _cancel(ours: set[str]) -> None:
    try:
        if numbers := _jobs(ours):
            _run("scancel", *numbers)
            print(f"jobs cancelled on the cluster: {' '.join(numbers)}", file=sys.stderr, flush=True)
    except InputError as error:
        print(
            f"jobs may be left on the cluster (`squeue --me` lists them): {error}",
            file=sys.stderr,
            flush=True,
        )


def _jobs(ours: set[str]) -> list[str]:
    """Return the numbers of queued and running jobs of this folder that are about what is named."""
    said = _run("squeue", f"--user={getpass.getuser()}", "--noheader", "--format=%i|%Z|%k")
    rows = [line.split("|", 2) for line in said.splitlines() if line.count("|") >= 2]
    here = str(Path.cwd())
    return [number for number, folder, about in rows if folder == here and about in ours]


def _partition(name: object, file: str, cluster: Cluster) -> Partition:
    names = [each.name for each in cluster.partitions]
    if name is not None:
        found = [each for each in cluster.partitions if each.name == str(name)]
        if not found:
            near = suggest(str(name), names) or "."
            raise InputError(
                f"{file} names the partition {name!r}, and the cluster has none of that name{near} "
                f"It has: {', '.join(names)}."
            )
        return found[0]
    for each in cluster.partitions:
        if each.is_default:
            return each
    raise InputError(
        f"The cluster has no default partition. Set slurm_partition below default-resources in {file} to one of: "
        f"{', '.join(names)}."
    )


def _advice(partition: Partition, file: str, cluster: Cluster) -> str:
    others = ", ".join(each.name for each in cluster.partitions if each is not partition)
    another = f"Set slurm_partition in {file} to one that gives more, of: {others}. " if others else ""
    return f"{another}If you know that less will do, set mem_mb or runtime below set-resources in {file}."


def _check_account(name: object, file: str, cluster: Cluster) -> None:
    if name is not None and cluster.accounts and str(name).lower() not in map(str.lower, cluster.accounts):
        raise InputError(
            f"{file} names the account {name!r}, and yours on this cluster are: {', '.join(cluster.accounts)}."
        )
    if name is None and cluster.needs_account and cluster.has_accounting and not cluster.accounts:
        raise InputError(
            "This cluster takes jobs of an account only, and its database names none for you. Ask who runs it, or set "
            f"slurm_account below default-resources in {file}."
        )


def _status_command(profile: Mapping[str, object], file: str, cluster: Cluster) -> str:
    given = profile.get("slurm-status-command")
    if given == "sacct" and not cluster.has_accounting:
        raise InputError(
            f"{file} has `slurm-status-command: sacct`, and this cluster keeps no accounting that answers it. Remove "
            "the line."
        )
    first = _number(str(profile.get("slurm-init-seconds-before-status-checks"))) or 40
    if cluster.remembers > max(_LONGEST_PAUSE, 3 * first):
        return str(given or "squeue")
    if cluster.has_accounting:
        return "sacct"
    raise InputError(
        f"This cluster keeps no accounting and forgets a job {cluster.remembers} seconds after its end (MinJobAge in "
        "slurm.conf), so that nobody can tell how the jobs of a sweep ended. Ask who runs it for MinJobAge=300, or run "
        "the sweep within one job, without a profile."
    )


def _chosen(profile: Mapping[str, object], resource: str, *, default: bool = True) -> object:
    """Return what a profile says of a resource of notebooks, or nothing; a default yields to what rules say."""
    by_rule = profile.get("set-resources")
    parts = [by_rule.get("notebook") if isinstance(by_rule, Mapping) else None]
    parts += [profile.get("default-resources")] if default else []
    chosen = (
        part[resource] for part in parts if isinstance(part, Mapping) and part.get(resource) is not None
    )
    return next(chosen, None)


def _partitions(said: str) -> tuple[Partition, ...]:
    """Read what sinfo says, a line for each kind of machine in a partition."""
    kinds: dict[str, list[list[str]]] = {}
    for line in filter(str.strip, said.splitlines()):
        name, *rest = line.strip().split("|")
        kinds.setdefault(name, []).append(rest)
    return tuple(
        Partition(
            name.removesuffix("*"),
            name.endswith("*"),
            Limits(
                max(_number(cores) for _, cores, _, _ in rows),
                max(_number(memory) for _, _, memory, _ in rows),
                _minutes(rows[0][0]),
            ),
            any(re.match(r"(.*,)?gpu\b", resources) for *_, resources in rows),
        )
        for name, rows in kinds.items()
    )


def _minutes(time_limit: str) -> int | None:
    """Read ``[days-]hours:minutes:seconds`` or shorter, from the right; None for no limit."""
    days, _, clock = time_limit.rpartition("-")
    parts = [int(part) for part in clock.split(":") if part.isdigit()]
    if not parts:
        return None
    seconds = sum(part * 60**place for place, part in enumerate(reversed(parts)))
    return int(days or 0) * 24 * 60 + seconds // 60


def _number(text: str) -> int:
    found = re.match(r"\d+", text.strip())
    return int(found.group()) if found else 0


def _settings(said: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in said.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=120
        )
    except FileNotFoundError:
        raise InputError(
            f"{command[0]} is not installed here, so this machine cannot submit jobs to Slurm; start the command on "
            "the cluster's login node."
        ) from None
    except subprocess.TimeoutExpired:
        raise InputError(f"The cluster does not answer ({' '.join(command)}); try again later.") from None
    if done.returncode:
        raise InputError(f"The cluster does not answer: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def _try(*command: str) -> str | None:
    try:
        return _run(*command)
    except InputError:
        return None


def _answers(*command: str) -> bool:
    return _try(*command) is not None
