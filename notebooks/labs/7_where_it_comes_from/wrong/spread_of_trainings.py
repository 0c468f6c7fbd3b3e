"""How much single trainings vary is taken for how uncertain their mean is; the square root of n is missing.

Question: q6
Points: 0
"""


def t_interval(changes, confidence=0.95):
    changes = np.asarray(changes, dtype=float)
    if len(changes) < 2:
        return float(changes.mean()), np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, len(changes) - 1) * changes.std(ddof=1)
    return float(changes.mean()), float(changes.mean() - half), float(changes.mean() + half)
