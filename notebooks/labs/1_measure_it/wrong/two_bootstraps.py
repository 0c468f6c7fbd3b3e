"""Resamples center and off-center apart, as if the two accuracies were of different objects.

Question: q6
Points: 1
"""


def gap(table):
    return accuracy(table[table["center"]]) - accuracy(table[~table["center"]])


def gap_interval(table, n_draws, rng):
    sides = [
        bootstrap(side, "object", accuracy, n_draws, rng)
        for side in (table[table["center"]], table[~table["center"]])
    ]
    low, high = t_interval(gap(table), sides[0] - sides[1], table["object"].nunique())
    return gap(table), low, high
