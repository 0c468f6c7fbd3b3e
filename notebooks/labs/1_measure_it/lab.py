# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [raw]
# # ASSIGNMENT CONFIG
# name: measure_it
# crosseyed:
#   title: Measure it
#   version: 1
#   chapter: 01_center_bias
#   minutes: 90
#   data: [measure_it/answers.csv, measure_it/coverage.csv]
#   models: []
# %% [markdown]
# # Lab 1: Measure it
#
# A model is asked what it sees. It is right more often when the object stands in the middle of the image.
# How much more often, and how certain is that number?
#
# **What you will be able to do after this lab**
#
# - say where an object stands by its eccentricity, for images of any shape;
# - compute accuracy in rings around the image center;
# - write a cluster bootstrap, and turn its draws into an interval;
# - show by a simulation which unit must be resampled, and explain why.
#
# Read the chapter *Center bias* up to its first figure before you start. The lab takes about 90 minutes. It
# needs no model: the answers of two models lie in a table.
#
# **How to work.** Write your code where you see `...`. Run the cell below it: `grader.check("q1")` says at
# once whether the simplest mistakes are absent. More checks run when the lab is graded, with other numbers,
# so a function must work for every table that fits its description. Do not rename the functions.
# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from crosseyed.measure.bootstrap import center_difference

DATA = Path("data")
BLUE, ORANGE = "#0072B2", "#D55E00"  # told apart by all readers; marks and lines differ, too
# %% [markdown]
# ## The table
#
# Forty drawn objects were shown to two small models, each in the 25 cells of a grid. One row is one image:
# which `model` was asked, which `object` it shows, where the middle of the object is in pixels (`x` from
# the left, `y` from the top), how large the image is (`width`, `height`), whether the object was put into
# the middle cell (`center`), and whether the answer was `correct`. The two models differ only in the images
# that they learned from. *PocketCLIP-centered* saw objects in the middle, *PocketCLIP-uniform* saw them
# everywhere.
# %%
answers = pd.read_csv(DATA / "answers.csv")
answers.head()


# %% [markdown]
# ## Where is the object?
# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 2
# %% [markdown]
# **Question 1.** *Eccentricity* is the distance from the middle of the object to the middle of the image,
# divided by half the diagonal of the image. It is 0 in the middle and 1 in a corner.
#
# Write `eccentricity`. It takes positions and sizes in pixels, single numbers or arrays, and returns the
# same shape. Images need not be square.
# %% [raw]
# # BEGIN SOLUTION
# %%
def eccentricity(x, y, width, height):
    """Return the distance to the image center over half the diagonal: 0 at the center, 1 in a corner."""
    # BEGIN SOLUTION
    return np.hypot(x - width / 2, y - height / 2) / (np.hypot(width, height) / 2)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert eccentricity(100, 100, 200, 200) == 0, "the middle of the image has the eccentricity 0"
# %%
assert np.isclose(eccentricity(200, 200, 200, 200), 1), "a corner has the eccentricity 1"
# %%
assert np.isclose(eccentricity(7, 4, 8, 6), np.hypot(3, 1) / 5), (
    "worked by hand: 3 right, 1 down, half diagonal 5"
)
# %%
assert np.shape(eccentricity(np.array([1, 2]), np.array([3, 4]), 8, 6)) == (2,), (
    "arrays give arrays"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np


def _distances(x, y, width, height):
    half = 0.5 * np.sqrt(width**2 + height**2)
    return np.sqrt((x - 0.5 * width) ** 2 + (y - 0.5 * height) ** 2) / half


@hidden_check("q1", points=1, says="is right in square images")
def square(student, rng):
    side = int(rng.integers(50, 500))
    x, y = rng.uniform(0, side, (2, 20))
    got = student.call("eccentricity", x, y, side, side)
    assert np.shape(got) == (20,) and np.allclose(got, _distances(x, y, side, side))


@hidden_check(
    "q1", points=1, says="is right in images that are wider than high, and higher than wide"
)
def oblong(student, rng):
    width, height = rng.integers(50, 500, (2, 20)) * np.array([[1], [2]])
    x, y = rng.uniform(0, 1, (2, 20)) * np.array([width, height])
    got = student.call("eccentricity", x, y, width, height)
    assert np.shape(got) == (20,) and np.allclose(got, _distances(x, y, width, height))
    got = student.call("eccentricity", y, x, height, width)
    assert np.allclose(got, _distances(y, x, height, width))


# %% [raw]
# # END QUESTION
# %%
answers["eccentricity"] = eccentricity(
    answers["x"], answers["y"], answers["width"], answers["height"]
)
answers.groupby("center")["eccentricity"].describe()


# %% [markdown]
# ## Accuracy by ring
# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 2
# %% [markdown]
# **Question 2.** Write `accuracy_by_ring`. `edges` are the increasing edges of rings around the image
# center: the edges 0, 0.5, 1 make two rings. Return an array with one number for each ring: the percentage
# of its rows that are correct.
#
# - A ring contains its outer edge and not its inner one. The first ring also contains its inner edge.
# - A ring without rows is `nan` (`np.nan`), not 0: nothing was measured there.
# %% [raw]
# # BEGIN SOLUTION
# %%
def accuracy_by_ring(table, edges):
    """Return the accuracy (rings,) in percent; `table` has the columns `eccentricity` and `correct`."""
    # BEGIN SOLUTION
    ring = np.maximum(np.searchsorted(edges, table["eccentricity"], side="left"), 1) - 1
    correct = np.asarray(table["correct"], dtype=float)
    accuracies = np.full(len(edges) - 1, np.nan)
    for number in range(len(accuracies)):
        if (ring == number).any():
            accuracies[number] = 100 * correct[ring == number].mean()
    return accuracies
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_table = pd.DataFrame(
    {"eccentricity": [0.2, 0.3, 0.7, 0.8], "correct": [True, True, True, False]}
)
assert np.allclose(accuracy_by_ring(_table, [0, 0.5, 1]), [100, 50]), (
    "all of the inner two, half of the outer two"
)
# %%
_table = pd.DataFrame({"eccentricity": [0.2, 0.9], "correct": [True, False]})
_got = accuracy_by_ring(_table, [0, 0.5, 0.6, 1])
assert len(_got) == 3 and np.isnan(_got[1]), "a ring without rows is nan"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import itertools

import numpy as np
import pandas as pd


@hidden_check("q2", points=1, says="is right in tables and rings that it has not seen")
def rings(student, rng):
    edges = np.concatenate([[0], np.sort(rng.uniform(0.1, 0.9, 4)), [1]])
    table = pd.DataFrame(
        {"eccentricity": rng.uniform(0, 1, 300), "correct": rng.random(300) < 0.4}
    )
    expected = []
    for low, high in itertools.pairwise(edges):
        inside = table[(table["eccentricity"] > low) & (table["eccentricity"] <= high)][
            "correct"
        ].tolist()
        expected.append(100 * sum(inside) / len(inside) if inside else np.nan)
    got = student.call("accuracy_by_ring", table, edges.tolist())
    assert np.shape(got) == (5,) and np.allclose(
        np.asarray(got, dtype=float), expected, equal_nan=True
    )


@hidden_check("q2", points=1, says="puts places on an edge into the right ring")
def on_edges(student, rng):
    edges = [0, 0.25, 0.5, 1]
    table = pd.DataFrame(
        {"eccentricity": [0.5, 0, 1, 0.25], "correct": [False, True, False, True]}
    )
    got = np.asarray(student.call("accuracy_by_ring", table, edges), dtype=float)
    assert np.allclose(got, [100, 0, 0])


# %% [raw]
# # END QUESTION
# %%
edges = np.linspace(0, 5 / 7, 6)
middles = (edges[:-1] + edges[1:]) / 2
styles = {"pocketclip-centered": (BLUE, "o-"), "pocketclip-uniform": (ORANGE, "s--")}
for model, (color, style) in styles.items():
    rings = accuracy_by_ring(answers[answers["model"] == model], edges)
    plt.plot(middles, rings, style, color=color, label=model)
plt.xlabel("eccentricity (0: image center, 1: corner)")
plt.ylabel("accuracy (%)")
plt.ylim(0, 105)
plt.title("Only one of the two models loses objects off-center")
plt.legend()
plt.show()
# %% [markdown]
# *The figure in words.* Two lines show accuracy in five rings, from the inside out. Both start near 100 %.
# The dashed one with squares, of PocketCLIP-uniform, is nearly level. The one with dots, of
# PocketCLIP-centered, stays high up to the third ring, falls to about half in the fourth, and ends near zero.
#
# ## How certain is a number?
#
# The table has 1,000 images for each model, but only 40 objects. An object that a model does not know is
# wrong in all its images. So the images of an object are not independent of each other.
# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 1
# %% [markdown]
# **Question 3. Predict before you go on.** You will resample the table in two ways: by drawing *images*
# with replacement, or by drawing *objects*, each with all its images. In a table where some objects are
# known much better than others, which of the two gives the wider interval for the accuracy? Write
# `"images"`, `"objects"` or `"same"`. Every answer gets the point; you will find out below whether you were
# right.
# %% [raw]
# # BEGIN SOLUTION
# %%
wider = "objects"  # SOLUTION
# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert wider in ("images", "objects", "same"), 'write "images", "objects" or "same"'


# %% [raw]
# # END TESTS
# %% tags=["hidden"]
@hidden_check("q3", points=1, says="a prediction was made")
def predicted(student, rng):
    assert student.value("wider") in ("images", "objects", "same")


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 3
# %% [markdown]
# **Question 4.** Write `bootstrap`. `unit` is the name of a column. One draw takes as many values of this
# column as there are different ones, *with replacement*, and makes a table of all rows of each drawn value.
# A value that was drawn twice brings its rows twice. `statistic` turns this table into a number. Return the
# array of these numbers, one for each draw.
#
# With `unit="object"` this is the cluster bootstrap. With `unit="image"` it draws single images.
#
# Take all random numbers from `rng`, for example with `rng.integers`. Make it fast: find the rows of each
# value once, before the first draw (`table.groupby(unit).indices`), and take them with `table.iloc`. A
# thousand draws of the table above should take well below two seconds.
# %% [raw]
# # BEGIN SOLUTION
# %%
def bootstrap(table, unit, statistic, n_draws, rng):
    """Return `statistic` (n_draws,) of tables in which the values of the column `unit` are drawn anew."""
    # BEGIN SOLUTION
    rows = list(table.groupby(unit).indices.values())
    draws = np.empty(n_draws)
    for number in range(n_draws):
        drawn = rng.integers(len(rows), size=len(rows))
        draws[number] = statistic(table.iloc[np.concatenate([rows[each] for each in drawn])])
    return draws
    # END SOLUTION


def accuracy(table):
    """Return the accuracy in percent."""
    return 100 * table["correct"].mean()


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_table = pd.DataFrame(
    {"object": list("aabb"), "image": range(4), "correct": [True, True, False, False]}
)
_draws = bootstrap(_table, "object", accuracy, 200, np.random.default_rng(0))
assert len(_draws) == 200, "one number for each draw"
# %%
_table = pd.DataFrame(
    {"object": list("aabb"), "image": range(4), "correct": [True, True, False, False]}
)
_draws = bootstrap(_table, "object", accuracy, 200, np.random.default_rng(0))
assert set(_draws) == {0, 50, 100}, (
    "a and b come with both of their rows, so a draw has 0, 50 or 100 %"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np
import pandas as pd

LISTENING = """
import numpy as np

seen = []


def listen(drawn):
    seen.append([int((drawn[unit] == value).sum()) for value in values])
    return float(drawn["number"].sum())


drawn = bootstrap(table, unit, listen, n_draws, np.random.default_rng(seed))
result = {"draws": np.asarray(drawn, dtype=float), "rows": seen}
"""


def _drawn(student, rng, unit, sizes, n_draws):
    """Return how often each value was drawn (n_draws, values), what came out, and what had to."""
    objects = np.repeat(np.arange(len(sizes)), sizes)
    table = pd.DataFrame({"object": objects, "image": np.arange(len(objects))})
    table = table.assign(number=rng.normal(size=len(table))).sample(
        frac=1, random_state=int(rng.integers(1e6))
    )
    values = sorted(int(value) for value in table[unit].unique())
    inputs = {
        "table": table.reset_index(drop=True),
        "unit": unit,
        "values": values,
        "n_draws": n_draws,
    }
    got = student.run(LISTENING, seed=int(rng.integers(1e6)), **inputs)
    of_value, sums = (
        table.groupby(unit).size()[values].to_numpy(),
        table.groupby(unit)["number"].sum()[values],
    )
    rows = np.array(got["rows"])[
        -n_draws:
    ]  # an implementation may try the statistic before it draws
    assert rows.shape == (n_draws, len(values))
    return rows / of_value, np.asarray(got["draws"]), (rows / of_value) @ sums.to_numpy()


@hidden_check("q4", points=1, says="a drawn object brings all of its rows")
def whole_objects(student, rng):
    times, draws, sums = _drawn(student, rng, "object", rng.integers(1, 6, 12), 50)
    assert np.allclose(times, times.round())
    assert draws.shape == (50,) and np.allclose(draws, sums)


@hidden_check("q4", points=1, says="draws as many objects as there are, with replacement")
def with_replacement(student, rng):
    times, _, _ = _drawn(student, rng, "object", rng.integers(1, 6, 12), 200)
    assert np.allclose(times.sum(axis=1), 12)
    # one object is drawn twelve times with the chance 1/12: mean 1, variance 11/12
    assert abs(times.mean() - 1) < 1e-9 and abs(times.var() - 11 / 12) < 0.2
    assert (times.mean(axis=0) > 0.5).all() and (times.mean(axis=0) < 1.6).all()


@hidden_check("q4", points=1, says="draws by the column that it is told")
def by_the_unit(student, rng):
    times, _, _ = _drawn(student, rng, "image", [4, 1, 5, 2], 200)
    assert np.allclose(times, times.round()) and np.allclose(times.sum(axis=1), 12)
    assert abs(times.var() - 11 / 12) < 0.2


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 2
# %% [markdown]
# **Question 5.** Write `t_interval`. It turns draws into the two ends of an interval:
#
# $$\text{observed} \pm t \cdot \sqrt{\frac{m}{m - 1}} \cdot s$$
#
# Here $s$ is the standard deviation of the draws (with `ddof=1`), $m$ the number of units that were drawn,
# and $t$ the quantile of Student's distribution with $m - 1$ degrees of freedom that leaves half of the
# missing coverage on each side: `stats.t.ppf(0.975, m - 1)` for a confidence of 0.95. Return the lower and
# the upper end.
# %% [raw]
# # BEGIN SOLUTION
# %%
def t_interval(observed, draws, n_units, confidence=0.95):
    """Return the ends (low, high) of the interval of `observed`, from bootstrap draws of `n_units` units."""
    # BEGIN SOLUTION
    quantile = stats.t.ppf((1 + confidence) / 2, n_units - 1)
    reach = quantile * np.sqrt(n_units / (n_units - 1)) * np.std(draws, ddof=1)
    return observed - reach, observed + reach
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_low, _high = t_interval(50, np.array([49.0, 50.0, 51.0]), 5)
assert np.isclose((_low + _high) / 2, 50), "the observed value is in the middle"
# %%
_low, _high = t_interval(50, np.array([49.0, 50.0, 51.0]), 5)
assert np.isclose(_high - 50, 3.104, atol=0.001), "2.776 times the root of 5/4 times 1"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np
from scipy import stats


@hidden_check("q5", points=1, says="is right for draws that it has not seen")
def of_draws(student, rng):
    draws, n_units = rng.normal(40, 3, 500), int(rng.integers(5, 60))
    low, high = student.call("t_interval", 41.5, draws, n_units)
    reach = (
        stats.t.ppf(0.975, n_units - 1) * np.sqrt(n_units / (n_units - 1)) * draws.std(ddof=1)
    )
    assert np.allclose([low, high], [41.5 - reach, 41.5 + reach])


@hidden_check("q5", points=1, says="has the confidence that is asked for")
def of_confidence(student, rng):
    draws = rng.normal(0, 2, 100)
    low, high = student.call("t_interval", 0.0, draws, 12, confidence=0.8)
    reach = stats.t.ppf(0.9, 11) * np.sqrt(12 / 11) * draws.std(ddof=1)
    assert np.allclose([low, high], [-reach, reach])


# %% [raw]
# # END QUESTION
# %% [markdown]
# Your two functions, on the answers of PocketCLIP-centered. Was your prediction right? How much does the
# unit matter here?
# %%
centered = answers[answers["model"] == "pocketclip-centered"]
for unit in ("image", "object"):
    draws = bootstrap(centered, unit, accuracy, 500, np.random.default_rng(0))
    low, high = t_interval(accuracy(centered), draws, centered[unit].nunique())
    print(f"resampling {unit}s: {accuracy(centered):.1f} %, from {low:.1f} to {high:.1f}")


# %% [markdown]
# ## The gap
# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 3
# %% [markdown]
# **Question 6.** The *center-bias gap* is the accuracy of the rows where `center` is true minus the
# accuracy of all others, in percentage points. Write `gap`, and `gap_interval`, which returns the gap of
# the table and the two ends of its interval. It draws objects, with your `bootstrap` and `t_interval`.
#
# Mind that the two accuracies belong together: an object that is known well is known well in both places.
# So both must come from the same draw.
# %% [raw]
# # BEGIN SOLUTION
# %%
def gap(table):
    """Return the accuracy at the center minus the accuracy off-center, in percentage points."""
    # BEGIN SOLUTION
    return accuracy(table[table["center"]]) - accuracy(table[~table["center"]])
    # END SOLUTION


def gap_interval(table, n_draws, rng):
    """Return the gap and the ends of its interval, all in percentage points."""
    # BEGIN SOLUTION
    observed, draws = gap(table), bootstrap(table, "object", gap, n_draws, rng)
    low, high = t_interval(observed, draws, table["object"].nunique())
    return observed, low, high
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_table = pd.DataFrame(
    {"center": [True, True, False, False], "correct": [True, True, True, False]}
)
assert gap(_table) == 50, "100 % at the center, 50 % off-center"
# %%
_table = pd.DataFrame(
    {"object": list("aabbcc"), "image": range(6), "center": [True, False] * 3}
)
_table["correct"] = [True, False] * 3
assert np.allclose(gap_interval(_table, 50, np.random.default_rng(0)), 100), (
    "without variation there is no doubt"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np
import pandas as pd
from scipy import stats

# The checks of this question give the student's functions a bootstrap and an interval that are right, so that an error
# in an earlier question costs nothing here.
GIVEN = """
import numpy as np
from scipy import stats


def right_bootstrap(table, unit, statistic, n_draws, rng):
    rows = list(table.groupby(unit).indices.values())
    drawn = rng.integers(len(rows), size=(n_draws, len(rows)))
    return np.array([statistic(table.iloc[np.concatenate([rows[n] for n in draw])]) for draw in drawn])


def right_interval(observed, draws, n_units, confidence=0.95):
    reach = stats.t.ppf((1 + confidence) / 2, n_units - 1) * np.sqrt(n_units / (n_units - 1)) * np.std(draws, ddof=1)
    return observed - reach, observed + reach


names = gap_interval.__globals__
own = {name: names.get(name) for name in ("bootstrap", "t_interval")}
names.update(bootstrap=right_bootstrap, t_interval=right_interval)
try:
    result = [float(number) for number in gap_interval(table, n_draws, np.random.default_rng(seed))]
finally:
    names.update(own)
"""


def _table(rng, spread):
    """Make a table of 25 objects in which an object is about as well known at the center as elsewhere."""
    chances = np.clip(0.5 + spread * rng.standard_normal(25), 0, 1)
    rows = [
        (number, center, rng.random() < chance)
        for number, chance in enumerate(chances)
        for center in [True] * 8 + [False] * 16
    ]
    table = pd.DataFrame(rows, columns=["object", "center", "correct"])
    return table.assign(image=np.arange(len(table)))


@hidden_check("q6", points=1, says="the gap is right in tables that it has not seen")
def of_tables(student, rng):
    table = _table(rng, 0.2).sample(frac=0.7, random_state=int(rng.integers(1e6)))
    center = table.loc[table["center"], "correct"].mean()
    expected = 100 * (center - table.loc[~table["center"], "correct"].mean())
    assert np.isclose(student.call("gap", table), expected)


@hidden_check(
    "q6",
    points=2,
    says="the interval of the gap takes both accuracies from the same draw of objects",
)
def paired(student, rng):
    table = _table(rng, 0.6)
    observed, low, high = student.run(
        GIVEN, table=table, n_draws=800, seed=int(rng.integers(1e6))
    )
    means = table.groupby(["object", "center"])["correct"].mean().unstack()
    differences = 100 * (means[True] - means[False])
    reach = (
        stats.t.ppf(0.975, 24) * differences.std() / np.sqrt(25)
    )  # all objects have as many rows
    assert np.isclose(observed, differences.mean())
    assert np.allclose([observed - low, high - observed], reach, rtol=0.15)


# %% [raw]
# # END QUESTION
# %%
for model, table in answers.groupby("model"):
    value, low, high = gap_interval(table, 500, np.random.default_rng(0))
    print(f"{model}: a gap of {value:.1f} points, from {low:.1f} to {high:.1f}")


# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 2
# %% [markdown]
# **Question 7.** The library does the same in `crosseyed.measure.bootstrap.center_difference`. Its columns
# `difference`, `difference_low` and `difference_high` are shares of 1, not percentage points. Write
# `beside_library`. It returns a table with the rows `mine` and `library` and the columns `gap`, `low` and
# `high`, all in percentage points. Give the library the number of draws as `resamples`.
#
# The two use different random numbers. Should they agree exactly? If not, by how much may they differ?
# %% [raw]
# # BEGIN SOLUTION
# %%
def beside_library(table, n_draws, seed):
    """Return the gap and its interval in percentage points, by the functions above and by the library."""
    # BEGIN SOLUTION
    mine = gap_interval(table, n_draws, np.random.default_rng(seed))
    theirs = center_difference(table, "correct", resamples=n_draws, seed=seed).iloc[0]
    theirs = 100 * theirs[["difference", "difference_low", "difference_high"]].to_numpy(
        dtype=float
    )
    return pd.DataFrame(
        [mine, theirs], index=["mine", "library"], columns=["gap", "low", "high"]
    )
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_both = beside_library(answers[answers["model"] == "pocketclip-centered"], 300, 0)
assert list(_both.index) == ["mine", "library"] and list(_both.columns) == [
    "gap",
    "low",
    "high",
]
# %%
_both = beside_library(answers[answers["model"] == "pocketclip-centered"], 300, 0)
assert np.isclose(*_both["gap"]), (
    "the gap itself needs no random numbers, so it must be the same"
)
# %%
_both = beside_library(answers[answers["model"] == "pocketclip-centered"], 300, 0)
assert np.allclose(_both.loc["mine"], _both.loc["library"], atol=2), (
    "the ends should agree within two points"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np
import pandas as pd
from scipy import stats


@hidden_check(
    "q7",
    points=2,
    says="the library's row is in percentage points, in a table that it has not seen",
)
def library_row(student, rng):
    rows = [
        (number, center, rng.random() < chance)
        for number, chance in enumerate(rng.uniform(0, 1, 20))
        for center in [True] * 4 + [False] * 8
    ]
    table = pd.DataFrame(rows, columns=["object", "center", "correct"])
    table = table.assign(
        image=np.arange(len(table)), eccentricity=np.where(table["center"], 0.05, 0.5)
    )
    got = student.call("beside_library", table, 800, int(rng.integers(1e6)))
    assert list(got.index) == ["mine", "library"] and list(got.columns) == [
        "gap",
        "low",
        "high",
    ]
    means = table.groupby(["object", "center"])["correct"].mean().unstack()
    differences = 100 * (means[True] - means[False])
    reach = stats.t.ppf(0.975, 19) * differences.std() / np.sqrt(20)
    gap, low, high = got.loc["library"].astype(float)
    assert np.isclose(gap, differences.mean())
    assert np.allclose([gap - low, high - gap], reach, rtol=0.15)


# %% [raw]
# # END QUESTION
# %%
beside_library(centered, 500, 0).round(1)


# %% [markdown]
# ## Which unit is right?
#
# An interval of 95 % should contain the truth in 95 of 100 repetitions of the experiment. With real models
# the truth is unknown. So simulate: make tables of which the true accuracy is known, and count how often
# the interval contains it.
#
# In `simulate` every object has a chance of its own to be recognised, and each of its images is correct
# with this chance. Over all objects that could have been taken, the mean chance is 0.6.
# %%
def simulate(rng, n_objects=20, n_images=12):
    """Return a table of one experiment, and the true accuracy in percent."""
    chances = rng.beta(1.2, 0.8, n_objects)
    objects = np.repeat(np.arange(n_objects), n_images)
    table = pd.DataFrame({"object": objects, "image": np.arange(n_objects * n_images)})
    return table.assign(correct=rng.random(len(table)) < chances[objects]), 60.0


# %% [raw]
# # BEGIN QUESTION
# name: q8
# points: 3
# %% [markdown]
# **Question 8.** Write `coverage`. It makes `n_tables` tables with `simulate(rng)`, computes for each the
# interval of the accuracy by resampling `unit` (with `bootstrap`, `accuracy` and `t_interval`), and returns
# the percentage of intervals that contain the true accuracy, their ends included. Mind what `t_interval`
# wants as number of units.
# %% [raw]
# # BEGIN SOLUTION
# %%
def coverage(unit, n_tables, n_draws, rng):
    """Return how many of the intervals contain the truth, in percent."""
    # BEGIN SOLUTION
    covered = 0
    for _ in range(n_tables):
        table, truth = simulate(rng)
        draws = bootstrap(table, unit, accuracy, n_draws, rng)
        low, high = t_interval(accuracy(table), draws, table[unit].nunique())
        covered += low <= truth <= high
    return 100 * covered / n_tables
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_share = coverage("object", 10, 50, np.random.default_rng(0))
assert 0 <= _share <= 100 and np.isclose(_share % 10, 0), "a percentage of ten tables"
# %%
assert coverage("object", 30, 100, np.random.default_rng(0)) > 70, "objects: near 95 %"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

SIMULATING = """
import numpy as np
import pandas as pd
from scipy import stats


def right_bootstrap(table, unit, statistic, n_draws, rng):
    rows = list(table.groupby(unit).indices.values())
    drawn = rng.integers(len(rows), size=(n_draws, len(rows)))
    return np.array([statistic(table.iloc[np.concatenate([rows[n] for n in draw])]) for draw in drawn])


def right_interval(observed, draws, n_units, confidence=0.95):
    units.append(int(n_units))
    reach = stats.t.ppf((1 + confidence) / 2, n_units - 1) * np.sqrt(n_units / (n_units - 1)) * np.std(draws, ddof=1)
    return observed - reach, observed + reach


def other_tables(rng):
    objects = np.repeat(np.arange(n_objects), n_images)
    chances = rng.beta(first, second, n_objects)
    table = pd.DataFrame({"object": objects, "image": np.arange(len(objects))})
    return table.assign(correct=rng.random(len(table)) < chances[objects]), truth


units, names = [], coverage.__globals__
own = {name: names.get(name) for name in ("bootstrap", "t_interval", "simulate")}
names.update(bootstrap=right_bootstrap, t_interval=right_interval, simulate=other_tables)
try:
    share = coverage(unit, n_tables, n_draws, np.random.default_rng(seed))
finally:
    names.update(own)
result = {"share": float(share), "units": units}
"""


def _coverage(student, rng, unit, n_tables, *, first, second, n_objects, n_images, truth=None):
    inputs = {"first": first, "second": second, "n_objects": n_objects, "n_images": n_images}
    truth = 100 * first / (first + second) if truth is None else truth
    inputs |= {
        "truth": truth,
        "unit": unit,
        "n_tables": n_tables,
        "n_draws": 60,
        "seed": int(rng.integers(1e6)),
    }
    return student.run(SIMULATING, **inputs)


@hidden_check(
    "q8", points=1, says="objects cover the truth about as often as they should, images do not"
)
def covers(student, rng):
    settings = {"first": 0.5, "second": 0.5, "n_objects": 15, "n_images": 15}
    objects = _coverage(student, rng, "object", 40, **settings)["share"]
    images = _coverage(student, rng, "image", 40, **settings)["share"]
    assert 75 <= objects <= 100 and images <= 75 and images < objects


@hidden_check("q8", points=1, says="counts an interval only if it contains the truth")
def counts(student, rng):
    settings = {"first": 30, "second": 30, "n_objects": 10, "n_images": 10}
    assert _coverage(student, rng, "object", 5, truth=1000.0, **settings)["share"] == 0
    assert _coverage(student, rng, "object", 5, truth=-1000.0, **settings)["share"] == 0


@hidden_check("q8", points=1, says="tells the interval how many units were drawn")
def tells_units(student, rng):
    settings = {"first": 3, "second": 3, "n_objects": 7, "n_images": 5}
    assert set(_coverage(student, rng, "object", 3, **settings)["units"]) == {7}
    assert set(_coverage(student, rng, "image", 3, **settings)["units"]) == {35}


# %% [raw]
# # END QUESTION
# %% [markdown]
# The next cell repeats the experiment 1,000 times for each unit. It takes about a minute. If you skip it,
# the result of our own run is read instead. A share of 1,000 tables has an error of its own: the share of a
# right interval, too, would vary by about 1.4 points to both sides of 95 %. The last column says so for
# yours.
# %% tags=["long"]
# long: skipped in grading, kept result in data/coverage.csv
shares = {
    unit: coverage(unit, 1000, 200, np.random.default_rng(0)) for unit in ("image", "object")
}
mine = pd.DataFrame({"unit": list(shares), "coverage": list(shares.values()), "n_tables": 1000})
mine.to_csv("coverage.csv", index=False)
# %%
found = Path("coverage.csv") if Path("coverage.csv").exists() else DATA / "coverage.csv"
covered = pd.read_csv(found)
share = covered["coverage"] / 100
covered["own error (95 %)"] = 196 * np.sqrt(share * (1 - share) / covered["n_tables"])
reach = 196 * np.sqrt(0.95 * 0.05 / covered["n_tables"].iloc[0])
plt.figure(figsize=(6, 2.5))
plt.axvspan(95 - reach, 95 + reach, color="0.85", label="where chance may put a right interval")
plt.axvline(95, color="0.3", linestyle="--", label="what was promised")
plt.plot(covered["coverage"], covered["unit"] + "s", "o", color=BLUE, markersize=9)
plt.xlabel("intervals that contain the truth (%)")
plt.ylabel("resampled unit")
plt.ylim(-0.5, 1.5)
plt.xlim(0, 100)
plt.title("Coverage of intervals that promise 95 %")
plt.legend(loc="center left")
plt.show()
covered.round(1)
# %% [markdown]
# *The figure in words.* One dot for each resampled unit shows how many of the intervals contain the truth.
# The dot of objects lies near the dashed line at 95 %. The dot of images lies far to the left of it: about
# more than a third of these intervals miss the truth.
# %% [raw]
# # BEGIN QUESTION
# name: q9
# points: 4
# manual: true
# %% [markdown]
# **Question 9.** Explain in 100 to 150 words why it is wrong to resample images here. Use the numbers of
# your simulation. Say what is assumed about images when they are resampled, which of the two intervals is
# wider and why, and describe an experiment (other images, or another question) in which resampling images
# would be right.
# %% [raw]
# # BEGIN SOLUTION
# %% [markdown]
# Resampling images treats each image as an independent trial. In this experiment it is not: an object has
# its own chance, so its twelve images tend to be right or wrong together. Twelve images of an object we
# have tell us little about an object we do not have. With resampled images the interval therefore describes
# "new images of the same twenty objects", while we speak about objects in general. It is too narrow: it
# promised 95 % and contained the truth in only 64 % of the 1,000 simulated experiments. With resampled
# objects the interval is about twice as wide and covered 94 %. Resampling images would be right if
# each object were shown in one image only, or if the question were about exactly these twenty objects, or
# if all objects were equally easy, so that images of one object were no more alike than others.
# %% [raw]
# # END SOLUTION
# %% [markdown] tags=["rubric"]
# Question 9: 4 points.
#
# - 1 point: names the assumption. Resampled units must be independent; images of one object are not, as
#   they share the object.
# - 1 point: uses the simulation. Quotes both coverages, and that the promise was 95 %.
# - 1 point: says that the interval of resampled images is too narrow (not wrong in its middle), and why: it
#   holds the objects fixed, so it leaves out that other objects could have been taken.
# - 1 point: a case in which images would be right. One image an object, conclusions about these objects
#   alone, or no differences between objects.
#
# Typical errors: "the sample of images is too small" (it is larger); "the accuracy is biased" (both have
# the same middle); "the bootstrap needs more draws" (the error stays however many there are).
# %% [raw]
# # END QUESTION
