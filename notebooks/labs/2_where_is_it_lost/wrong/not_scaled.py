"""Forgets to divide by the root of the head's width, so that the softmax is too sharp.

Question: q2
Points: 0
"""


def probabilities(read, weight, bias, n_heads):
    query, key, _ = (read @ weight.T + bias).chunk(3, dim=-1)
    query, key = (each.unflatten(-1, (n_heads, -1)).transpose(1, 2) for each in (query, key))
    return (query @ key.transpose(-2, -1)).softmax(-1)
