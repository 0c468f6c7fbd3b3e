"""Forgets that the class token comes first, so that every patch is taken for its neighbour on the left.

Question: q6
Points: 0
"""


def under_object(tokens, covered):
    weights = covered.flatten(1) / covered.flatten(1).sum(1, keepdim=True)
    return (weights[..., None] * tokens[:, : weights.shape[1]]).sum(1)
