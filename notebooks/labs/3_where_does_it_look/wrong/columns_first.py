"""Lays the patches out column by column, which mirrors the map at the diagonal.

Question: q1
Points: 0
"""


def attention_map(attention, grid):
    on_patches = attention.mean(1)[:, 0, 1:]
    on_patches = on_patches / on_patches.sum(-1, keepdim=True)
    return on_patches.reshape(len(on_patches), grid[1], grid[0]).transpose(1, 2)
