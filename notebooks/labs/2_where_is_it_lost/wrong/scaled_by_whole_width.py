"""Divides by the root of the whole width instead of the width of a head, which is right with one head only.

Question: q2
Points: 1
"""


def probabilities(read, weight, bias, n_heads):
    query, key, _ = (read @ weight.T + bias).chunk(3, dim=-1)
    query, key = (each.unflatten(-1, (n_heads, -1)).transpose(1, 2) for each in (query, key))
    return (query @ key.transpose(-2, -1) / read.shape[-1] ** 0.5).softmax(-1)
