"""Turns values below 0.5 around, because "an AUROC is at least 0.5": hides maps that prefer the background.

Question: q6
Points: 1
"""


def auroc(pixels, mask):
    from scipy.stats import rankdata

    ranks = rankdata(pixels.ravel()).reshape(pixels.shape)
    n = mask.sum()
    value = (ranks[mask].sum() - n * (n + 1) / 2) / (n * (mask.size - n))
    return max(value, 1 - value)
