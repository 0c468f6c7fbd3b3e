"""Accuracy is given in percent.

Question: q1
Points: 0
q2: 1
"""


def accuracy(table):
    return 100 * float(table["correct"].mean())
