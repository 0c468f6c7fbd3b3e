"""Subtracts the accuracy of the whole table, the center included, instead of that of the other rows.

Question: q6
Points: 0
"""


def gap(table):
    return accuracy(table[table["center"]]) - accuracy(table)


def gap_interval(table, n_draws, rng):
    low, high = t_interval(
        gap(table), bootstrap(table, "object", gap, n_draws, rng), table["object"].nunique()
    )
    return gap(table), low, high
