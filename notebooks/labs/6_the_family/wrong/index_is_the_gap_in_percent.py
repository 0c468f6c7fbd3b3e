"""The index is the gap divided by 100: gap and index are confused.

Question: q1
Points: 0
"""


def with_bias(models):
    gap = models["center"] - models["off_center"]
    return models.assign(gap=gap, index=gap / 100)
