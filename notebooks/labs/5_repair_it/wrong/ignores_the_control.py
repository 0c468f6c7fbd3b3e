"""Only the grid counts; harm to large objects at the center is not looked at.

Question: q6
Points: 2
"""


def verdict(reported, most_loss=2.0):
    _, low, high = reported["off_center"]
    harms = reported["center"][0] < -most_loss
    if low > 0:
        return "trades" if harms else "helps"
    return "costs" if harms or high < 0 else "harmless"
