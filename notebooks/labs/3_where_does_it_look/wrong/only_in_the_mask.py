"""Compares the two maps in the mask alone and forgets what happens elsewhere.

Question: q7
Points: 0
"""


def added(with_object, without, mask):
    return (with_object - without)[mask].mean() / np.ptp(with_object)
