"""The gap is taken off-center minus center.

Question: q2
Points: 1
"""

expected = "higher"


def gap(table, limit):
    center = table["eccentricity"] <= limit
    return 100 * (accuracy(table[~center]) - accuracy(table[center]))
