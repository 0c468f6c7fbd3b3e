"""All runs of one dose are compared with all of the other, whichever seeds they have.

Question: q5
Points: 0
"""


def paired_changes(runs, strong, weak, value="gap"):
    first, second = (
        runs.loc[runs["spread"] == spread, value].to_numpy() for spread in (strong, weak)
    )
    n = min(len(first), len(second))
    return first[:n] - second[:n]
