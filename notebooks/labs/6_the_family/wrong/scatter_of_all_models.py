"""The scatter of all models is taken for that of models trained alike.

Question: q4
Points: 0
"""


def seed_deviation(models, design, value="gap"):
    return float(models[value].std())
