"""Takes eccentricity for a distance in pixels and forgets to divide.

Question: q1
Points: 0
"""


def eccentricity(x, y, width, height):
    return np.hypot(x - width / 2, y - height / 2)
