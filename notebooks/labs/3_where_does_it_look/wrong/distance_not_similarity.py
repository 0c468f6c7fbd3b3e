"""Turns the sign around: a map of distances, in which the most similar patch is darkest.

Question: q3
Points: 0
"""


def similarity_map(projected, captions, grid):
    unit = projected / projected.norm(dim=-1, keepdim=True)
    return 1 - (unit[:, 1:] * captions[:, None]).sum(-1).unflatten(-1, grid)
