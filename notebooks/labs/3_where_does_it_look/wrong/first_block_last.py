"""Multiplies the blocks in the order in which they run, so that the first one stands on the left.

Question: q2
Points: 1
"""


def rollout(attention):
    mixed = (attention.mean(2) + torch.eye(attention.shape[-1])) / 2
    rolled = mixed[0]
    for block in mixed[1:]:
        rolled = rolled @ block
    return rolled
