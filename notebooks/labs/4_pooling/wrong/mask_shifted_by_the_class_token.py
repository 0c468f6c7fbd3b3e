"""The attention is lined up with all tokens, so that the mask is one place off.

Question: q2
Points: 0
"""


def masked_maximum(tokens, attention, k):
    kept = np.argsort(-attention, axis=1)[:, :k]
    return np.take_along_axis(tokens, kept[..., None], axis=1).max(axis=1)
