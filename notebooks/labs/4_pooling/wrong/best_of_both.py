"""The best on the test objects is reported, as if the best of k were an estimate of itself.

Question: q6
Points: 1
"""


def best_of(k, n_objects, rng):
    answers = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(2, k, n_objects))
    changes = 100 * answers.mean(axis=2)
    return changes[0].max(), changes[1].max()
