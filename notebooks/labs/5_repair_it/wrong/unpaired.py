"""Two intervals of two accuracies are subtracted, as if the models had seen different images.

Question: q5
Points: 1
"""


def report(answers, strength):
    rows = answers[answers["split"] == "test"]
    grid, center = rows["protocol"] == "grid", rows["center"].astype(bool)
    parts = {
        "off_center": grid & ~center,
        "center": grid & center,
        "control": rows["protocol"] == "control",
    }
    changes = {}
    for name, part in parts.items():
        levels = bootstrap.accuracy(rows[part], by="strength").set_index("strength")
        new, old = levels.loc[strength], levels.loc[0.0]
        changes[name] = (
            new["accuracy"] - old["accuracy"],
            new["low"] - old["high"],
            new["high"] - old["low"],
        )
    return changes
