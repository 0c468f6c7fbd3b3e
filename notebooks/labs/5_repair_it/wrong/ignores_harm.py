"""The strength with the highest accuracy off-center wins, whatever it costs at the center.

Question: q4
Points: 1
"""


def choose_strength(answers, most_loss=2.0):
    rows = answers[(answers["split"] == "validation") & (answers["protocol"] == "grid")]
    accuracy = rows[~rows["center"].astype(bool)].groupby("strength")["correct"].mean()
    return float(accuracy.idxmax())
