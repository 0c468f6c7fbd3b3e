# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# name: where_it_comes_from
# crosseyed:
#   title: Where does it come from?
#   version: 1
#   chapter: 07_origins
#   minutes: 75
#   data: [where_it_comes_from/class.csv.gz, where_it_comes_from/own.csv.gz]
#   models: []

# %% [markdown]
# # Lab 7: Where does it come from?
#
# People put what they photograph into the middle. Is that habit enough to make a model that is center-biased? With
# photographs from the web nobody can tell: too much differs at once. So here the photographer is a program. You change
# one habit of it, train a tiny model on its images, and put your result beside those of a class.
#
# **You will be able to**
#
# - write a photographer that puts objects where you say, and see what a cut-off distribution must not do;
# - say why a prediction is written down before the result;
# - put the results of many people together without counting anybody twice;
# - compare doses within training seeds, and give an interval that covers new trainings;
# - say what such an experiment shows about published models, and what it does not.
#
# **How to work.** Read chapter 7 first. Go from top to bottom and replace each `...` by your code. The lab takes about
# 75 minutes of your time. One training takes the computer about ten minutes; it is **not graded**, and a kept run
# stands in for yours until you have one.

# %%
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from crosseyed.data.cutouts import objects_of
from crosseyed.data.photographer import Dose, take
from crosseyed.training.experiments import ORIGINS_RECIPE, Trial, run
from crosseyed.training.recipes import world_of

BLUE, ORANGE = "#0173b2", "#de8f05"  # told apart by all readers; markers differ, too

# %% [markdown]
# ## The photographer
#
# The *spread* is the habit: the standard deviation of an object's place around the middle of the image, in x and in y,
# as a fraction of the side. A small spread is a strong habit. Infinite means no habit: objects stand anywhere.

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3

# %% [markdown]
# **Question 1.** Write `places(n, spread, half, rng)`. It returns an array of shape `(n, 2)`: where the middles of `n`
# objects stand, x and y as fractions of the side. `half` is half the size of an object, so its middle must lie between
# `half` and `1 - half` for it to be wholly inside the image.
#
# - If `spread` is infinite (`np.inf`), places are uniform between these limits.
# - Else x and y are independent and normal around 0.5 with standard deviation `spread`, **cut off** at the limits: a place
#   outside is drawn again, until it is inside. (`stats.truncnorm` does this at once.)
#
# Draw with `rng`, a `numpy.random.Generator`; `truncnorm.rvs` takes it as `random_state`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def places(n, spread, half, rng):
    """Return where the middles of n objects stand: shape (n, 2), as fractions of the side."""
    # BEGIN SOLUTION
    if spread == np.inf:
        return rng.uniform(half, 1 - half, (n, 2))
    reach = (0.5 - half) / spread
    return 0.5 + spread * stats.truncnorm.rvs(-reach, reach, size=(n, 2), random_state=rng)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert np.shape(places(5, 0.1, 0.2, np.random.default_rng(0))) == (5, 2), (
    "one row with x and y for each object"
)

# %%
assert abs(np.mean(places(2000, 0.05, 0.2, np.random.default_rng(0))) - 0.5) < 0.01, (
    "around the middle"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
from scipy import stats

_DRAW = "import numpy as np\nresult = np.asarray(places(n, spread, half, np.random.default_rng(seed)), dtype=float)"


def _drawn(student, rng, spread, half, n=4000):
    drawn = student.run(_DRAW, n=n, spread=spread, half=half, seed=int(rng.integers(10**6)))
    assert drawn.shape == (n, 2)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1
    return drawn


def _follow(drawn, distribution):
    """Whether x and y follow a distribution, as far as their numbers can tell."""
    return all(stats.kstest(column, distribution.cdf).statistic < 0.045 for column in drawn.T)


@hidden_check(
    "q1", points=2, says="places follow a normal distribution that is cut off at the limits"
)
def cut_off(student, rng):
    for spread in rng.uniform([0.04, 0.3], [0.08, 0.5]):
        half = float(rng.uniform(0.1, 0.2))
        reach = (0.5 - half) / spread
        wanted = stats.truncnorm(-reach, reach, loc=0.5, scale=spread)
        assert _follow(_drawn(student, rng, float(spread), half), wanted)


@hidden_check(
    "q1", points=1, says="without a habit, places are uniform where the object is wholly inside"
)
def anywhere(student, rng):
    half = float(rng.uniform(0.1, 0.25))
    wanted = stats.uniform(half, 1 - 2 * half)
    assert _follow(_drawn(student, rng, np.inf, half), wanted)


# %% [raw]
# # END QUESTION

# %% [markdown]
# The library's photographer does what you wrote. Four of its images, with their captions: two with a strong habit, two
# with none. The caption always names the object, so nothing but the place differs.

# %%
figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained")
world = world_of(ORIGINS_RECIPE)
for number, axis in enumerate(axes):
    spread = 0.03 if number < 2 else np.inf
    subject, rng_of_image = objects_of(world)[number % 2], np.random.default_rng(number)
    scene, caption = take(world, subject, Dose(spread=spread), rng_of_image, side=160)
    axis.imshow(scene.render())
    axis.set_title(f"spread {spread:g}:\n{caption}", fontsize=9)
    axis.axis("off")
figure.suptitle("Training images of a strong habit and of none")
plt.show()

# %% [markdown]
# *The figure in words.* Four drawings, one object each, on four kinds of background. With the spread 0.03 the objects stand in the
# middle; without a habit they stand anywhere.
#
# ## Predict first

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 1

# %% [markdown]
# **Question 2.** Two models are trained alike, except that one saw objects with the spread 0.03 and the other anywhere.
# Both are then asked about the same images, with one object in one of 25 cells. Compared with the model that saw objects
# anywhere, what do you expect of the one with the strong habit? Write `"lower"`, `"same"` or `"higher"` for its accuracy at
# the center and off-center. Every answer gets the point, as long as it is given before you go on.

# %% [raw]
# # BEGIN SOLUTION

# %%
expected = {"center": "higher", "off-center": "lower"}  # SOLUTION

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert set(expected) == {"center", "off-center"}, "give both places"

# %%
assert set(expected.values()) <= {"lower", "same", "higher"}, "use the three words"

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
@hidden_check("q2", points=1, says="both predictions are given")
def predicted(student, rng):
    expected = student.value("expected")
    assert set(expected) == {"center", "off-center"}
    assert set(expected.values()) <= {"lower", "same", "higher"}


# %% [raw]
# # END QUESTION

# %% [markdown]
# ## Train a model of your own
#
# Agree in class on who takes which `MY_SPREAD`, and take a `MY_SEED` that nobody else has, such as your place in the list
# of names. The seed decides the initial weights and all images. Then set `TRAIN = True` and run the cell once. It takes
# about ten minutes on two cores, and goes on where it was when you interrupt it.

# %% tags=["long"]
# long: skipped in grading, kept result in data/own.csv.gz
TRAIN = False
MY_SPREAD, MY_SEED = 0.15, 7

if TRAIN:
    recipe = replace(ORIGINS_RECIPE, positions=Dose(spread=MY_SPREAD), seed=MY_SEED)
    about = {"spread": MY_SPREAD, "seed": MY_SEED}
    all_answers = run(
        [Trial(f"spread {MY_SPREAD:g} seed {MY_SEED}", recipe, about)], Path("trained")
    )
    my_answers = all_answers[all_answers["protocol"] == "grid"].rename(
        columns={"choice": "answer"}
    )

# %% [markdown]
# One row is one image: the `spread` and `seed` of the model that was asked, the `object` that it shows and in which `style`,
# the cell of the grid (`row`, `col`), whether that is the `center`, the model's `answer`, and whether it is `correct`.
# Without a training of your own, the next cell takes the kept run: spread 0.15, seed 7.

# %%
if "my_answers" not in globals():
    my_answers = pd.read_csv("data/own.csv.gz")
COLUMNS = ["spread", "seed", "object", "style", "row", "col", "center", "answer", "correct"]
my_answers = my_answers[COLUMNS]
my_answers.head()

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 2

# %% [markdown]
# ## The bias of each run
#
# **Question 3.** Write `bias_of_runs(answers)`. A *run* is one trained model: one `spread` and one `seed`. Return a table
# with one row for each run, sorted by spread and then seed, with the columns
#
# - `spread`, `seed`;
# - `center`, `off_center`: percentage of correct answers at the center, and off-center;
# - `gap`: `center` minus `off_center`, in percentage points;
# - `index`: the gap divided by `center`; `NaN` where nothing is right at the center.

# %% [raw]
# # BEGIN SOLUTION


# %%
def bias_of_runs(answers):
    """Return one row for each run: spread, seed, center, off_center, gap, index."""
    # BEGIN SOLUTION
    means = answers.groupby(["spread", "seed", "center"])["correct"].mean().unstack("center")
    runs = pd.DataFrame({"center": 100.0 * means[True], "off_center": 100.0 * means[False]})
    runs["gap"] = runs["center"] - runs["off_center"]
    runs["index"] = runs["gap"] / runs["center"].where(runs["center"] > 0)
    return runs.reset_index()
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert list(bias_of_runs(my_answers).columns) == [
    "spread",
    "seed",
    "center",
    "off_center",
    "gap",
    "index",
]

# %%
assert len(bias_of_runs(my_answers)) == 1, "your answers are those of one run"

# %%
assert 0 < bias_of_runs(my_answers)["center"].iloc[0] <= 100, "in percent"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd


def _answers(rng, runs, right_at_center, right_elsewhere, n_objects=6):
    """Answers of runs to images of a few objects in a grid of 3 x 3, in random order."""
    parts = []
    for spread, seed in runs:
        names = [f"object {number}" for number in range(n_objects)]
        part = pd.DataFrame(
            [
                (name, "noto", row, col)
                for name in names
                for row in range(3)
                for col in range(3)
            ],
            columns=["object", "style", "row", "col"],
        )
        part["center"] = (part["row"] == 1) & (part["col"] == 1)
        chance = np.where(part["center"], right_at_center, right_elsewhere)
        part["correct"] = rng.random(len(part)) < chance
        part["answer"] = np.where(part["correct"], part["object"], "another")
        parts.append(part.assign(spread=float(spread), seed=seed))
    return (
        pd.concat(parts)
        .sample(frac=1, random_state=int(rng.integers(10**6)))
        .reset_index(drop=True)
    )


def _bias(answers):
    rows = []
    for spread, seed in sorted({*zip(answers["spread"], answers["seed"], strict=True)}):
        part = answers[(answers["spread"] == spread) & (answers["seed"] == seed)]
        inside = 100 * part["correct"][part["center"]].mean()
        outside = 100 * part["correct"][~part["center"]].mean()
        index = (inside - outside) / inside if inside else np.nan
        rows.append((spread, seed, inside, outside, inside - outside, index))
    return pd.DataFrame(
        rows, columns=["spread", "seed", "center", "off_center", "gap", "index"]
    )


def _equal(got, wanted):
    assert isinstance(got, pd.DataFrame) and list(got.columns) == list(wanted.columns)
    assert got.shape == wanted.shape
    assert np.allclose(got.to_numpy(dtype=float), wanted.to_numpy(dtype=float), equal_nan=True)


@hidden_check("q3", points=1, says="is right for several runs, also without a habit")
def several_runs(student, rng):
    answers = _answers(rng, [(np.inf, 3), (0.2, 1), (0.2, 0), (0.05, 3)], 0.9, 0.5)
    _equal(student.call("bias_of_runs", answers), _bias(answers))


@hidden_check("q3", points=1, says="is right for a run that gets nothing right at the center")
def nothing_at_center(student, rng):
    answers = pd.concat(
        [_answers(rng, [(0.1, 2)], 0.0, 0.4), _answers(rng, [(0.3, 2)], 0.9, 0.4)]
    )
    got = student.call("bias_of_runs", answers.reset_index(drop=True))
    _equal(got, _bias(answers))


# %% [raw]
# # END QUESTION

# %%
my_run = bias_of_runs(my_answers)
my_run.round(2)

# %% [markdown]
# ## Put everybody's results together
#
# In a real class each group hands in a table like yours. Things go wrong: two groups train the same run, somebody hands
# in a table twice, somebody's computer went to sleep before all images were asked about.

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 2

# %% [markdown]
# **Question 4.** Write `pool(tables)`. `tables` is a list of tables of answers, in the order in which they came in. Return
# one table of answers, in which
#
# - each run, that is each pair of `spread` and `seed`, **counts once**: take it from the first table that has all its
#   images;
# - a run that is not complete is left out. In this class, complete means: it has as many rows as the run with the most
#   rows in any one table.
#
# A table may hold several runs. The order of rows does not matter.

# %% [raw]
# # BEGIN SOLUTION


# %%
def pool(tables):
    """Return the answers of all complete runs, each run once."""
    # BEGIN SOLUTION
    runs = [(key, part) for table in tables for key, part in table.groupby(["spread", "seed"])]
    complete = max(len(part) for _, part in runs)
    taken = {}
    for key, part in runs:
        if len(part) == complete:
            taken.setdefault(key, part)
    return pd.concat(taken.values(), ignore_index=True)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert len(pool([my_answers, my_answers])) == len(my_answers), (
    "handed in twice, and counted once"
)

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
def _sorted(table):
    keys = ["spread", "seed", "object", "row", "col"]
    return table.sort_values([*keys, "answer"])[[*keys, "answer", "correct"]].reset_index(
        drop=True
    )


@hidden_check("q4", points=1, says="each run counts once, and the first that came in is taken")
def once(student, rng):
    first = _answers(rng, [(0.1, 1), (0.3, 1)], 0.8, 0.5)
    again = _answers(rng, [(0.3, 1), (0.3, 2)], 0.2, 0.9)  # another outcome of the run (0.3, 1)
    got = student.call("pool", [first, again])
    wanted = pd.concat([first, again[again["seed"] == 2]])
    assert isinstance(got, pd.DataFrame) and len(got) == len(wanted)
    assert _sorted(got).equals(_sorted(wanted))


@hidden_check(
    "q4", points=1, says="a run that is not complete is left out, unless somebody has all of it"
)
def complete(student, rng):
    whole = _answers(rng, [(0.1, 1), (0.3, 1)], 0.8, 0.5)
    part = _answers(rng, [(0.3, 1), (0.3, 2)], 0.8, 0.5).iloc[: len(whole) // 2 + 5]
    got = student.call("pool", [part.reset_index(drop=True), whole])
    sizes = part.groupby(["spread", "seed"]).size()
    assert (sizes < len(whole) // 2).any()
    kept = {run for run, size in sizes.items() if size == len(whole) // 2}
    assert {*zip(got["spread"], got["seed"], strict=True)} == {(0.1, 1), (0.3, 1)} | kept
    assert len(got) == len(whole) // 2 * (2 + len(kept - {(0.1, 1), (0.3, 1)}))


# %% [raw]
# # END QUESTION

# %% [markdown]
# `class.csv.gz` holds the runs of a class: seven models of chapter 7 of this study, which were trained with the recipe that
# you used. Two doses were trained with two seeds, the others with one.

# %%
class_answers = pd.read_csv("data/class.csv.gz")[COLUMNS]
runs = bias_of_runs(pool([class_answers, my_answers]))
runs.round(2)

# %%
names = [f"{spread:g}".replace("inf", "anywhere") for spread in sorted(set(runs["spread"]))]
at = runs["spread"].map(
    {spread: number for number, spread in enumerate(sorted(set(runs["spread"])))}
)
figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
axes.plot(at - 0.06, runs["center"], "o", color=BLUE, label="at the center")
axes.plot(
    at + 0.06, runs["off_center"], "s", color=ORANGE, markerfacecolor="none", label="off-center"
)
axes.set_xticks(range(len(names)), names)
axes.set(
    xlabel="spread in training (left: a strong habit)", ylabel="accuracy (%)", ylim=(0, 100)
)
axes.set_title("Accuracy of each run of the class and of one more", loc="left")
axes.legend()
plt.show()
for _, row in runs.iterrows():
    print(
        f"In words: spread {row['spread']:g}, seed {row['seed']:g}: {row['center']:.0f} % at the center, "
        f"{row['off_center']:.0f} % off-center."
    )

# %% [markdown]
# Compare with your prediction. Look also at how much two runs differ that were trained alike but for the seed.
#
# ## The effect of the dose

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 2

# %% [markdown]
# **Question 5.** Runs with one seed begin with the same weights, so they are compared with each other. Write
# `paired_changes(runs, strong, weak, value="gap")`: for each seed that has a run with **both** spreads, the column `value` of
# the run with the spread `strong` minus that with `weak`. Return an array, sorted by seed. It is empty if no seed has
# both. Each pair of spread and seed occurs once in `runs`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def paired_changes(runs, strong, weak, value="gap"):
    """Return the change from the weak to the strong dose for each seed that has both, sorted by seed."""
    # BEGIN SOLUTION
    by_seed = {
        spread: runs[runs["spread"] == spread].set_index("seed")[value]
        for spread in (strong, weak)
    }
    seeds = sorted(set(by_seed[strong].index) & set(by_seed[weak].index))
    return (by_seed[strong].loc[seeds] - by_seed[weak].loc[seeds]).to_numpy(dtype=float)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert len(paired_changes(runs, 0.03, np.inf)) == 2, "seeds 0 and 1 have both"

# %%
assert len(paired_changes(runs, 0.08, 0.08)) == 1
assert paired_changes(runs, 0.08, 0.08)[0] == 0, "no change against itself"

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
def _runs(rng, cells):
    table = pd.DataFrame(cells, columns=["spread", "seed"])
    for name in ("center", "off_center", "gap", "index"):
        table[name] = rng.normal(50, 20, len(table))
    return table.sample(frac=1, random_state=int(rng.integers(10**6))).reset_index(drop=True)


@hidden_check("q5", points=1, says="subtracts within seeds, in the order of the seeds")
def within_seeds(student, rng):
    seeds = [int(seed) for seed in rng.permutation(20)[:6]]
    table = _runs(rng, [(spread, seed) for spread in (0.1, np.inf) for seed in seeds])
    table["gap"] += 100 * table["seed"]
    got = np.asarray(student.call("paired_changes", table, 0.1, np.inf), dtype=float)
    by = table.set_index(["spread", "seed"])["gap"]
    assert got.shape == (6,)
    assert np.allclose(got, [by[0.1, seed] - by[np.inf, seed] for seed in sorted(seeds)])


@hidden_check(
    "q5",
    points=1,
    says="leaves out seeds that have one of the two only, and takes the column it is asked for",
)
def unpaired_seeds(student, rng):
    table = _runs(rng, [(0.1, 4), (0.1, 2), (0.1, 9), (0.2, 2), (0.4, 9), (0.4, 2)])
    by = table.set_index(["spread", "seed"])["center"]
    got = np.asarray(student.call("paired_changes", table, 0.1, 0.4, "center"), dtype=float)
    assert got.shape == (2,) and np.allclose(
        got, [by[0.1, 2] - by[0.4, 2], by[0.1, 9] - by[0.4, 9]]
    )
    table = _runs(rng, [(0.1, 4), (0.4, 9)])
    assert np.size(student.call("paired_changes", table, 0.1, 0.4)) == 0


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 2

# %% [markdown]
# **Question 6.** What would **another training** show? Write `t_interval(changes, confidence=0.95)`: the mean of the changes
# and the two ends of its interval by Student's t distribution, with one degree of freedom less than there are changes:
#
# $$\bar{c} \pm t \cdot s / \sqrt{n}$$
#
# where $s$ is the standard deviation of a sample (divided by $n - 1$). Return three numbers. With one change the ends are
# `NaN`: one training says nothing about how much trainings differ.

# %% [raw]
# # BEGIN SOLUTION


# %%
def t_interval(changes, confidence=0.95):
    """Return the mean change and the ends of its interval over trainings."""
    # BEGIN SOLUTION
    changes = np.asarray(changes, dtype=float)
    if len(changes) < 2:
        return float(changes.mean()), np.nan, np.nan
    half = (
        stats.t.ppf((1 + confidence) / 2, len(changes) - 1)
        * changes.std(ddof=1)
        / np.sqrt(len(changes))
    )
    return float(changes.mean()), float(changes.mean() - half), float(changes.mean() + half)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert np.allclose(t_interval([1.0, 3.0]), (2, 2 - 12.7062, 2 + 12.7062), atol=1e-3), (
    "t is 12.706 here, s / sqrt(2) is 1"
)

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
@hidden_check("q6", points=1, says="is right for any number of changes and any confidence")
def reference(student, rng):
    for n, confidence in ((3, 0.95), (8, 0.8), (5, 0.99)):
        changes = rng.normal(20, 10, n)
        low, high = stats.t.interval(
            confidence, n - 1, loc=changes.mean(), scale=stats.sem(changes)
        )
        assert np.allclose(
            student.call("t_interval", changes, confidence), (changes.mean(), low, high)
        )


@hidden_check(
    "q6", points=1, says="contains the truth as often as it says; one change has no interval"
)
def coverage(student, rng):
    code = "result = [list(t_interval(row)) for row in changes]"
    ends = np.asarray(student.run(code, changes=rng.normal(7, 3, (2000, 3))), dtype=float)
    assert abs(np.mean((ends[:, 1] <= 7) & (ends[:, 2] >= 7)) - 0.95) < 0.02
    mean, low, high = student.call("t_interval", np.array([4.5]))
    assert np.isclose(mean, 4.5) and np.isnan(low) and np.isnan(high)


# %% [raw]
# # END QUESTION

# %%
for value, words in (
    ("gap", "gap"),
    ("center", "accuracy at the center"),
    ("off_center", "accuracy off-center"),
):
    changes = paired_changes(runs, 0.03, np.inf, value)
    change, low, high = t_interval(changes)
    print(
        f"{words}: the strong habit changes it by {change:+.0f} points, 95 % interval over trainings "
        f"[{low:+.0f}, {high:+.0f}], from {len(changes)} seeds."
    )

# %% [markdown]
# Two seeds give a wide interval: t is 12.7 instead of the 2 of large samples. This is what a class is for. Twenty groups
# with ten seeds at both ends would make it narrow.

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 4
# manual: true

# %% [markdown]
# **Question 7.** Write at most 200 words.
#
# 1. Does placement alone make a center bias *here*? Name the numbers that you rely on, and what they are compared with.
# 2. An interval over objects for a single run is much narrower than the one that you computed. What does each describe?
# 3. A friend concludes: "So photographers are why published CLIP models are center-biased." What does this
#    experiment support of that, and what not? Name one measurement that would help.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# 1. Yes, for these models. The two ends of the series differ in nothing but where objects stood, and are compared within
#    a seed. The gap is far larger with the strong habit, and its interval over trainings lies above zero although two
#    seeds make it wide. The control is the model that saw objects anywhere: its gap is near zero with both seeds, though one of
#    them learned much less.
# 2. The one over objects says how the gap of *this model* would vary with other objects. The one over trainings says what
#    another training with the same recipe would show. A claim about a habit is about trainings.
# 3. It supports that the habit is enough to make such a bias, in small models that know drawings. It does not show that it is
#    the cause in published models, nor how large its part is: they differ in architecture, data and size, their captions name
#    things selectively, and other causes may act. One could measure where named objects stand in the images that a
#    published model was trained on, or train it again on images that were cropped off-center.

# %% [raw]
# # END SOLUTION

# %% [markdown] tags=["rubric"]
# Question 7: 4 points.
#
# - 1 point: answers yes for these models, with the change of the gap and its interval, and names the comparison within
#   seeds or the control (anywhere: gap near zero).
# - 1 point: tells the two intervals apart: other objects for this model, against other trainings with this recipe.
# - 1 point: says that the experiment shows that the habit *can* make the bias, not that it does in published models.
# - 1 point: names a measurement that would help, and that could come out either way.
#
# Take one point off for a sentence about published models without such a limit.

# %% [raw]
# # END QUESTION

# %% [markdown]
# ## Hand in
#
# Save the notebook and hand in `where_it_comes_from.ipynb`. For the class's table, hand in your answers as well, if you
# trained a model: the next cell writes them into `my_answers.csv.gz`.

# %%
my_answers.to_csv("my_answers.csv.gz", index=False)
