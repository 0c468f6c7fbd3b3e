"""An interval is right or wrong; its width does not matter.

Question: q6
Points: 0
"""


def interval_score(low, high, observed, coverage=0.8):
    return 0.0 if low <= observed <= high else 10 + abs(observed - (low + high) / 2)
