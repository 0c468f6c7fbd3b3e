"""Ranks equal values in the order in which they stand, so that a flat map is not guessing.

Question: q6
Points: 1
"""


def auroc(pixels, mask):
    ranks = pixels.ravel().argsort(kind="stable").argsort().reshape(pixels.shape) + 1
    n = mask.sum()
    return (ranks[mask].sum() - n * (n + 1) / 2) / (n * (mask.size - n))
