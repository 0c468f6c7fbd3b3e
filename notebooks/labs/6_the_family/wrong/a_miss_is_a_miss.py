"""A miss costs as much as it misses by, so that narrow intervals always win.

Question: q6
Points: 1
"""


def interval_score(low, high, observed, coverage=0.8):
    return (high - low) + max(0.0, low - observed) + max(0.0, observed - high)
