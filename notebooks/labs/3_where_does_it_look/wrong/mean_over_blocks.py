"""Averages the blocks instead of following the tokens through them.

Question: q2
Points: 1
"""


def rollout(attention):
    return ((attention.mean(2) + torch.eye(attention.shape[-1])) / 2).mean(0)
