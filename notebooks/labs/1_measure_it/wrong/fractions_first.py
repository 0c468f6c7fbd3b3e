"""Makes fractions of width and height first, so that distances are distorted in images that are not square.

Question: q1
Points: 1
"""


def eccentricity(x, y, width, height):
    return np.hypot(x / width - 0.5, y / height - 0.5) / np.sqrt(0.5)
