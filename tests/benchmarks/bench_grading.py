"""Measure how long a class of submissions of one lab takes to grade.

Target: 30 submissions in at most 10 minutes on two cores. The class is made of the lab's solution, its starter and its
typical wrong answers, in turn, each with a comment of its own, so that none is taken for another. Printed are minutes
of the wall clock for all, and seconds for each; a busy machine takes longer. Run with

    python tests/benchmarks/bench_grading.py measure_it
"""

import argparse
import json
import time
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from crosseyed.course import class_grades, handout, source
from crosseyed.course.labs import Lab

TARGET = 10  # minutes


def write_class(lab: Lab, number: int, folder: Path) -> None:
    """Write submissions that differ."""
    kinds = [handout.solution_notebook(lab), handout.student_notebook(lab)]
    kinds += [handout.notebook_with(lab, wrong) for wrong in lab.wrong]
    for place, notebook in enumerate(islice(cycle(kinds), number)):
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source = f"# submission {place}\n{first.source}"
        (folder / f"student {place:02}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lab", help="name of a lab, such as measure_it")
    parser.add_argument("--submissions", type=int, default=30)
    parser.add_argument("--at-a-time", type=int, default=2)
    given = parser.parse_args()
    lab = source.find(given.lab)
    with TemporaryDirectory() as place:
        folder = Path(place, "class")
        folder.mkdir()
        write_class(lab, given.submissions, folder)
        begun = time.perf_counter()
        print(class_grades.grade_class(folder, lab, Path(place, "grades"), at_a_time=given.at_a_time))
        minutes = (time.perf_counter() - begun) / 60
    print(
        f"{lab.name}: {given.submissions} submissions, {given.at_a_time} at a time, in {minutes:.1f} minutes "
        f"({60 * minutes / given.submissions:.1f} s each); target {TARGET} minutes"
    )


if __name__ == "__main__":
    main()
