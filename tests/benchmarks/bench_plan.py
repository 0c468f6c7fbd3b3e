"""Compare what `crosseyed plan` says with what a book then takes: PocketCLIP, and a narrow random ViT of twelve blocks.

Each model gets a new copy of the repository with nothing in its cache. It is planned, and then made as `make book`
makes it. For each chapter and for the whole book the planned and the measured seconds and their ratio are printed.
A chapter is measured from the start of its kernel to its end, and the book by the clock. The aim is a ratio between
1/1.5 and 1.5. On an idle machine:

    python tests/benchmarks/bench_plan.py
    python tests/benchmarks/bench_plan.py --models narrow --size standard --cores 1
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parents[1]))

import random_models
import small_repository

from crosseyed.editions import DEFAULT_MODEL, SIZES, Edition
from crosseyed.workflow import notebooks, plan

FACTOR = 1.5
NARROW = "narrow"
MODELS = (DEFAULT_MODEL, NARROW)


def planned(project: Path, edition: Edition, cores: int) -> plan.Plan:
    """Let the command measure the model and plan its edition; return the plan, and print what the command says."""
    given = ("plan", edition.model, "--size", edition.size, "--cores", str(cores))
    code, said = small_repository.run(project, *given)
    print(said, flush=True)
    if code:
        sys.exit(code)
    with contextlib.chdir(project):
        return plan.make(edition, notebooks.names(), plan.Speed.read(edition), cores)


def measured(project: Path, edition: Edition, cores: int) -> tuple[dict[str, float], float]:
    """Make the book; return the seconds of each chapter, and those of the whole."""
    began = time.monotonic()
    given = ("book", "--model", edition.model, "--size", edition.size, "--cores", str(cores))
    code, said = small_repository.run(project, *given)
    seconds = time.monotonic() - began
    if code:
        sys.exit(said)
    executed = (project / edition.folder / "notebooks").glob("*.ipynb")
    chapters = {path.stem: nbformat.read(path, as_version=4).metadata.papermill.duration for path in executed}
    return chapters, seconds


def show(name: str, expected: float, found: float) -> bool:
    """Print one line, and tell whether the ratio is within the aim."""
    ratio = found / expected
    print(f"  {name:28}{expected:9.1f}{found:10.1f}{ratio:8.2f}", flush=True)
    return 1 / FACTOR <= ratio <= FACTOR


def compare(model: str, size: str, cores: int, folder: Path) -> None:
    """Plan one model, make its book, and print both."""
    project = small_repository.make_whole(folder / "repository")
    name = random_models.write(folder / NARROW, random_models.NARROW) if model == NARROW else model
    with contextlib.chdir(project):
        edition = Edition.from_mapping({"model": name, "size": size})
    expected = planned(project, edition, cores)
    chapters, seconds = measured(project, edition, cores)
    print(f"{model}, size {size}, {cores} cores")
    print(f"  {'':28}{'planned s':>9}{'actual s':>10}{'ratio':>8}")
    within = {
        each.notebook: show(each.notebook, each.seconds, chapters[each.notebook])
        for each in expected.chapters
    }
    within["the whole book"] = show("the whole book", 60 * expected.minutes, seconds)
    beyond = [name for name, is_within in within.items() if not is_within]
    print(f"  beyond a factor of {FACTOR:g}: {', '.join(beyond) or 'none'}\n")


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--size", choices=SIZES, default=SIZES[0])
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    options = parser.parse_args()
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            compare(model, options.size, options.cores, Path(folder))


if __name__ == "__main__":
    main()
