"""Everything that was handed in counts, so that a run counts as often as somebody has it.

Question: q4
Points: 0
"""


def pool(tables):
    return pd.concat(tables, ignore_index=True)
