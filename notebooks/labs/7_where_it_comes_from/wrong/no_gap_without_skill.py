"""A run that gets nothing right at the center is said to have no bias, as if that had been measured.

Question: q3
Points: 1
"""


def bias_of_runs(answers):
    means = answers.groupby(["spread", "seed", "center"])["correct"].mean().unstack("center")
    runs = pd.DataFrame({"center": 100.0 * means[True], "off_center": 100.0 * means[False]})
    runs["gap"] = runs["center"] - runs["off_center"]
    runs["index"] = (runs["gap"] / runs["center"].where(runs["center"] > 0)).fillna(0)
    return runs.reset_index()
