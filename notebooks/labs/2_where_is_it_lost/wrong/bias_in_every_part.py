"""Spreads the bias evenly over the parts and leaves nothing for the last summand: adds up, but the parts are wrong.

Question: q4
Points: 1
"""


def contributions(parts, norm, projection):
    scale = (parts.sum(0).var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    centered = parts - parts.mean(-1, keepdim=True)
    summands = (centered / scale * norm.weight + norm.bias / len(parts)) @ projection
    return torch.cat([summands, torch.zeros_like(summands[:1])])
