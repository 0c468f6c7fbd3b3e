"""What of Snakemake's own words is shown; the runs themselves are in test_snakefile.py."""

import logging
import sys

import pytest

from crosseyed.errors import InputError
from crosseyed.workflow import snakemake


def record(message, level=logging.ERROR):
    return logging.LogRecord("snakemake", level, "", 0, message, None, None)


@pytest.mark.parametrize(
    "message",
    [
        "Exiting because a job execution failed. Look below for error messages",
        "WorkflowError:\nAt least one job did not complete successfully.",
        "Command 'python' returned non-zero exit status 1.",
        "No SLURM account given, trying to guess.",
    ],
)
def test_what_a_job_has_said_already_is_not_repeated(message):
    assert not snakemake._News().filter(record(message))


@pytest.mark.parametrize(
    "message",
    [
        "WorkflowError:\nSLURM job submission failed. The error message was sbatch: error: invalid account\n"
        "At least one job did not complete successfully.",
        "MissingOutputException in rule notebook",
    ],
)
def test_the_reason_of_a_failure_elsewhere_is_shown(message):
    assert snakemake._News().filter(record(message))


def test_notices_are_not_shown():
    assert not snakemake._News().filter(record("Building DAG of jobs...", logging.INFO))


def test_a_profile_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*config\.yaml"):
        snakemake.find_profile(str(tmp_path / "nowhere"))


def test_a_profile_for_this_machine_needs_no_plugin(tmp_path):
    (tmp_path / "config.yaml").write_text("jobs: 2\n")
    assert snakemake.find_profile(str(tmp_path)) == (tmp_path / "config.yaml", {"jobs": "2"})


def test_a_profile_is_found_where_snakemake_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "snakemake" / "work").mkdir(parents=True)
    (tmp_path / "snakemake" / "work" / "config.v8+.yaml").write_text("jobs: 2\n")
    assert snakemake.find_profile("work")[0].parent.name == "work"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a Snakemake profile"),
        ("[jobs]", "not a Snakemake profile"),
        ("executor: [a, b]", "for `executor`"),
        ("executor: ../x", "for `executor`"),
        ("executor: nowhere", "pip install snakemake-executor-plugin-nowhere"),
        ("jobs: 1\njobs: 2", "comes twice"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        snakemake.find_profile(str(tmp_path))


@pytest.mark.parametrize("name", ["a" * 300, "大きい", "a\nb", "a\0b"])
def test_any_name_of_a_profile_that_is_missing_is_said(name):
    with pytest.raises(InputError, match="There is no Snakemake profile"):
        snakemake.find_profile(name)


def test_that_snakemake_was_killed_is_said(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    kill = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    monkeypatch.setattr(snakemake, "_command", lambda *_: kill)
    assert snakemake.run([], {"editions": []}, 1) == -9
    assert "error: SIGKILL ended Snakemake" in capfd.readouterr().err


def test_records_that_cannot_be_written_are_said_before_snakemake_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake").touch()
    with pytest.raises(InputError, match=r"'\.snakemake' cannot be written to"):
        snakemake.run([], {"editions": []}, 1)
