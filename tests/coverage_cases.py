"""The cases in which simulated studies show how often an interval contains the truth, and how a case is run.

``data/results/coverage.csv`` holds a row for each; ``tests/benchmarks/measure_coverage.py`` makes it.
"""

from dataclasses import dataclass

import numpy as np
from simulated_studies import (
    RESAMPLES,
    Confidence,
    Grid,
    Models,
    Nothing,
    Pairs,
    Photographs,
    Picked,
    Seeds,
    Slope,
)
from statsmodels.stats.proportion import proportion_confint

from crosseyed.settings import settings

SEED = 2026
CONFIDENCE = 0.95

FEW_RUNS = 1000
"""Of studies that take long to measure."""


@dataclass(frozen=True)
class Case:
    """One quantity of a simulated study."""

    rule: str  # a key of `crosseyed.measure.rules.RULES`
    case: str
    study: object
    quantity: str
    runs: int


_GRIDS = (
    Grid(48, 3, 0.965, 0.54),
    Grid(48, 3, 0.6, 0.4),
    Grid(40, 5, 0.95, 0.85, 2),
    Grid(128, 5, 0.965, 0.54, 2),
    Grid(48, 3, 0.9, 0.6, 1, 5),
    Grid(48, 3, 0.97, 0.93),  # few objects make nearly all of the errors
)

_OF_A_GRID = (
    ("share", "cell", "accuracy in one cell"),
    ("share", "center", "accuracy at the center"),
    ("share", "off_center", "accuracy off-center"),
    ("gap", "gap", "gap"),
    ("gap", "index", "index"),
    ("mean", "mean", "mean of another quantity"),
    ("mean", "difference", "difference of its means"),
    ("mean", "change", "change off-center by a mitigation"),
    ("mean", "gap_change", "change of the gap by a mitigation"),
    ("ratio", "share", "share"),
)

_OF_PAIRS = (
    ("together", "accuracy together"),
    ("apart", "accuracy apart"),
    ("gap", "gap"),
    ("index", "index"),
    ("inner", "how often the one at the center is left out"),
    ("left_out", "how much more often the one at the border is"),
)


def _about(grid):
    """Say what is shown in a grid, and how often the model is right at the center and off-center."""
    before = f", before {grid.photographs} photographs that recur" if grid.photographs else ""
    return (
        f"{grid.n_objects} objects, {grid.k} × {grid.k} cells{before}, {100 * grid.center:g} and "
        f"{100 * grid.off_center:g} % right"
    )


def _cases():
    for rule, quantity, words in _OF_A_GRID:
        for study in _GRIDS:
            yield Case(rule, f"{words}; {_about(study)}", study, quantity, 2000)
    for k in (3, 15, 40):
        study = Picked(k)
        about = f"best of {k}; {study.n_validation} objects pick, {study.n_objects} measure"
        yield Case("picked", about, study, "change", 2000)
    for quantity, words in (("auroc", "AUROC off-center"), ("difference", "difference from the center")):
        yield Case("auroc", f"{words}; 32 objects", Confidence(32), quantity, FEW_RUNS)
    for quantity, words in _OF_PAIRS:
        yield Case("pairs", f"{words}; 128 objects, 95 and 60 % right", Pairs(128, 0.95, 0.6), quantity, 2000)
        yield Case("pairs", f"{words}; 48 objects, 95 and 85 % right", Pairs(48, 0.95, 0.85), quantity, 2000)
    for k in (3, 5):
        yield Case("crossed", f"{k} seeds, 32 objects, seeds differ little", Seeds(k), "change", 2000)
        yield Case(
            "crossed", f"{k} seeds, 32 objects, seeds differ much", Seeds(k, of_seed=15), "change", 2000
        )
    for study, words in (
        (Slope(48, 3), "48 objects, 3 × 3 cells"),
        (Slope(32, 7), "32 objects, 7 × 7 cells"),
    ):
        yield Case("slope", words, study, "slope", FEW_RUNS)
    for study, words in (
        (Photographs(400, 1, 1.0), "15 categories, 400 photographs of one object"),
        (Photographs(150, 3, 0.7), "15 categories, 150 photographs of three objects, alike in a photograph"),
    ):
        yield Case("photographs", words, study, "slope", FEW_RUNS)
    yield Case("models", "mean of 20 models", Models(20), "mean", 1000)
    yield Case("models", "rank correlation, 20 models", Models(20), "rank", 1000)
    yield Case("test", "place; 48 objects, 3 × 3 cells", Nothing(48, 3), "permutation", 2000)
    yield Case("test", "change by a mitigation; 48 objects, 3 × 3 cells", Nothing(48, 3), "sign_flip", 2000)


CASES = tuple(_cases())


def simulate(study, runs, first=0, seed=SEED):
    """Return the intervals of a study by quantity (runs, 2); those of a run depend on its number alone."""
    studies = [study.draw(np.random.default_rng([seed, first + number])) for number in range(runs)]
    with settings.overridden(confidence=CONFIDENCE, resamples=RESAMPLES):
        return study.intervals(studies, seed=first)


def summarise(case, intervals):
    """Return how often intervals (n, 2) contain the truth of a case, in percent, as a row of the table."""
    truth, n = case.study.truths[case.quantity], len(intervals)
    below, above = int((intervals[:, 1] < truth).sum()), int((intervals[:, 0] > truth).sum())
    if np.isnan(intervals).any():
        raise ValueError(
            f"{case.case}: {np.isnan(intervals).any(axis=1).sum()} of {n} studies have no interval"
        )
    low, high = proportion_confint(n - below - above, n, 1 - CONFIDENCE, method="wilson")
    return {
        "rule": case.rule,
        "case": case.case,
        "confidence": CONFIDENCE,
        "runs": n,
        "truth": truth,
        "below": below,
        "above": above,
        "coverage": 100 * (n - below - above) / n,
        "low": 100 * low,
        "high": 100 * high,
        "first_low": intervals[0, 0],
        "first_high": intervals[0, 1],
    }
