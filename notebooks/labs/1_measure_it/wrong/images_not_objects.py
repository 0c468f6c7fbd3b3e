"""Resamples images, whatever the unit: takes rows for independent.

Question: q4
Points: 1
"""


def bootstrap(table, unit, statistic, n_draws, rng):
    return np.array(
        [
            statistic(table.iloc[rng.integers(len(table), size=len(table))])
            for _ in range(n_draws)
        ]
    )


def accuracy(table):
    return 100 * table["correct"].mean()
