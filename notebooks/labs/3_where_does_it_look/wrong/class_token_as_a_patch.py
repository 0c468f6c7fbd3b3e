"""Forgets that the class token comes first and drops the last token, so that every patch moves to its right neighbour.

Question: q1
Points: 0
"""


def attention_map(attention, grid):
    on_patches = attention.mean(1)[:, 0, :-1]
    return (on_patches / on_patches.sum(-1, keepdim=True)).unflatten(-1, grid)
