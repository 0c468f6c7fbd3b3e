"""Multiplies the matrices number by number instead of as matrices.

Question: q2
Points: 1
"""


def rollout(attention):
    mixed = (attention.mean(2) + torch.eye(attention.shape[-1])) / 2
    rolled = mixed.prod(0)
    return rolled / rolled.sum(-1, keepdim=True)
