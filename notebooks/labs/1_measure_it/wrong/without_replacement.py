"""Draws objects without replacement: every draw is the whole table in another order.

Question: q4
Points: 1
"""


def bootstrap(table, unit, statistic, n_draws, rng):
    rows = list(table.groupby(unit).indices.values())
    return np.array(
        [
            statistic(table.iloc[np.concatenate([rows[n] for n in rng.permutation(len(rows))])])
            for _ in range(n_draws)
        ]
    )


def accuracy(table):
    return 100 * table["correct"].mean()
