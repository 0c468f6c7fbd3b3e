"""Returns the first depth at which the two are apart, though they meet again later.

Question: q8
Points: 0
"""


def first_apart(center, off_center, points):
    apart = np.asarray(center) - np.asarray(off_center) >= points
    return int(apart.argmax()) if apart.any() else None
