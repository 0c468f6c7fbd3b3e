"""Sends each part through the norm on its own, with its own variance: the parts no longer add up.

Question: q4
Points: 0
"""


def contributions(parts, norm, projection):
    return torch.cat(
        [norm(parts) @ projection, (norm.bias @ projection).expand(1, parts.shape[1], -1)]
    )
