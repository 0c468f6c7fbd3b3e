"""How often the intervals of the study cover the truth, in simulations with objects and cells as the study has them.

``python tests/benchmarks/coverage.py`` simulates every case and writes ``data/results/coverage.csv``, which the
page "How we count" shows. A test computes a part of it again.

Answers follow a logistic model: an object is easy or hard everywhere, more or less so at the center, and on its own
background; the truth is the mean over very many objects.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from crosseyed.files import DATA
from crosseyed.measure import bootstrap, crossed, dyadic, mixed_logit, regression
from crosseyed.measure.checks import EstimateWarning
from crosseyed.provenance import stamp
from crosseyed.settings import settings
from crosseyed.tables import write_table

PATH = DATA / "results" / "coverage.csv"
RUNS = {"slope": 200, "mixed-slope": 200}
MOST_RUNS = 500
RESAMPLES = 1000
HARD, EASY = (-0.5, 1.0), (-1.0, 4.5)  # logits off-center and at the center: 40 and 65 %, 34 and 97 %
_OBJECT, _PLACE, _BACKGROUND, _CELL = 1.5, 0.7, 0.7, 0.5  # standard deviations of effects, as logits


def scenes(rng, n_objects, styles, k, photographs=0):
    """Return objects, whether a cell is the center, and the effects on the logits of all cells (n, k * k).

    With `photographs`, every fourth background is one of so many that objects share.
    """
    n = n_objects * styles
    of_object = np.repeat(rng.normal(0, _OBJECT, n_objects), styles)
    of_place = np.repeat(rng.normal(0, _PLACE, n_objects), styles) / 2
    background = rng.normal(0, _BACKGROUND, (n, 2))
    if photographs:
        shared = np.arange(n) % 4 == 3
        drawn = rng.integers(photographs, size=shared.sum())
        background[shared] = rng.normal(0, _BACKGROUND, (photographs, 2))[drawn]
    center = np.arange(k * k) == k * k // 2
    effects = of_object[:, None] + np.where(center, 1, -1) * of_place[:, None]
    effects = (
        effects + np.where(center, background[:, :1], background[:, 1:]) + rng.normal(0, _CELL, (n, k * k))
    )
    return np.arange(n) // styles, center, effects


def answers(rng, objects, logit, center):
    """Return the table of answers that are right with these logits (n, cells)."""
    correct = rng.random(logit.shape) < expit(logit)
    return pd.DataFrame(
        {
            "object": np.repeat(objects, len(center)),
            "image": np.arange(correct.size),
            "center": np.tile(center, len(objects)),
            "correct": pd.array(correct.ravel(), dtype="boolean"),
        }
    )


def truth(levels):
    """Return the share that is right at the center and off-center, by numerical integration over all effects."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    spread = np.sqrt(_OBJECT**2 + (_PLACE / 2) ** 2 + _BACKGROUND**2 + _CELL**2)
    off, on = (100 * weights @ expit(level + spread * nodes) / weights.sum() for level in levels)
    return {"center_accuracy": on, "off_center_accuracy": off, "gap": on - off, "bias_index": (on - off) / on}


def of_grid(quantity, n_objects, styles, k, levels, photographs=0):
    """Return a function that simulates a grid and tells whether the interval of a quantity covers the truth."""
    true = truth(levels)[quantity]

    def covers(rng):
        objects, center, effects = scenes(rng, n_objects, styles, k, photographs)
        table = answers(rng, objects, effects + np.where(center, levels[1], levels[0]), center)
        row = bootstrap.center_bias(table, resamples=RESAMPLES, seed=int(rng.integers(2**31))).iloc[0]
        return row[f"{quantity}_low"] - 1e-9 <= true <= row[f"{quantity}_high"] + 1e-9

    return covers


def of_change(n_objects, k, levels):
    """Return the same for what a mitigation changes off-center, from one level to another, paired by image."""
    before, after = (truth((level, 0))["off_center_accuracy"] for level in levels)

    def covers(rng):
        objects, center, effects = scenes(rng, n_objects, 1, k)
        both = [
            answers(rng, objects, effects + level, center).assign(model=name)
            for name, level in zip(("before", "after"), levels, strict=True)
        ]
        table = pd.concat(both)
        row = bootstrap.paired_difference(
            table[~table["center"]],
            "model",
            ("after", "before"),
            resamples=RESAMPLES,
            seed=int(rng.integers(2**31)),
        ).iloc[0]
        return row["low"] <= after - before <= row["high"]

    return covers


def of_mean(n_objects):
    """Return the same for a mean of three values of each object, such as the AUROC of a map, skewed to one side."""

    def covers(rng):
        own = np.repeat(rng.beta(4, 2, n_objects), 3)
        values = own + rng.normal(0, 0.1, len(own))
        table = pd.DataFrame({"object": np.arange(len(own)) // 3, "value": values})
        row = bootstrap.mean(table, "value", resamples=RESAMPLES, seed=int(rng.integers(2**31))).iloc[0]
        return row["low"] <= 2 / 3 <= row["high"]

    return covers


def of_pairs(rng):
    """Tell whether the interval of a gap in images of two objects covers the truth."""
    n, relations = 128, 4
    first = np.tile(np.arange(n), 2)
    second = (first + rng.integers(1, n, len(first))) % n
    logit = rng.normal(0, 1, n)[first] + rng.normal(0, 1, n)[second] + rng.normal(0, 0.5, len(first))
    logit = logit[:, None] + np.array([0.5, 0, 0, 0])
    logit = logit + rng.normal(0, 0.5, (n, relations))[first] + rng.normal(0, 0.5, (n, relations))[second]
    table = pd.DataFrame(
        {
            "object": np.repeat(first, relations),
            "object2": np.repeat(second, relations),
            "center": np.tile(np.arange(relations) == 0, len(first)),
            "correct": pd.array((rng.random(logit.shape) < expit(logit)).ravel(), dtype="boolean"),
        }
    )
    row = dyadic.center_bias(table).iloc[0]
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    spread = np.sqrt(1 + 1 + 0.25 + 0.25 + 0.25)
    on, off = (100 * weights @ expit(level + spread * nodes) / weights.sum() for level in (0.5, 0))
    return row["gap_low"] <= on - off <= row["gap_high"]


def of_picked(rng):
    """Tell whether the interval of the candidate that other objects picked covers its change, which is zero."""
    levels, changes = rng.random(15), rng.normal(0, rng.uniform(20, 60, 40)[:, None], (40, 15))
    table = pd.DataFrame({"object": np.arange(40), "value": changes[:, levels.argmax()]})
    row = bootstrap.mean(table, "value", resamples=RESAMPLES, seed=int(rng.integers(2**31))).iloc[0]
    return row["low"] <= 0 <= row["high"]


def of_seeds(n_seeds):
    """Return the same for a change between two doses, over training seeds and objects."""

    def covers(rng):
        values = (
            rng.normal(0, 10, n_seeds) + rng.normal(0, 25, 32)[:, None] + rng.normal(0, 30, (32, n_seeds))
        )
        table = pd.DataFrame(
            {
                "image": np.repeat(np.arange(32), n_seeds),
                "object": np.repeat(np.arange(32), n_seeds),
                "seed": np.tile(np.arange(n_seeds), 32),
                "value": values.ravel(),
            }
        )
        row = crossed.mean(table, "value").iloc[0]
        return row["low"] <= 0 <= row["high"]

    return covers


def of_slope(rng):
    """Tell whether the interval of the slope on eccentricity covers it; it is the same for all objects."""
    n, k = 48, 3
    at = (np.arange(k) + 0.5) / k - 0.5
    eccentricity = np.tile(np.hypot(*np.meshgrid(at, at)).ravel() / np.hypot(0.5, 0.5), n)
    objects = np.repeat(np.arange(n), k * k)
    logit = rng.normal(1, 1.5, n)[objects] - 3 * eccentricity
    right = pd.array(rng.random(len(logit)) < expit(logit), dtype="boolean")
    table = pd.DataFrame({"object": objects, "eccentricity": eccentricity, "correct": right})
    row = regression.eccentricity_slope(table).iloc[0]
    return row["low"] <= np.exp(-0.3) <= row["high"]


def of_mixed_slope(rng):
    """Tell whether the interval of the mean slope of categories in photographs covers it."""
    n, n_categories = 1000, 30
    category, distance = rng.integers(n_categories, size=n), rng.beta(2, 3, n)
    slopes = -0.2 + 0.2 * rng.normal(size=n_categories)
    logit = rng.normal(size=n_categories)[category] + slopes[category] * 10 * (distance - 0.4)
    table = pd.DataFrame(
        {
            "image": np.arange(n) // 2,
            "object": category,
            "instances": 1,
            "correct": pd.array(rng.random(n) < expit(logit), dtype="boolean"),
            "eccentricity": distance,
        }
    )
    row = mixed_logit.mixed_slope(table, []).effects.iloc[0]
    return row["low"] <= np.exp(-0.2) <= row["high"]


WILSON, EXPANDED = "Wilson's, with the clustered sample size", "bootstrap of objects, expanded percentiles"
CASES: dict[str, tuple[str, str, int, Callable[[np.random.Generator], bool]]] = {
    "accuracy": ("accuracy, 65 %", WILSON, 40, of_grid("center_accuracy", 40, 1, 5, HARD)),
    "accuracy-high": ("accuracy, 97 %", WILSON, 128, of_grid("center_accuracy", 128, 2, 5, EASY)),
    "accuracy-control": ("accuracy, 97 %", WILSON, 48, of_grid("center_accuracy", 48, 1, 3, EASY)),
    "gap": ("center-bias gap, 5 × 5 cells", EXPANDED, 128, of_grid("gap", 128, 2, 5, EASY)),
    "gap-control": ("center-bias gap, 3 × 3 cells", EXPANDED, 48, of_grid("gap", 48, 1, 3, HARD)),
    "gap-test": ("center-bias gap, 5 × 5 cells", EXPANDED, 40, of_grid("gap", 40, 1, 5, HARD)),
    "gap-photographs": (
        "center-bias gap, a quarter of the backgrounds five shared photographs",
        EXPANDED,
        128,
        of_grid("gap", 128, 2, 5, HARD, photographs=5),
    ),
    "index": ("center-bias index", EXPANDED, 128, of_grid("bias_index", 128, 2, 5, HARD)),
    "change": ("paired change of accuracy", EXPANDED, 40, of_change(40, 5, (-1.0, 0.0))),
    "mean": ("mean of a score of maps", EXPANDED, 24, of_mean(24)),
    "picked": ("change by the best of 15 candidates, picked on other objects", EXPANDED, 40, of_picked),
    "pairs": ("gap in images of two objects", "dyadic variance, Student's t", 128, of_pairs),
    "slope": ("odds ratio of eccentricity", "conditional logit, clustered, Student's t", 48, of_slope),
    "mixed-slope": (
        "mean odds ratio of categories",
        "mixed logit, by image, Student's t",
        30,
        of_mixed_slope,
    ),
    "seeds-5": (
        "change between doses, five seeds",
        "seeds and objects crossed, Student's t",
        32,
        of_seeds(5),
    ),
}
"""Name of each case: quantity, interval, objects (of the mixed logit: categories), and whether a run covers."""


def simulate(name: str, first: int, last: int) -> int:
    """Return in how many of some runs, each with a seed of its own, the interval covers the truth."""
    covers = CASES[name][-1]
    number = list(CASES).index(name)
    with settings.overridden(confidence=0.95), warnings.catch_warnings():
        warnings.simplefilter("ignore", EstimateWarning)
        return sum(bool(covers(np.random.default_rng([number, run]))) for run in range(first, last))


def main(path: Path = PATH) -> None:
    """Write the table of coverage."""
    rows = []
    for name, (quantity, interval, n_objects, _) in CASES.items():
        runs = RUNS.get(name, MOST_RUNS)
        covered = simulate(name, 0, runs)
        rows.append((name, quantity, interval, n_objects, runs, covered, 100 * covered / runs))
        print(*rows[-1], flush=True)
    columns = ["case", "quantity", "interval", "n_objects", "runs", "covered", "coverage"]
    write_table(stamp(pd.DataFrame(rows, columns=columns), "cpu"), path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
