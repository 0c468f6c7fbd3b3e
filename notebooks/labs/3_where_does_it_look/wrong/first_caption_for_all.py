"""Compares all images with the caption of the first.

Question: q3
Points: 0
"""


def similarity_map(projected, captions, grid):
    unit = projected / projected.norm(dim=-1, keepdim=True)
    return (unit[:, 1:] @ captions[0]).unflatten(-1, grid)
