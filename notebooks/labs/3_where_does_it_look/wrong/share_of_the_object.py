"""Divides by the size of the object instead of the union: a map that shows everything would be perfect.

Question: q5
Points: 0
"""


def overlap(patches, mask):
    pixels = spread(patches[None], mask.shape)[0]
    shown = (pixels - pixels.min()) / (pixels.max() - pixels.min()) >= 0.5
    return (shown & mask).sum() / mask.sum()
