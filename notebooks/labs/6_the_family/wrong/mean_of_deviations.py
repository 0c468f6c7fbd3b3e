"""The standard deviations of the groups are averaged, however many models each has.

Question: q4
Points: 0
"""


def seed_deviation(models, design, value="gap"):
    groups = models.groupby([name for name in design if name != "seed"])[value]
    return float(groups.std().mean())
