"""Make the tables of lab 7, *Where does it come from?*: the answers of a class's models, and those of one more.

    sh environment.sh python data/course/where_it_comes_from/build.py

The class's models are those of the experiment ``origins`` that vary how far objects stand from the center
(``data/results/origins.csv.gz``). One more is trained here with the same recipe, which takes about ten minutes; it
stands in for a student's own. An interrupted training goes on where it was.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from crosseyed.data.photographer import Dose
from crosseyed.editions import BUILD
from crosseyed.tables import write_table
from crosseyed.training.experiments import ORIGINS_RECIPE, Trial, read_answers, run

FOLDER = Path(__file__).parent
OWN = {"varied": "spread", "spread": 0.15, "central_naming_probability": 0.0, "seed": 7}


def of_lab(answers: pd.DataFrame) -> pd.DataFrame:
    """Keep the answers to images of one object, and the columns that the lab needs."""
    alone = answers[answers["protocol"] == "grid"]
    columns = [
        "spread",
        "seed",
        "object",
        "style",
        "row",
        "col",
        "eccentricity",
        "center",
        "choice",
        "correct",
    ]
    table = alone[columns].rename(columns={"choice": "answer"}).round({"eccentricity": 4})
    return table.sort_values(["spread", "seed", "object", "style", "row", "col"], ignore_index=True)


def main() -> None:
    """Train what is missing, and write both tables."""
    recipe = replace(ORIGINS_RECIPE, positions=Dose(spread=OWN["spread"]), seed=OWN["seed"])
    own = run([Trial("own", recipe, OWN)], BUILD / "experiments" / "where_it_comes_from")
    answers = read_answers("origins")
    write_table(of_lab(answers[answers["varied"] == "spread"]), FOLDER / "class.csv.gz")
    write_table(of_lab(own), FOLDER / "own.csv.gz")


if __name__ == "__main__":
    main()
