# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# name: pooling
# crosseyed:
#   title: Pooling
#   version: 1
#   chapter: 04_pooling_ablation
#   minutes: 75
#   data: [pooling/from_scratch.csv]
#   models: [pocketclip-centered]

# %% [markdown]
# # Lab 4: Is pooling to blame?
#
# A tower turns an image into 100 spatial tokens and one class token. **Pooling** makes one vector of them. One idea about
# center bias is that this step loses what stands off-center. In this lab you test the idea: you swap the pooling of a
# finished model, and measure what happens.
#
# **You will be able to**
#
# - write three poolings, and say what each of them reads;
# - compare two versions of a model on the same images, with an interval that respects objects;
# - choose a setting on some objects and report it on others, and show what goes wrong otherwise;
# - say what a test on a finished model can tell about its training, and what it cannot.
#
# **How to work.** Go from top to bottom. Replace each `...` by your code. Run `grader.check("q1")` and so on: these checks
# catch slips, not every mistake. Read chapter 4 of the book first. The lab takes about 75 minutes of your time; the computer needs
# less than one minute.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.mitigations.pooling_methods import Batch
from crosseyed.mitigations.tasks import make_split, split_objects
from crosseyed.models.loading import load
from crosseyed.settings import settings

# %% [markdown]
# ## The tokens
#
# These cells are given. They draw images of 24 *validation* objects and of 40 other *test* objects, run the small model
# PocketCLIP on them, and keep what pooling can read. An object stands at the center or in another cell of a 5 × 5 grid.
#
# - `tokens[split]`: shape (images, 101, 128). **Place 0 is the class token**; places 1 to 100 are the spatial tokens, row by row.
# - `attention[split]`: shape (images, 100). How much the class token attends to each *spatial* token in the last block.
# - `table[split]`: one row per image, with `object` and `center` (whether it stands at the center).

# %%
model = load("pocketclip-centered")
cutouts = read_catalogue(["fluent", "twemoji"])
labels = objects_of(cutouts)
dealt = dict(zip(["validation", "test"], split_objects(cutouts, [24, 40], seed=5), strict=True))
tasks = {
    split: make_split(each, labels, protocols=["grid"], cells=2, side=112, seed=number)[0]
    for number, (split, each) in enumerate(dealt.items())
}


@torch.inference_mode()
def read_tokens(images):
    """Return tokens (images, 101, 128) and attention (images, 100) of the last block."""
    parts = []
    for pixels, _ in model.read_batches(images, progress=False):
        batch = Batch.of(model, model.to_input(pixels))
        parts.append((batch.adapter.candidates(batch.tokens), batch.attention))
    return tuple(torch.cat(part).numpy() for part in zip(*parts, strict=True))


read = {split: read_tokens(task.images) for split, task in tasks.items()}
tokens, attention = ({split: pair[part] for split, pair in read.items()} for part in (0, 1))
table = {split: task.table for split, task in tasks.items()}
{split: each.shape for split, each in tokens.items()}

# %% [markdown]
# The last cell of this part turns pooled vectors into names: project, and take the caption that is most similar. So all
# poolings share everything but the pooling.

# %%
captions = model.encode_texts([settings.caption(label) for label in labels])
projection = model.clip.visual.proj.detach().numpy()


def is_right(pooled, objects):
    """Return for each image whether the model names its object; `pooled` has shape (images, 128)."""
    names = np.array(labels)[(pooled @ projection @ captions.T).argmax(axis=1)]
    return names == np.asarray(objects)


plain = {split: is_right(tokens[split][:, 0], table[split]["object"]) for split in tokens}
for split, right in plain.items():
    at_center = table[split]["center"].to_numpy()
    print(
        f"{split}: {right[at_center].mean():.0%} at the center, {right[~at_center].mean():.0%} off-center"
    )

# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 2

# %% [markdown]
# ## Question 1: average and maximum
#
# Write two poolings. Each takes `tokens` of shape (images, 1 + T, width) and returns an array of shape (images, width).
#
# - `average`: the mean of the **spatial** tokens;
# - `maximum`: in each channel, the largest value of the **spatial** tokens.

# %% [raw]
# # BEGIN SOLUTION


# %%
def average(tokens):
    """Return the mean of the spatial tokens, shape (images, width)."""
    return tokens[:, 1:].mean(axis=1)  # SOLUTION


def maximum(tokens):
    """Return the largest value of each channel over the spatial tokens, shape (images, width)."""
    return tokens[:, 1:].max(axis=1)  # SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example = np.full((2, 5, 3), 7.0)  # 2 images, a class token and 4 spatial tokens of width 3
assert np.shape(average(example)) == (2, 3), (
    "average should give one vector of width 3 for each image"
)
assert np.shape(maximum(example)) == (2, 3), (
    "maximum should give one vector of width 3 for each image"
)
assert np.all(average(example) == 7) and np.all(maximum(example) == 7), (
    "tokens that are all 7 pool to 7"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np


@hidden_check("q1", points=1, says="the average is that of the spatial tokens alone")
def averages(student, rng):
    tokens = rng.normal(size=(4, 1 + int(rng.integers(5, 12)), 6))
    tokens[:, 0] += 50
    assert np.allclose(
        student.call("average", tokens), tokens[:, 1:].sum(1) / (tokens.shape[1] - 1)
    )


@hidden_check(
    "q1", points=1, says="the maximum is taken channel by channel over the spatial tokens alone"
)
def maxima(student, rng):
    tokens = rng.normal(size=(4, 1 + int(rng.integers(5, 12)), 6)) - 10
    tokens[:, 0] += 50
    expected = np.array([[max(image[1:, channel]) for channel in range(6)] for image in tokens])
    got = student.call("maximum", tokens)
    assert np.shape(got) == expected.shape and np.allclose(got, expected)


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 2

# %% [markdown]
# ## Question 2: masked maximum
#
# A maximum over all tokens also reads the background. ECLIP therefore masks first: it keeps only the tokens that matter, and
# takes the maximum over those. Write `masked_maximum`. It keeps the `k` spatial tokens with the most attention and returns,
# in each channel, the largest value among the kept ones.
#
# Mind the offset: `attention[:, 0]` belongs to the *first spatial* token, which is `tokens[:, 1]`.

# %% [raw]
# # BEGIN SOLUTION


# %%
def masked_maximum(tokens, attention, k):
    """Return the maximum over the k most attended spatial tokens, shape (images, width)."""
    # BEGIN SOLUTION
    kept = np.argsort(-attention, axis=1)[:, :k]
    return np.take_along_axis(tokens[:, 1:], kept[..., None], axis=1).max(axis=1)
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example = np.array([[[9.0], [1.0], [2.0], [3.0]]])  # one image, three spatial tokens of width 1
looked = np.array([[0.5, 0.3, 0.2]])
assert np.shape(masked_maximum(example, looked, 2)) == (1, 1), "give one vector for each image"
assert masked_maximum(example, looked, 3)[0, 0] == 3, (
    "with k = T nothing is masked: it is the maximum"
)

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np


def masked_reference(tokens, attention, k):
    rows = []
    for image, looked in zip(tokens, attention, strict=True):
        kept = sorted(range(len(looked)), key=lambda place: looked[place])[-k:]
        rows.append(np.max([image[1 + place] for place in kept], axis=0))
    return np.array(rows)


@hidden_check("q2", points=1, says="keeps the k spatial tokens with the most attention")
def keeps(student, rng):
    tokens = rng.uniform(1, 2, size=(5, 13, 4))  # positive
    attention = np.array([rng.permutation(12) for _ in tokens]) + rng.uniform(0, 0.5, (5, 12))
    for k in (1, 3, 8):
        got = student.call("masked_maximum", tokens, attention, k)
        assert np.shape(got) == (5, 4) and np.allclose(
            got, masked_reference(tokens, attention, k)
        )


@hidden_check(
    "q2", points=1, says="what is masked has no influence, whatever the sign of the tokens"
)
def ignores(student, rng):
    tokens = rng.uniform(-2, -1, size=(5, 13, 4))  # negative: a masked 0 would win
    attention = np.array([rng.permutation(12) for _ in tokens]) + rng.uniform(0, 0.5, (5, 12))
    for k in (1, 3, 8):
        got = student.call("masked_maximum", tokens, attention, k)
        assert np.shape(got) == (5, 4) and np.allclose(
            got, masked_reference(tokens, attention, k)
        )


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 1

# %% [markdown]
# ## Question 3: predict first
#
# Before you run anything: what will each pooling do to the accuracy **off-center** of this finished model, compared with its
# own class token? Write `"better"`, `"same"` or `"worse"` for each. Any answer gets the point. A prediction that you write
# down before you look is worth more than an explanation afterwards.

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION NO PROMPT
predictions = {"average": "worse", "maximum": "worse", "masked maximum": "better"}
# END SOLUTION
""" # BEGIN PROMPT
predictions = {"average": ..., "maximum": ..., "masked maximum": ...}
"""  # END PROMPT

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
assert set(predictions) == {"average", "maximum", "masked maximum"}, (
    "predict all three poolings"
)
assert set(predictions.values()) <= {"better", "same", "worse"}, "write better, same or worse"

# %% [raw]
# # END TESTS


# %% tags=["hidden"]
@hidden_check("q3", points=1, says="a prediction is given for each pooling")
def predicted(student, rng):
    given = student.value("predictions")
    assert set(given) == {"average", "maximum", "masked maximum"}
    assert set(given.values()) <= {"better", "same", "worse"}


# %% [raw]
# # END QUESTION

# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 3

# %% [markdown]
# ## Question 4: what does another pooling change?
#
# Both poolings answer **the same images**, so compare image by image. And images of one object are alike, so what varies is
# the object. Write `paired_change(new, old, objects, rng)`:
#
# 1. the change of an image is `new - old`: +1, 0 or −1;
# 2. the estimate is the mean change over all images, in percentage points;
# 3. draw **objects** with replacement, as many as there are, 1,000 times. Take *all* images of each drawn object, as often as
#    it was drawn, and compute the mean change again;
# 4. return the estimate, and the 2.5th and 97.5th percentile of the 1,000 means.

# %% [raw]
# # BEGIN SOLUTION


# %%
def paired_change(new, old, objects, rng):
    """Return (estimate, low, high) in percentage points; new and old are true where an image is named rightly."""
    # BEGIN SOLUTION
    change = 100 * (np.asarray(new, dtype=float) - np.asarray(old, dtype=float))
    by_object = pd.Series(change).groupby(np.asarray(objects)).agg(["sum", "size"]).to_numpy()
    drawn = rng.integers(len(by_object), size=(1000, len(by_object)))
    sums = by_object[drawn].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    return change.mean(), low, high
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
old = np.array([True, False, False, True])
new = np.array([True, True, False, True])
estimate, low, high = paired_change(
    new, old, ["cup", "cup", "dog", "dog"], np.random.default_rng(0)
)
assert abs(estimate - 25) < 1e-9, "one of four images is gained: 25 points"
assert low <= estimate <= high, "the estimate lies inside its interval"
assert paired_change(old, old, ["cup", "cup", "dog", "dog"], np.random.default_rng(0))[0] == 0

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np


def alike_images(rng):
    """40 objects of 2 to 8 images. Most are hard or easy as a whole; what changes, changes for a whole object."""
    counts = rng.integers(2, 9, size=40)
    objects = np.repeat(np.arange(40), counts)
    turn = rng.permutation(40)
    old = np.repeat(turn < 20, counts) ^ (rng.random(len(objects)) < 0.05)
    gained = np.repeat((turn >= 20) & (turn < 28), counts)
    return old | gained, old, np.array([f"object {number}" for number in objects])


def interval_reference(new, old, objects, rng):
    change = 100 * (new.astype(float) - old.astype(float))
    parts = [change[objects == name] for name in np.unique(objects)]
    means = [
        np.concatenate(
            [parts[place] for place in rng.integers(len(parts), size=len(parts))]
        ).mean()
        for _ in range(2000)
    ]
    return np.percentile(means, [2.5, 97.5])


@hidden_check("q4", points=1, says="the estimate is the mean change over all images, in points")
def estimates(student, rng):
    new, old, objects = alike_images(rng)
    estimate = student.run(
        "import numpy as np\nresult = float(paired_change(new, old, objects, np.random.default_rng(1))[0])",
        new=new,
        old=old,
        objects=objects,
    )
    assert np.isclose(estimate, 100 * (new.mean() - old.mean()))


@hidden_check(
    "q4", points=2, says="the interval is paired by image and resamples whole objects"
)
def covers(student, rng):
    ratios = []
    for _ in range(3):
        new, old, objects = alike_images(rng)
        code = (
            "import numpy as np\n"
            "result = [float(end) for end in paired_change(new, old, objects, np.random.default_rng(1))][1:]"
        )
        low, high = student.run(code, new=new, old=old, objects=objects)
        expected = interval_reference(new, old, objects, rng)
        ratios.append((high - low) / (expected[1] - expected[0]))
        assert abs((low + high) / 2 - expected.mean()) < 0.25 * (expected[1] - expected[0])
    assert 0.85 < np.mean(ratios) < 1.18


# %% [raw]
# # END QUESTION

# %% [markdown]
# Now the test of your predictions, on the validation objects. The cell below is given. Each pooling replaces the class token
# of the same model; the masked maximum keeps 25 tokens.


# %%
def pooled_by(name, split):
    """Return the vectors of one of the three poolings, shape (images, 128)."""
    if name == "masked maximum":
        return masked_maximum(tokens[split], attention[split], 25)
    return {"average": average, "maximum": maximum}[name](tokens[split])


def changes_of(vectors, split, rng):
    """Return (place, estimate, low, high) at the center and off-center, against the class token."""
    rows, objects = table[split], table[split]["object"].to_numpy()
    right, at_center = is_right(vectors, objects), rows["center"].to_numpy(dtype=bool)
    places = {"center": at_center, "off-center": ~at_center}
    return [
        (place, *paired_change(right[part], plain[split][part], objects[part], rng))
        for place, part in places.items()
    ]


swapped = pd.DataFrame(
    [
        (name, *row)
        for name in predictions
        for row in changes_of(
            pooled_by(name, "validation"), "validation", np.random.default_rng(0)
        )
    ],
    columns=["pooling", "place", "change", "low", "high"],
)
swapped.round(1)

# %%
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
for place, marker, color, offset in (
    ("center", "o", "#0173b2", 0.1),
    ("off-center", "s", "#de8f05", -0.1),
):
    rows = swapped[swapped["place"] == place]
    error = [rows["change"] - rows["low"], rows["high"] - rows["change"]]
    where = np.arange(len(rows)) + offset
    axes.errorbar(
        rows["change"], where, xerr=error, fmt=marker, color=color, capsize=3, label=place
    )
axes.set_yticks(range(len(predictions)), list(predictions))
axes.axvline(0, color="0.4", linestyle=":")
axes.set(
    xlabel="change of the accuracy against the class token (percentage points)",
    ylabel="pooling",
)
axes.set_title(
    "Another pooling of the finished model (95 % intervals over objects)", loc="left"
)
axes.legend(title="object stands")
plt.show()
for row in swapped.itertuples():
    print(
        f"In words: {row.pooling}, {row.place}: {row.change:+.0f} points [{row.low:+.0f}, {row.high:+.0f}]."
    )

# %% [markdown]
# Compare with your predictions. Then think about *why*, before you read on: which tokens did the training of this model ever
# ask to be readable through the projection?

# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 3

# %% [markdown]
# ## Question 5: choose a setting
#
# Perhaps a little of another pooling helps. Mix it with the class token $c$: the vector is
# $(1 - s)\,c + s\,p$ with a share $s$. The cell below the question tries nine settings, on validation *and* test objects.
#
# Write `choose(tried, most_loss=2.0)`. It gets the table of all results and returns the name of one `setting`:
#
# 1. Use only rows whose `split` is `"validation"`. The test objects are for the report.
# 2. A setting is *harmless* if its `center_change` is at least `-most_loss` points.
# 3. Of the harmless settings, take the one with the highest `off_center_change`.
# 4. If no setting is harmless, take the one that costs the center least (the highest `center_change`).

# %% [raw]
# # BEGIN SOLUTION


# %%
def choose(tried, most_loss=2.0):
    """Return the name of the best harmless setting by the validation objects, or else the least harmful."""
    # BEGIN SOLUTION
    rows = tried[tried["split"] == "validation"]
    harmless = rows[rows["center_change"] >= -most_loss]
    if harmless.empty:
        return rows.loc[rows["center_change"].idxmax(), "setting"]
    return harmless.loc[harmless["off_center_change"].idxmax(), "setting"]
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
example = pd.DataFrame(
    {
        "setting": ["a", "b", "a", "b"],
        "split": ["validation", "validation", "test", "test"],
        "center_change": [0.0, -1.0, 0.0, -1.0],
        "off_center_change": [1.0, 4.0, 2.0, 3.0],
    }
)
assert choose(example) == "b", "both are harmless, and b gains more"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np
import pandas as pd


def two_splits(validation, test):
    parts = [
        pd.DataFrame(rows, columns=["setting", "center_change", "off_center_change"]).assign(
            split=split
        )
        for split, rows in (("validation", validation), ("test", test))
    ]
    return pd.concat(parts, ignore_index=True)


def some_names(rng, count):
    return [f"s{number}" for number in rng.choice(1000, size=count, replace=False)]


@hidden_check("q5", points=1, says="looks at the validation objects only")
def by_validation(student, rng):
    names = some_names(rng, 6)
    gains, others = rng.permutation(6) + 1.0, rng.permutation(6) + 20.0
    while names[int(np.argmax(gains))] == names[int(np.argmax(others))]:
        others = rng.permutation(6) + 20.0
    tried = two_splits(
        [(name, 0.0, gain) for name, gain in zip(names, gains, strict=True)],
        [(name, 0.0, gain) for name, gain in zip(names, others, strict=True)],
    )
    assert student.call("choose", tried) == names[int(np.argmax(gains))]


@hidden_check("q5", points=1, says="refuses a setting that costs the center too much")
def harmless_first(student, rng):
    first, second, third = some_names(rng, 3)
    rows = [(first, -2.5, 30.0), (second, -1.5, 8.0), (third, 3.0, 2.0)]
    rows = [rows[place] for place in rng.permutation(3)]
    assert student.call("choose", two_splits(rows, rows)) == second
    assert student.call("choose", two_splits(rows, rows), most_loss=1.0) == third


@hidden_check("q5", points=1, says="takes the least harmful setting where none is harmless")
def least_harm(student, rng):
    first, second, third = some_names(rng, 3)
    rows = [(first, -30.0, 25.0), (second, -9.0, -4.0), (third, -12.0, 6.0)]
    rows = [rows[place] for place in rng.permutation(3)]
    assert student.call("choose", two_splits(rows, rows)) == second


# %% [raw]
# # END QUESTION


# %%
def mixed(name, share, split):
    """Mix one of the poolings with the class token."""
    return (1 - share) * tokens[split][:, 0] + share * pooled_by(name, split)


rows = []
for name in predictions:
    for share in (0.05, 0.2, 0.5):
        for split in ("validation", "test"):
            (_, *center), (_, *off_center) = changes_of(
                mixed(name, share, split), split, np.random.default_rng(0)
            )
            rows.append((f"{share:g} {name}", split, *center, *off_center))
ends = ["change", "change_low", "change_high"]
columns = [f"{place}_{end}" for place in ("center", "off_center") for end in ends]
tried = pd.DataFrame(rows, columns=["setting", "split", *columns])
chosen = choose(tried)
reported = tried[(tried["split"] == "test") & (tried["setting"] == chosen)].round(1)
print(f"Chosen on the validation objects: {chosen}.")
reported

# %% [markdown]
# This is the row that you may report: one setting, chosen on other objects. Is its interval above zero? (The columns that end
# in `_low` and `_high` are the ends of the interval, in points.)

# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 3

# %% [markdown]
# ## Question 6: the best of many
#
# Why not simply report the best of the nine on the test objects? Show what happens if *no* setting does anything. Write
# `best_of(k, n_objects, rng)`, one run of this simulation:
#
# 1. There are `k` settings that do nothing. On each split, a setting changes each of the `n_objects` answers by −1, 0 or +1,
#    at random with probabilities 0.1, 0.8 and 0.1. Validation and test are drawn **independently**.
# 2. The change of a setting on a split is the mean over objects, in percentage points.
# 3. Choose the setting with the largest change on validation.
# 4. Return two numbers: the change of the chosen one on validation, and the change **of the same setting** on test.

# %% [raw]
# # BEGIN SOLUTION


# %%
def best_of(k, n_objects, rng):
    """Return (change on validation, change on test) of the setting that is best on validation, in points."""
    # BEGIN SOLUTION
    answers = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(2, k, n_objects))
    validation, test = 100 * answers.mean(axis=2)
    best = validation.argmax()
    return validation[best], test[best]
    # END SOLUTION


# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
once = best_of(9, 40, np.random.default_rng(0))
assert len(once) == 2, "return two numbers: on validation, on test"
assert all(-100 <= float(change) <= 100 for change in once), "changes are in percentage points"

# %% [raw]
# # END TESTS

# %% tags=["hidden"]
import numpy as np

RUNS = (
    "import numpy as np\n"
    "runs = [best_of(k, n_objects, np.random.default_rng([seed, run])) for run in range(600)]\n"
    "result = np.array(runs, dtype=float)"
)


def expected_best(k, n_objects, rng):
    answers = rng.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(4000, k, n_objects))
    return 100 * answers.mean(axis=2).max(axis=1).mean()


@hidden_check(
    "q6", points=1, says="the best of many looks better than it is, by as much as it should"
)
def too_good(student, rng):
    for k, n_objects in ((12, 30), (3, 60)):
        runs = student.run(RUNS, k=k, n_objects=n_objects, seed=int(rng.integers(1000)))
        assert abs(runs[:, 0].mean() - expected_best(k, n_objects, rng)) < 0.8


@hidden_check(
    "q6", points=2, says="on test objects the chosen one does what it does: nothing, on average"
)
def honest(student, rng):
    runs = student.run(RUNS, k=12, n_objects=30, seed=int(rng.integers(1000)))
    assert runs.shape == (600, 2) and abs(runs[:, 1].mean()) < 1.2
    assert runs[:, 1].std() > 4  # it varies: it is measured


# %% [raw]
# # END QUESTION

# %%
counts = (1, 3, 9, 27)
runs = {
    k: np.array([best_of(k, 40, np.random.default_rng([k, run])) for run in range(300)])
    for k in counts
}
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
styles = [
    ("on the objects it was chosen by", "o-", "#de8f05"),
    ("on other objects", "s--", "#0173b2"),
]
for side, (label, style, color) in enumerate(styles):
    axes.plot(
        counts, [runs[k][:, side].mean() for k in counts], style, color=color, label=label
    )
axes.set(
    xscale="log", xlabel="settings tried (number)", ylabel="mean change (percentage points)"
)
axes.set_xticks(counts, [str(k) for k in counts])
axes.set_title("The best of k settings that all do nothing", loc="left")
axes.legend()
plt.show()
for k in counts:
    here, there = runs[k].mean(axis=0)
    print(
        f"In words: best of {k}: {here:+.1f} points where it was chosen, {there:+.1f} on other objects."
    )

# %% [markdown]
# ## Models trained with another pooling
#
# The last table is given. These small models were trained *from scratch* with each pooling, on images in which objects stand in
# the middle (`centered`) or anywhere (`uniform`). They were trained and measured in this study. Compare
# them with each other only: they are smaller than PocketCLIP and saw fewer images.
# `index` is the gap divided by the accuracy at the center.

# %%
from_scratch = pd.read_csv("data/from_scratch.csv")
from_scratch.round(2)

# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 4
# manual: true

# %% [markdown]
# ## Question 7: is pooling to blame?
#
# Write at most 200 words.
#
# 1. Your test swapped the pooling of a *finished* model. Why does its result neither prove nor refute that pooling causes
#    center bias?
# 2. What does the table of models trained from scratch add? Name the comparison that you use, and one thing that it cannot tell.

# %% [raw]
# # BEGIN SOLUTION

# %% [markdown]
# 1. The projection and the last block were trained for the class token alone. Only that token reached the loss, so nothing
#    ever asked the spatial tokens to be readable through the projection. Another pooling therefore reads vectors that the
#    rest of the model does not know, and loses at the center as much as off-center. That says that the parts of a finished model
#    fit each other. It does not say what another pooling would have done during training.
# 2. In the table, pooling and positions change one at a time. With centered positions the index is large with class token,
#    attention and maximum; with uniform positions it is near zero with all of them. So where objects stood decides, more than pooling
#    does. The average cannot be compared: it names too little at the center for a gap to mean anything. And most rows are
#    one seed of a small model; how much models vary that were trained alike, and whether large models on photographs behave
#    so, the table cannot tell.

# %% [raw]
# # END SOLUTION

# %% [markdown] tags=["rubric"]
# Question 7: 4 points.
#
# - 1 point: the rest of the model was trained for the class token; spatial tokens of the last block never reached the loss.
# - 1 point: so the test shows a mismatch (it loses at the center too), and is no evidence about training with another pooling.
# - 1 point: names a comparison in the table that changes one thing, such as centered against uniform with the same pooling,
#   and reads it by the index or with the accuracy at the center beside it.
# - 1 point: names a limit: one or two seeds, small models on drawings, the average learned too little, intervals are over objects
#   and not over trainings.
#
# No point for "maximum is best because its accuracy is highest": accuracy is not bias.

# %% [raw]
# # END QUESTION
