"""Divides by the largest value instead of scaling from smallest to largest: right only from zero on.

Question: q5
Points: 0
"""


def overlap(patches, mask):
    pixels = spread(patches[None], mask.shape)[0]
    shown = pixels / pixels.max() >= 0.5
    return (shown & mask).sum() / (shown | mask).sum()
