"""Asks whether the interval contains the observed accuracy, which it always does, instead of the truth.

Question: q8
Points: 1
"""


def coverage(unit, n_tables, n_draws, rng):
    covered = 0
    for _ in range(n_tables):
        table, _ = simulate(rng)
        draws = bootstrap(table, unit, accuracy, n_draws, rng)
        low, high = t_interval(accuracy(table), draws, table[unit].nunique())
        covered += low <= accuracy(table) <= high
    return 100 * covered / n_tables
