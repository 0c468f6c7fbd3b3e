"""Make `answers.csv`: what PocketCLIP answers under `Recentered`, the mitigation of lab 5's solution.

python data/course/repair_it/build.py

It executes the solution up to the cell that scores all strengths, and keeps the table that this cell writes.
"""

import os
import tempfile
from pathlib import Path

import jupytext
import matplotlib
import pandas as pd

from crosseyed.files import DATA
from crosseyed.tables import write_table

LAB = DATA.parent / "notebooks" / "labs" / "5_repair_it" / "lab.py"


def main() -> None:
    """Execute code cells, except hidden ones, until the table is there."""
    matplotlib.use("Agg")
    target, here = Path(__file__).resolve().parent / "answers.csv", os.getcwd()
    cells = [cell for cell in jupytext.read(LAB).cells if cell.cell_type == "code"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            names: dict[str, object] = {}
            for cell in cells:
                if "hidden" not in cell.metadata.get("tags", []):
                    exec(compile(cell.source, str(LAB), "exec"), names)
                if os.path.exists("own_answers.csv"):
                    break
            table = pd.read_csv("own_answers.csv")
        finally:
            os.chdir(here)
    write_table(table, target)


if __name__ == "__main__":
    main()
