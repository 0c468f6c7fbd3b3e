"""Leaves the bias of the norm out of the sum.

Question: q4
Points: 0
"""


def contributions(parts, norm, projection):
    scale = (parts.sum(0).var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    summands = ((parts - parts.mean(-1, keepdim=True)) / scale * norm.weight) @ projection
    return torch.cat([summands, torch.zeros_like(summands[:1])])
