"""The changes are reported on the objects that the strength was chosen by.

Question: q5
Points: 0
"""


def report(answers, strength):
    rows = answers[answers["split"] == "validation"]
    changes = {}
    for name, center in (("off_center", False), ("center", True), ("control", True)):
        part = rows[rows["center"] == center]
        found = bootstrap.paired_difference(part, "strength", (strength, 0.0)).iloc[0]
        changes[name] = (found["difference"], found["low"], found["high"])
    return changes
