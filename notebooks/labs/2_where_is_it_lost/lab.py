# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [raw]
# # ASSIGNMENT CONFIG
# name: where_is_it_lost
# crosseyed:
#   title: Where is it lost?
#   version: 1
#   chapter: 02_embedding_decomposition
#   minutes: 100
#   data: []
#   models: [pocketclip-centered, pocketclip-uniform]
# %% [markdown]
# # Lab 2: Where is it lost?
#
# Lab 1 showed that PocketCLIP-centered does not recognise objects off-center. Is such an object not seen at
# all? Or is it seen, and lost on the way to the answer? You will open the tower and look.
#
# **What you will be able to do after this lab**
#
# - read what a transformer computes inside, with hooks that leave it as it was;
# - recompute one attention by hand, and get the numbers of the model;
# - write an embedding as an exact sum over the blocks;
# - read the object from its own tokens and from the class token, depth by depth, and say where the
#   off-center object is lost.
#
# Read the chapter *Where the off-center object is lost* up to "What each layer contributes" before you
# start. The lab takes about 100 minutes and runs on any laptop.
#
# **How to work.** Write your code where you see `...`. Then run the cell below it, such as
# `grader.check("q1")`. More checks run when the lab is graded, with other images and another model. Do not
# rename the functions.
# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from crosseyed.data import cutouts, layouts
from crosseyed.data.scenes import scene_table
from crosseyed.internals import trace
from crosseyed.internals.attention import coverage
from crosseyed.measure import bootstrap
from crosseyed.models.loading import load
from crosseyed.settings import settings

BLUE, ORANGE = "#0072B2", "#D55E00"  # told apart by all readers; marks and lines differ, too
# %% [markdown]
# ## The tower
#
# The image tower of PocketCLIP cuts an image of 100 × 100 pixels into 10 × 10 patches and makes a *token*
# of each, a vector of 128 numbers. In front of these 100 tokens stands the *class token*, number 0. Six
# *blocks* follow one another. Each adds to every token what its attention and its MLP return. After the
# last block the class token alone goes on: it is normalised and projected to the embedding.
#
# *Depth* 0 is what enters the first block, depth 1 is what leaves it, and so on to depth 6.
# %%
model = load("pocketclip-centered")
visual = model.clip.visual  # the image tower
blocks = visual.transformer.resblocks  # its six blocks
print(blocks[0])


# %%
def pixels_of(scenes):
    """Draw scenes and return what the tower takes: (images, 3, 100, 100)."""
    drawn, _ = next(
        model.read_batches([scene.render for scene in scenes], batch_size=len(scenes))
    )
    return model.to_input(drawn)


styles = ["fluent", "noto", "twemoji"]
catalogue = cutouts.read_catalogue(styles)
names = cutouts.objects_of(catalogue)
shown = cutouts.reordered(cutouts.sample_objects(catalogue, 16, 0), 0)
scenes = layouts.chessboard(layouts.grid(shown, 3, size=0.3, seed=0))  # center and four corners
about = scene_table(scenes)
pixels = pixels_of(scenes)
print(f"{len(scenes)} images: 16 objects, in 3 drawings, at the center and in 4 corners")


# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3
# %% [markdown]
# **Question 1.** Write `stream`. It encodes images with `visual(pixels)` and returns the tokens at all
# depths, as one tensor (depths, images, tokens, width). For PocketCLIP there are seven depths. Depth 0 is
# what enters the first block.
#
# Use `register_forward_hook`. A hook is a function `hook(module, inputs, output)` that torch calls after
# the module has run; `inputs` is a tuple. Remove all hooks at the end (`handle.remove()`): a hook that
# stays will run in every later pass.
# %% [raw]
# # BEGIN SOLUTION
# %%
def stream(visual, pixels):
    """Return the tokens at depths 0, 1, ... (depths, images, tokens, width)."""
    # BEGIN SOLUTION
    depths = []

    def keep(module, inputs, output):
        if not depths:
            depths.append(inputs[0])
        depths.append(output)

    handles = [block.register_forward_hook(keep) for block in visual.transformer.resblocks]
    try:
        with torch.no_grad():
            visual(pixels)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(depths)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert stream(visual, pixels[:2]).shape == (7, 2, 101, 128), (
    "seven depths, two images, 1 + 100 tokens"
)
# %%
_depths = stream(visual, pixels[:2])
with torch.no_grad():
    assert torch.allclose(blocks[2](_depths[2]), _depths[3], atol=1e-4), (
        "the third block leads from depth 2 to depth 3"
    )
# %%
_ = stream(visual, pixels[:2])
assert not any(block._forward_hooks for block in blocks), "no hook may stay"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

from crosseyed.data import cutouts, layouts
from crosseyed.internals import trace
from crosseyed.models.loading import load

OTHER_TOWER = """
import torch
from crosseyed.models.loading import load



def hooks():
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in tower.modules())


tower = load("pocketclip-uniform").clip.visual
before = hooks()
depths = stream(tower, torch.from_numpy(pixels))
result = {"depths": torch.as_tensor(depths).float().numpy(), "left": hooks() - before}
"""


def _scenes(rng):
    catalogue, seed = cutouts.read_catalogue(["noto"]), int(rng.integers(1e6))
    return layouts.scattered(cutouts.sample_objects(catalogue, 2, seed), seed=seed)


@hidden_check(
    "q1",
    points=2,
    says="gives the right tokens at every depth, in another tower for other images",
)
def depths(student, rng):
    model = load("pocketclip-uniform", device="cpu")
    images = [scene.render() for scene in _scenes(rng)]
    (seen,) = trace.run(model, images, "tokens", progress=False)
    drawn, _ = next(model.read_batches(images, progress=False))
    got = student.run(OTHER_TOWER, pixels=model.to_input(drawn).numpy())["depths"]
    assert got.shape == tuple(seen.tokens.shape) and np.allclose(
        got, seen.tokens.numpy(), atol=1e-3
    )


@hidden_check("q1", points=1, says="leaves no hook behind")
def removed(student, rng):
    got = student.run(OTHER_TOWER, pixels=np.zeros((1, 3, 100, 100), dtype=np.float32))
    assert got["left"] == 0 and got["depths"].size > 0


# %% [raw]
# # END QUESTION
# %% [markdown]
# ## One attention by hand
# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 3
# %% [markdown]
# **Question 2.** torch computes attention in one fused step and gives no probabilities. Compute them.
# `read` holds the tokens that attention reads (images, tokens, width). `weight` (3 · width, width) and
# `bias` (3 · width) make queries, keys and values of them, in this order: `read @ weight.T + bias`. Each is
# cut into `n_heads` parts of equal width, one after the other. In every head,
#
# $$P = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt{\text{head width}}}\right)$$
#
# where row $q$ of $P$ says how much token $q$ reads from each token. Return the probabilities (images,
# heads, tokens, tokens). The last axis is that of the tokens that are read, so each row sums to 1.
# %% [raw]
# # BEGIN SOLUTION
# %%
def probabilities(read, weight, bias, n_heads):
    """Return what each token reads from each token: (images, heads, reading tokens, read tokens)."""
    # BEGIN SOLUTION
    query, key, _ = (read @ weight.T + bias).chunk(3, dim=-1)
    query, key = (each.unflatten(-1, (n_heads, -1)).transpose(1, 2) for each in (query, key))
    return (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_got = probabilities(torch.randn(2, 5, 8), torch.randn(24, 8), torch.randn(24), 4)
assert _got.shape == (2, 4, 5, 5), "images, heads, tokens, tokens"
# %%
_got = probabilities(torch.randn(2, 5, 8), torch.randn(24, 8), torch.randn(24), 4)
assert torch.allclose(_got.sum(-1), torch.ones(2, 4, 5)), (
    "every row is a distribution over the tokens that are read"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

BY_HAND = """
import torch

given = [torch.from_numpy(each) for each in (read, weight, bias)]
result = torch.as_tensor(probabilities(*given, n_heads)).float().numpy()
"""


def _attention(read, weight, bias, n_heads):
    """Compute it slowly, one head and one token after the other."""
    images, tokens, width = read.shape
    size, both = width // n_heads, read @ weight.T + bias
    result = np.zeros((images, n_heads, tokens, tokens))
    for image, head, token in np.ndindex(images, n_heads, tokens):
        part = slice(head * size, (head + 1) * size)
        query = both[image, token, :width][part]
        scores = np.array(
            [query @ both[image, other, width : 2 * width][part] for other in range(tokens)]
        )
        scores = np.exp((scores - scores.max()) / np.sqrt(size))
        result[image, head, token] = scores / scores.sum()
    return result


def _given(rng, n_heads, size, images=2, tokens=6):
    width = n_heads * size
    shapes = {
        "read": (images, tokens, width),
        "weight": (3 * width, width),
        "bias": (3 * width,),
    }
    return {
        name: (0.5 * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


@hidden_check("q2", points=1, says="is right with one head")
def one_head(student, rng):
    given = _given(rng, 1, 6)
    got = student.run(BY_HAND, n_heads=1, **given)
    assert np.allclose(got, _attention(**given, n_heads=1), atol=1e-4)


@hidden_check("q2", points=2, says="is right with several heads")
def several_heads(student, rng):
    given = _given(rng, 3, 4)
    got = student.run(BY_HAND, n_heads=3, **given)
    assert np.shape(got) == (2, 3, 6, 6) and np.allclose(
        got, _attention(**given, n_heads=3), atol=1e-4
    )


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 2
# %% [markdown]
# **Question 3.** Now in the tower. A block computes `x + attn(ln_1(x))`, and adds `mlp(ln_2(...))` to that.
# Write `class_attention`: how much the *class token* reads from each token in the block that leads to
# `depth` (1 to 6), as a tensor (images, heads, tokens). Use your `stream` and `probabilities`. A block has
# its parts in `block.ln_1` and `block.attn`; there you find `in_proj_weight`, `in_proj_bias` and
# `num_heads`.
# %% [raw]
# # BEGIN SOLUTION
# %%
def class_attention(visual, pixels, depth):
    """Return what the class token reads in the block that leads to `depth`: (images, heads, tokens)."""
    # BEGIN SOLUTION
    block = visual.transformer.resblocks[depth - 1]
    with torch.no_grad():
        read = block.ln_1(stream(visual, pixels)[depth - 1])
        attn = block.attn
        return probabilities(read, attn.in_proj_weight, attn.in_proj_bias, attn.num_heads)[
            :, :, 0
        ]
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert class_attention(visual, pixels[:2], 6).shape == (2, 4, 101), "images, heads, tokens"
# %%
assert torch.allclose(class_attention(visual, pixels[:2], 6).sum(-1), torch.ones(2, 4)), (
    "what is read sums to 1"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

from crosseyed.data import cutouts, layouts
from crosseyed.internals import trace
from crosseyed.models.loading import load

# The student's function gets a stream and probabilities that are right, so that an earlier error costs nothing.
IN_TOWER = """
import torch
from crosseyed.models.loading import load


def right_stream(visual, pixels):
    depths = [visual._embeds(pixels)]
    for block in visual.transformer.resblocks:
        depths.append(block(depths[-1]))
    return torch.stack(depths)


def right_probabilities(read, weight, bias, n_heads):
    query, key = ((read @ weight.T + bias)[..., part] for part in (slice(0, width), slice(width, 2 * width)))
    query, key = (each.reshape(*each.shape[:2], n_heads, -1).transpose(1, 2) for each in (query, key))
    return (query @ key.transpose(-2, -1) / (width / n_heads) ** 0.5).softmax(-1)


tower = load("pocketclip-uniform").clip.visual
width, names = tower.ln_post.weight.shape[0], class_attention.__globals__
own = {name: names.get(name) for name in ("stream", "probabilities")}
names.update(stream=right_stream, probabilities=right_probabilities)
try:
    with torch.no_grad():
        read = [class_attention(tower, torch.from_numpy(pixels), depth) for depth in depths]
finally:
    names.update(own)
result = torch.stack(read).numpy()
"""


@hidden_check("q3", points=2, says="agrees with the library, in another tower for other images")
def in_tower(student, rng):
    model, seed = load("pocketclip-uniform", device="cpu"), int(rng.integers(1e6))
    some = cutouts.sample_objects(cutouts.read_catalogue(["twemoji"]), 2, seed)
    images = [scene.render() for scene in layouts.scattered(some, seed=seed)]
    (seen,) = trace.run(model, images, "attention", progress=False)
    drawn, _ = next(model.read_batches(images, progress=False))
    got = student.run(IN_TOWER, pixels=model.to_input(drawn).numpy(), depths=[1, 3, 6])
    expected = seen.attention[[0, 2, 5]].numpy()
    assert got.shape == expected.shape and np.allclose(got, expected, atol=1e-4)


# %% [raw]
# # END QUESTION
# %% [markdown]
# Compare with the library, which reads the same in `crosseyed.internals.trace`:
# %%
(seen,) = trace.run(model, [scene.render for scene in scenes[:2]], "attention")
difference = (class_attention(visual, pixels[:2], 3) - seen.attention[2]).abs().max()
print(f"largest difference at depth 3: {difference:.0e}")
# %% [markdown]
# ## The embedding is a sum
#
# Each block *adds* to the tokens. So the class token after the last block is a sum: what entered the first
# block, plus what each attention added, plus what each MLP added. The next cell lists these thirteen parts.
# %%
some = about.index[about["style"] == "fluent"]  # one drawing of each object, to save time
wanted = ["tokens", "attention_output", "mlp"]
(seen,) = trace.run(model, [scenes[n].render for n in some], wanted, batch_size=len(some))
parts = torch.cat([seen.tokens[:1], seen.attention_output, seen.mlp])[:, :, 0]
part_names = [
    "start",
    *(f"attention {n}" for n in range(1, 7)),
    *(f"MLP {n}" for n in range(1, 7)),
]
rest = (parts.sum(0) - seen.tokens[-1][:, 0]).abs().max()
print(f"{len(parts)} parts; their sum differs from the last class token by at most {rest:.0e}")


# %% [raw]
# # BEGIN QUESTION
# name: q4
# points: 3
# %% [markdown]
# **Question 4.** After the last block come the final norm and the projection:
#
# $$
# \text{embedding} = \left(\frac{x - \text{mean}(x)}{s(x)} \odot w + b\right) P, \qquad
# s(x) = \sqrt{\text{var}(x) + \varepsilon}
# $$
#
# Mean and variance are over the numbers of one token; the variance is that of LayerNorm (`unbiased=False`).
# This is not linear, because $s$ depends on $x$. But if $s$ is held at the value that it has for the
# *whole* sum $x$, the embedding is a sum over the parts of $x$, and one more summand, $b P$, for the bias.
#
# Write `contributions`. `parts` (parts, images, width) add up to $x$, `norm` is a `torch.nn.LayerNorm`
# (`weight`, `bias`, `eps`), `projection` is $P$ (width, embed_dim). Return the summands (parts + 1, images,
# embed_dim), the bias last.
# %% [raw]
# # BEGIN SOLUTION
# %%
def contributions(parts, norm, projection):
    """Return what each part of the class token, and the bias, add to the embedding: (parts + 1, images, embed_dim)."""
    # BEGIN SOLUTION
    whole = parts.sum(0)
    scale = (whole.var(-1, unbiased=False, keepdim=True) + norm.eps).sqrt()
    centered = parts - parts.mean(-1, keepdim=True)
    summands = (centered / scale * norm.weight) @ projection
    bias = (norm.bias @ projection).expand(1, *summands.shape[1:])
    return torch.cat([summands, bias])
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert contributions(parts, visual.ln_post, visual.proj).shape == (14, 80, 128), (
    "thirteen parts and the bias"
)
# %%
_sum = contributions(parts, visual.ln_post, visual.proj).sum(0)
assert torch.allclose(_sum, seen.embedding, atol=1e-3), (
    "the summands must add up to the embedding"
)
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

SUMMANDS = """
import torch

norm = torch.nn.LayerNorm(parts.shape[-1], eps=eps)
norm.weight.data, norm.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
with torch.no_grad():
    got = contributions(torch.from_numpy(parts), norm, torch.from_numpy(projection))
result = torch.as_tensor(got).numpy()
"""


def _norms(rng):
    parts = rng.normal(0.5, 1, (4, 3, 10)) * np.array([0.2, 1, 3, 1]).reshape(4, 1, 1)
    given = {"parts": parts, "weight": rng.normal(1, 0.3, 10), "bias": rng.normal(size=10)}
    given |= {"projection": rng.normal(size=(10, 5))}
    return {name: each.astype(np.float32) for name, each in given.items()} | {"eps": 0.1}


def _whole(parts, weight, bias, projection, eps):
    whole = parts.sum(0)
    centered = whole - whole.mean(-1, keepdims=True)
    return centered, np.sqrt((centered**2).mean(-1, keepdims=True) + eps)


@hidden_check(
    "q4",
    points=1,
    says="the summands add up to the embedding, for numbers that it has not seen",
)
def adds_up(student, rng):
    given = _norms(rng)
    centered, scale = _whole(**given)
    expected = (centered / scale * given["weight"] + given["bias"]) @ given["projection"]
    got = student.run(SUMMANDS, **given)
    assert np.shape(got) == (5, 3, 5) and np.allclose(got.sum(0), expected, atol=1e-3)


@hidden_check(
    "q4",
    points=2,
    says="each summand is that of its part, with the norm held at the whole sum's",
)
def each_part(student, rng):
    given = _norms(rng)
    _, scale = _whole(**given)
    got = student.run(SUMMANDS, **given)
    assert len(got) == 5
    for summand, part in zip(got[:-1], given["parts"], strict=True):
        expected = ((part - part.mean(-1, keepdims=True)) / scale * given["weight"]) @ given[
            "projection"
        ]
        assert np.allclose(summand, expected, atol=1e-3)
    assert np.allclose(got[-1], given["bias"] @ given["projection"], atol=1e-3)


# %% [raw]
# # END QUESTION
# %% [markdown]
# The scalar product of a summand with the caption of the object is its *direct effect*: its share of the
# similarity. As only differences between captions decide, the mean of all captions is subtracted first.
# Which attention speaks for the name at the center, and no longer off-center?
# %%
captions = torch.from_numpy(model.encode_texts([settings.caption(name) for name in names]))
truth = [names.index(name) for name in about["object"][some]]
directions = (captions - captions.mean(0))[truth]
summands = contributions(parts, visual.ln_post, visual.proj)
effects = (summands / seen.embedding.norm(dim=-1)[:, None] * directions).sum(-1)
at_center = torch.from_numpy(about["center"][some].to_numpy().copy())
for side, color, style in ((at_center, BLUE, "o-"), (~at_center, ORANGE, "s--")):
    label = "center" if side is at_center else "off-center"
    plt.plot(range(1, 7), effects[1:7, side].mean(1), style, color=color, label=label)
plt.axhline(0, color="0.5", linewidth=1)
plt.xlabel("block")
plt.ylabel("direct effect on the name (cosine similarity)")
plt.title("What attention adds to the similarity with the name")
plt.legend(title="object")
plt.show()
# %% [markdown]
# *The figure in words.* Two lines over the six blocks show the mean direct effect of attention. For objects
# at the center, the line with dots, it rises, and is by far the largest in the last three blocks. For
# objects off-center, the dashed line with squares, it is smaller in every block, and falls after the fourth.
#
# ## Is the object there?
# %% [raw]
# # BEGIN QUESTION
# name: q5
# points: 1
# %% [markdown]
# **Question 5. Predict before you go on.** An object stands in a corner. At depth 3, half-way through the
# tower, where will a reader find it more often: in the tokens of the patches that it covers, or in the
# class token? Write `"own tokens"`, `"class token"` or `"same"`. Every answer gets the point.
# %% [raw]
# # BEGIN SOLUTION
# %%
found_in = "own tokens"  # SOLUTION
# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert found_in in ("own tokens", "class token", "same"), (
    'write "own tokens", "class token" or "same"'
)


# %% [raw]
# # END TESTS
# %% tags=["hidden"]
@hidden_check("q5", points=1, says="a prediction was made")
def predicted(student, rng):
    assert student.value("found_in") in ("own tokens", "class token", "same")


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q6
# points: 2
# %% [markdown]
# **Question 6.** The scenes are composed, so it is known which share of each patch the object covers. Write
# `under_object`: the mean of the tokens under the object, weighted by these shares. `tokens` are (images, 1
# + patches, width), the class token first; `covered` is (images, rows, columns), in the order in which you
# read a page. Return (images, width).
# %% [raw]
# # BEGIN SOLUTION
# %%
def under_object(tokens, covered):
    """Return the mean of the tokens under the object, weighted by how much of each patch it covers: (images, width)."""
    # BEGIN SOLUTION
    weights = covered.flatten(1)
    weights = weights / weights.sum(1, keepdim=True)
    return (weights[..., None] * tokens[:, 1:]).sum(1)
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_tokens = torch.arange(5.0).reshape(
    1, 5, 1
)  # a class token 0, then four patches with the numbers 1 to 4
_covered = torch.tensor([[[0.0, 0.0], [0.5, 0.5]]])
assert torch.allclose(under_object(_tokens, _covered), torch.tensor([[3.5]])), (
    "the patches of the lower row are 3 and 4"
)
# %%
_tokens, _covered = torch.randn(3, 7, 4), torch.rand(3, 2, 3)
assert under_object(_tokens, _covered).shape == (3, 4), "one vector for each image"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np

UNDER = """
import torch

got = under_object(torch.from_numpy(tokens), torch.from_numpy(covered))
result = torch.as_tensor(got).float().numpy()
"""


@hidden_check("q6", points=2, says="weights the right tokens, on grids that it has not seen")
def weighted(student, rng):
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(5, 8))
    tokens = rng.normal(size=(3, 1 + rows * columns, 4)).astype(np.float32)
    covered = (
        rng.random((3, rows, columns)) * (rng.random((3, rows, columns)) < 0.5) + 0.01
    ).astype(np.float32)
    expected = np.zeros((3, 4))
    for image, row, column in np.ndindex(covered.shape):
        expected[image] += (
            covered[image, row, column] * tokens[image, 1 + row * columns + column]
        )
    expected /= covered.sum((1, 2))[:, None]
    got = student.run(UNDER, tokens=tokens, covered=covered)
    assert np.shape(got) == (3, 4) and np.allclose(got, expected, atol=1e-4)


# %% [raw]
# # END QUESTION
# %% [raw]
# # BEGIN QUESTION
# name: q7
# points: 2
# %% [markdown]
# **Question 7.** A *probe* reads what a vector tells. Yours answers with the nearest mean:
#
# 1. standardise: subtract the mean of `vectors` from every number, and divide by its standard deviation
#    (add `1e-6` to it);
# 2. take the mean of the standardised vectors of each name;
# 3. answer each row of `asked`, standardised in the same way, with the name whose mean is nearest
#    (Euclidean distance).
#
# `vectors` (images, width) and `asked` (others, width) are arrays, `names` is a list with one name for each
# image. Nothing may be learned from `asked`.
# %% [raw]
# # BEGIN SOLUTION
# %%
def nearest_mean(vectors, names, asked):
    """Return the name (others,) whose mean of `vectors` is nearest to each row of `asked`, after standardising."""
    # BEGIN SOLUTION
    center, spread = vectors.mean(0), vectors.std(0) + 1e-6
    vectors, asked = (vectors - center) / spread, (asked - center) / spread
    known = np.unique(names)
    means = np.stack([vectors[np.asarray(names) == name].mean(0) for name in known])
    distances = np.linalg.norm(asked[:, None] - means, axis=-1)
    return known[distances.argmin(1)]
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
_vectors, _names = (
    np.array([[0.0, 0], [0, 2], [10, 0], [10, 2]]),
    ["cat", "cat", "dog", "dog"],
)
_got = nearest_mean(_vectors, _names, np.array([[1.0, 5], [9, 5]]))
assert list(_got) == ["cat", "dog"], "the first is nearer to the cats, the second to the dogs"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np


def _reference(vectors, names, asked):
    spread = vectors.std(0) + 1e-6
    vectors, asked, answers = vectors / spread, asked / spread, []
    for row in asked:
        distance = {
            n: np.linalg.norm(row - vectors[names == n].mean(0)) for n in sorted(set(names))
        }
        answers.append(min(distance, key=distance.get))
    return answers


@hidden_check(
    "q7",
    points=1,
    says="answers as the nearest mean does where numbers differ much in their size",
)
def scales(student, rng):
    names = np.repeat([f"object {n}" for n in range(6)], 4)
    size = np.array([0.01, 1, 100, 1, 1])
    means = np.repeat(rng.normal(size=(6, 5)), 4, axis=0)
    vectors = (means + 0.7 * rng.normal(size=(24, 5))) * size + 3 * size
    asked = (means + 0.7 * rng.normal(size=(24, 5))) * size + 3 * size
    got = list(student.call("nearest_mean", vectors, names.tolist(), asked))
    assert got == _reference(vectors, names, asked)


@hidden_check("q7", points=1, says="learns nothing from what it is asked")
def learns_nothing(student, rng):
    names = np.repeat(["a", "b", "c"], 5)
    size = np.array([0.01, 1, 100, 1])
    vectors = size * (rng.normal(size=(15, 4)) + np.repeat(rng.normal(size=(3, 4)), 5, axis=0))
    asked = vectors * np.array([1, 5, 1, 0.2]) + 1.5 * size
    together = list(student.call("nearest_mean", vectors, names.tolist(), asked))
    alone = [
        student.call("nearest_mean", vectors, names.tolist(), row[None])[0] for row in asked
    ]
    assert together == alone == _reference(vectors, names, asked)


# %% [raw]
# # END QUESTION
# %% [markdown]
# The next cell asks your probe at every depth about two places: the tokens under the object, and the class
# token. It learns from two drawings of each object and is asked about the third, in the same cell of the
# grid. So it has never seen the drawing, and it knows where to look. Guessing would find one object in 16.
# %%
def found(vectors):
    """Return which images (images,) the probe answers rightly, each drawing asked after learning from the others."""
    correct = np.zeros(len(about), dtype=bool)
    for _, cell in about.groupby(["row", "col"]):
        for style in styles:
            asked, learned = (
                cell.index[cell["style"] == style],
                cell.index[cell["style"] != style],
            )
            answer = nearest_mean(
                vectors[learned], about["object"][learned].tolist(), vectors[asked]
            )
            correct[asked] = answer == about["object"][asked]
    return correct


depths = torch.cat([stream(visual, each) for each in pixels.split(60)], dim=1)
grid = visual.grid_size
covered = torch.from_numpy(
    coverage(np.stack([scene.masks()[0] for scene in scenes]), grid)
).float()
asked = []
for depth, tokens in enumerate(depths):
    places = {"own tokens": under_object(tokens, covered), "class token": tokens[:, 0]}
    for place, vectors in places.items():
        asked.append(about.assign(depth=depth, place=place, correct=found(vectors.numpy())))
probed = bootstrap.accuracy(pd.concat(asked), by=["place", "center", "depth"])
probed.pivot_table(index=["place", "center"], columns="depth", values="accuracy").round()
# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for axis, place in zip(axes, ["own tokens", "class token"], strict=True):
    for center, color, style in ((True, BLUE, "o-"), (False, ORANGE, "s--")):
        line = probed[(probed["place"] == place) & (probed["center"] == center)]
        reach = [line["accuracy"] - line["low"], line["high"] - line["accuracy"]]
        label = "center" if center else "off-center"
        axis.errorbar(
            line["depth"],
            line["accuracy"],
            reach,
            fmt=style,
            color=color,
            capsize=3,
            label=label,
        )
    axis.axhline(100 / 16, color="0.5", linestyle=":", label="guessing")
    axis.set(xlabel="depth (0: before the first block)", title=place)
axes[0].set_ylabel("object found by the probe (%)")
axes[0].legend(title="object")
figure.suptitle("Is the object there? Its own tokens and the class token")
plt.show()


# %% [markdown]
# *The figure in words.* Two panels show over the seven depths how often the probe finds the object, with 95
# % intervals that resample objects. In the left panel, the object's own tokens, the lines of center (dots)
# and off-center (dashed, squares) begin together, well above the dotted line of guessing; from depth 3 on
# that of the center is far above. In the right panel, the class token, both begin at guessing. The line of
# the center climbs steeply to nearly all objects; that of off-center stays below a third.
# %% [raw]
# # BEGIN QUESTION
# name: q8
# points: 2
# %% [markdown]
# **Question 8.** From which depth on are center and off-center apart? Write `first_apart`. `center` and
# `off_center` hold one percentage for each depth. Return the first depth from which on, at this and at *all
# later* depths, the center is at least `points` percentage points above off-center; `None` if there is no
# such depth.
# %% [raw]
# # BEGIN SOLUTION
# %%
def first_apart(center, off_center, points):
    """Return the first depth from which on the center stays at least `points` above off-center, or None."""
    # BEGIN SOLUTION
    apart = np.asarray(center) - np.asarray(off_center) >= points
    together = np.flatnonzero(~apart)
    first = together[-1] + 1 if len(together) else 0
    return int(first) if first < len(apart) else None
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert first_apart([10, 50, 60], [10, 10, 10], 20) == 1, "apart from depth 1 on"
# %%
assert first_apart([10, 20, 20], [10, 10, 10], 20) is None, "never apart"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np


def _first(center, off_center, points):
    for depth in range(len(center)):
        if all(center[each] - off_center[each] >= points for each in range(depth, len(center))):
            return depth
    return None


@hidden_check("q8", points=1, says="is right for curves that it has not seen")
def curves(student, rng):
    for _ in range(20):
        center, off_center = rng.integers(0, 60, (2, 6))
        center = center + np.arange(6) * 8
        center[0] = off_center[0]
        got = student.call("first_apart", center.tolist(), off_center.tolist(), 15)
        expected = _first(center.tolist(), off_center.tolist(), 15)
        assert (got is None) == (expected is None) and (got is None or int(got) == expected)


@hidden_check(
    "q8", points=1, says="asks that center and off-center stay apart, and knows depth 0"
)
def stays(student, rng):
    assert student.call("first_apart", [60, 10, 60, 60], [10, 10, 10, 10], 20) == 2
    assert student.call("first_apart", [60, 60, 10], [10, 10, 10], 20) is None
    assert student.call("first_apart", [60, 60, 60], [10, 10, 40], 20) == 0


# %% [raw]
# # END QUESTION
# %%
for place, table in probed.groupby("place"):
    lines = table.pivot_table(index="depth", columns="center", values="accuracy")
    depth = first_apart(lines[True].to_numpy(), lines[False].to_numpy(), 20)
    print(f"{place}: at least 20 points apart from depth {depth} on")
# %% [raw]
# # BEGIN QUESTION
# name: q9
# points: 4
# manual: true
# %% [markdown]
# **Question 9.** Where is the off-center object lost? Answer in 100 to 150 words. Say what is in its own
# tokens and what is in the class token, with two numbers from your figures; which step of the tower must
# move the object from the one to the other; what the direct effects add to this; and what a probe that
# finds *nothing* would not prove.
# %% [raw]
# # BEGIN SOLUTION
# %% [markdown]
# At depth 2 the probe finds an off-center object in its own tokens in almost every second image, nearly as
# often as one at the center, and guessing would find one in 16. So it is seen. It seldom gets into the class
# token: there the center climbs to 98 %, off-center to about 25 %, and the two are more than 20 points apart
# from depth 2 on, one depth earlier than in the own tokens. Tokens exchange information by attention alone,
# so the loss is in what the class token reads: the attention from the class token to the object's tokens.
# This fits the direct effects: attention, most of all that of the last three blocks, speaks for the name at
# the center and much less off-center. Later the own tokens fall behind, too; but by then the class token has
# not read them. A probe that finds nothing proves little: the object may be coded in a way that the nearest
# mean, with two drawings to learn from, cannot read.
# %% [raw]
# # END SOLUTION
# %% [markdown] tags=["rubric"]
# Question 9: 4 points.
#
# - 1 point: tells presence in the object's own tokens from presence in the class token, each with a number,
#   and compares with guessing.
# - 1 point: names attention from the class token to the object's tokens as the only step that can move it.
# - 1 point: uses the direct effects as second evidence (late attention, center against off-center), and
#   does not claim more than that: a direct effect leaves out what later blocks make of a part.
# - 1 point: the limit of a probe. What it finds is there; what it does not find may be there in another
#   form.
#
# Typical errors: "the patches at the border are not processed" (they are, by the same weights); "the
# position embeddings delete the object" (not tested here); reading the height of the two panels against
# each other as if one were a ceiling.
# %% [raw]
# # END QUESTION
