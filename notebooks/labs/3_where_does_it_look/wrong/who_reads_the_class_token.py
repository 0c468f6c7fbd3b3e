"""Takes the column of the class token, which says who reads it, instead of its row, which says what it reads.

Question: q1
Points: 0
"""


def attention_map(attention, grid):
    on_patches = attention.mean(1)[:, 1:, 0]
    return (on_patches / on_patches.sum(-1, keepdim=True)).unflatten(-1, grid)
