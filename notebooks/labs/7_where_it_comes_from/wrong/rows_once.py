"""Equal rows are taken out, which keeps both outcomes of a run that came in twice, and runs that are not complete.

Question: q4
Points: 0
"""


def pool(tables):
    return pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True)
