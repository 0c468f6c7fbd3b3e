"""Time 10,000 bootstrap resamples of 10,000 rows against a plain pandas loop.

Run from the repository: ``python tests/benchmarks/bench_metrics.py``. The loop draws objects, concatenates
their rows and averages; as it would take minutes, a few of its resamples are timed and scaled up.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from crosseyed.measure import bootstrap

N_ROWS, RESAMPLES, LOOP_RESAMPLES = 10_000, 10_000, 50


def table_of(n_objects: int) -> pd.DataFrame:
    """Return a table of `N_ROWS` rows, half of them right, spread evenly over the objects."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "object": np.arange(N_ROWS) % n_objects,
            "eccentricity": rng.random(N_ROWS),
            "correct": rng.random(N_ROWS) < 0.5,
        }
    )


def seconds(function: Callable[[], object]) -> float:
    """Return the shortest of three runs, which the rest of the machine disturbed least."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def plain_loop(table: pd.DataFrame) -> tuple[float, float]:
    """Return the percentile interval of the accuracy, one resampled table after another."""
    rng = np.random.default_rng(0)
    objects = table["object"].unique()
    rows = dict(iter(table.groupby("object")))
    accuracies = []
    for _ in range(LOOP_RESAMPLES):
        drawn = rng.choice(objects, len(objects))
        accuracies.append(pd.concat([rows[name] for name in drawn])["correct"].mean())
    return tuple(np.quantile(accuracies, [0.025, 0.975]))


def main() -> None:
    """Print the times and ratios for few, many and the most possible objects."""
    print(f"{RESAMPLES} resamples of {N_ROWS} rows, best of three runs")
    for n_objects in (130, 1_000, N_ROWS):
        table = table_of(n_objects)
        accuracy = seconds(lambda table=table: bootstrap.accuracy(table, resamples=RESAMPLES))
        bias = seconds(lambda table=table: bootstrap.center_bias(table, resamples=RESAMPLES))
        line = f"{n_objects:>6} objects: accuracy {accuracy:6.3f} s, center_bias {bias:6.3f} s"
        if n_objects <= 1_000:
            loop = seconds(lambda table=table: plain_loop(table)) * RESAMPLES / LOOP_RESAMPLES
            line += f", plain loop {loop:6.0f} s (scaled), {loop / accuracy:5.0f} times accuracy"
        print(line)


if __name__ == "__main__":
    main()
