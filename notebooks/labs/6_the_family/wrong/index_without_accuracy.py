"""Where nothing is right at the center there is no bias, so the index is zero.

Question: q1
Points: 1
"""


def with_bias(models):
    gap = models["center"] - models["off_center"]
    return models.assign(
        gap=gap, index=(gap / models["center"].where(models["center"] > 0)).fillna(0)
    )
