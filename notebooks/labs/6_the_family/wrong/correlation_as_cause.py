"""What models with one value have on average, minus those with the other, is taken for the effect.

Question: q3
Points: 0
"""


def matched_change(models, column, first, second, design, value="gap"):
    before, after = (models.loc[models[column] == level, value] for level in (first, second))
    return after.mean() - before.mean(), min(len(before), len(after))
