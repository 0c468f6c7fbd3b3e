"""Counts every patch that the object touches alike, however little of it is covered.

Question: q6
Points: 0
"""


def under_object(tokens, covered):
    weights = (covered > 0).float().flatten(1)
    return (weights[..., None] * tokens[:, 1:]).sum(1) / weights.sum(1, keepdim=True)
