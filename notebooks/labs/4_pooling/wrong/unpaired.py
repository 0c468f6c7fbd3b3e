"""Two accuracies are resampled independently, as if the poolings had answered different images.

Question: q4
Points: 1
"""


def paired_change(new, old, objects, rng):
    new, old = np.asarray(new, float), np.asarray(old, float)
    names = np.unique(objects)
    places = [np.flatnonzero(np.asarray(objects) == name) for name in names]

    def drawn(values):
        return values[
            np.concatenate([places[i] for i in rng.integers(len(names), size=len(names))])
        ].mean()

    draws = [100 * (drawn(new) - drawn(old)) for _ in range(1000)]
    return 100 * (new.mean() - old.mean()), *np.percentile(draws, [2.5, 97.5])
