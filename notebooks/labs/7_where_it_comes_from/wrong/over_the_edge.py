"""The middle of an object may stand anywhere in the image, so that objects are cut off by its edge.

Question: q1
Points: 0
"""


def places(n, spread, half, rng):
    if spread == np.inf:
        return rng.uniform(0, 1, (n, 2))
    return rng.normal(0.5, spread, (n, 2))
