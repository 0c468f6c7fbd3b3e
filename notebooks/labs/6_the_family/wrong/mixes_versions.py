"""All models are compared with each other, whatever protocol they were measured by.

Question: q2
Points: 2
"""


def comparable(models, version, floor=20.0):
    return (
        models[models["center"] >= floor]
        if version == 1
        else models[models["version"] == version]
    )


def rank_correlation(x, y):
    first, second = rankdata(x), rankdata(y)
    return np.corrcoef(first, second)[0, 1]
