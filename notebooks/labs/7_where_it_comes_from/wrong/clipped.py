"""A place outside the image is moved to its edge, so that objects pile up there.

Question: q1
Points: 1
"""


def places(n, spread, half, rng):
    if spread == np.inf:
        return rng.uniform(half, 1 - half, (n, 2))
    return np.clip(rng.normal(0.5, spread, (n, 2)), half, 1 - half)
