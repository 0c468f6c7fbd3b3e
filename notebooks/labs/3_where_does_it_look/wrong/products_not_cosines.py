"""Takes the scalar product with tokens that are not of length 1: long tokens shine, whatever they say.

Question: q3
Points: 0
"""


def similarity_map(projected, captions, grid):
    return (projected[:, 1:] * captions[:, None]).sum(-1).unflatten(-1, grid)
