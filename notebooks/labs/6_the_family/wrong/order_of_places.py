"""Ranks come from sorting alone, so that equal values get different ranks.

Question: q2
Points: 1
"""


def comparable(models, version, floor=20.0):
    return models[(models["version"] == version) & (models["center"] >= floor)]


def rank_correlation(x, y):
    first, second = (np.argsort(np.argsort(values)) for values in (x, y))
    return np.corrcoef(first, second)[0, 1]
