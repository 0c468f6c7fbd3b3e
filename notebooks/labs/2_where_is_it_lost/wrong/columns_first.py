"""Reads the patches column by column, which transposes the image.

Question: q6
Points: 0
"""


def under_object(tokens, covered):
    weights = covered.transpose(1, 2).flatten(1)
    weights = weights / weights.sum(1, keepdim=True)
    return (weights[..., None] * tokens[:, 1:]).sum(1)
