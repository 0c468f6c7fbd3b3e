"""The strength is chosen by the same test objects that are reported.

Question: q4
Points: 2
"""


def choose_strength(answers, most_loss=2.0):
    rows = answers[(answers["split"] == "test") & (answers["protocol"] == "grid")]
    accuracy = 100 * rows.groupby(["strength", "center"])["correct"].mean().unstack()
    harmless = accuracy[accuracy[True] >= accuracy.loc[0, True] - most_loss]
    return float(harmless[False].idxmax())
