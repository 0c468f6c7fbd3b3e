"""Make `models.csv`, one row for each model that was trained here, and `held_out.csv`, the one to be predicted.

python data/course/the_family/build.py

All numbers come from `data/results`: the answers of the models of two experiments, and the results of the PocketCLIPs.
"""

from math import inf
from pathlib import Path

import pandas as pd

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import SUBJECT_SPREAD
from crosseyed.files import DATA
from crosseyed.measure import bootstrap
from crosseyed.tables import write_table
from crosseyed.training.experiments import read_answers
from crosseyed.training.recipes import RECIPES, world_of

HERE = Path(__file__).resolve().parent

HELD_OUT = "spread 0.08, seed 0"

DESIGN = ["version", "architecture", "pooling", "objects", "steps", "shown", "spread", "naming", "seed"]

NUMBERS = [f"{side}{end}" for side in ("center", "off_center") for end in ("", "_low", "_high")]

ENDS = ["gap_low", "gap_high"]

SHOWN = {"spread": "one object", "naming": "up to three objects", "clutter": "photograph"}


def main() -> None:
    """Write both tables."""
    parts = [pooling_models(), origins_models(), pocketclips()]
    table = pd.concat(parts, ignore_index=True)[["model", *DESIGN, *NUMBERS, *ENDS]].round(2)
    held_out = table["model"] == HELD_OUT
    write_table(table[~held_out], HERE / "models.csv")
    write_table(table[held_out], HERE / "held_out.csv")


def pooling_models() -> pd.DataFrame:
    """Return the models of the experiment on pooling, which are trained on photographs of drawings."""
    answers = read_answers("pooling", protocol="grid")
    centered = answers["positions"] == "centered"
    return _rows(
        answers.assign(
            spread=centered.map({True: SUBJECT_SPREAD, False: inf}),
            naming=centered.astype(float),
            shown="photograph",
        )
    )


def origins_models() -> pd.DataFrame:
    """Return the models of the experiment on origins, which pool a class token."""
    answers = read_answers("origins", protocol="grid")
    return _rows(
        answers.assign(
            naming=answers["central_naming_probability"],
            shown=answers["varied"].map(SHOWN),
            pooling="class token",
        )
    )


def pocketclips() -> pd.DataFrame:
    """Return the two shipped models."""
    parts = []
    for name, recipe in RECIPES.items():
        kept = pd.read_csv(DATA / "results" / "models" / f"pocketclip-{name}.csv")
        row = kept[kept["protocol"] == "grid"].iloc[:1]
        row = row.rename(columns=lambda column: column.replace("_accuracy", ""))
        centered = name == "centered"
        about = {"version": row["protocol_version"], "architecture": recipe.architecture}
        about |= {"objects": len(objects_of(world_of(recipe))), "steps": recipe.steps, "shown": "studio"}
        about |= {
            "spread": SUBJECT_SPREAD if centered else inf,
            "naming": float(centered),
            "seed": recipe.seed,
        }
        parts.append(row.assign(**about))
    return pd.concat(parts, ignore_index=True)


def _rows(answers: pd.DataFrame) -> pd.DataFrame:
    """Measure the bias of each model, and keep how it was made."""
    bias = bootstrap.center_bias(answers, by="model").rename(
        columns=lambda name: name.replace("_accuracy", "")
    )
    about = answers.rename(columns={"protocol_version": "version", "n_objects": "objects"})
    about = about.drop_duplicates("model")[["model", *DESIGN]]
    return about.merge(bias[["model", *NUMBERS, *ENDS]], on="model", validate="one_to_one")


if __name__ == "__main__":
    main()
