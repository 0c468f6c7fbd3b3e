"""Asks for a wrong answer and a high empty map at once, where one of the two is enough.

Question: q8
Points: 0
"""


def misleading(table, limit):
    high = (table["auroc"] >= limit) & (table["auroc_empty"] >= limit) & ~table["correct"]
    return table[high].sort_values("auroc", ascending=False)["image"].tolist()
