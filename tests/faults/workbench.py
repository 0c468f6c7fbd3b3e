"""A small project to break: one notebook about a tiny model with random weights, which every command works on."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import filelock
import nbformat
import numpy as np
import open_clip
import pandas as pd
import psutil
import torch
from safetensors.torch import save_file
from small_models import TINY_CONFIG, TINY_PREPROCESS

from crosseyed.data.coco_writing import write_coco
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.photographer import Dose, snapshot
from crosseyed.editions import Description, Edition
from crosseyed.models.loading import load
from crosseyed.report import tables
from crosseyed.report.family_table import what_works
from crosseyed.tables import write_table
from crosseyed.workflow.claims import CLAIMS

ROOT = Path(__file__).parents[2]
CHAPTER = "01_center_bias"

_MODULES = (
    "errors",
    "models/sources",
    "measure/bootstrap",
    "report/family_table",
    "workflow/results",
    "workflow/book",
)

_CONFIGURATION = {
    "title": "Tiny",
    "only_build_toc_files": True,
    "execute": {"execute_notebooks": "off"},
    "parse": {"myst_enable_extensions": ["substitution"]},
    "html": {},
    "sphinx": {"config": {"nb_merge_streams": True}},
}

_CELLS = (
    """
import time

from crosseyed.data import layouts
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.measure import bootstrap, protocols
from crosseyed.models.cache import cached
from crosseyed.report.chapter import begin
from crosseyed.report.tables import TABLES

chapter = begin("01_center_bias", globals())
cutouts = sample_objects(read_catalogue(styles), n_objects, seed)
scenes = layouts.grid(cutouts, 3, seed=seed, height=32, width=32)
""",
    """
grid = chapter.write("grid", protocols.grid(cached(chapter.encoder), scenes, objects_of(cutouts)))
time.sleep(0.5)
""",
    """
rings = chapter.write("grid_by_eccentricity", bootstrap.accuracy_by_eccentricity(grid, by="model"))
bias = chapter.write("bias", bootstrap.center_bias(grid, by=["model", "pretrained"]))
time.sleep(0.5)
done = {"grid", "grid_by_eccentricity", "bias"}
chapter.unavailable("it is made up", *(name for name in TABLES["01_center_bias"] if name not in done))
""",
)

_TRAINING = """
from crosseyed import cli

app = cli.app


def quick(**options):  # once signals are heeded, as the real command heeds them before it imports what takes long
    from dataclasses import replace
    from crosseyed.settings import settings
    from crosseyed.training import recipes, train
    recipes.RECIPES["uniform"] = replace(
        recipes.RECIPES["uniform"],
        architecture="small",
        n_objects=5,
        styles=("fluent",),
        steps=12,
        warmup=2,
        stages=(),
        rounds=1,
    )
    train.train.__kwdefaults__["save_every"] = 2
    settings.override({"resamples": 200})
    app(**options)


cli.app = quick
cli.main()
"""

COMMANDS = {
    "book": ("-m", "crosseyed.cli", "book", "--model", "local-dir:tiny", "--cores", "2"),
    "sweep": ("-m", "crosseyed.cli", "sweep", "models.yml", "--cores", "2"),
    "own-data": (
        *("-m", "crosseyed.cli", "own-data", "photographs/annotations.json", "photographs/images"),
        *("--model", "local-dir:tiny", "--output", "own"),
    ),
    "training": ("train.py", "train", "uniform", "--folder", "trained", "--device", "cpu"),
}
"""What is started by Python in the folder of the project."""

_RESULTS = {
    "book": ("_build/editions",),
    "sweep": ("_build/editions", "data/results"),
    "own-data": ("own",),
    "training": ("trained",),
}


def make(project):
    """Make the project in a new folder: model, notebook, pages, photographs, and what counts as done already."""
    write_tiny(project / "tiny")
    write_repository(project)
    write(project / "_config.yml", json.dumps(_CONFIGURATION))
    write(project / "book" / "_toc.yml", "format: jb-book\nroot: intro\nchapters:\n- glob: notebooks/*\n")
    write(project / "book" / "intro.md", "# Tiny\n\n{{ first_screen }}\n")
    (project / "CITATION.cff").symlink_to(ROOT / "CITATION.cff")
    write(project / "models.yml", "models: [{model: 'local-dir:tiny'}]\nseeds: [0, 1]\n")
    write(project / "train.py", _TRAINING)
    write_notebook(project / "notebooks" / f"{CHAPTER}.ipynb")
    write_photographs(project / "photographs")
    with contextlib.chdir(project):
        pretend_loaded()
    return project


def write_repository(project):
    """Write what the Snakefile watches: modules that nobody imports, and the data."""
    for module in _MODULES:
        file = project / "lib" / "crosseyed" / f"{module}.py"
        write(file, "one = 1\n")
        write(file.with_name("__init__.py"), "")
    (project / "Snakefile").symlink_to(ROOT / "Snakefile")
    for folder in ("objects", "models"):
        (project / "data").mkdir(exist_ok=True)
        (project / "data" / folder).symlink_to(ROOT / "data" / folder)
    (project / "data" / "results").mkdir()
    for name in ("coverage.csv", "costs.csv"):
        (project / "data" / "results" / name).symlink_to(ROOT / "data" / "results" / name)


def write(path, text):
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_tiny(folder, seed=7):
    """Write a tiny model with random weights."""
    folder.mkdir(parents=True)
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": TINY_PREPROCESS}
    write(folder / "open_clip_config.json", json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        save_file(open_clip.CLIP(**TINY_CONFIG).state_dict(), folder / "open_clip_model.safetensors")


def write_notebook(path):
    """Write a first chapter that is quick, with the parameters of the real one."""
    real = nbformat.read(ROOT / "notebooks" / path.name, as_version=4)
    parameters = next(cell for cell in real.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source += (
        '\nreferences = []\nn_objects = 6\nstyles = ["fluent"]\nsettings = {"resamples": 200}'
    )
    title = nbformat.v4.new_markdown_cell("# A chapter")
    cells = [title, parameters, *map(nbformat.v4.new_code_cell, _CELLS)]
    path.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=real.metadata), path)


def write_photographs(folder):
    """Write composed images with annotations."""
    cutouts = sample_objects(read_catalogue(["fluent"]), 8, seed=0)
    names, rng, scenes = objects_of(cutouts), np.random.default_rng(0), []
    for number in range(24):
        scene, _ = snapshot(
            cutouts, names[number % len(names)], Dose(n_objects=int(rng.integers(1, 4))), rng, 64
        )
        scenes.append(replace(scene, name=f"scene{number}", width=80))
    folder.mkdir()
    write_coco(scenes, folder)


def pretend_loaded():
    """Write what describing the model and the families of towers would have written, which takes long."""
    clip = load("local-dir:tiny", device="cpu")
    numbers = sum(each.numel() for each in clip.clip.parameters()), asdict(clip.tower), "cpu", clip.digest
    for seed in (0, 1):
        edition = Edition.from_mapping({"model": "local-dir:tiny", "seed": seed})
        described = Description(edition, clip.model, clip.pretrained, *numbers)
        described.write(f"_build/models/{edition.name}.json")
        for chapter in {claim.chapter for claim in CLAIMS} - {CHAPTER}:
            names = tables.TABLES[chapter]
            results = edition.folder / "results" / chapter
            results.mkdir(parents=True)
            tables.write_record(results, tables.Record(unavailable=dict.fromkeys(names, "it is made up")))
    write_table(_families(), "_build/families.csv")


@cache
def _families():
    """Tabulate the families of towers once, which takes long."""
    return what_works()


def environment(project, **more):
    """Return the environment of a command; caches that say nothing about faults are shared by all projects."""
    caches = project.parent / "caches"
    caches.mkdir(exist_ok=True)
    return {
        **os.environ,
        "CROSSEYED_DATA": str(project / "data"),
        "PYTHONPATH": str(ROOT / "lib"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "MPLCONFIGDIR": str(caches),
        "XDG_CACHE_HOME": str(caches),
        **more,
    }


def start(project, command, *, before=(), **more):
    """Start a command; what it says goes to the file ``said`` beside the project."""
    with open(said(project), "wb") as file:
        return subprocess.Popen(
            [*before, sys.executable, *COMMANDS[command]],
            cwd=project,
            env=environment(project, **more),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(project):
    """Return the file with what the last command said."""
    return project.with_name(f"{project.name}.said")


def words(project):
    """Return what the last command said."""
    return said(project).read_text(errors="replace")


def run(project, command, **options):
    """Run a command to its end; return its status and what it said."""
    code = start(project, command, **options).wait(timeout=180)
    return code, words(project)


def forget(project, command):
    """Remove what a command has made."""
    for name in _RESULTS[command]:
        shutil.rmtree(project / name, ignore_errors=True)
    shutil.rmtree(project / ".snakemake", ignore_errors=True)
    shutil.rmtree(project / "_build" / "cache", ignore_errors=True)
    with contextlib.chdir(project):
        shutil.rmtree("_build", ignore_errors=True)
        pretend_loaded()


def results(project, command):
    """Return the tables, pages and weights that a command has made, without what tells when and where."""
    found = {}
    for path in sorted(path for name in _RESULTS[command] for path in (project / name).rglob("*")):
        name = str(path.relative_to(project))
        if path.suffix == ".csv" and "_static" not in path.parts:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            text = table.drop(columns=["date", "commit"], errors="ignore").to_csv()
            found[name] = text.replace(str(project), "here")
        elif path.suffix in (".safetensors", ".png") and "html" not in path.parts:
            found[name] = path.read_bytes()
        elif path.suffix in (".html", ".ipynb", ".md") and "source" not in path.parts:
            found[name] = "is there"
    return found


def processes(project):
    """Return the living processes that were started for a project."""
    found, mark = [], str(project / "data")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("CROSSEYED_DATA") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def temporary_files(project):
    """Return what an interrupted writer has left."""
    kinds = r"\.[0-9a-f]{32}(\..*)?|\..*\.former|\.new"
    return [path for path in project.rglob("*") if re.fullmatch(kinds, path.name)]


def locked(project):
    """Return the locks that somebody holds."""
    held = []
    for path in project.glob("_build/locks/*"):
        try:
            filelock.FileLock(path).acquire(timeout=0).lock.release()
        except filelock.Timeout:
            held.append(path.name)
    return held


def end(project):
    """End what is left of a command."""
    for process in processes(project):
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
