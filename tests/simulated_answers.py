"""Tables of answers to the grid, simulated with a known effect of eccentricity."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats


def simulate(n_objects=40, k=5, per_object=0.0, slope=-3.0, seed=0, sizes=(0.2,), size_slope=0.0):
    """Return a grid table; log odds of being right: easiness + slope * eccentricity + size effect."""
    rng = np.random.default_rng(seed)
    cells = itertools.product(range(n_objects), range(k), range(k), sizes)
    table = pd.DataFrame(cells, columns=["object", "row", "col", "size"])
    table["x"], table["y"] = (table["col"] + 0.5) / k, (table["row"] + 0.5) / k
    table["eccentricity"] = np.hypot(table["x"] - 0.5, table["y"] - 0.5) / np.hypot(0.5, 0.5)
    easiness = rng.normal(1.0, 1.5, n_objects)[table["object"]]
    slopes = rng.normal(slope, per_object, n_objects)[table["object"]]
    logit = easiness + slopes * table["eccentricity"] + size_slope * np.log(table["size"] / 0.2)
    right = rng.random(len(table)) < 1 / (1 + np.exp(-logit))
    table["correct"] = right.astype("boolean")
    table["object"] = [f"object{number}" for number in table["object"]]
    table["image"] = [f"image{number}" for number in range(len(table))]
    return table


def two_models():
    first, second = simulate(seed=1), simulate(seed=2, slope=0.0)
    return pd.concat([first.assign(model="a"), second.assign(model="b")], ignore_index=True)


def resampled_tables(table, resamples, seed):
    """Yield resampled tables: draw objects one table at a time and put all their rows together."""
    rng = np.random.default_rng(seed)
    objects = list(dict.fromkeys(table["object"]))
    rows = dict(iter(table.groupby("object")))
    drawn = rng.integers(len(objects), size=(resamples, len(objects)))
    for draw in drawn:
        yield pd.concat([rows[objects[number]] for number in draw])


def t_reach(draws, n_objects):
    """Return how far the 95 % interval of Student reaches, from the draws of a bootstrap of so many objects."""
    error = np.std(draws, axis=0, ddof=1) * np.sqrt(n_objects / (n_objects - 1))
    return stats.t.ppf(0.975, n_objects - 1) * error


def t_interval(observed, draws, n_objects):
    """Return the ends of the 95 % interval of an estimate: Student's, with one side as long as in Johnson's t."""
    reach, quantile = t_reach(draws, n_objects), stats.t.ppf(0.975, n_objects - 1)
    apart = draws - np.mean(draws, axis=0)
    second, third = np.mean(apart**2, axis=0), np.mean(apart**3, axis=0)
    skewness = np.where(second > 1e-20, third / np.maximum(second, 1e-20) ** 1.5, 0)
    moved = reach / quantile * skewness * (1 + 2 * quantile**2) / 6
    return np.array([observed - reach + np.minimum(moved, 0), observed + reach + np.maximum(moved, 0)])
