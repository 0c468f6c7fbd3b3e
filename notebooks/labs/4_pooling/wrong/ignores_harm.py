"""The highest gain off-center wins, whatever it costs at the center.

Question: q5
Points: 1
"""


def choose(tried, most_loss=2.0):
    rows = tried[tried["split"] == "validation"]
    return rows.loc[rows["off_center_change"].idxmax(), "setting"]
