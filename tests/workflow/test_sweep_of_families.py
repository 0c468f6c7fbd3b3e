"""A sweep over models of three families: killed in its middle and resumed, it ends like one that nobody disturbed."""

import contextlib
import functools
import json
import os
import signal
import time

import pandas as pd
import pytest
import random_models
import small_repository
from faults import workbench

from crosseyed.editions import Edition

FAMILIES = {
    "class-token": random_models.NARROW,
    "attention-pooled": random_models.ATTENTION_POOLED,
    "convolutional": random_models.CONVOLUTIONAL,
}
HEADLINE = "01_center_bias"  # what a result is collected from
MEASURED = ["date", "commit", "cost", "seconds"]  # columns that tell when, where, and how long something took
PATIENCE = 3000  # seconds for what takes minutes on an idle machine

pytestmark = pytest.mark.slow


def sweep(project, families, notebooks=None):
    """Start a sweep as `make` does, over models that lie beside the project."""
    listed = {"models": [{"model": f"local-dir:{project.parent / family}"} for family in families]}
    (project / "families.yml").write_text(
        json.dumps(listed | ({"notebooks": notebooks} if notebooks else {}))
    )
    given = ("sweep", "MODELS=families.yml", "SIZE=quick")
    with workbench.said(project).open("w") as said:
        return small_repository.start(project, *given, program=("make",), stdout=said, HF_HUB_OFFLINE="1")


def end(process, project):
    """Wait for the end of a sweep; return its status and what it said."""
    code = process.wait(timeout=PATIENCE)
    return code, workbench.words(project)


@functools.cache
def edition_of(project, family):
    with contextlib.chdir(project):
        return Edition.from_mapping({"model": f"local-dir:{project.parent / family}", "size": "quick"})


def executed(project):
    """Return the executed notebooks that are whole and when each was made, by family and notebook."""
    found = {}
    for family in FAMILIES:
        folder = project / edition_of(project, family).folder
        for note in (folder / "done").glob("[0-9]*"):
            found[family, note.name] = (folder / "notebooks" / f"{note.name}.ipynb").stat().st_mtime_ns
    return found


def running(project):
    """Return the family and name of each notebook that has begun and is not whole."""
    editions = {edition_of(project, family).name: family for family in FAMILIES}
    found = project.glob("_build/editions/*/running/*/results")
    return [(editions[path.parents[2].name], path.parent.name) for path in found]


def tables(project, family, notebooks):
    """Return the tables of some chapters of an edition, and its result, without what is `MEASURED`."""
    edition = edition_of(project, family)
    folders = [project / edition.folder / "results" / notebook for notebook in notebooks]
    found = {
        f"{path.parent.name}/{path.name}": pd.read_csv(path).drop(columns=MEASURED, errors="ignore")
        for each in folders
        for path in each.glob("*.csv*")
    }
    kept = pd.read_csv(project / "data" / "results" / "models" / f"{edition.name}.csv")
    return {**found, "result": kept.drop(columns=MEASURED, errors="ignore")}


def wait_for_the_middle(process, project):
    """Wait until a notebook of each family is whole and another one runs; return those that run."""
    deadline = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None, workbench.words(project)
        assert time.monotonic() < deadline
        if {family for family, _ in executed(project)} == {*FAMILIES} and (found := running(project)):
            return found
        time.sleep(0.2)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a model of each family."""
    folder = tmp_path_factory.mktemp("families")
    for seed, (family, config) in enumerate(FAMILIES.items()):
        random_models.write(folder / family, config, seed)
    return folder


def test_a_sweep_of_three_families_that_was_killed_goes_on_to_the_same_tables(models):
    project, undisturbed = (small_repository.make_whole(models / name) for name in ("killed", "undisturbed"))
    try:
        process = sweep(project, FAMILIES)
        running_then = wait_for_the_middle(process, project)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 15
        while workbench.processes(project) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not workbench.processes(project) and not workbench.locked(project)
        before = executed(project)
        family, notebook = next(each for each in running_then if each not in before)

        code, said = end(sweep(project, FAMILIES), project)
        assert code == 0, said
        assert "3 of 3 editions are done" in said
        after = executed(project)
        assert len(before) < len(after) == len(FAMILIES) * len({name for _, name in after})
        assert {key: moment for key, moment in after.items() if key in before} == before
        assert not workbench.temporary_files(project)

        compared = sorted({notebook, HEADLINE})
        code, said = end(sweep(undisturbed, [family], compared), undisturbed)
        assert code == 0, said
        found, expected = (tables(each, family, compared) for each in (project, undisturbed))
        assert found.keys() == expected.keys() and len(found) > 3
        for name, table in expected.items():
            pd.testing.assert_frame_equal(found[name], table, obj=name)
    finally:
        for each in (project, undisturbed):
            workbench.end(each)
