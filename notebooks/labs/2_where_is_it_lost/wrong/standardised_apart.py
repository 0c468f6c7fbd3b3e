"""Standardises what is asked by its own mean and spread: learns from the images that it is asked about.

Question: q7
Points: 0
"""


def nearest_mean(vectors, names, asked):
    asked = (asked - asked.mean(0)) / (asked.std(0) + 1e-6)
    vectors = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-6)
    known = np.unique(names)
    means = np.stack([vectors[np.asarray(names) == name].mean(0) for name in known])
    return known[np.linalg.norm(asked[:, None] - means, axis=-1).argmin(1)]
