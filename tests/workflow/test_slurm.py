"""What a cluster says, and what a sweep asks of it; a real cluster is in tests/cluster."""

import asyncio
import os
from dataclasses import replace

import pytest

from crosseyed.documents import read_yaml
from crosseyed.editions import Edition
from crosseyed.errors import InputError
from crosseyed.files import DATA
from crosseyed.workflow import slurm
from crosseyed.workflow.requests import Limits
from crosseyed.workflow.slurm import Cluster, Partition, settle

CPU = Partition("short", True, Limits(8, 32_000, 600), has_gpus=False)
GPU = Partition("a100", False, Limits(64, 512_000, None), has_gpus=True)
CLUSTER = Cluster((CPU, GPU), has_accounting=True, remembers=300, accounts=("vision",), needs_account=True)
PROFILE = read_yaml(DATA.parent / "profiles" / "slurm" / "config.yaml", "a profile")
FILE = "profiles/slurm/config.yaml"

CONFIGURATION = """
AccountingStorageEnforce = associations
AccountingStorageType   = accounting_storage/slurmdbd
MinJobAge               = 300 sec
"""
PARTITIONS = """
short*|10:00:00|4|64000|(null)
short*|10:00:00|8+|32000|(null)
a100|1-12:30:00|64|512000|shard:4,gpu:a100:4(S:0-1)
open|infinite|2|8000|gpus_of_old:1
"""


def in_partition(name, **more):
    return {**PROFILE, "default-resources": {"slurm_partition": name, **more}}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Put commands of Slurm on the path that print what they are told, and nothing else."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def make(**said):
        for name in ("scontrol", "sinfo", "sacct", "sacctmgr", "squeue", "scancel"):
            (tmp_path / f"{name}.said").write_text(said.get(name) or "")
            fails = said.get(name, "") is None
            script = f'#!/bin/sh\necho "$@" >> "{tmp_path}/{name}.asked"\ncat "{tmp_path}/{name}.said"\n'
            (tmp_path / name).write_text(script + ("echo no answer >&2; exit 1\n" if fails else ""))
            (tmp_path / name).chmod(0o755)
        return tmp_path

    return make


def test_a_cluster_is_read_from_what_its_commands_say(commands):
    commands(scontrol=CONFIGURATION, sinfo=PARTITIONS, sacctmgr="vision\nvision\nbio\n")
    assert slurm.ask() == Cluster(
        (
            Partition("short", True, Limits(8, 64_000, 600), False),
            Partition("a100", False, Limits(64, 512_000, 36 * 60 + 30), True),
            Partition("open", False, Limits(2, 8_000, None), False),
        ),
        has_accounting=True,
        remembers=300,
        accounts=("bio", "vision"),
        needs_account=True,
    )


def test_accounting_that_is_configured_and_does_not_answer_is_none(commands):
    commands(scontrol=CONFIGURATION, sinfo=PARTITIONS, sacct=None, sacctmgr=None)
    assert not slurm.ask().has_accounting
    commands(
        scontrol="AccountingStorageType = accounting_storage/none\nMinJobAge = 300 sec\n", sinfo=PARTITIONS
    )
    assert not slurm.ask().has_accounting


def test_a_machine_without_slurm_and_a_cluster_that_is_down_are_said(commands, tmp_path, monkeypatch):
    commands(scontrol=None)
    with pytest.raises(InputError, match="does not answer: no answer"):
        slurm.ask()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"scontrol is not installed here.*login node"):
        slurm.ask()


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 0),
        ("45:00", 45),
        ("1:00:00", 60),
        ("2-03:04:05", 2 * 1440 + 184),
        ("infinite", None),
        ("n/a", None),
    ],
)
def test_time_limits(text, minutes):
    assert slurm._minutes(text) == minutes


def test_who_needs_more_than_the_partition_gives_is_told_where_there_may_be_more():
    place = settle(PROFILE, FILE, CLUSTER).place
    assert place.name == "the partition short"
    assert place.advice == (
        f"Set slurm_partition in {FILE} to one that gives more, of: a100. "
        f"If you know that less will do, set mem_mb or runtime below set-resources in {FILE}."
    )
    alone = settle(PROFILE, FILE, replace(CLUSTER, partitions=(CPU,))).place
    assert alone.advice.startswith("If you know that less will do")


def test_what_the_profile_sets_is_taken():
    given = {**PROFILE, "set-resources": {"notebook": {"mem_mb": 31_000, "runtime": "4h"}}}
    assert settle(given, FILE, CLUSTER).place.fixed == {"mem_mb", "runtime"}


def test_a_cluster_that_does_not_state_its_memory_refuses_nothing_for_it():
    silent = replace(CPU, limits=replace(CPU.limits, mem_mb=1))
    assert settle(PROFILE, FILE, replace(CLUSTER, partitions=(silent,))).place.fixed == {"mem_mb"}


def test_notebooks_ask_for_what_the_default_partition_has():
    settled = settle(PROFILE, FILE, CLUSTER)
    assert settled.options == ("--slurm-status-command", "squeue")
    assert not settled.place.gpus and settled.place.limits == CPU.limits and not settled.place.fixed
    assert settled.note == (
        f"partition short: notebooks run without GPUs; a100 has: set slurm_partition in {FILE}"
    )


def test_notebooks_ask_for_a_gpu_where_there_are_some_unless_the_profile_declines():
    settled = settle(in_partition("a100"), FILE, CLUSTER)
    assert settled.place.gpus and settled.place.limits == GPU.limits
    assert settled.note == "partition a100: notebooks run with a GPU each"
    declined = settle({**in_partition("a100"), "set-resources": {"notebook": {"gpu": "0"}}}, FILE, CLUSTER)
    assert not declined.place.gpus
    assert declined.note == "partition a100: notebooks run without GPUs"


@pytest.mark.parametrize(
    ("profile", "change", "words"),
    [
        (in_partition("a10"), {}, "'a10', and the cluster has none of that name; did you mean 'a100'"),
        (PROFILE, {"partitions": (GPU,)}, "no default partition. Set slurm_partition .* to one of: a100"),
        (
            in_partition("short", slurm_account="visoin"),
            {},
            "'visoin', and yours on this cluster are: vision",
        ),
        (PROFILE, {"accounts": ()}, "jobs of an account only.*set slurm_account"),
        (
            {**PROFILE, "set-resources": {"notebook": {"gpu": "1"}}},
            {},
            "asks for GPUs, and the partition short has none; a100 has: set slurm_partition",
        ),
        (
            {**PROFILE, "set-resources": {"notebook": {"gpu": "1"}}},
            {"partitions": (CPU,)},
            "asks for GPUs, and the partition short has none; remove that line",
        ),
        (
            {**PROFILE, "set-resources": {"notebook": {"mem_mb": 33_000}}},
            {},
            "sets mem_mb of notebooks to 33000, and the partition short gives a job 32000 at most",
        ),
        (
            {**PROFILE, "set-resources": {"notebook": {"runtime": "601"}}},
            {},
            "sets runtime of notebooks to 601, and the partition short gives a job 600 at most",
        ),
        (PROFILE, {"has_accounting": False, "remembers": 60}, "forgets a job 60 seconds after its end"),
        (
            {**PROFILE, "slurm-status-command": "sacct"},
            {"has_accounting": False},
            "keeps no accounting that answers it. Remove the line",
        ),
    ],
)
def test_what_the_profile_must_say_is_said_at_once(profile, change, words):
    with pytest.raises(InputError, match=words):
        settle(profile, FILE, replace(CLUSTER, **change))


@pytest.mark.parametrize(
    ("has_accounting", "remembers", "first", "command"),
    [
        (True, 300, 40, "squeue"),
        (True, 60, 40, "sacct"),
        (True, 300, 120, "sacct"),
        (False, 300, 40, "squeue"),
    ],
)
def test_jobs_are_asked_for_where_somebody_remembers_them(has_accounting, remembers, first, command):
    cluster = replace(CLUSTER, has_accounting=has_accounting, remembers=remembers)
    profile = {**PROFILE, "slurm-init-seconds-before-status-checks": str(first)}
    assert settle(profile, FILE, cluster).options[1] == command


def test_jobs_of_this_folder_and_these_editions_are_cancelled_at_the_end(
    commands, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm, "end_children", lambda: None)
    about = "rule_notebook_wildcards_a--b_01_x"
    folder = commands()
    with slurm.alone([Edition("a", "b")], ["01_x"]):
        lines = [
            f"5|{tmp_path}|{about}",
            f"6|/elsewhere|{about}",
            f"7|{tmp_path}|{about}y",
            f"8|{tmp_path}|(null)",
        ]
        (folder / "squeue.said").write_text("\n".join(lines))
    assert (folder / "scancel.asked").read_text() == "5\n"
    assert "jobs cancelled on the cluster: 5\n" in capsys.readouterr().err


def test_jobs_of_an_earlier_run_are_waited_for(commands, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm, "end_children", lambda: None)
    monkeypatch.setattr(slurm, "_PAUSE", 0.01)
    folder = commands(squeue=f"5|{tmp_path}|rule_notebook_wildcards_a_01_x")
    script = (folder / "squeue").read_text()
    (folder / "squeue").write_text(
        script + f'[ $(wc -l < "{folder}/squeue.asked") -lt 3 ] || : > "{folder}/squeue.said"\n'
    )
    with slurm.alone([Edition("a")], ["01_x"]):
        assert len((folder / "squeue.asked").read_text().splitlines()) == 4
    said = capsys.readouterr().err
    assert said.count("waiting for jobs of an earlier run, queued or running: 5;") == 1
    assert not (folder / "scancel.asked").exists()


def test_a_cluster_that_does_not_answer_at_the_end_is_said(commands, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm, "end_children", lambda: None)
    commands()
    with slurm.alone([Edition("a")], ["01_x"]):
        commands(squeue=None)
    assert "jobs may be left on the cluster (`squeue --me` lists them)" in capsys.readouterr().err


def test_the_executor_understands_that_a_job_was_cancelled_by_somebody():
    executor = pytest.importorskip("snakemake_executor_plugin_slurm")
    with pytest.MonkeyPatch.context() as patch:
        answers = [({"1": "CANCELLED by 1000", "2": "RUNNING"}, 0.1), (None, None)]

        async def ask(*_):
            return answers.pop(0)

        patch.setattr(executor, "query_job_status", ask)
        patch.setattr(executor, "get_min_job_age", lambda: None)
        slurm.mend_executor()
        found = [asyncio.run(executor.query_job_status("sacct", None)) for _ in range(2)]
    assert found == [({"1": "CANCELLED", "2": "RUNNING"}, 0.1), (None, None)]


def test_the_executor_does_not_take_a_controller_that_is_away_for_one_that_forgets():
    executor = pytest.importorskip("snakemake_executor_plugin_slurm")
    with pytest.MonkeyPatch.context() as patch:
        answers = [300, None]
        patch.setattr(executor, "query_job_status", None)
        patch.setattr(executor, "get_min_job_age", lambda: answers.pop(0))
        slurm.mend_executor()
        assert [executor.get_min_job_age() for _ in range(3)] == [300, 300, 300]
