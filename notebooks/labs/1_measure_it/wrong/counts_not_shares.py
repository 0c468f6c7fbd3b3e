"""Divides the right answers of a ring by all rows of the table instead of the rows of the ring.

Question: q2
Points: 0
"""


def accuracy_by_ring(table, edges):
    ring = np.maximum(np.searchsorted(edges, table["eccentricity"]), 1) - 1
    return np.array(
        [100 * (table["correct"] & (ring == n)).mean() for n in range(len(edges) - 1)]
    )
