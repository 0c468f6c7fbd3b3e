"""Sweeps of three small models on a real Slurm of one node: what runs, fails, is cancelled, killed and resumed."""

import re
import signal
import time
from dataclasses import replace

import pandas as pd
import pytest
from cluster import one_node, swept
from faults import workbench

from crosseyed.workflow.requests import LEAST, Limits, Place, Request

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(one_node.missing() is not None, reason=f"no Slurm: {one_node.missing()}"),
]

PATIENCE = 900  # seconds for what takes one on an idle machine
QUICK = {"slurm-init-seconds-before-status-checks": 5}  # instead of 40


def wait_for(what, is_there, process=None):
    deadline = time.monotonic() + PATIENCE
    while not (found := is_there()):
        assert process is None or process.poll() is None, f"the sweep ended before {what}"
        assert time.monotonic() < deadline, f"{what} takes too long"
        time.sleep(0.5)
    return found


class Bench:
    """A cluster, the project that is swept on it, and what a test says of both."""

    def __init__(self, folder, cluster, profile):
        self.cluster = one_node.OneNode(folder / "cluster", **cluster)
        self.project = swept.Swept(folder, **QUICK, **profile)

    def about(self, model, notebook=swept.LATER):
        return f"rule_notebook_wildcards_{self.project.editions()[model].name}_{notebook}"

    def job(self, model, *states):
        """Return the number of the newest job of a model's second chapter, if it is in one of the states."""
        about = self.about(model)
        jobs = [(int(number), state) for number, (state, of) in self.cluster.jobs().items() if of == about]
        return max((number for number, state in jobs if state in states), default=None)

    def asked(self, model, notebook):
        """Return what the newest job of a notebook asks for, as the controller says it."""
        about = self.about(model, notebook)
        number = max(int(number) for number, (_, of) in self.cluster.jobs().items() if of == about)
        told = self.cluster.ask("scontrol", "show", "job", str(number))
        (cores,), (memory,) = re.findall(r"NumCPUs=(\d+)", told), re.findall(r"TRES=.*mem=(\w+)", told)
        (days, hours, minutes) = re.search(r"TimeLimit=(?:(\d+)-)?(\d+):(\d+):00", told).groups(default="0")
        gpus = re.findall(r"TresPerJob=gres:gpu:(\d+)", told)
        factor = {"M": 1, "G": 1024}[memory[-1]]
        runtime = (int(days) * 24 + int(hours)) * 60 + int(minutes)
        return Request(int(cores), int(memory[:-1]) * factor, runtime, int(gpus[0]) if gpus else 0)

    def first_is_submitted(self):
        """Tell whether all jobs are: those of the first model come last, after it was loaded."""
        there = {about for _, about in self.cluster.jobs().values()}
        return there >= {self.about("first", notebook) for notebook in (workbench.CHAPTER, swept.LATER)}

    def sweep(self):
        """Run a sweep to its end; return its status and words."""
        process = self.project.start()
        process.wait(timeout=PATIENCE)
        return process.returncode, self.project.words()

    def summary(self, words):
        """Return what the summary says, by model."""
        names = {edition.name: model for model, edition in self.project.editions().items()}
        found = {}
        for line in words.partition("editions are done:\n")[2].splitlines():
            name, colon, text = line.strip().partition(": ")
            if colon and name in names:
                found[names[name]] = [text]
            elif line.startswith("      ") and found:
                found[list(found)[-1]].append(line.strip())
        return found


@pytest.fixture
def bench(tmp_path, monkeypatch):
    for variable in ("SLURM_CONF", "SLURM_JOB_ID"):
        monkeypatch.delenv(variable, raising=False)
    made = []

    def make(profile=None, **cluster):
        made.append(Bench(tmp_path, cluster, profile or {}))
        made[-1].cluster.start()
        return made[-1]

    yield make
    for each in made:
        each.project.end()
        each.cluster.stop()


@pytest.fixture(scope="module")
def local_tables(tmp_path_factory):
    """The results of the same sweep on this machine alone."""
    project = swept.Swept(tmp_path_factory.mktemp("local"))
    process = project.start("--cores", "2", profile=None)
    process.wait(timeout=PATIENCE)
    assert process.returncode == 0, project.words()
    return project.results()


def assert_same(found, expected):
    assert sorted(found) == sorted(expected) and len(expected) == len(swept.MODELS)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table)


def test_without_accounting_and_gpus(bench, local_tables):
    here = bench()
    project, cluster = here.project, here.cluster

    # one fails, one is cancelled, and the controller is away for longer than the pause between two questions
    project.order(fail="second", wait="third")
    process = project.start()
    job = wait_for("the job that waits", lambda: here.job("third", "RUNNING"), process)
    # what would be submitted or begin while it is away counts as failed
    wait_for("all jobs in the queue", here.first_is_submitted, process)
    wait_for("the notebook that waits", (project.orders / "waiting").exists, process)
    planned = project.plan(Place("", gpus=False, limits=Limits(8, 64_000, 600)))
    for (model, notebook), request in planned.items():
        assert here.asked(model, notebook) == request
    little = Request(threads=1, **LEAST)  # of a notebook that loads no model
    assert planned["second", swept.LATER] == little
    assert planned["second", workbench.CHAPTER].threads == 4
    assert planned["second", workbench.CHAPTER].mem_mb > little.mem_mb
    cluster.stop_controller()
    time.sleep(25)
    cluster.start_controller()
    cluster.ask("scancel", str(job))
    process.wait(timeout=PATIENCE)
    words = project.words()
    assert process.returncode == 1, words
    assert "notebooks run without GPUs" in words and "1 of 3 editions are done" in words
    assert "account" not in words and "Traceback" not in words, words
    said = here.summary(words)
    assert said["first"] == ["done"]
    failed, cancelled = "\n".join(said["second"]), "\n".join(said["third"])
    assert "failed in 02_later" in failed and "status is: 'FAILED'" in failed
    assert "AssertionError: no luck with this model" in failed
    assert "not run: 02_later" in cancelled and "status is: 'CANCELLED'" in cancelled
    for text in (failed, cancelled):
        (log,) = re.findall(r"log: (\S+)", text)
        assert log.startswith("_build/logs/") and (project.folder / log).exists()
    before = project.finished()

    # stopped politely, it ends at once with its jobs and locks
    project.order(fail=None, wait="third")
    process = project.start()
    wait_for("the job that waits again", lambda: here.job("third", "RUNNING"), process)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert process.returncode == 143
    assert "terminated; what is done is kept, and the same command continues from there" in project.words()
    assert "jobs cancelled on the cluster: " in project.words()
    wait_for("the end of all jobs", lambda: not here.job("third", "RUNNING", "PENDING", "COMPLETING"))
    assert not project.processes()
    assert not workbench.locked(project.folder)

    # the login process is killed: its job goes on, and the next command waits for it
    process = project.start()
    job = wait_for("the job that waits at last", lambda: here.job("third", "RUNNING"), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for("the end of what it has started", lambda: not project.processes())
    assert here.job("third", "RUNNING") == job
    process = project.start()
    wait_for("a word about it", lambda: "waiting for jobs of an earlier run" in project.words(), process)
    project.order(wait=None)
    process.wait(timeout=PATIENCE)
    assert process.returncode == 0, project.words()
    assert "3 of 3 editions are done" in project.words()
    assert here.job("third", "COMPLETED") == job
    # nothing was computed twice
    assert {path: time for path, time in project.finished().items() if path in before} == before
    assert_same(project.results(), local_tables)


def test_with_accounting_and_gpus(bench, local_tables):
    here = bench(accounting=True, gpus=2, min_job_age=60)  # the controller forgets, so the database is asked
    here.project.order(wait="third")
    process = here.project.start()
    job = wait_for("the job that waits", lambda: here.job("third", "RUNNING"), process)
    planned = here.project.plan(Place("", gpus=True, limits=Limits(8, 64_000, 600)))
    for notebook, gpus in ((workbench.CHAPTER, 1), (swept.LATER, 0)):  # the second loads no model
        assert here.asked("third", notebook) == planned["third", notebook]
        assert planned["third", notebook].gpu == gpus
    here.cluster.ask("scancel", str(job))
    process.wait(timeout=PATIENCE)
    words = here.project.words()
    assert process.returncode == 1 and "notebooks run with a GPU each" in words
    assert "account" not in words, words
    said = here.summary(words)
    assert said["first"] == said["second"] == ["done"]
    assert "status is: 'CANCELLED'" in "\n".join(said["third"])
    here.project.order(wait=None)
    code, words = here.sweep()
    assert code == 0 and "3 of 3 editions are done" in words
    assert_same(here.project.results(), local_tables)


def test_a_job_that_lacks_memory_or_time_is_given_more_by_the_next_run(bench, local_tables):
    here = bench(watches_memory=True)
    here.project.order(eat="second", wait="third")
    process = here.project.start()
    job = wait_for("the job that waits", lambda: here.job("third", "RUNNING"), process)
    assert here.asked("third", swept.LATER).runtime == LEAST["runtime"]
    here.cluster.ask("scontrol", "update", f"JobId={job}", "TimeLimit=1")  # not to wait for longer
    process.wait(timeout=PATIENCE)
    words = here.project.words()
    assert process.returncode == 1 and "1 of 3 editions are done" in words, words
    said = {model: "\n".join(lines) for model, lines in here.summary(words).items()}
    assert "Exceeded job memory limit" in said["second"], words
    assert f"{LEAST['mem_mb']} MB of memory were too little; the next run asks for more" in said["second"]
    assert "status is: 'TIMEOUT'" in said["third"]
    assert f"{LEAST['runtime']} minutes were too little; the next run asks for more" in said["third"]
    before = here.project.finished()

    here.project.order(wait=None)  # the second still takes as much memory
    code, words = here.sweep()
    assert code == 0 and "3 of 3 editions are done" in words, words
    little = Request(threads=1, **LEAST)
    assert here.asked("second", swept.LATER) == replace(little, mem_mb=2 * LEAST["mem_mb"])
    assert here.asked("third", swept.LATER) == replace(little, runtime=2 * LEAST["runtime"])
    # and what was done with other requests is not done again
    assert {path: time for path, time in here.project.finished().items() if path in before} == before
    assert_same(here.project.results(), local_tables)


def test_what_the_cluster_refuses_is_said(bench):
    here = bench(profile={"set-resources": {"notebook": {"constraint": "marvellous"}}})
    code, words = here.sweep()
    assert code == 1 and "0 of 3 editions are done" in words
    for text in here.summary(words).values():
        assert text[0].startswith("not run: ") and "sbatch: error" in text[1]


@pytest.mark.parametrize(
    ("profile", "cluster", "words"),
    [
        ({"set-resources": {"notebook": {"gpu": 1}}}, {}, "asks for GPUs, and the partition short has none"),
        ({"default-resources": {"slurm_partition": "shrot"}}, {}, "did you mean 'short'"),
        (
            {},
            {"memory": 1000},
            "of memory (2 other notebooks as well), and the partition short gives one job 1.0 GB",
        ),
        ({"set-resources": {"notebook": {"mem_mb": 10**9}}}, {}, "sets mem_mb of notebooks to 1000000000"),
        ({}, {"min_job_age": 60}, "forgets a job 60 seconds after its end"),
    ],
)
def test_what_the_profile_must_say_is_said_at_once(bench, profile, cluster, words):
    here = bench(profile, **cluster)
    code, said = here.sweep()
    assert code == 1 and words in said and "Traceback" not in said
    assert here.cluster.jobs() == {}
