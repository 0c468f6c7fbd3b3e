"""Lets a ring contain its inner edge, as Python's slices and numpy's histograms do: off by one ring at the edges.

Question: q2
Points: 1
"""


def accuracy_by_ring(table, edges):
    ring = np.minimum(np.digitize(table["eccentricity"], edges), len(edges) - 1) - 1
    correct = table["correct"].to_numpy(dtype=float)
    return np.array(
        [
            100 * correct[ring == n].mean() if (ring == n).any() else np.nan
            for n in range(len(edges) - 1)
        ]
    )
