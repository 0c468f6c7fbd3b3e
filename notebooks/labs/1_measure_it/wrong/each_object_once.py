"""Keeps the rows whose object was drawn, so that an object that was drawn twice counts once.

Question: q4
Points: 1
"""


def bootstrap(table, unit, statistic, n_draws, rng):
    values = table[unit].unique()
    return np.array(
        [
            statistic(table[table[unit].isin(rng.choice(values, size=len(values)))])
            for _ in range(n_draws)
        ]
    )


def accuracy(table):
    return 100 * table["correct"].mean()
