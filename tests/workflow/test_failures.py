"""What is written down of a job that failed on a cluster; the jobs themselves are in tests/cluster."""

import pytest

from crosseyed.editions import Edition
from crosseyed.workflow import failures, shortages

EDITION = Edition("ViT-B-32", "openai")
DONE = str(EDITION.folder / "done" / "02_later")
END = "For further error details see the cluster/cloud log and the log files of the involved rule(s)."

LOG = """
SNAKEMAKE
    Command: python
Building DAG of jobs...
rule notebook:
    output: _build/editions/a/done/02_later
    resources: mem_mb=1
executing notebooks/02_later.ipynb
02_later: cell 2 of 9, 1,234 passes, 56 images/s
error: notebooks/02_later.ipynb failed in cell [2], which begins with `1 / 0`:
  ZeroDivisionError: division by zero
[Fri Nov 27 14:46:52 2026]
Error in rule notebook:
    message: None
    shell:
        python -m crosseyed.cli execute a b
        (command exited with non-zero exit code)
Shutting down, this might take some time.
Elapsed time: 0:00:01
WorkflowError:
At least one job did not complete successfully.
slurmstepd: error: *** STEP 3.0 ON node CANCELLED ***
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_note_says_why_and_shows_what_the_job_said_and_not_what_snakemake_did(here, capsys):
    log = here / "logs" / "17.log"
    log.parent.mkdir()
    log.write_text(LOG)
    failures.note_job([DONE], f"SLURM-job '17' failed. Reason: Unknown.{END}", [str(log)])
    assert failures.read(EDITION, "02_later").splitlines() == [
        "SLURM-job '17' failed.",
        "log: logs/17.log",
        "| executing notebooks/02_later.ipynb",
        "| error: notebooks/02_later.ipynb failed in cell [2], which begins with `1 / 0`:",
        "|   ZeroDivisionError: division by zero",
        "| slurmstepd: error: *** STEP 3.0 ON node CANCELLED ***",
    ]
    assert capsys.readouterr().err == "ViT-B-32--openai, 02_later: SLURM-job '17' failed.\n"


def test_a_job_that_was_refused_has_a_reason_and_no_log():
    message = (
        f"SLURM sbatch failed. The error message was 'Invalid account'.\n    sbatch call:\n  sbatch -x\n{END}"
    )
    failures.note_job([DONE], message, [])
    assert (
        failures.read(EDITION, "02_later")
        == "SLURM sbatch failed. The error message was 'Invalid account'.\n"
    )


def test_a_log_that_did_not_arrive_is_named():
    failures.note_job([DONE], END, ["nowhere.log"])
    assert failures.read(EDITION, "02_later").splitlines() == [
        "no reason is given",
        "log: nowhere.log",
        "| (there is no such file)",
    ]


def test_of_a_log_without_what_snakemake_says_first_the_end_is_shown(here):
    (here / "a.log").write_text("".join(f"{number}\n" for number in range(99)))
    failures.note_job([DONE], END, ["a.log"])
    assert failures.read(EDITION, "02_later").splitlines()[2:] == [f"| {number}" for number in range(84, 99)]


def test_what_was_too_little_is_said_and_kept_for_the_next_run():
    message = (
        f"SLURM-job '17' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable (x).{END}"
    )
    failures.note_job([DONE], message, [], {"mem_mb": 3000, "runtime": 20})
    assert failures.read(EDITION, "02_later").splitlines() == [
        "SLURM-job '17' failed, SLURM status is: 'TIMEOUT'.",
        "20 minutes were too little; the next run asks for more, unless the profile sets it.",
    ]
    failures.forget(EDITION)
    assert shortages.read(EDITION, "02_later") == {"runtime": 20}


def test_a_job_that_failed_by_itself_had_enough():
    failures.note_job([DONE], f"SLURM-job '17' failed, SLURM status is: 'FAILED'.{END}", [], {"runtime": 20})
    assert shortages.read(EDITION, "02_later") == {}
    failures.note_job(
        [DONE], f"SLURM-job '17' failed, SLURM status is: 'TIMEOUT'.{END}", []
    )  # what it had is unknown
    assert shortages.read(EDITION, "02_later") == {}


def test_the_next_run_forgets(here):
    failures.note_job([DONE], END, [])
    kept = here / EDITION.folder / "failed" / "02_later.ipynb"
    kept.touch()
    failures.forget(EDITION)
    assert failures.read(EDITION, "02_later") == ""
    assert kept.exists()


@pytest.mark.parametrize("message", [None, "", "Command 'python' returned non-zero exit status 1."])
def test_a_job_on_this_machine_has_said_so_itself(message, capsys):
    failures.note_job([DONE], message, [])
    assert failures.read(EDITION, "02_later") == ""
    assert capsys.readouterr().err == ""
