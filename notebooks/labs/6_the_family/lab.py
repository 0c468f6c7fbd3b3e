# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# name: the_family
# crosseyed:
#   title: The family
#   version: 1
#   chapter: 06_model_family
#   minutes: 75
#   data: [the_family/models.csv, the_family/held_out.csv]
#   models: []

# %% [markdown]
# # Lab 6: The family
#
# Chapter 6 puts the results of many models side by side. Such a table is quickly read for more than it says. In this lab you read one
# carefully: what can it tell, what can it not, and what do you expect of a model that is not in it?
#
# **You will be able to**
#
# - tell gap and index apart, and say which models may be compared;
# - compute a rank correlation over models, and find the comparison in the table that changes one thing only;
# - say how much models differ that were trained alike but for the seed;
# - make a prediction with an interval before you see the result, and score it.
#
# **How to work.** Read chapter 6 first. Go from top to bottom and replace each `...` by your code. Run `grader.check("q1")` and
# so on. The lab takes about 75 minutes of your time, the computer needs a few seconds. **Do not open `data/held_out.csv`** before the
# cell that reads it.

# %%
import hashlib
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import rankdata

# %% [markdown]
# ## The table
#
# The table holds **only what was computed in this study**: the two PocketCLIPs and small models that were trained for two
# experiments. All of them know drawn objects only. **No published model is in it**, and none of its numbers says anything about one.
#
# | column | meaning |
# |---|---|
# | `version` | version of the protocol by which the model was measured; numbers of different versions are not comparable |
# | `architecture`, `pooling` | size of the model, and its step from tokens to one vector |
# | `objects`, `steps` | kinds of objects that it was trained to name, and steps of training |
# | `shown` | what a training image shows: one object, up to three, or a "photograph" with subjects and clutter, or the more varied images of the "studio" |
# | `spread` | how far subjects stand from the middle in training: standard deviation, as a fraction of the side; `inf` is anywhere |
# | `naming` | how strongly captions prefer what stands near the middle: 0 not at all, 1 as far as the recipe can |
# | `seed` | decides initial weights and training images |
# | `center`, `off_center` | accuracy in percent, with the ends of its 95 % interval over objects |
# | `gap_low`, `gap_high` | ends of the 95 % interval of the gap, in points |

# %%
models = pd.read_csv("data/models.csv")
design = [
    "version",
    "architecture",
    "pooling",
    "objects",
    "steps",
    "shown",
    "spread",
    "naming",
    "seed",
]
models

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 2

# %% [markdown]
# ## Question 1: gap and index
#
# Write `with_bias(models)`. It returns a **copy** of the table with two more columns:
#
# - `gap`: accuracy at the center minus off-center, in percentage points;
# - `index`: the gap divided by the accuracy at the center, a number of at most 1. Where nothing is right at the center, it is
#   `NaN`: nothing can be lost.

# %% [raw]
# # BEGIN SOLUTION


# %%
def with_bias(models):
    """Return the table with the columns gap (points) and index."""
    # BEGIN SOLUTION
    gap = models["center"] - models["off_center"]
    return models.assign(gap=gap, index=gap / models["center"].where(models["center"] > 0))
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example = pd.DataFrame({"center": [80.0, 20.0], "off_center": [60.0, 5.0]})
assert {"gap", "index"} <= set(with_bias(example)), "add the columns gap and index"
assert list(with_bias(example)["gap"]) == [20, 15], "the gap is in points"
assert list(example) == ["center", "off_center"], "leave the given table as it is"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd


@hidden_check("q1", points=1, says="gap and index of any accuracies")
def bias(student, rng):
    center = rng.uniform(10, 100, size=8)
    off_center = rng.uniform(0, 100, size=8)
    got = student.call("with_bias", pd.DataFrame({"center": center, "off_center": off_center}))
    assert np.allclose(got["gap"], center - off_center)
    assert np.allclose(got["index"], 1 - off_center / center)


@hidden_check("q1", points=1, says="no index where nothing is right at the center")
def nothing_right(student, rng):
    table = pd.DataFrame(
        {"center": [0.0, 0.0, 50.0], "off_center": [0.0, float(rng.uniform(1, 9)), 0.0]}
    )
    got = student.call("with_bias", table)["index"]
    assert np.isnan(got.iloc[0]) and np.isnan(got.iloc[1]) and np.isclose(got.iloc[2], 1)


# %% [raw]
# # END QUESTION

# %%
shown = with_bias(models).sort_values("gap").reset_index(drop=True)
figure, axes = plt.subplots(1, 2, figsize=(9, 6), sharey=True, layout="constrained")
rows = np.arange(len(shown))
axes[0].hlines(rows, shown["gap_low"], shown["gap_high"], color="0.5")
axes[0].plot(shown["gap"], rows, "o", color="#0173b2")
axes[0].set(xlabel="gap (percentage points)", ylabel="model")
axes[0].set_yticks(rows, shown["model"], fontsize=7)
axes[1].plot(shown["index"], rows, "s", color="#de8f05")
axes[1].set(xlabel="index (gap over accuracy at the center)")
for panel in axes:
    panel.axvline(0, color="0.4", linestyle=":")
figure.suptitle("Gap (with 95 % interval over objects) and index of every model")
plt.show()
by_gap, by_index = (shown.loc[shown[column].idxmax(), "model"] for column in ("gap", "index"))
print(
    f"In words: the largest gap is that of {by_gap!r}, the largest index that of {by_index!r}."
)

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 3

# %% [markdown]
# ## Question 2: what goes together?
#
# **First, which rows may be compared?** Write `comparable(models, version, floor=20.0)`. It returns the rows that were measured
# by this version of the protocol and name at least `floor` percent at the center. Below, hardly anything is right that could be lost.
#
# **Then the rank correlation.** Write `rank_correlation(x, y)`: Spearman's correlation. Replace each value by its rank
# (`rankdata` gives equal values their mean rank) and compute Pearson's correlation of the ranks. Do that last step yourself:
# covariance divided by both standard deviations.

# %% [raw]
# # BEGIN SOLUTION


# %%
def comparable(models, version, floor=20.0):
    """Return the rows of one version of the protocol that are right often enough at the center."""
    return models[(models["version"] == version) & (models["center"] >= floor)]  # SOLUTION


def rank_correlation(x, y):
    """Return Spearman's rank correlation, from -1 to 1."""
    # BEGIN SOLUTION
    first, second = rankdata(x), rankdata(y)
    first, second = first - first.mean(), second - second.mean()
    return (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert set(comparable(models, 2)["version"]) == {2}, "one version only"
assert np.isclose(rank_correlation([1, 2, 3, 4], [10, 20, 30, 1000]), 1), (
    "only the order counts"
)
assert np.isclose(rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]), -1)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd


@hidden_check(
    "q2", points=1, says="compares rows of one version only, and none that names too little"
)
def filtered(student, rng):
    table = pd.DataFrame(
        {
            "model": [f"m{number}" for number in range(30)],
            "version": rng.permutation([1, 2, 3] * 10),
            "center": rng.uniform(0, 60, size=30),
        }
    )
    table.loc[0, ["version", "center"]] = [2, 30.0]  # exactly at the floor
    for floor in (20.0, 30.0):
        args = {"floor": floor} if floor != 20.0 else {}
        got = student.call("comparable", table, 2, **args)
        kept = [
            row.model for row in table.itertuples() if row.version == 2 and row.center >= floor
        ]
        assert sorted(got["model"]) == sorted(kept)


@hidden_check("q2", points=2, says="correlates ranks, also where values are equal or infinite")
def ranked(student, rng):
    def ranks(values):
        return np.array([np.mean([(a < b) + 0.5 * (a == b) for a in values]) for b in values])

    for _ in range(3):
        x, y = rng.integers(0, 6, size=20).astype(float), np.exp(4 * rng.normal(size=20))
        y = y + 50 * x * rng.choice([-1, 1])
        x[x == 5] = np.inf
        got = student.call("rank_correlation", x, y)
        assert np.isclose(got, np.corrcoef(ranks(x), ranks(y))[0, 1], atol=1e-6)


# %% [raw]
# # END QUESTION

# %%
kept = with_bias(comparable(models, 1))
print(f"{len(kept)} of {len(models)} models are comparable.")
for column in ("spread", "naming", "objects", "steps", "center"):
    print(
        f"index and {column}: rank correlation {rank_correlation(kept[column], kept['index']):+.2f}"
    )

# %% [markdown]
# The index goes together with `spread`, `naming` and `center`. Which of them *makes* the bias? In this table, models with a small
# spread often prefer the middle in their captions, too. A correlation over models cannot separate the two.

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 3

# %% [markdown]
# ## Question 3: change one thing
#
# Find the pairs of models that differ in **one** column of the design and agree in all others. Write
# `matched_change(models, column, first, second, design, value="gap")`:
#
# 1. take the rows whose `column` is `first`, and those whose `column` is `second`;
# 2. pair a row of the one with a row of the other if they agree in **all other** columns of `design`;
# 3. return two numbers: the mean over pairs of `value` at `second` minus `value` at `first`, and the number of pairs. Without a pair,
#    return `NaN` and 0: then the table cannot say.
#
# `merge` does most of it. No two rows have the same design.

# %% [raw]
# # BEGIN SOLUTION


# %%
def matched_change(models, column, first, second, design, value="gap"):
    """Return (mean change of the value, number of pairs) over models that differ in one column only."""
    # BEGIN SOLUTION
    others = [name for name in design if name != column]
    pairs = models[models[column] == first].merge(models[models[column] == second], on=others)
    if pairs.empty:
        return float("nan"), 0
    return float((pairs[f"{value}_y"] - pairs[f"{value}_x"]).mean()), len(pairs)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example = pd.DataFrame(
    {"pooling": ["max", "average"], "spread": [0.1, 0.1], "seed": [0, 0], "gap": [30.0, 10.0]}
)
change, pairs = matched_change(
    example, "pooling", "average", "max", ["pooling", "spread", "seed"]
)
assert (change, pairs) == (20, 1), "one pair: the maximum has 20 points more than the average"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd

COLUMNS = ["pooling", "spread", "seed"]


def confounded(rng):
    """Models of pooling a or b. Alike otherwise, b has 6 points less; but most of b have the small spread, which adds 50."""
    rows = []
    for seed in range(6):
        base = float(rng.normal(0, 1))
        rows.append(("b", 0.1, seed, 50 - 6 + base))
        if seed < 2:
            rows.append(("a", 0.1, seed, 50 + base))
        rows.append(("a", np.inf, seed, base))
        if seed < 1:
            rows.append(("b", np.inf, seed, base - 6))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "gap"])
    table["index"] = -table["gap"]
    return table.sample(frac=1, random_state=int(rng.integers(1000))).reset_index(drop=True)


@hidden_check(
    "q3", points=1, says="the mean change over the pairs that differ in one column only"
)
def one_thing(student, rng):
    change, pairs = student.call(
        "matched_change", confounded(rng), "pooling", "a", "b", COLUMNS
    )
    assert pairs == 3 and np.isclose(change, -6)


@hidden_check("q3", points=1, says="other values and other columns work as well")
def other_columns(student, rng):
    table = confounded(rng)
    change, pairs = student.call(
        "matched_change", table, "pooling", "a", "b", COLUMNS, value="index"
    )
    assert pairs == 3 and np.isclose(change, 6)
    change, pairs = student.call("matched_change", table, "spread", 0.1, np.inf, COLUMNS)
    assert pairs == 3 and np.isclose(change, -50)


@hidden_check("q3", points=1, says="without a pair there is no answer")
def no_pair(student, rng):
    table = confounded(rng)
    table["objects"] = np.where(table["pooling"] == "a", 32, 64)
    change, pairs = student.call(
        "matched_change", table, "pooling", "a", "b", [*COLUMNS, "objects"]
    )
    assert pairs == 0 and np.isnan(change)


# %% [raw]
# # END QUESTION

# %%
known = with_bias(models)
asked = [
    ("pooling", "class token", "max"),
    ("spread", 0.03, np.inf),
    ("naming", 0.0, 1.0),
    ("objects", 32, 64),
]
for column, first, second in asked:
    sides = [known.loc[known[column] == level, "gap"].mean() for level in (first, second)]
    change, pairs = matched_change(known, column, first, second, design)
    print(
        f"{column}, {first} → {second}: {sides[1] - sides[0]:+.1f} points over all, {change:+.1f} over {pairs} pairs"
    )

# %% [markdown]
# Compare the two numbers of each line. For one column the table has no pair at all: nothing in it can say what that column does.
# Look at the pairs behind `naming`, too: is the change the same wherever objects stand?

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 2

# %% [markdown]
# ## Question 4: trained alike
#
# The intervals in the table say how a model's numbers would vary with **other objects**. They do not say how much the next
# training run would differ. Models that agree in everything but the seed do. Write `seed_deviation(models, design, value="gap")`:
# the standard deviation of `value` among models that were trained alike.
#
# 1. Group the rows by all columns of `design` except `seed`. Take only groups with at least two models.
# 2. Add up, over all these groups, the squared distances of the values from **their group's** mean.
# 3. Divide by the sum of (models in the group − 1), and take the root.

# %% [raw]
# # BEGIN SOLUTION


# %%
def seed_deviation(models, design, value="gap"):
    """Return the standard deviation, in the unit of the value, among models that differ by their seed only."""
    # BEGIN SOLUTION
    groups = models.groupby([name for name in design if name != "seed"])[value]
    count = groups.transform("size")
    squares = ((models[value] - groups.transform("mean")) ** 2)[count > 1]
    return float(np.sqrt(squares.sum() / (groups.size()[groups.size() > 1] - 1).sum()))
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example = pd.DataFrame(
    {"spread": [0.1, 0.1, 0.2], "seed": [0, 1, 0], "gap": [10.0, 14.0, 99.0]}
)
assert np.isclose(seed_deviation(example, ["spread", "seed"]), np.sqrt(8)), (
    "one pair, 4 points apart"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd


@hidden_check(
    "q4", points=2, says="pools the scatter within groups of models that were trained alike"
)
def scatter(student, rng):
    rows, squares, freedom = [], 0.0, 0
    for number, size in enumerate(rng.permutation([1, 2, 2, 3, 5, 1])):
        values = rng.normal(20 * number, 1 + number, size=int(size))
        rows += [(number / 10, "max", seed, value) for seed, value in enumerate(values)]
        squares += ((values - values.mean()) ** 2).sum()
        freedom += int(size) - 1
    table = pd.DataFrame(rows, columns=["spread", "pooling", "seed", "index"])
    table = table.sample(frac=1, random_state=int(rng.integers(1000))).reset_index(drop=True)
    got = student.call("seed_deviation", table, ["spread", "pooling", "seed"], value="index")
    assert np.isclose(got, np.sqrt(squares / freedom))


# %% [raw]
# # END QUESTION

# %%
between_seeds = seed_deviation(known, design)
half_width = (known["gap_high"] - known["gap_low"]).median() / 2
print(
    f"Models trained alike scatter by {between_seeds:.1f} points; half of a typical interval is {half_width:.1f} points."
)

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 1

# %% [markdown]
# ## Question 5: predict a model that is not in the table
#
# One more model was trained and is not in the table. Its training images show **one object**, with a `spread` of **0.08**. All else
# is as in the models `spread ..., seed 0`: small, class token, 32 objects, 1,600 steps, naming 0, seed 0.
#
# Predict its gap: an interval in percentage points that holds the gap with a probability of **80 %**. Say why. Use the figure
# below, the pairs of question 3 and the deviation of question 4. Any honest prediction gets the point; question 6 scores how good
# it was.

# %%
series = known[(known["shown"] == "one object") & (known["seed"] == 0)].sort_values("spread")
places = np.arange(len(series))
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
error = [series["gap"] - series["gap_low"], series["gap_high"] - series["gap"]]
axes.errorbar(places, series["gap"], yerr=error, fmt="o-", color="#0173b2", capsize=3)
axes.set_xticks(places, [f"{spread:g}" for spread in series["spread"]])
axes.axhline(0, color="0.4", linestyle=":")
axes.set(
    xlabel="spread in training (standard deviation over the side)",
    ylabel="gap (percentage points)",
)
axes.set_title("One object, seed 0 (95 % intervals over objects)", loc="left")
plt.show()
for row in series.itertuples():
    print(
        f"In words: spread {row.spread:g}: gap {row.gap:+.1f} points [{row.gap_low:+.1f}, {row.gap_high:+.1f}]."
    )

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION NO PROMPT
prediction = {
    "low": 5.0,
    "high": 50.0,
    "reason": "between the spreads 0.03 and 0.15 the gap falls from 65 points to 0; we do not know where",
}
# END SOLUTION
""" # BEGIN PROMPT
prediction = {"low": ..., "high": ..., "reason": ...}
"""  # END PROMPT

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert -100 <= prediction["low"] < prediction["high"] <= 100, (
    "two numbers in points, the lower first"
)
assert len(prediction["reason"]) >= 30, "say in a sentence what your prediction rests on"

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
@hidden_check("q5", points=1, says="an interval and a reason are given")
def given(student, rng):
    said = student.value("prediction")
    assert -100 <= float(said["low"]) < float(said["high"]) <= 100
    assert isinstance(said["reason"], str) and len(said["reason"].strip()) >= 30


# %% [raw]
# # END QUESTION

# %% [markdown]
# **Register it.** The next cell turns your prediction into a short code. Write the code where others see it (a shared sheet, the
# board) before you go on. Whoever changes the prediction afterwards has another code. This is the idea of preregistration.

# %%
sealed = hashlib.sha256(
    json.dumps(prediction, sort_keys=True, default=str).encode()
).hexdigest()[:12]
print(f"Code of the prediction: {sealed}")

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 3

# %% [markdown]
# ## Question 6: score it
#
# A wide interval is safe and says little; a narrow one says much and may miss. The **interval score** weighs both (Gneiting
# and Raftery 2007). With the observed value $y$ and $\alpha$ = 1 − coverage:
#
# $$ S = (\text{high} - \text{low}) + \frac{2}{\alpha} \max(0, \text{low} - y) + \frac{2}{\alpha} \max(0, y - \text{high}) $$
#
# Smaller is better, and on average nobody does better than with the interval that they believe in. Write
# `interval_score(low, high, observed, coverage=0.8)`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def interval_score(low, high, observed, coverage=0.8):
    """Return the score of a predicted interval, in the unit of the observed value; smaller is better."""
    # BEGIN SOLUTION
    missed = max(0.0, low - observed) + max(0.0, observed - high)
    return (high - low) + 2 / (1 - coverage) * missed
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert np.isclose(interval_score(0, 10, 5), 10), "inside, the score is the width"
assert interval_score(0, 10, 12) > interval_score(0, 10, 11), "a larger miss scores worse"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np


@hidden_check("q6", points=1, says="inside the interval the score is its width")
def width(student, rng):
    low = float(rng.uniform(-50, 0))
    high = low + float(rng.uniform(5, 60))
    for share in (0.0, 0.4, 1.0):
        assert np.isclose(
            student.call("interval_score", low, high, low + share * (high - low)), high - low
        )


@hidden_check(
    "q6", points=2, says="a miss on either side costs as much as the coverage demands"
)
def missed(student, rng):
    low, miss = float(rng.uniform(-30, 0)), float(rng.uniform(1, 20))
    high = low + float(rng.uniform(5, 40))
    for coverage in (0.8, 0.5, 0.95):
        expected = high - low + 2 * miss / (1 - coverage)
        for observed in (low - miss, high + miss):
            got = student.call("interval_score", low, high, observed, coverage=coverage)
            assert np.isclose(got, expected)
    assert np.isclose(
        student.call("interval_score", low, high, high + miss), high - low + 10 * miss
    )


# %% [raw]
# # END QUESTION

# %%
observed = with_bias(pd.read_csv("data/held_out.csv")).iloc[0]
inside = prediction["low"] <= observed["gap"] <= prediction["high"]
score = interval_score(prediction["low"], prediction["high"], observed["gap"])
print(
    f"Observed: {observed['gap']:+.1f} points [{observed['gap_low']:+.1f}, {observed['gap_high']:+.1f}]."
)
print(f"Your interval {'holds' if inside else 'misses'} it; score {score:.1f} points.")
everything = interval_score(*np.quantile(known["gap"], [0.1, 0.9]), observed["gap"])
print(
    f"For comparison, 80 % of the gaps of the whole table as an interval: score {everything:.1f} points."
)

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 4
# manual: true

# %% [markdown]
# ## Question 7: what the table can tell
#
# Write at most 200 words.
#
# 1. Name one statement about center bias that the table supports, with the comparison that supports it.
# 2. Name one statement that it only *seems* to support, and the confound behind it.
# 3. Somebody wants to conclude from this table that a published CLIP trained on photographs from the web is biased because
#    photographers center their subjects. What is missing? Say which experiment or measurement would help.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# 1. With one object in each training image, all else equal, models trained with a spread of 0.03 have a far larger gap than models trained
#    with objects anywhere. Both seeds show it, and the change is many times the scatter between seeds. So where objects stand in
#    training can by itself make a bias, in these models.
# 2. Over all models the index rises with the preference of captions for the middle. But most models with that preference have a small
#    spread, too. The matched pairs show that naming changes much where the spread is small and little where objects stand
#    anywhere. Likewise pooling by maximum seems worst by the gap, because these models name more at the center; by the index they are
#    like the others.
# 3. No published model is in the table. The models are small, know drawings, and were made with distributions that we chose. That
#    a cause works here shows that it can, not that it did there. One would have to measure published models by the same
#    protocol, measure where subjects stand in their training images, and best train two models on web photographs that differ only in
#    position, for instance by random shifts.

# %% [raw]
# # END SOLUTION

# %% [markdown] tags=["rubric"]
# Question 7: 4 points.
#
# - 1 point: a supported statement with a comparison that changes one thing (spread, or naming at a small spread), and not only a
#   correlation over models.
# - 1 point: a statement that seems supported, with its confound (spread and naming change together; gap limited by the accuracy
#   at the center; objects and steps change together; versions of the protocol).
# - 1 point: no published model is in the table, and small models on drawings show what *can* cause a bias, not what did.
# - 1 point: a measurement or experiment that would help: published models by the same protocol, positions in the real training
#   images, or a training that changes position only.
#
# No point for a statement of cause that rests on the rank correlation.

# %% [raw]
# # END QUESTION
