"""What of Snakemake's own words is shown; the runs themselves are in test_snakefile.py."""

import logging

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
    ],
)
def test_what_a_job_has_said_already_is_not_repeated(message):
    assert not snakemake._is_news(record(message))


@pytest.mark.parametrize(
    "message",
    [
        "WorkflowError:\nSLURM job submission failed. The error message was sbatch: error: invalid account\n"
        "At least one job did not complete successfully.",
        "Error in rule notebook:\n    external_jobid: 17\n    returned non-zero exit status 1",
        "MissingOutputException in rule notebook",
    ],
)
def test_the_reason_of_a_failure_elsewhere_is_shown(message):
    assert snakemake._is_news(record(message))


def test_notices_are_not_shown():
    assert not snakemake._is_news(record("Building DAG of jobs...", logging.INFO))


def test_a_profile_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*config\.yaml"):
        snakemake.check_profile(str(tmp_path / "nowhere"))


def test_a_profile_for_this_machine_needs_no_plugin(tmp_path):
    (tmp_path / "config.yaml").write_text("jobs: 2\n")
    snakemake.check_profile(str(tmp_path))
