"""A gain helps, however uncertain it is and whatever it costs.

Question: q6
Points: 0
"""


def verdict(reported, most_loss=2.0):
    return "helps" if reported["off_center"][0] > 0 else "costs"
