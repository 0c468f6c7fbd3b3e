"""Tells the interval the number of images as the number of units, whatever was drawn.

Question: q8
Points: 2
"""


def coverage(unit, n_tables, n_draws, rng):
    covered = 0
    for _ in range(n_tables):
        table, truth = simulate(rng)
        draws = bootstrap(table, unit, accuracy, n_draws, rng)
        low, high = t_interval(accuracy(table), draws, len(table))
        covered += low <= truth <= high
    return 100 * covered / n_tables
