"""Copies of the repository, whole or of notebooks that take the fewest samples, and commands that run in them."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
from small_chapters import SMALL

ROOT = Path(__file__).parents[1]

PATIENCE = 3000  # seconds for what takes one minute on an idle machine

_SHARED = (
    "Snakefile",
    "_config.yml",
    "CITATION.cff",
    "book",
    "lib",
    "data/objects",
    "data/models",
    "models.yml",
)


def make(folder, notebooks):
    """Make it in a new folder, with some of the notebooks; what is not changed is linked."""
    for name in _SHARED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    results = folder / "data" / "results"
    (results / "models").mkdir(parents=True)
    for path in [*(ROOT / "data" / "results").glob("*.csv.gz"), ROOT / "data" / "results" / "costs.csv"]:
        (results / path.name).symlink_to(path)
    (folder / "notebooks").mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        if path.stem in notebooks:
            nbformat.write(_with_few_samples(path), folder / "notebooks" / path.name)
    return folder


_OF_A_CLONE = {"environment.sh", ".venv", "_build", ".snakemake", ".git"}


def make_whole(folder):
    """Make the whole of it in a new folder, without results of models; its environment is that of the tests."""
    results = folder / "data" / "results"
    (results / "models").mkdir(parents=True)
    there = [
        *(path for path in ROOT.iterdir() if path.name not in _OF_A_CLONE),
        *(ROOT / "data").iterdir(),
        *(ROOT / "data" / "results").iterdir(),
    ]
    for path in there:
        if not (link := folder / path.relative_to(ROOT)).exists():
            link.symlink_to(path)
    (folder / "environment.sh").write_text('exec "$@"\n')
    return folder


def _with_few_samples(path):
    notebook = nbformat.read(path, as_version=4)
    (cell,) = (each for each in notebook.cells if "parameters" in each.metadata.get("tags", []))
    stated = {line.partition(" = ")[0] for line in cell.source.splitlines()}
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in SMALL.items() if name in stated)
    return notebook


CROSSEYED = (sys.executable, "-m", "crosseyed.cli")


def run(folder, *arguments, **options):
    """Run a command to its end; return its status and what it said."""
    process = start(folder, *arguments, **options)
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, said


def start(folder, *arguments, program=CROSSEYED, stdout=subprocess.PIPE, **variables):
    """Start ``crosseyed``, or another program, with what it needs of the environment, and no login to a hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CROSSEYED_"))}
    return subprocess.Popen(
        [*program, *arguments],
        cwd=folder,
        env={
            **kept,
            "CROSSEYED_DATA": str(folder / "data"),
            "PYTHONPATH": str(ROOT / "lib"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            **variables,
        },
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
