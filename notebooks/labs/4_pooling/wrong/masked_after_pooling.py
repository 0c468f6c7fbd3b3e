"""The maximum over all tokens is taken first, and the mask applied to its result.

Question: q2
Points: 0
"""


def masked_maximum(tokens, attention, k):
    pooled = tokens[:, 1:].max(axis=1)
    share = np.sort(attention, axis=1)[:, -k:].sum(axis=1) / attention.sum(axis=1)
    return pooled * share[:, None]
