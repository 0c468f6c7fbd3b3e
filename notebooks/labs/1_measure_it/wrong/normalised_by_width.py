"""Divides by half the width instead of half the diagonal, so that corners lie beyond 1.

Question: q1
Points: 0
"""


def eccentricity(x, y, width, height):
    return np.hypot(x - width / 2, y - height / 2) / (width / 2)
