"""What was too little for a job, as Slurm and the job itself say it."""

import pytest

from crosseyed.editions import Edition
from crosseyed.workflow import shortages

DEAD = "the kernel died, most often for lack of memory"
STEPS = (
    "slurmstepd-vm: error: Exceeded job memory limit",
    "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0. Some of your processes may have been killed by the "
    "cgroup out-of-memory handler.",
    "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks have been OOM Killed.",
    "srun: error: node17: task 0: Out Of Memory",
)
EDITION = Edition("ViT-B-32", "openai")


@pytest.mark.parametrize(
    ("reason", "log", "resource"),
    [
        ("SLURM-job '5' failed, SLURM status is: 'TIMEOUT'.", "", "runtime"),
        ("SLURM-job '5' failed, SLURM status is: 'OUT_OF_MEMORY'. Reason: None", "", "mem_mb"),
        (
            "SLURM-job '5' failed, SLURM status is: 'FAILED'.",
            DEAD,
            "mem_mb",
        ),
        *(
            ("SLURM-job '5' failed, SLURM status is: 'FAILED'.", f"| executing\n| {line}\n", "mem_mb")
            for line in STEPS
        ),
        ("SLURM-job '5' failed, SLURM status is: 'FAILED'.", "ValueError: TIMEOUT", None),
        ("SLURM-job '5' failed, SLURM status is: 'FAILED'.", "OutOfMemoryError: CUDA out of memory.", None),
        ("SLURM-job '5' failed, SLURM status is: 'CANCELLED'.", "", None),
    ],
)
def test_the_cause(reason, log, resource):
    assert shortages.cause(reason, log) == resource


def test_the_largest_that_was_too_little_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shortages.read(EDITION, "01_x") == {}
    for minutes in (20, 80, 40):
        shortages.note(EDITION.folder, "01_x", "runtime", minutes)
    shortages.note(EDITION.folder, "01_x", "mem_mb", 3000)
    assert shortages.read(EDITION, "01_x") == {"runtime": 80, "mem_mb": 3000}
    assert shortages.read(EDITION, "02_y") == {}


def test_a_damaged_note_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shortages.note(EDITION.folder, "01_x", "runtime", 20)
    (file,) = (EDITION.folder / "shortages").iterdir()
    file.write_text('{"runtime": -1}')
    assert shortages.read(EDITION, "01_x") == {}
    shortages.note(EDITION.folder, "01_x", "runtime", 30)
    assert shortages.read(EDITION, "01_x") == {"runtime": 30}
