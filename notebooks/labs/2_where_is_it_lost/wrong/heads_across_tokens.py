"""Reshapes (images, tokens, width) straight to (images, heads, tokens, head width), which mixes tokens with heads.

Question: q2
Points: 1
"""


def probabilities(read, weight, bias, n_heads):
    query, key, _ = (read @ weight.T + bias).chunk(3, dim=-1)
    shape = (len(read), n_heads, read.shape[1], read.shape[2] // n_heads)
    query, key = query.reshape(shape), key.reshape(shape)
    return (query @ key.transpose(-2, -1) / shape[-1] ** 0.5).softmax(-1)
