"""Measure how long the solved labs of the course take, from top to bottom and without the cells that grading skips.

Each lab is executed in a folder of its own, with its data beside it, in a fresh kernel that may use so many cores.
A lab without long cells is executed once. Run with

    python tests/benchmarks/bench_labs.py
    python tests/benchmarks/bench_labs.py --write

With ``--write`` the table is kept that the teachers' page shows (`crosseyed.workflow.course_timings`).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import nbformat
import pandas as pd

from crosseyed.course import handout, instructor, source
from crosseyed.course.labs import Lab
from crosseyed.provenance import stamp
from crosseyed.tables import write_table
from crosseyed.workflow import course_timings

LABS = Path(__file__).parents[2] / source.LABS


def main() -> None:
    """Print the times of all labs, and keep them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--cores", type=int, default=min(2, os.cpu_count() or 1), help="cores for each kernel"
    )
    parser.add_argument("--labs", nargs="+", help="names of labs; by default all", metavar="NAME")
    parser.add_argument("--write", action="store_true", help="keep the table")
    given = parser.parse_args()
    if given.labs and given.write:
        parser.error("the table that is kept has all labs: leave out --labs")
    os.environ["OMP_NUM_THREADS"] = str(given.cores)
    labs = source.read_all(LABS, given.labs or ())
    table = pd.DataFrame([measure(lab, given.cores) for lab in labs])
    print(table.to_string(index=False))
    if given.write:
        write_table(stamp(table, "cpu"), course_timings.TABLE)


def measure(lab: Lab, cores: int) -> dict[str, object]:
    """Return the row of a lab."""
    about = {"lab": lab.name, "title": lab.title, "chapter": lab.chapter, "minutes": lab.minutes}
    seconds = timed(lab, ())
    graded = timed(lab, lab.long) if lab.long else seconds
    return about | {"seconds": round(seconds, 1), "graded_seconds": round(graded, 1), "cores": cores}


def timed(lab: Lab, left_out: Collection[str]) -> float:
    """Return how many seconds a solved lab takes without some of its cells."""
    notebook = handout.solution_notebook(lab)
    with tempfile.TemporaryDirectory() as folder:
        lab.copy_data(Path(folder))
        nbformat.write(notebook, Path(folder, handout.file_name(lab)))  # which Otter reads
        began = time.perf_counter()
        instructor.run(notebook, Path(folder), f"the solution of the lab {lab.name!r}", left_out)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
