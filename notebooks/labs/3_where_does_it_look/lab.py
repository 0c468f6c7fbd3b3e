# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [raw]
# # ASSIGNMENT CONFIG
# name: where_does_it_look
# crosseyed:
#   title: Where does it look?
#   version: 1
#   chapter: 03_attention_maps
#   minutes: 90
#   data: []
#   models: [pocketclip-centered]
# %% [markdown]
# # Lab 3: Where does it look?
#
# Heat maps are the most popular picture of what a model does. They are easy to make and easy to believe.
# You will make three kinds of them, score them against the truth, and then find out when they mislead.
#
# **What you will be able to do after this lab**
#
# - make an attention map, attention rollout and a similarity map from what a tower computes;
# - score a map against the mask of an object, with and without a threshold;
# - tell what an object adds to a map from what the place has anyway;
# - find a case in which a map misleads, and prove it with a control.
#
# Read the chapter *Attention maps* up to "Scores" before you start. The lab takes about 90 minutes and runs
# on any laptop.
#
# **How to work.** Write your code where you see `...`. Then run the cell below it, such as
# `grader.check("q1")`. More checks run when the lab is graded, with other maps and masks. Do not rename the
# functions.
# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from crosseyed.data import cutouts, layouts
from crosseyed.data.scenes import scene_table
from crosseyed.internals import trace
from crosseyed.internals.map_scores import fit_masks
from crosseyed.measure import bootstrap, protocols
from crosseyed.models.loading import load
from crosseyed.models.towers.registry import adapter_of
from crosseyed.settings import settings

COLORS = {"attention": "#0072B2", "rollout": "#D55E00", "similarity": "#009E73"}
MARKS = {"attention": "o", "rollout": "s", "similarity": "^"}  # told apart without colors, too
# %% [markdown]
# Sixteen objects stand at the center and in four corners, on a background that is the same in all five
# images of an object. `answers` says which images PocketCLIP-centered names rightly. `masks` says where the
# object is, at the size of the model's input.
#
# Each image is traced twice: as it is (`seen`), and on the same background *without* the object (`empty`).
# A trace holds the attention of all blocks, (blocks, images, heads, reading tokens, read tokens), and the
# tokens at all depths. Token 0 is the class token; the others are the 10 × 10 patches, in the order in
# which you read a page.
# %%
model = load("pocketclip-centered")
catalogue = cutouts.read_catalogue(["fluent"])
names = cutouts.objects_of(catalogue)
shown = cutouts.sample_objects(catalogue, 16, 3)
scenes = layouts.chessboard(layouts.grid(shown, 3, size=0.3, seed=3))
about = scene_table(scenes)
answers = protocols.grid([model], scenes, names)
masks = fit_masks(model, np.stack([scene.masks()[0] for scene in scenes]))
answers.groupby("center")["correct"].mean()


# %%
def traced(scenes):
    """Return the attention and the tokens of all blocks, for all scenes at once."""
    images = [scene.render() for scene in scenes]
    wanted = ["attention", "tokens"]
    (seen,) = trace.run(model, images, wanted, attention_rows="all", batch_size=len(images))
    return seen


seen, empty = traced(scenes), traced([scene.empty() for scene in scenes])
print(seen.attention.shape, seen.tokens.shape)


# %% [markdown]
# ## Three maps
# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 2
# %% [markdown]
# **Question 1.** Write `attention_map`. `attention` is that of one block, (images, heads, reading tokens,
# read tokens). Take what the class token *reads*, average over the heads, leave out what it reads from
# itself, and scale the rest so that each map sums to 1. Return (images, rows, columns), where `grid` is
# `(rows, columns)`.
# %% [raw]
# # BEGIN SOLUTION
# %%
def attention_map(attention, grid):
    """Return where the class token looks: (images, rows, columns), each map summing to 1."""
    # BEGIN SOLUTION
    on_patches = attention.mean(1)[:, 0, 1:]
    on_patches = on_patches / on_patches.sum(-1, keepdim=True)
    return on_patches.unflatten(-1, grid)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert attention_map(seen.attention[-1], seen.grid).shape == (80, 10, 10), (
    "images, rows, columns"
)
# %%
_sums = attention_map(seen.attention[-1], seen.grid).sum((1, 2))
assert torch.allclose(_sums, torch.ones(80)), "each map sums to 1"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

ATTENTION = """
import torch

got = attention_map(torch.from_numpy(attention), (rows, columns))
result = torch.as_tensor(got).float().numpy()
"""


def _random_attention(rng, *shape):
    raw = rng.gamma(0.5, size=shape) + 1e-3
    return (raw / raw.sum(-1, keepdims=True)).astype(np.float32)


@hidden_check("q1", points=2, says="is right for attention and grids that it has not seen")
def attention_maps(student, rng):
    rows, columns = int(rng.integers(2, 4)), int(rng.integers(4, 7))
    attention = _random_attention(rng, 2, 3, 1 + rows * columns, 1 + rows * columns)
    expected = np.zeros((2, rows, columns))
    for image, row, column in np.ndindex(expected.shape):
        expected[image, row, column] = attention[image, :, 0, 1 + row * columns + column].mean()
    expected /= expected.sum((1, 2), keepdims=True)
    got = student.run(ATTENTION, attention=attention, rows=rows, columns=columns)
    assert np.shape(got) == expected.shape and np.allclose(got, expected, atol=1e-5)


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 3
# %% [markdown]
# **Question 2.** The last block reads tokens that have read from others before. *Rollout* follows this
# through all blocks. In each block, a token is half itself (the residual connection) and half what it
# reads: $M_l = \frac12 (A_l + I)$, with $A_l$ the mean over the heads. The blocks are multiplied, $M_L
# \cdots M_2 M_1$: the last block stands on the left.
#
# Write `rollout`. `attention` is (blocks, images, heads, tokens, tokens). Return (images, tokens, tokens):
# how much of each token that enters the first block (last axis) is in each token that leaves the last.
# %% [raw]
# # BEGIN SOLUTION
# %%
def rollout(attention):
    """Return how much of each first token (last axis) is in each last token: (images, tokens, tokens)."""
    # BEGIN SOLUTION
    mixed = (attention.mean(2) + torch.eye(attention.shape[-1])) / 2
    rolled = mixed[0]
    for block in mixed[1:]:
        rolled = block @ rolled
    return rolled
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert rollout(seen.attention[:, :2]).shape == (2, 101, 101), "images, tokens, tokens"
# %%
_sums = rollout(seen.attention[:, :2]).sum(-1)
assert torch.allclose(_sums, torch.ones(2, 101), atol=1e-4), (
    "each row is a distribution: it sums to 1"
)
# %%
_itself = torch.eye(3).expand(2, 1, 1, 3, 3)
assert torch.allclose(rollout(_itself), torch.eye(3)), (
    "tokens that read only themselves stay themselves"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

ROLLED = """
import torch

result = torch.as_tensor(rollout(torch.from_numpy(attention))).float().numpy()
"""


def _rolled(attention):
    images, tokens = attention.shape[1], attention.shape[-1]
    result = np.zeros((images, tokens, tokens))
    for image in range(images):
        rolled = np.eye(tokens)
        for block in attention[:, image]:
            rolled = 0.5 * (block.mean(0) + np.eye(tokens)) @ rolled
        result[image] = rolled
    return result


@hidden_check("q2", points=1, says="is right for one block")
def one_block(student, rng):
    attention = _random_attention(rng, 1, 2, 3, 6, 6)
    got = student.run(ROLLED, attention=attention)
    assert np.shape(got) == (2, 6, 6) and np.allclose(got, _rolled(attention), atol=1e-5)


@hidden_check("q2", points=2, says="is right for several blocks, in their order")
def several_blocks(student, rng):
    attention = _random_attention(rng, 4, 2, 3, 6, 6)
    got = student.run(ROLLED, attention=attention)
    assert np.shape(got) == (2, 6, 6) and np.allclose(got, _rolled(attention), atol=1e-5)


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 2
# %% [markdown]
# **Question 3.** Attention says what is read, not what it is taken for. A *similarity map* asks each patch
# on its own: how similar is your token, sent through the final norm and the projection, to the caption?
#
# Write `similarity_map`. `projected` holds the projected tokens (images, 1 + patches, embed_dim), the class
# token first; they are not of length 1. `captions` holds one caption for each image (images, embed_dim), of
# length 1. Return the cosine similarities (images, rows, columns).
# %% [raw]
# # BEGIN SOLUTION
# %%
def similarity_map(projected, captions, grid):
    """Return the cosine similarity of each patch with the image's caption: (images, rows, columns)."""
    # BEGIN SOLUTION
    unit = projected / projected.norm(dim=-1, keepdim=True)
    return (unit[:, 1:] * captions[:, None]).sum(-1).unflatten(-1, grid)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_got = similarity_map(torch.randn(3, 7, 5), torch.randn(3, 5), (2, 3))
assert _got.shape == (3, 2, 3), "images, rows, columns"
# %%
_caption = torch.tensor([[1.0, 0.0]])
_got = similarity_map(torch.tensor([[[9.0, 9.0], [2.0, 0.0], [-3.0, 0.0]]]), _caption, (1, 2))
assert torch.allclose(_got, torch.tensor([[[1.0, -1.0]]])), (
    "along the caption: 1; against it: -1; however long"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

SIMILAR = """
import torch

got = similarity_map(torch.from_numpy(projected), torch.from_numpy(captions), (rows, columns))
result = torch.as_tensor(got).float().numpy()
"""


@hidden_check(
    "q3", points=2, says="gives the cosine of each patch with the caption of its own image"
)
def cosines(student, rng):
    rows, columns = int(rng.integers(2, 4)), int(rng.integers(4, 7))
    projected = (3 * rng.normal(size=(3, 1 + rows * columns, 6))).astype(np.float32)
    captions = rng.normal(size=(3, 6))
    captions = (captions / np.linalg.norm(captions, axis=1, keepdims=True)).astype(np.float32)
    expected = np.zeros((3, rows, columns))
    for image, row, column in np.ndindex(expected.shape):
        token = projected[image, 1 + row * columns + column]
        expected[image, row, column] = token @ captions[image] / np.linalg.norm(token)
    got = student.run(
        SIMILAR, projected=projected, captions=captions, rows=rows, columns=columns
    )
    assert np.shape(got) == expected.shape and np.allclose(got, expected, atol=1e-5)


# %% [raw]
# # END QUESTION
# %% [markdown]
# `spread` brings maps from patches to pixels: values between the middles of patches are interpolated. The
# next cells make the three maps of all images, with the object and without it, and draw those of one
# object.
# %%
def spread(maps, size=(100, 100)):
    """Spread maps (images, rows, columns) over the pixels: an array (images, height, width)."""
    maps = torch.as_tensor(maps).float()[:, None]
    return torch.nn.functional.interpolate(maps, size, mode="bilinear")[:, 0].numpy()


texts = [settings.caption(name) for name in about["object"]]
captions = torch.from_numpy(model.encode_texts(texts))


def maps_of(seen):
    """Return the three maps of all traced images, at the size of the model's input."""
    projected = adapter_of(model).project(seen.tokens[-1])
    patches = {
        "attention": attention_map(seen.attention[-1], seen.grid),
        "rollout": rollout(seen.attention)[:, 0, 1:].unflatten(-1, seen.grid),
        "similarity": similarity_map(projected, captions, seen.grid),
    }
    return {name: spread(maps) for name, maps in patches.items()}


maps, maps_without = maps_of(seen), maps_of(empty)


# %%
def draw(number, maps, scene, title):
    """Draw an image and its maps, with the outline of the place of the object."""
    figure, axes = plt.subplots(1, 4, figsize=(10, 3.1), layout="constrained")
    axes[0].imshow(scene.render(), extent=(0, 1, 1, 0))
    axes[0].set_title("image")
    for axis, (name, each) in zip(axes[1:], maps.items(), strict=True):
        axis.imshow(each[number], cmap="viridis", extent=(0, 1, 1, 0))
        axis.set_title(name)
    for axis in axes:
        middles = (np.arange(100) + 0.5) / 100
        axis.contour(middles, middles, masks[number], [0.5], colors="white", linewidths=1.5)
        axis.contour(middles, middles, masks[number], [0.5], colors="black", linewidths=0.5)
        axis.set_xlabel("x (fraction of width)")
    axes[0].set_ylabel("y (fraction of height)")
    figure.suptitle(f"{title} (yellow: high, dark blue: low)")
    plt.show()


for number in (2, 0):
    place = "at the center" if about["center"][number] else "in a corner"
    draw(number, maps, scenes[number], f"{about['object'][number]} {place}")
# %% [markdown]
# *The figures in words.* Each row shows an image and its three maps, with the outline of the object. In the
# first row the object stands at the center: attention and rollout are high inside the outline; the
# similarity map is high in a patch around it, and lowest in the middle of the object. In the second row it
# stands in a corner: attention and rollout are high at the side of the object that faces the middle, and in
# the rollout the middle is a little brighter than the border; the similarity map is highest in the middle of
# the image, where nothing stands.
#
# ## Scores
# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 1
# %% [markdown]
# **Question 4. Predict before you go on.** Two figures prove nothing. Over all images with the object in a
# *corner*: which map will tell the pixels of the object best from all others? Write `"attention"`,
# `"rollout"` or `"similarity"`. Every answer gets the point.
# %% [raw]
# # BEGIN SOLUTION
# %%
best_off_center = "rollout"  # SOLUTION
# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert best_off_center in COLORS, 'write "attention", "rollout" or "similarity"'


# %% [raw]
# # END TESTS
# %% tags=["hidden"]
@hidden_check("q4", points=1, says="a prediction was made")
def predicted(student, rng):
    assert student.value("best_off_center") in ("attention", "rollout", "similarity")


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 2
# %% [markdown]
# **Question 5.** Write `overlap`, the intersection over union of a map of patches with a mask of pixels. In
# this order:
#
# 1. spread the map over the pixels of the mask, with `spread(patches[None], mask.shape)[0]`;
# 2. scale it so that its smallest value becomes 0 and its largest 1;
# 3. the map *shows* all pixels with a value of at least 0.5;
# 4. divide the number of pixels that are shown *and* in the mask by the number that are shown *or* in the
#    mask.
# %% [raw]
# # BEGIN SOLUTION
# %%
def overlap(patches, mask):
    """Return the intersection over union of a map (rows, columns) with a mask (height, width), in [0, 1]."""
    # BEGIN SOLUTION
    pixels = spread(patches[None], mask.shape)[0]
    shown = (pixels - pixels.min()) / (pixels.max() - pixels.min()) >= 0.5
    return (shown & mask).sum() / (shown | mask).sum()
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_mask = np.zeros((4, 4), dtype=bool)
_mask[:2] = True
assert overlap(np.array([[7.0, 7.0], [3.0, 3.0]]), _mask) == 1, (
    "the upper half is shown, and is the mask"
)
# %%
_mask = np.zeros((4, 4), dtype=bool)
_mask[:, :2] = True
assert np.isclose(overlap(np.array([[7.0, 7.0], [3.0, 3.0]]), _mask), 1 / 3), (
    "4 pixels in both, 12 in either"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np


def _spread(patches, height, width):
    """Interpolate between the middles of patches, slowly."""
    rows, columns = patches.shape
    result = np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        row = np.clip((y + 0.5) * rows / height - 0.5, 0, rows - 1)
        column = np.clip((x + 0.5) * columns / width - 0.5, 0, columns - 1)
        top, left = int(row), int(column)
        below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        down, aside = row - top, column - left
        upper = (1 - aside) * patches[top, left] + aside * patches[top, right]
        lower = (1 - aside) * patches[below, left] + aside * patches[below, right]
        result[y, x] = (1 - down) * upper + down * lower
    return result


def _overlap(patches, mask):
    pixels = _spread(patches, *mask.shape)
    shown = pixels >= (pixels.min() + pixels.max()) / 2
    return np.logical_and(shown, mask).sum() / np.logical_or(shown, mask).sum()


@hidden_check("q5", points=1, says="is right for maps and masks that it has not seen")
def overlaps(student, rng):
    for _ in range(4):
        patches, mask = rng.normal(size=(4, 5)), rng.random((24, 30)) < 0.3
        # the interpolations may round one pixel at the threshold to another side
        assert (
            abs(float(student.call("overlap", patches, mask)) - _overlap(patches, mask)) < 0.01
        )


@hidden_check(
    "q5",
    points=1,
    says="is right where a few values are much larger than the others, and below zero",
)
def peaked(student, rng):
    for shift in (-20, 20):
        patches = shift + 0.5 * rng.random((4, 5))
        patches[rng.integers(1, 3), rng.integers(1, 4)] += 9
        pixels = _spread(patches, 24, 30)
        mask = np.roll(pixels >= (pixels.min() + pixels.max()) / 2, 3, axis=1)  # half beside it
        got = float(student.call("overlap", patches, mask))
        assert abs(got - _overlap(patches, mask)) < 0.01


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 2
# %% [markdown]
# **Question 6.** A threshold is arbitrary. The *AUROC* needs none: it is the probability that a pixel of
# the object, drawn at random, has a higher value than a pixel elsewhere; equal values count half. 1 is
# perfect, 0.5 is guessing, below 0.5 the map prefers the background.
#
# Write `auroc`. `pixels` and `mask` have the same shape. Do not compare all pairs: rank all pixels with
# `scipy.stats.rankdata`, which gives equal values their mean rank. With $n$ pixels in the mask, $m$
# elsewhere and $R$ the sum of the ranks in the mask,
#
# $$\text{AUROC} = \frac{R - n (n + 1) / 2}{n \cdot m}$$
# %% [raw]
# # BEGIN SOLUTION
# %%
def auroc(pixels, mask):
    """Return the probability that a pixel in the mask has a higher value than one elsewhere."""
    # BEGIN SOLUTION
    from scipy.stats import rankdata

    ranks = rankdata(pixels.ravel()).reshape(pixels.shape)
    n = mask.sum()
    return (ranks[mask].sum() - n * (n + 1) / 2) / (n * (mask.size - n))
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_mask = np.array([[True, False], [False, False]])
assert auroc(np.array([[4.0, 1.0], [2.0, 3.0]]), _mask) == 1, "the highest pixel is in the mask"
# %%
_mask = np.array([[True, False], [False, False]])
assert auroc(np.array([[1.0, 1.0], [1.0, 1.0]]), _mask) == 0.5, (
    "a map that is the same everywhere guesses"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np


def _auroc(pixels, mask):
    inside, outside = pixels[mask][:, None], pixels[~mask][None]
    return float(np.mean((inside > outside) + 0.5 * (inside == outside)))


@hidden_check(
    "q6",
    points=1,
    says="is right for maps that it has not seen, also for those that prefer the background",
)
def probability(student, rng):
    for sign in (1, -1):
        mask = rng.random((9, 12)) < 0.3
        pixels = rng.normal(size=(9, 12)) + sign * mask
        assert np.isclose(float(student.call("auroc", pixels, mask)), _auroc(pixels, mask))


@hidden_check("q6", points=1, says="counts equal values half")
def ties(student, rng):
    mask = rng.random((9, 12)) < 0.3
    pixels = rng.integers(0, 3, (9, 12)).astype(float) + (mask & (rng.random((9, 12)) < 0.3))
    assert np.isclose(float(student.call("auroc", pixels, mask)), _auroc(pixels, mask))


# %% [raw]
# # END QUESTION
# %%
scored = []
for name in maps:
    for image, about_it in answers.iterrows():
        found = auroc(maps[name][image], masks[image])
        nothing = auroc(maps_without[name][image], masks[image])
        kept = about_it[["image", "object", "center", "correct"]].to_dict()
        scored.append({"map": name, **kept, "auroc": found, "auroc_empty": nothing})
scored = pd.DataFrame(scored)
figure, axis = plt.subplots(figsize=(7, 3.6))
for step, name in enumerate(maps):
    for column, fill in (("auroc", "full"), ("auroc_empty", "none")):
        line = bootstrap.mean(scored[scored["map"] == name], column, by="center")
        x = np.array([1, 0]) + (step - 1) * 0.12 + (0.04 if fill == "none" else 0)
        reach = [line["mean"] - line["low"], line["high"] - line["mean"]]
        label = name if fill == "full" else f"{name}, same place without the object"
        marks = {"fmt": MARKS[name], "color": COLORS[name], "fillstyle": fill, "capsize": 3}
        axis.errorbar(x, line["mean"], reach, label=label, **marks)
axis.axhline(0.5, color="0.5", linestyle=":", label="guessing")
axis.set_xticks([0, 1], ["center", "corner"])
axis.set(xlabel="place of the object", ylabel="AUROC against the mask", ylim=(0, 1.05))
axis.set_title("Maps against masks, with the object (filled) and without it (open)")
axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(1, 0))
plt.show()


# %% [markdown]
# *The figure in words.* For each map there are a filled mark (with the object) and an open one (the same
# place on the empty background), at the center and in a corner, with 95 % intervals that resample objects.
# At the center, attention and rollout are near 1 with the object, and almost as high without it. In a corner
# they are lower with the object, and without it below the dotted line of guessing at 0.5. The similarity
# map, with triangles, is about as high with the object as without it: high at the center, near guessing in a
# corner.
#
# ## What the object adds
# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 2
# %% [markdown]
# **Question 7.** The open marks are a warning: a map may be high at a place whatever stands there. So
# measure what the object *adds*.
#
# The *contrast* of a map is its mean in the mask minus its mean elsewhere. Write `added`: the contrast of
# the map with the object minus that of the map without it, both divided by the range (largest minus
# smallest value) of the map *with* the object. All three have the same shape. Do not scale the two maps
# apart: then their numbers could not be compared.
# %% [raw]
# # BEGIN SOLUTION
# %%
def added(with_object, without, mask):
    """Return what the object adds to the contrast of a map, in units of the range of the map with the object."""
    # BEGIN SOLUTION
    difference = with_object - without
    return (difference[mask].mean() - difference[~mask].mean()) / np.ptp(with_object)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_mask = np.array([[True, False], [False, False]])
_map = np.array([[3.0, 1.0], [1.0, 1.0]])
assert added(_map, _map, _mask) == 0, (
    "a map that is the same without the object owes it nothing"
)
# %%
_mask = np.array([[True, False], [False, False]])
_with, _without = np.array([[5.0, 1.0], [1.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 1.0]])
assert added(_with, _without, _mask) == 0.5, "contrasts of 4 and 2, range of 4"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np


@hidden_check("q7", points=2, says="is right for maps that it has not seen")
def adds(student, rng):
    for size in (1, 0.01):
        mask = rng.random((9, 12)) < 0.3
        one, other = (
            size * (rng.normal(size=(9, 12)) + 2 * mask),
            size * (3 + 2 * rng.normal(size=(9, 12))),
        )
        contrasts = [each[mask].mean() - each[~mask].mean() for each in (one, other)]
        expected = (contrasts[0] - contrasts[1]) / (one.max() - one.min())
        assert np.isclose(float(student.call("added", one, other, mask)), expected)


# %% [raw]
# # END QUESTION
# %%
rows = []
for name in maps:
    for image in range(len(scenes)):
        value = added(maps[name][image], maps_without[name][image], masks[image])
        rows.append({"map": name, **about.loc[image, ["object", "center"]], "added": value})
own = bootstrap.mean(pd.DataFrame(rows), "added", by=["map", "center"])
own[["map", "center", "mean", "low", "high"]].round(2)


# %% [markdown]
# ## A map that misleads
# %% [raw]
# # BEGIN QUESTION
# name: q8
# points: 2
# %% [markdown]
# **Question 8.** A map looks convincing if its `auroc` is at least `limit`. It *misleads* if it looks
# convincing although
#
# - the model's answer is not `correct`, or
# - the map of the empty background has an `auroc_empty` of at least `limit`, too: it "finds" an object that
#   is not there.
#
# Write `misleading`. It takes a table with the columns `image`, `auroc`, `auroc_empty` and `correct`, and
# returns the list of the images whose map misleads, the highest `auroc` first.
# %% [raw]
# # BEGIN SOLUTION
# %%
def misleading(table, limit):
    """Return the images, a list, whose map looks convincing and should not convince; the highest AUROC first."""
    # BEGIN SOLUTION
    convincing = table["auroc"] >= limit
    wrong = ~table["correct"].astype(bool) | (table["auroc_empty"] >= limit)
    return table[convincing & wrong].sort_values("auroc", ascending=False)["image"].tolist()
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_table = pd.DataFrame(
    {"image": list("abc"), "auroc": [0.95, 0.99, 0.5], "correct": [False, True, False]}
)
_table["auroc_empty"] = 0.2
assert misleading(_table, 0.9) == ["a"], "b is right, and c is not convincing"
# %%
_table = pd.DataFrame({"image": list("ab"), "auroc": [0.95, 0.99], "correct": [False, True]})
_table["auroc_empty"] = 0.97
assert misleading(_table, 0.9) == ["b", "a"], "both mislead, b is the more convincing"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np
import pandas as pd


@hidden_check(
    "q8", points=2, says="finds the images in tables that it has not seen, in their order"
)
def finds(student, rng):
    table = pd.DataFrame({"image": [f"image {n}" for n in rng.permutation(40)]})
    table = table.assign(
        auroc=rng.permutation(np.linspace(0.3, 1, 40)), auroc_empty=rng.uniform(0.3, 1, 40)
    )
    table = table.assign(correct=rng.random(40) < 0.6)
    for limit in (0.6, 0.8):
        ordered = sorted(table.to_dict("records"), key=lambda row: -row["auroc"])
        expected = [
            row["image"]
            for row in ordered
            if row["auroc"] >= limit and (not row["correct"] or row["auroc_empty"] >= limit)
        ]
        assert list(student.call("misleading", table, limit)) == expected


# %% [raw]
# # END QUESTION
# %% [markdown]
# The most convincing of them for each map, with the object and without it. Change `number` to look at
# others.
# %%
for name in maps:
    found = misleading(scored[scored["map"] == name], 0.9)
    print(f"{name}: {len(found)} of {len(scenes)} maps mislead; {', '.join(found[:3])}")
rolled = misleading(scored[scored["map"] == "rollout"], 0.9)
number = answers.index[answers["image"] == rolled[0]][0]
draw(number, maps, scenes[number], f"{rolled[0]}, with the object")
draw(number, maps_without, scenes[number].empty(), f"{rolled[0]}, without the object")
# %% [markdown]
# *The figures in words.* Two rows for the same scene. Above, with the object, attention and rollout are
# high inside the outline. Below, the image is the bare background, with the outline of the place where the
# object stood: attention and rollout are high in the middle of the image, and so inside the outline, all
# the same; the similarity map is high there, too.
# %% [raw]
# # BEGIN QUESTION
# name: q9
# points: 4
# manual: true
# %% [markdown]
# **Question 9.** Choose one image and one map that misleads. Describe in 100 to 150 words what a reader
# would believe who sees only the map, what is true, and by which control you know it (the empty background,
# the model's answer, another caption, many images instead of one). Then say what one *can* conclude from
# your scores about where PocketCLIP-centered looks, with two numbers.
# %% [raw]
# # BEGIN SOLUTION
# %% [markdown]
# The rollout of an object at the center is bright exactly on the object, with an AUROC near 1. A reader
# would believe that the model found it. But the rollout of the empty background is bright at the same
# place, too, with an AUROC almost as high. So this map shows where the model looks in any image: in the middle. It
# would also be the same for every caption, since neither attention nor rollout depends on one. In the
# corners the bare background gives an AUROC near 0.4, and the object raises it to about 0.8: the tower
# does notice that something is there, while it names few objects there rightly. What can be
# concluded: the model has a strong habit to look at the center, the object adds to it at both places, and a
# high score on centered objects alone does not show that a map finds objects. Where it looks does not tell
# what it recognises.
# %% [raw]
# # END SOLUTION
# %% [markdown] tags=["rubric"]
# Question 9: 4 points.
#
# - 1 point: a concrete case (image and map) that looks convincing, with its score.
# - 1 point: a control that refutes it, named and used: the empty background, a wrong answer, another
#   caption, or many images.
# - 1 point: the explanation. The map shows a habit of place (or reading without recognition), not
#   recognition of the object.
# - 1 point: a conclusion that the scores do support, with two numbers and the comparison with guessing
#   (0.5) or with the empty background.
#
# Typical errors: "the map is wrong, so the code is wrong"; taking a low similarity map for a blind model,
# though the model answers rightly; concluding from one image; calling attention an explanation of the
# answer.
# %% [raw]
# # END QUESTION
