"""What a profile changes of a sweep; that of Slurm is tried in tests/cluster."""

import pytest

from crosseyed.editions import Edition
from crosseyed.errors import InputError
from crosseyed.workflow import elsewhere
from crosseyed.workflow.sweep import Sweep

EDITION, CHAPTER = Edition("pocketclip-centered", size="quick"), "01_center_bias"
SWEEP = Sweep((EDITION,), (CHAPTER,), ())


@pytest.fixture
def profile(tmp_path):
    def make(executor):
        (tmp_path / "config.yaml").write_text(f"executor: {executor}\njobs: 5\n")
        return str(tmp_path)

    return make


def test_on_this_machine_nothing_is_asked_for(profile):
    said = []
    run = elsewhere.prepare(profile("local"), SWEEP, said.append)
    assert run.options[0] == "--profile" and run.configuration == {} and run.cores is None
    assert said == []


def test_for_another_scheduler_notebooks_ask_for_what_they_are_planned_to_take(profile, monkeypatch):
    monkeypatch.setattr("crosseyed.workflow.snakemake.find_spec", lambda _: True)
    said = []
    run = elsewhere.prepare(profile("lsf"), SWEEP, said.append)
    asked = run.configuration["requests"][EDITION.name][CHAPTER]
    assert asked["threads"] == 4 and asked["gpu"] == 0 and asked["mem_mb"] > 1_125
    assert len(said) == 1 and said[0].startswith("a notebook asks for 4 cores")
    assert elsewhere.prepare(profile("lsf"), Sweep((), (CHAPTER,), ()), said.append).configuration == {}


def test_slurm_that_is_not_there_is_said(profile, monkeypatch):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="scontrol is not installed here"):
        elsewhere.prepare(profile("slurm"), SWEEP, print)
