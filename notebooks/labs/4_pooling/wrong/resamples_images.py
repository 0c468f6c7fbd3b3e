"""Images are resampled one by one, although those of one object are alike: the interval is too narrow.

Question: q4
Points: 1
"""


def paired_change(new, old, objects, rng):
    change = 100 * (np.asarray(new, float) - np.asarray(old, float))
    draws = rng.choice(change, size=(1000, len(change))).mean(axis=1)
    return change.mean(), *np.percentile(draws, [2.5, 97.5])
