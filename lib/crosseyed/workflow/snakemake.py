"""Run the workflow with Snakemake, as a process of its own, and show its errors and not its notices."""

import argparse
import hashlib
import json
import logging
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from crosseyed.documents import read_yaml
from crosseyed.editions import BUILD
from crosseyed.errors import InputError, shorten
from crosseyed.files import atomic_write, expand, require_writable
from crosseyed.workflow import display, failures, slurm
from crosseyed.workflow.jobs import Notes
from crosseyed.workflow.processes import Stopped, command_environment, stop_now

BUILT_IN_EXECUTORS = ("local", "dryrun", "touch")
"""What runs jobs on this machine, or none."""

_OPTIONS = (
    # Editions do not share files, and each has its own lock; that of Snakemake would remain after a killed run.
    # Quiet about "progress", it would not tell `Notes` of jobs that end; that is not shown in any case (`_News`).
    *("--nolock", "--quiet", "host", "rules", "reason"),
    # What the rules declare is written at the end of a job and whole, whether Snakemake has noted that or was killed.
    *("--ignore-incomplete", "--keep-going", "--scheduler", "greedy"),
)

# What a job that failed has already printed by itself, and what follows from it.
_ECHOES = ("Exiting because a job execution failed", "At least one job did not complete")

# What an executor tells of its guesses, and of how to ask the cluster; `crosseyed.workflow.slurm` has asked it.
_GUESSES = ("No SLURM account given", "No account was given", "Unable to guess SLURM account", "MinJobAge")

# What breaks while a stop unwinds Snakemake; its traceback begins with the stop, which the command tells of.
_STOP = f"{Stopped.__module__}.{Stopped.__qualname__}:"


def run(
    wanted: list[str],
    configuration: dict[str, list],
    cores: int,
    *,
    planned: display.Planned = MappingProxyType({}),
) -> int:
    """Make what is wanted, show how far that is, and return the exit status of Snakemake.

    Parameters
    ----------
    wanted : list of str
        Targets and further options.
    configuration : dict
        `editions` and perhaps `notebooks`, as the Snakefile takes them.
    cores : int
        Cores to use.
    planned : mapping
        Passes of the image tower by edition and notebook, as far as they are known.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    require_writable(".snakemake")  # Snakemake's records; it would show a traceback
    file = _write(configuration)
    jobs = file.with_suffix(".jobs")
    jobs.unlink(missing_ok=True)
    command = [*_command(file, cores, "--notes", str(jobs)), *_OPTIONS, *wanted]
    watch = display.Watch(jobs, planned, several=len(configuration["editions"]) > 1)
    # in a session of its own: a key that interrupts reaches this process alone, which then ends the others
    try:
        code = display.follow(command, command_environment(), watch)
    finally:
        jobs.unlink(missing_ok=True)
    if code < 0:  # then it could not say so
        name = signal.Signals(-code).name
        print(f"error: {name} ended Snakemake, most often for lack of memory", file=sys.stderr, flush=True)
    return code


def unfinished(wanted: list[str], configuration: dict[str, list]) -> set[Path]:
    """Return the files that Snakemake would make if it ran again: what is not done, or not with the present inputs."""
    command = [*_command(_write(configuration), 1), *_OPTIONS, "--summary", *wanted]
    report = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    header, *lines = [line.split("\t") for line in report.stdout.splitlines() if "\t" in line] or [[]]
    if "plan" not in header:
        raise InputError(f"Snakemake cannot tell what is done: {report.stderr.strip()[-500:]}")
    rows = [dict(zip(header, line, strict=False)) for line in lines]
    return {Path(row["output_file"]) for row in rows if row["plan"] != "no update" or row["status"] != "ok"}


def find_profile(profile: str) -> tuple[Path, dict[str, object]]:
    """Return file and options of a profile: a folder with a ``config.yaml``, or the name of one that Snakemake keeps.

    Raises
    ------
    InputError
        There is none, it is not a list of options, or its executor is not installed.
    """
    from snakemake.cli import get_profile_dir

    try:
        _, file = get_profile_dir(str(expand(profile))) or (None, None)
    except (OSError, ValueError):  # a name that no file can have
        file = None
    if file is None:
        raise InputError(
            f"There is no Snakemake profile {shorten(profile)}; give a folder with a "
            "config.yaml, such as profiles/slurm."
        )
    content = read_yaml(file, "a Snakemake profile")
    if not isinstance(content, dict):
        raise InputError(
            f"{str(file)!r} is not a Snakemake profile: it needs options, such as the line `jobs: 50`."
        )
    executor = content.get("executor") or "local"
    if not isinstance(executor, str) or not re.fullmatch(r"[\w-]+", executor, re.ASCII):
        raise InputError(
            f"{str(file)!r} has {shorten(executor)} for `executor`; write one name, such as slurm."
        )
    plugin = f"snakemake_executor_plugin_{executor}".replace("-", "_")
    if executor not in BUILT_IN_EXECUTORS and find_spec(plugin) is None:
        raise InputError(
            f"The profile {profile} runs jobs by {executor!r}, and its plugin is not installed. Install it with: "
            f"sh environment.sh pip install {plugin.replace('_', '-')}"
        )
    return file, content


def main(arguments: list[str], notes: Path | None = None) -> None:
    """Run Snakemake in this process, without its notices; ends with SystemExit.

    Parameters
    ----------
    arguments : list of str
        For Snakemake.
    notes : path, optional
        Where to note what is due and done (`crosseyed.workflow.jobs.Notes`).
    """
    from snakemake.cli import main as snakemake
    from snakemake.scheduling.job_scheduler import JobScheduler

    JobScheduler.exit_gracefully = stop_now  # which would wait until all jobs have ended
    if "--slurm-status-command" in arguments:
        slurm.mend_executor()
    log = logging.getLogger("snakemake.logging")
    if notes:
        log.addFilter(Notes(notes))
    log.addFilter(_News())
    argparse.ArgumentParser.print_usage = lambda *_: None  # of all its options, before the reason is told
    sys.argv[0] = "snakemake"  # which says it
    snakemake(arguments)


def _write(configuration: dict[str, list]) -> Path:
    content = json.dumps(configuration, indent=2)
    file = BUILD / "runs" / f"{hashlib.sha256(content.encode()).hexdigest()[:12]}.json"
    with atomic_write(file) as temporary:
        temporary.write_text(content)
    return file


def _command(file: Path, cores: int, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "crosseyed.cli",
        "workflow",
        *options,
        "--cores",
        str(cores),
        "--configfile",
        str(file),
    ]


class _News:
    """A filter of Snakemake's log: its own errors pass; its notices and what a job has already printed do not.

    Why a job failed elsewhere is written down.
    """

    def __init__(self) -> None:
        self._asked: dict[int, dict[str, object]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if str(getattr(record, "event", None) or "") == "job_info":
            self._asked[record.jobid] = dict(record.resources.items())
        if getattr(record, "rule_name", None) and record.levelno >= logging.ERROR:
            asked = self._asked.get(record.jobid, {})
            failures.note_job(record.output, record.rule_msg, record.log, asked)
            return False
        message = record.getMessage()
        lines = [line.strip() for line in message.splitlines()]
        telling = [
            line for line in lines if line not in ("", "WorkflowError:") and not line.startswith(_ECHOES)
        ]
        told = "returned non-zero exit status" in message or _STOP in message or message.startswith(_GUESSES)
        return record.levelno >= logging.WARNING and bool(telling) and not told
