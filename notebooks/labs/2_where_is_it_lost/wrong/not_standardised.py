"""Compares the vectors as they are: numbers of large size decide alone.

Question: q7
Points: 0
"""


def nearest_mean(vectors, names, asked):
    known = np.unique(names)
    means = np.stack([vectors[np.asarray(names) == name].mean(0) for name in known])
    return known[np.linalg.norm(asked[:, None] - means, axis=-1).argmin(1)]
