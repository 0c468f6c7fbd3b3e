# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# name: repair_it
# crosseyed:
#   title: Repair it
#   version: 1
#   chapter: 05_mitigations
#   minutes: 90
#   data: [repair_it/answers.csv]
#   models: [pocketclip-centered]

# %% [markdown]
# # Lab 5: Repair it
#
# PocketCLIP names an object at the center almost always, and off-center about two times in three. A **mitigation** changes
# what a model answers without training it. In this lab you write two, choose their strength on some objects, and
# report on others what they gain and what they cost.
#
# **You will be able to**
#
# - write a mitigation against the library's interface, such that strength zero is the plain model, bit for bit;
# - choose its strength without looking at the objects that you report;
# - report a gain beside its costs, paired and with intervals, with the control that it does no harm;
# - say how far your result reaches.
#
# **How to work.** Read chapter 5 first. Go from top to bottom and replace each `...` by your code. Run `grader.check("q1")` and
# so on. The lab takes about 90 minutes of your time, the computer needs about one minute. Cells that say *long* take some seconds;
# grading skips them.

# %%
import os
from dataclasses import dataclass
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.measure import bootstrap
from crosseyed.mitigations.base import Mitigation
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.tasks import make_split, split_objects
from crosseyed.models.loading import load

# %% [markdown]
# ## Objects, images, model
#
# Given. There are 24 *validation* objects to choose by and 40 other *test* objects to report on. Three tasks: `grid` shows one
# object at the center or in another cell of a grid; `control` shows a large object at the center, as a photographer
# would, where the plain model needs no help.

# %%
model = load("pocketclip-centered")
cutouts = read_catalogue(["fluent", "twemoji"])
labels = objects_of(cutouts)
validation_objects, test_objects = split_objects(cutouts, [24, 40], seed=5)
validation = make_split(validation_objects, labels, protocols=["grid"], side=112, seed=1)
test = make_split(test_objects, labels, protocols=["grid", "control"], side=112, seed=2)
two = validation[0].images[:2]  # to try things on
example = np.full((100, 100, 3), 90, np.uint8)
example[60:80, 60:80] = (250, 200, 0)  # a yellow square on gray

figure, panels = plt.subplots(1, 4, figsize=(8, 2.3), layout="constrained")
for panel, number in zip(panels, (1, 4, 7, 10), strict=True):
    panel.imshow(validation[0].images[number])
    panel.set(xlabel="x (pixels)", ylabel="y (pixels)")
    panel.set_title(validation[0].table["object"].iloc[number], loc="left")
figure.suptitle("Four validation images")
plt.show()
print(
    "In words: four scenes, each with one drawn object, in the middle or elsewhere, on another background."
)

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 2

# %% [markdown]
# ## Question 1: guess where the object is
#
# Nobody tells you where the object is. Guess it from the pixels. A simple way that works here:
#
# 1. take the pixels along the border of the image, and of each color channel their median: the color of the background;
# 2. for each pixel, sum over the channels how much it differs from that color;
# 3. blur this map and take the place of its maximum: `gaussian_filter` with a sigma of about 8 % of the side and
#    `mode="constant"`, for which nothing differs beyond the border.
#
# Write `guess_place(image)`. It gets an array (height, width, 3) of uint8 and returns `(y, x)` as fractions of height and
# width: (0, 0) is the top left corner, (0.5, 0.5) the middle. Another way that is as good is welcome. Convert to `float` before
# you subtract: uint8 cannot be negative.

# %% [raw]
# # BEGIN SOLUTION


# %%
def guess_place(image):
    """Return (y, x), where the object seems to be, as fractions of height and width."""
    # BEGIN SOLUTION
    pixels = image.astype(float)
    sides = [pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]]
    background = np.median(np.concatenate([side.reshape(-1, 3) for side in sides]), axis=0)
    different = np.abs(pixels - background).sum(axis=2)
    blurred = gaussian_filter(different, 0.08 * len(pixels), mode="constant")
    y, x = np.unravel_index(blurred.argmax(), blurred.shape)
    return (y + 0.5) / image.shape[0], (x + 0.5) / image.shape[1]
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
y, x = guess_place(example)
assert 0 <= y <= 1 and 0 <= x <= 1, "places are fractions of height and width"
assert abs(y - 0.7) < 0.1 and abs(x - 0.7) < 0.1, "the yellow square is around (0.7, 0.7)"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np


def with_disk(rng, noise):
    height, width = (int(side) for side in rng.integers(90, 150, size=2))
    y, x = rng.uniform(0.2, 0.8, size=2)
    background, color = rng.integers(60, 120, size=3), rng.choice([0, 255], size=3)
    image = np.broadcast_to(background, (height, width, 3)) + rng.normal(
        0, noise, (height, width, 3)
    )
    rows, columns = np.mgrid[:height, :width]
    radius = 0.12 * min(height, width)
    image[(rows + 0.5 - y * height) ** 2 + (columns + 0.5 - x * width) ** 2 < radius**2] = color
    return np.clip(image, 0, 255).astype(np.uint8), (y, x)


def share_found(student, rng, noise):
    found = []
    for _ in range(12):
        image, place = with_disk(rng, noise)
        found.append(np.abs(np.subtract(student.call("guess_place", image), place)).max() < 0.1)
    return np.mean(found)


@hidden_check(
    "q1",
    points=1,
    says="finds an object on an even background, also in images that are not square",
)
def even(student, rng):
    assert share_found(student, rng, 0) >= 0.8


@hidden_check("q1", points=1, says="finds an object on a noisy background")
def noisy(student, rng):
    assert share_found(student, rng, 12) >= 0.8


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 2

# %% [markdown]
# ## Question 2: move it
#
# Write `move_to_middle(image, place, strength)`. It shifts the image **cyclically** (what leaves on one side enters on the
# other) so that `place = (y, x)` comes to the middle at strength 1, goes half of the way at strength 0.5, and stays at strength 0.
# Round the shift to whole pixels. Return a new array and leave `image` unchanged. `np.roll` helps.

# %% [raw]
# # BEGIN SOLUTION


# %%
def move_to_middle(image, place, strength):
    """Return the image shifted cyclically by strength times the way from the place to the middle."""
    # BEGIN SOLUTION
    y, x = place
    down, right = strength * (0.5 - y) * image.shape[0], strength * (0.5 - x) * image.shape[1]
    return np.roll(image, (round(down), round(right)), axis=(0, 1))
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert move_to_middle(example, (0.7, 0.7), 0.0).shape == example.shape, "the shape stays"
assert move_to_middle(example, (0.7, 0.7), 0.0).dtype == np.uint8, "pixels stay uint8"
moved = move_to_middle(example, (0.7, 0.7), 1.0)
assert tuple(moved[50, 50]) == (250, 200, 0), "at strength 1 the yellow square is in the middle"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np


@hidden_check(
    "q2", points=1, says="brings the place to the middle, by the given part of the way"
)
def moves(student, rng):
    for strength in (1.0, 0.5, 0.25):
        image = rng.integers(0, 255, size=(80, 120, 3), dtype=np.uint8)
        down, right = (int(shift) for shift in rng.integers(-7, 8, size=2) * 4)
        place = (0.5 - down / 80, 0.5 - right / 120)
        shift = (round(strength * down), round(strength * right))
        got = np.asarray(student.call("move_to_middle", image, place, strength))
        assert got.shape == image.shape and np.array_equal(
            got, np.roll(image, shift, axis=(0, 1))
        )


@hidden_check(
    "q2", points=1, says="changes nothing at strength 0, and never the image that it is given"
)
def leaves(student, rng):
    image = rng.integers(0, 255, size=(70, 90, 3), dtype=np.uint8)
    code = (
        "import numpy as np\n"
        "given = np.array(image)\n"
        "at_zero = np.array(move_to_middle(given, (0.2, 0.9), 0.0))\n"
        "move_to_middle(given, (0.2, 0.9), 1.0)\n"
        "result = [at_zero, given]"
    )
    for pixels in student.run(code, image=image):
        assert np.array_equal(pixels, image)


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 3

# %% [markdown]
# ## Question 3: a mitigation
#
# The library puts a mitigation in front of a model with `mitigate(model, mitigation)`. A mitigation is a frozen dataclass. This is
# what the interface asks for:
#
# - `label`: its name; `neutral_at`: the settings at which it does nothing;
# - fields made by `parameter(default, meaning, low=..., high=...)`: the library refuses values out of range;
# - `views(self, image, location)`: the list of images that the model is shown in place of `image`. `location` is always
#   `None` here: your mitigation is not told where the object is.
#
# Complete `Recentered`: one view, the image with the guessed place moved towards the middle. Use your two functions. At strength
# zero, the view is the image as it is.

# %% [raw]
# # BEGIN SOLUTION


# %%
@dataclass(frozen=True)
class Recentered(Mitigation):
    """Show the model the image with what seems to be the object moved towards the middle."""

    label: ClassVar[str] = "recentered"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(1.0, "part of the way to the middle", low=0, high=1)

    def views(self, image, location):
        """Return a list with one image."""
        # BEGIN SOLUTION
        return [move_to_middle(image, guess_place(image), self.strength)]
        # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
seen = Recentered(strength=1.0).views(example, None)
assert isinstance(seen, list) and len(seen) == 1, "views returns a list with one image"
same = mitigate(model, Recentered(strength=0.0)).similarities(
    two, ["a dog", "a key"], progress=False
)
assert np.array_equal(same, model.similarities(two, ["a dog", "a key"], progress=False)), (
    "zero does nothing"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np

# The two functions of questions 1 and 2 are replaced by known ones, so that a slip there costs nothing here.
VIEWS = """
import numpy as np


def known_place(image):
    return 0.2, 0.7


def known_move(image, place, strength):
    y, x = place
    shift = round(strength * (0.5 - y) * image.shape[0]), round(strength * (0.5 - x) * image.shape[1])
    return np.roll(image, shift, axis=(0, 1))


names = Recentered.views.__globals__
own = {name: names.get(name) for name in ("guess_place", "move_to_middle")}
names.update(guess_place=known_place, move_to_middle=known_move)
try:
    given = np.array(image)
    shown = [np.asarray(each) for each in Recentered(strength=strength).views(given, None)]
    result = [given, *shown]
finally:
    names.update(own)
"""

REFUSED = """
from crosseyed.errors import InputError

try:
    Recentered(strength=1.5)
    refused = False
except InputError:
    refused = True
mitigation = Recentered(strength=0.0)
result = {
    "views": len(mitigation.views(image, None)),
    "refused": refused,
    "told": bool(mitigation.needs_location),
    "neutral": bool(mitigation.neutral),
}
"""


@hidden_check("q3", points=1, says="shows the image as it is at strength zero")
def at_zero(student, rng):
    image = rng.integers(0, 255, size=(60, 60, 3), dtype=np.uint8)
    given, *shown = student.run(VIEWS, image=image, strength=0.0)
    assert len(shown) == 1 and np.array_equal(shown[0], image) and np.array_equal(given, image)


@hidden_check("q3", points=1, says="moves the guessed place by the strength")
def by_strength(student, rng):
    image = rng.integers(0, 255, size=(60, 100, 3), dtype=np.uint8)
    for strength, shift in ((1.0, (18, -20)), (0.5, (9, -10))):
        given, *shown = student.run(VIEWS, image=image, strength=strength)
        assert np.array_equal(given, image)
        assert len(shown) == 1 and np.array_equal(shown[0], np.roll(image, shift, axis=(0, 1)))


@hidden_check(
    "q3",
    points=1,
    says="keeps to the interface: range of the strength, neutral at zero, not told the place",
)
def interface(student, rng):
    image = rng.integers(0, 255, size=(60, 60, 3), dtype=np.uint8)
    expected = {"views": 1, "refused": True, "told": False, "neutral": True}
    assert student.run(REFUSED, image=image) == expected


# %% [raw]
# # END QUESTION

# %% [markdown]
# ## What each strength does
#
# The *long* cell scores four strengths on all images and writes the answers to `own_answers.csv`. It takes about half a minute.
# The cell after it reads your own answers if they are there, else those of our solution, which are kept in `data/`.
# Strength 0 is the plain model.


# %%
def score(mitigation, tasks, split, strength):
    """Return one row per image, with `correct`; strength 0 stands for the plain model."""
    scorer = mitigate(model, mitigation) if strength else model
    parts = [task.score(scorer) for task in tasks]
    kept = ["protocol", "image", "object", "center", "correct"]
    return pd.concat(parts, ignore_index=True)[kept].assign(split=split, strength=strength)


# %% tags=["long"]
# long: skipped in grading, kept result in data/answers.csv
parts = [
    score(Recentered(strength=strength), tasks, split, strength)
    for split, tasks in (("validation", validation), ("test", test))
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0)
]
pd.concat(parts, ignore_index=True).to_csv("own_answers.csv", index=False)

# %%
answers = pd.read_csv(
    "own_answers.csv" if os.path.exists("own_answers.csv") else "data/answers.csv"
)
answers.head(3)

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 3

# %% [markdown]
# ## Question 4: choose the strength
#
# Write `choose_strength(answers, most_loss=2.0)`. It returns one of the strengths in the table:
#
# 1. Use only rows with the split `"validation"` and the protocol `"grid"`.
# 2. For each strength compute the accuracy at the center and off-center, in percent.
# 3. A strength is *harmless* if its accuracy at the center is at least that of strength 0 minus `most_loss` points.
# 4. Return the harmless strength with the highest accuracy off-center. If several have the same, return the smallest.

# %% [raw]
# # BEGIN SOLUTION


# %%
def choose_strength(answers, most_loss=2.0):
    """Return the harmless strength that is best off-center on the validation objects."""
    # BEGIN SOLUTION
    rows = answers[(answers["split"] == "validation") & (answers["protocol"] == "grid")]
    accuracy = 100 * rows.groupby(["strength", "center"])["correct"].mean().unstack()
    harmless = accuracy[accuracy[True] >= accuracy.loc[0, True] - most_loss]
    return float(harmless[False].idxmax())
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert choose_strength(answers) in set(answers["strength"]), (
    "return one of the strengths in the table"
)
assert choose_strength(answers, most_loss=100) in set(answers["strength"])

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd


def answered(rng, split, protocol, accuracies):
    """Rows of 20 images at the center and 20 off-center for each strength, with the accuracies in percent."""
    parts = []
    for strength, (center, off_center) in accuracies.items():
        right = [
            number < round(20 * share / 100)
            for share in (center, off_center)
            for number in range(20)
        ]
        rows = pd.DataFrame({"correct": right, "center": [True] * 20 + [False] * 20})
        rows["image"] = [f"{protocol}{split}{number}" for number in range(40)]
        rows["object"] = [f"{split}{number % 10}" for number in range(40)]
        parts.append(rows.assign(split=split, protocol=protocol, strength=strength))
    table = pd.concat(parts, ignore_index=True)
    return table.sample(frac=1, random_state=int(rng.integers(1000))).reset_index(drop=True)


@hidden_check("q4", points=1, says="looks at the grid of the validation objects only")
def where_to_look(student, rng):
    best, other = rng.choice([0.2, 0.4, 0.6, 0.8], size=2, replace=False)
    levels = (0.0, 0.2, 0.4, 0.6, 0.8)
    parts = [
        answered(
            rng,
            "validation",
            "grid",
            {each: (95, 90 if each == best else 50) for each in levels},
        ),
        answered(
            rng, "test", "grid", {each: (95, 100 if each == other else 30) for each in levels}
        ),
        answered(rng, "test", "control", dict.fromkeys(levels, (95, 95))),
    ]
    assert np.isclose(
        student.call("choose_strength", pd.concat(parts, ignore_index=True)), best
    )


@hidden_check("q4", points=1, says="leaves out what costs the center more than it may")
def harmless(student, rng):
    grid = {0.0: (95, 40), 0.3: (95, 55), 0.6: (85, 85), 0.9: (60, 95)}
    parts = [answered(rng, split, "grid", grid) for split in ("validation", "test")]
    table = pd.concat(parts, ignore_index=True)
    assert np.isclose(student.call("choose_strength", table), 0.3)
    assert np.isclose(student.call("choose_strength", table, most_loss=12.0), 0.6)


@hidden_check(
    "q4",
    points=1,
    says="keeps the plain model where every strength harms, and the smaller of two that are equal",
)
def nothing_gained(student, rng):
    harmed = {0.0: (95, 40), 0.5: (80, 60), 1.0: (70, 70)}
    equal = {0.0: (95, 40), 0.5: (95, 60), 1.0: (95, 60)}
    for levels, expected in ((harmed, 0.0), (equal, 0.5)):
        parts = [answered(rng, split, "grid", levels) for split in ("validation", "test")]
        assert np.isclose(
            student.call("choose_strength", pd.concat(parts, ignore_index=True)), expected
        )


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 3

# %% [markdown]
# ## Question 5: report it
#
# Write `report(answers, strength)`. It compares a strength with the plain model (strength 0) on the **test** objects and returns
# a dictionary with three entries, each a tuple `(change, low, high)` in percentage points:
#
# - `"off_center"`: images of the grid off-center: the gain;
# - `"center"`: images of the grid at the center: the cost;
# - `"control"`: images of the control: the second cost.
#
# Let the library compare: `bootstrap.paired_difference(rows, "strength", (strength, 0.0))` pairs the rows by `image`, resamples whole
# objects, and returns a table of one row with `difference`, `low` and `high`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def report(answers, strength):
    """Return the changes on the test objects: a dictionary of (change, low, high) in points."""
    # BEGIN SOLUTION
    rows = answers[answers["split"] == "test"]
    grid, center = rows["protocol"] == "grid", rows["center"].astype(bool)
    parts = {
        "off_center": grid & ~center,
        "center": grid & center,
        "control": rows["protocol"] == "control",
    }
    changes = {}
    for name, part in parts.items():
        found = bootstrap.paired_difference(rows[part], "strength", (strength, 0.0)).iloc[0]
        changes[name] = (found["difference"], found["low"], found["high"])
    return changes
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
nothing = report(answers, 0.5)
assert set(nothing) == {"off_center", "center", "control"}, "report all three places"
assert all(low <= change <= high for change, low, high in nothing.values()), (
    "(change, low, high) in this order"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd

PLACES = {"off_center": ("grid", False), "center": ("grid", True), "control": ("control", True)}


def class_answers(rng):
    """Answers of a plain model and one with strength 0.7; what changes, changes for whole objects."""
    parts = []
    for split, n_objects in (("validation", 20), ("test", 36)):
        names = [f"{split} {number}" for number in range(n_objects)]
        for place, (protocol, center) in PLACES.items():
            counts = rng.integers(2, 6, size=n_objects)
            owner = np.repeat(np.arange(n_objects), counts)
            turn = rng.permutation(n_objects)
            before = (turn < n_objects // 2)[owner] ^ (rng.random(len(owner)) < 0.05)
            gained = (turn >= n_objects - (8 if place == "off_center" else 3))[owner]
            lost = (turn < (2 if place == "off_center" else 5))[owner]
            after = (before | gained) & ~lost
            shared = {
                "protocol": protocol,
                "image": [f"{split}{place}{number}" for number in range(len(owner))],
                "object": [names[each] for each in owner],
                "center": center,
                "split": split,
            }
            parts += [
                pd.DataFrame(shared).assign(correct=right, strength=strength)
                for right, strength in ((before, 0.0), (after, 0.7))
            ]
    table = pd.concat(parts, ignore_index=True)
    return table.sample(frac=1, random_state=int(rng.integers(1000))).reset_index(drop=True)


def expected_change(table, place, rng):
    protocol, center = PLACES[place]
    rows = table[
        (table["split"] == "test")
        & (table["protocol"] == protocol)
        & (table["center"] == center)
    ]
    wide = rows.pivot(index=["object", "image"], columns="strength", values="correct").astype(
        float
    )
    change = 100 * (wide[0.7] - wide[0.0])
    sums = change.groupby("object").agg(["sum", "size"]).to_numpy()
    drawn = sums[rng.integers(len(sums), size=(4000, len(sums)))].sum(axis=1)
    return change.mean(), *np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])


@hidden_check(
    "q5", points=1, says="gives the right changes on the test objects, at all three places"
)
def estimates(student, rng):
    table = class_answers(rng)
    got = student.call("report", table, 0.7)
    for place in PLACES:
        assert np.isclose(got[place][0], expected_change(table, place, rng)[0])


@hidden_check(
    "q5", points=2, says="the intervals are paired by image and resample whole objects"
)
def intervals(student, rng):
    table = class_answers(rng)
    got, ratios = student.call("report", table, 0.7), []
    for place in PLACES:
        _, low, high = expected_change(table, place, rng)
        ratios.append((got[place][2] - got[place][1]) / (high - low))
        assert abs(got[place][1] - low) < 0.3 * (high - low)
    assert 0.85 < np.mean(ratios) < 1.2


# %% [raw]
# # END QUESTION

# %%
strength = choose_strength(answers) or 0.5  # if none is harmless, look at what 0.5 does
reported = report(answers, strength)
figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
for number, (change, low, high) in enumerate(reported.values()):
    axes.errorbar(
        change,
        number,
        xerr=[[change - low], [high - change]],
        fmt="o",
        color="#0173b2",
        capsize=3,
    )
axes.axvline(0, color="0.4", linestyle=":")
axes.axvspan(-2, 2, color="0.9", zorder=0)
axes.set_yticks(range(3), [place.replace("_", "-") for place in reported])
axes.set(xlabel="change against the plain model (percentage points)", ylabel="test images")
axes.set_title(f"Recentered, strength {strength:g} (95 % intervals over objects)", loc="left")
plt.show()
for place, (change, low, high) in reported.items():
    print(
        f"In words: {place.replace('_', '-')}: {change:+.1f} points [{low:+.1f}, {high:+.1f}]."
    )
print("The grey band is what the protocol calls harmless at the center: up to 2 points.")

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 3

# %% [markdown]
# ## Question 6: the verdict
#
# A gain alone is no success. Write `verdict(reported, most_loss=2.0)`, which takes the dictionary of question 5. It is a
# short version of the rule in `data/protocols/mitigations.yml`:
#
# - it *gains* if the whole interval off-center is above 0;
# - it *harms* if the change at the center **or** in the control is below `-most_loss`;
# - `"helps"`: gains and does not harm; `"trades"`: gains and harms;
# - `"costs"`: does not gain, and harms or has its whole interval off-center below 0;
# - `"harmless"`: everything else.

# %% [raw]
# # BEGIN SOLUTION


# %%
def verdict(reported, most_loss=2.0):
    """Return "helps", "trades", "costs" or "harmless"."""
    # BEGIN SOLUTION
    _, low, high = reported["off_center"]
    gains = low > 0
    harms = min(reported["center"][0], reported["control"][0]) < -most_loss
    if gains:
        return "trades" if harms else "helps"
    return "costs" if harms or high < 0 else "harmless"
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example_report = {"off_center": (20, 10, 30), "center": (0, -2, 2), "control": (0, -2, 2)}
assert verdict(example_report) == "helps", "a certain gain, and no harm"
assert verdict(reported) in {"helps", "trades", "costs", "harmless"}

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
def around(change, half):
    return (float(change), float(change - half), float(change + half))


def judged(student, off_center, center, control, **limits):
    rows = {
        "off_center": off_center,
        "center": around(center, 3),
        "control": around(control, 3),
    }
    return student.call("verdict", rows, **limits)


@hidden_check("q6", points=1, says="a gain counts only if its whole interval is above zero")
def certain(student, rng):
    gain = float(rng.uniform(6, 20))
    assert judged(student, around(gain, 0.5 * gain), 1, 0) == "helps"
    assert judged(student, around(gain, 1.5 * gain), 1, 0) == "harmless"
    assert judged(student, around(-gain, 0.5 * gain), 1, 0) == "costs"


@hidden_check("q6", points=1, says="harm at the center turns help into a trade")
def center_counts(student, rng):
    assert judged(student, around(20, 5), -5, 0) == "trades"
    assert judged(student, around(20, 5), -5, 0, most_loss=6.0) == "helps"
    assert judged(student, around(0, 5), -5, 0) == "costs"


@hidden_check("q6", points=1, says="harm in the control counts as much")
def control_counts(student, rng):
    assert judged(student, around(20, 5), 0, -float(rng.uniform(3, 15))) == "trades"
    assert judged(student, around(0, 5), 0, -float(rng.uniform(3, 15))) == "costs"


# %% [raw]
# # END QUESTION

# %%
print(f"Recentered at strength {strength:g}: {verdict(reported)}.")

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 3

# %% [markdown]
# ## Question 7: your own
#
# Now write a mitigation of your own, `Mine`. It has one field `strength` from 0 to 1 and does nothing at 0. It may show up to ten
# views, change their number (`n_views`) and how their similarities are combined (`combine`), or change the attention. It is
# **not** told where the object is. Leave the image that you are given, and the model, unchanged.
#
# Ideas: show the plain image too, and take the larger similarity; zoom in on the guessed place; try several places; dim the middle.
# The page *Benchmark your mitigation* of the book has an example to copy. `combine(self, similarities, logit_scale)` gets an array
# (images, views, captions) and returns (images, captions).
#
# Choose its strength on the validation objects with the *long* cell below, then write it into `entry`. Your teacher can compare the
# class on objects that nobody has seen (a *leaderboard*). It gives no points.

# %% [raw]
# # BEGIN SOLUTION


# %%
# BEGIN SOLUTION NO PROMPT
@dataclass(frozen=True)
class Mine(Recentered):
    """Show the plain image and the moved one, and believe the more similar of the two."""

    label: ClassVar[str] = "plain or moved"

    @property
    def n_views(self):
        """Two views; at strength zero the image alone."""
        return 1 if self.neutral else 2

    def views(self, image, location=None):
        """Return the image, and the moved one."""
        return [image] if self.neutral else [image, *super().views(image, location)]

    def combine(self, similarities, logit_scale):
        """Take the larger similarity, caption by caption."""
        return similarities.max(axis=1)


entry = {"name": "plain or moved", "strength": 0.5}
# END SOLUTION
""" # BEGIN PROMPT
@dataclass(frozen=True)
class Mine(Mitigation):
    # Say in one sentence what it does.

    label: ClassVar[str] = "mine"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(1.0, "what the strength means", low=0, high=1)

    def views(self, image, location):
        ...


entry = {"name": ..., "strength": ...}
"""  # END PROMPT

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
same = mitigate(model, Mine(strength=0.0)).similarities(two, ["a dog", "a key"], progress=False)
assert np.array_equal(same, model.similarities(two, ["a dog", "a key"], progress=False)), (
    "zero does nothing"
)
assert Mine(strength=entry["strength"]).passes <= 10, (
    "at most ten passes of the tower for one image"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np

from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.data.layouts import grid

TRIED = """
import numpy as np
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.models.loading import load

loaded = load("pocketclip-centered")
given = [np.array(image) for image in images]
plain = loaded.similarities(given, texts, progress=False)
at_zero = mitigate(loaded, Mine(strength=0.0)).similarities(given, texts, progress=False)
setting = Mine(strength=float(entry["strength"]))
found = mitigate(loaded, setting).similarities(given, texts, progress=False)
result = {
    "plain": plain,
    "at_zero": at_zero,
    "found": found,
    "after": loaded.similarities(given, texts, progress=False),
    "images": np.stack(given),
    "passes": float(setting.passes),
    "told": bool(setting.needs_location),
    "neutral": bool(Mine(strength=0.0).neutral),
}
"""


def tried(student, rng):
    """Return the images of the check, and what the mitigation makes of them."""
    known = sample_objects(read_catalogue(["fluent"]), 8, int(rng.integers(1e6)))
    scenes = grid(known[:6], 3, seed=int(rng.integers(1e6)), height=112, width=112)
    images = np.stack(
        [scene.render() for scene in scenes[::9]]
    )  # each in the upper left corner
    texts = [f"a photo of a {cutout.object}" for cutout in known]
    return images, student.run(TRIED, images=images, texts=texts)


@hidden_check("q7", points=1, says="is the plain model at strength zero, bit for bit")
def identity(student, rng):
    _, made = tried(student, rng)
    assert made["neutral"] and np.array_equal(made["at_zero"], made["plain"])
    assert made["plain"].shape == (6, 8) and np.ptp(made["plain"]) > 0


@hidden_check(
    "q7",
    points=1,
    says="is not told where the object is, and leaves image and model as they were",
)
def clean(student, rng):
    images, made = tried(student, rng)
    assert not made["told"] and np.array_equal(made["images"], images)
    assert np.array_equal(made["after"], made["plain"])


@hidden_check(
    "q7", points=1, says="the entry is a setting that changes something, within ten passes"
)
def acts(student, rng):
    _, made = tried(student, rng)
    strength = student.value("entry")["strength"]
    assert 0 < strength <= 1 and made["passes"] <= 10
    assert np.isfinite(made["found"]).all() and not np.allclose(
        made["found"], made["plain"], atol=1e-5
    )


# %% [raw]
# # END QUESTION

# %% tags=["long"]
# long: skipped in grading, nothing that is graded reads its result
parts = [
    score(Mine(strength=each), validation, "validation", each)
    for each in (0.0, 0.25, 0.5, 0.75, 1.0)
]
own = pd.concat(parts, ignore_index=True)
levels = 100 * own.groupby(["strength", "center"])["correct"].mean().unstack()
print("Accuracy on the validation objects, in percent:")
print(
    levels.rename(columns={True: "center", False: "off-center"})[
        ["center", "off-center"]
    ].round(1)
)
print(f"Chosen strength: {choose_strength(own):g}")

# %% [markdown]
# When your mitigation and its strength are final, run the next cell **once**. Whoever runs it after each change has chosen on
# the test objects.

# %% tags=["long"]
# long: skipped in grading, nothing that is graded reads its result
strength = float(entry["strength"])
parts = [score(Mine(strength=each), test, "test", each) for each in (0.0, strength)]
final = report(pd.concat(parts, ignore_index=True), strength)
for place, (change, low, high) in final.items():
    print(f"{place.replace('_', '-')}: {change:+.1f} points [{low:+.1f}, {high:+.1f}]")
print(f"{entry['name']} at strength {strength:g}: {verdict(final)}.")

# %% [raw]
# # BEGIN QUESTION
# name: q8
# points: 4
# manual: true

# %% [markdown]
# ## Question 8: how far does it reach?
#
# Write at most 200 words on `Recentered` or on `Mine`.
#
# 1. State the result in one or two sentences, as you would in a paper: gain, costs, intervals, what was chosen where.
# 2. Name two kinds of image on which you expect it to fail, and say why. One of them should follow from how the place is guessed.
# 3. Has it repaired the *model*? Say what your result shows about where the object is lost.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# 1. On 40 test objects, showing the image with the guessed object moved three quarters of the way to the middle raises the accuracy
#    off-center by the points and interval of the figure of question 5, and costs some points at the center; the control shows no
#    change beyond its interval. The strength was chosen on 24 other objects among four by a rule that allows a loss of 2 points at
#    the center.
# 2. The place is guessed as what differs most from the color of the border. It fails where the background has a bright
#    region or the border has several colors, as in photographs, and where two objects are shown: only one can be moved to the
#    middle, and the caption may name the other. A cyclic shift also cuts an object that fills the image.
# 3. No. The weights are the same, and so is the model's bias; we show it an image from which the bias no longer takes anything. The
#    result shows that the tower can name these objects when they stand in the middle. So they are lost by where they stand, not
#    by what they look like.

# %% [raw]
# # END SOLUTION

# %% [markdown] tags=["rubric"]
# Question 8: 4 points.
#
# - 1 point: the result has a gain with an interval *and* a cost at the center or in the control.
# - 1 point: says that the strength was chosen on other objects than those reported (or calls a number from the validation
#   objects by that name).
# - 1 point: two kinds of image with a reason each, one of which follows from how the place is guessed (clutter, uneven background,
#   several objects, objects that fill the image).
# - 1 point: the model is unchanged; what was changed is what it is shown. It names the object once it stands in the middle, so the
#   loss depends on the place.
#
# No point for "the gap is smaller, so it works" where the gap shrinks because the center loses.

# %% [raw]
# # END QUESTION
