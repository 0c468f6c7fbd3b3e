"""Make the data of the lab *Measure it*: `python data/course/measure_it/build.py` writes them beside this file."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from crosseyed import files
from crosseyed.data import cutouts, layouts
from crosseyed.measure import protocols
from crosseyed.models.loading import load

HERE = Path(__file__).parent
MODELS = ("pocketclip-centered", "pocketclip-uniform")
COLUMNS = ["model", "image", "object", "x", "y", "width", "height", "center", "correct"]
SEED = 0


def answers(n_objects: int = 40) -> pd.DataFrame:
    """Ask the PocketCLIPs about objects in every cell of a grid: one row per model and image, places in pixels."""
    catalogue = cutouts.read_catalogue(["fluent"])
    labels, shown = cutouts.objects_of(catalogue), cutouts.sample_objects(catalogue, n_objects, SEED)
    scenes = layouts.grid(shown, 5, size=0.3, seed=SEED)
    table = protocols.grid([load(name) for name in MODELS], scenes, labels)
    width, height = scenes[0].width, scenes[0].height
    table = table.assign(x=(width * table["x"]).round(2), y=(height * table["y"]).round(2))
    return table.assign(width=width, height=height)[COLUMNS]


def coverage(n_tables: int = 1000, n_draws: int = 200) -> pd.DataFrame:
    """Repeat the lab's simulation: how often intervals contain the truth, by the unit that is resampled."""

    def covers(by_unit: np.ndarray, rng: np.random.Generator) -> bool:
        """Say whether the interval of a table contains the truth; `by_unit` holds the rows of a unit, (units, rows)."""
        n_units, means = len(by_unit), 100 * by_unit.mean(axis=1)
        draws = means[rng.integers(n_units, size=(n_draws, n_units))].mean(axis=1)
        reach = stats.t.ppf(0.975, n_units - 1) * np.sqrt(n_units / (n_units - 1)) * draws.std(ddof=1)
        return abs(means.mean() - 60) <= reach

    rows = []
    for unit in ("image", "object"):
        rng, covered = np.random.default_rng(SEED), 0
        for _ in range(n_tables):
            correct = rng.random((20, 12)) < rng.beta(1.2, 0.8, 20)[:, None]
            covered += covers(correct.reshape(-1, 1) if unit == "image" else correct, rng)
        rows.append((unit, 100 * covered / n_tables, n_tables))
    return pd.DataFrame(rows, columns=["unit", "coverage", "n_tables"])


if __name__ == "__main__":
    for name, table in {"answers": answers(), "coverage": coverage()}.items():
        with files.atomic_write(HERE / f"{name}.csv") as path:
            table.to_csv(path, index=False)
