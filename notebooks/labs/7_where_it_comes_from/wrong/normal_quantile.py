"""Few trainings are treated as if they were many: the normal distribution's 1.96 takes the place of t.

Question: q6
Points: 0
"""


def t_interval(changes, confidence=0.95):
    changes = np.asarray(changes, dtype=float)
    if len(changes) < 2:
        return float(changes.mean()), np.nan, np.nan
    half = stats.norm.ppf((1 + confidence) / 2) * changes.std(ddof=1) / np.sqrt(len(changes))
    return float(changes.mean()), float(changes.mean() - half), float(changes.mean() + half)
