"""Models of different seeds are paired with each other, as if the seed were no part of the design.

Question: q3
Points: 1
"""


def matched_change(models, column, first, second, design, value="gap"):
    others = [name for name in design if name not in (column, "seed")]
    pairs = models[models[column] == first].merge(models[models[column] == second], on=others)
    if pairs.empty:
        return float("nan"), 0
    return float((pairs[f"{value}_y"] - pairs[f"{value}_x"]).mean()), len(pairs)
