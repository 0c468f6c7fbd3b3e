"""Scales each of the two maps by its own range before they are compared.

Question: q7
Points: 0
"""


def added(with_object, without, mask):
    contrasts = [
        (each[mask].mean() - each[~mask].mean()) / np.ptp(each)
        for each in (with_object, without)
    ]
    return contrasts[0] - contrasts[1]
