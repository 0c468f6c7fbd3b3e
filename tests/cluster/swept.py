"""A small project to sweep on a cluster: three tiny models of random weights, a quick chapter, one that obeys files."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict

import pandas as pd
import psutil
import yaml
from faults import workbench
from small_notebooks import write_notebook

from crosseyed.editions import Description, Edition
from crosseyed.models.loading import load
from crosseyed.workflow.asked import of as requests_of

MODELS = ("first", "second", "third")
LATER = "02_later"

# what it does depends on the model: the file `fail`, `wait` or `eat` beside the project names one
_LATER = """
import pathlib, time
def named(file):
    path = pathlib.Path({orders!r}, file)
    return path.exists() and model.endswith(path.read_text())
assert not named("fail"), "no luck with this model"
eaten = b"x" * (2 * 10**9 if named("eat") else 0)  # bytes, for as long as a look at it takes
time.sleep(8 if eaten else 0)
while named("wait"):
    pathlib.Path({orders!r}, "waiting").touch()
    time.sleep(0.1)
pathlib.Path(output, "t.csv").write_text("a\\n1\\n")
"""


class Swept:
    """The project and the commands that a test starts in it."""

    def __init__(self, folder, **profile):
        self.folder, self.orders = folder / "project", folder / "orders"
        self.orders.mkdir(parents=True)
        workbench.write_repository(self.folder)
        for seed, name in enumerate(MODELS):
            workbench.write_tiny(self.folder / name, seed)
        workbench.write_notebook(self.folder / "notebooks" / f"{workbench.CHAPTER}.ipynb")
        later = _LATER.format(orders=str(self.orders))
        write_notebook(self.folder / "notebooks" / f"{LATER}.ipynb", later)
        with contextlib.chdir(self.folder):
            for name in MODELS[1:]:  # the first is described by the sweep itself
                _pretend_loaded(f"local-dir:{name}")
        models = [{"model": f"local-dir:{name}"} for name in MODELS]
        workbench.write(self.folder / "models.yml", json.dumps({"models": models}))
        options = yaml.safe_load((workbench.ROOT / "profiles" / "slurm" / "config.yaml").read_text())
        text = yaml.safe_dump({**options, **profile})
        workbench.write(self.folder / "profiles" / "slurm" / "config.yaml", text)

    def editions(self):
        """Return the editions by their models."""
        with contextlib.chdir(self.folder):
            return {name: Edition.from_mapping({"model": f"local-dir:{name}"}) for name in MODELS}

    def order(self, **orders):
        """Say which model fails, which waits and which takes much memory."""
        for name, model in orders.items():
            path = self.orders / name
            path.write_text(model) if model else path.unlink(missing_ok=True)

    def start(self, *more, profile="profiles/slurm"):
        """Start the sweep as `make sweep PROFILE=profiles/slurm` does; its words go to a file beside the project."""
        arguments = ["-m", "crosseyed.cli", "sweep", "models.yml", "--profile", profile or "", *more]
        environment = workbench.environment(self.folder)
        with open(workbench.said(self.folder), "wb") as said:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env={key: value for key, value in environment.items() if not key.startswith("SLURM_")},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def words(self):
        return workbench.words(self.folder)

    def plan(self, place):
        """Return what the notebooks of each model ask for at a place, by model and notebook."""
        with contextlib.chdir(self.folder):
            editions = self.editions()
            asked = requests_of([*editions.values()], (workbench.CHAPTER, LATER), place)
        models = {edition.name: model for model, edition in editions.items()}
        return {(models[edition], notebook): each for (edition, notebook), each in asked.items()}

    def results(self):
        """Return the kept results by edition, without what tells when and where."""
        tables = {
            path.stem: pd.read_csv(path) for path in (self.folder / "data/results/models").glob("*.csv")
        }
        here = str(self.folder)
        return {
            name: table.drop(columns=["date", "commit"]).replace(here, "here", regex=True)
            for name, table in tables.items()
        }

    def finished(self):
        """Return when each executed notebook was made."""
        return {path: path.stat().st_mtime_ns for path in self.folder.glob("_build/editions/*/notebooks/*")}

    def processes(self):
        """Return the living processes of the sweep on the login machine, without those of its jobs."""
        return [each for each in workbench.processes(self.folder) if not _is_job(each)]

    def end(self):
        for process in workbench.processes(self.folder):
            with contextlib.suppress(psutil.Error):
                os.kill(process.pid, signal.SIGKILL)


def _pretend_loaded(model):
    clip = load(model, device="cpu")
    numbers = sum(each.numel() for each in clip.clip.parameters()), asdict(clip.tower), "cpu", clip.digest
    edition = Edition.from_mapping({"model": model})
    Description(edition, clip.model, clip.pretrained, *numbers).write(f"_build/models/{edition.name}.json")


def _is_job(process):
    with contextlib.suppress(psutil.Error):
        return "SLURM_JOB_ID" in process.environ()
    return True
