"""Takes depth 0 for "no such depth", because 0 counts as false.

Question: q8
Points: 1
"""


def first_apart(center, off_center, points):
    first = 0
    for depth in reversed(range(len(center))):
        if center[depth] - off_center[depth] < points:
            break
        first = depth
    return first or None
