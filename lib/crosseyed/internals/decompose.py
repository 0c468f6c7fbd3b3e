"""The embedding as an exact sum over layers, heads, MLPs and tokens.

Every block adds to the tokens what its attention and its MLP return, and what follows the last block (pooling, final
norm, projection) is affine once the norm's statistics and the pooling's attention are held at the values they had for
this image (`crosseyed.models.towers.base.Readout`). So the embedding is the sum of what enters the first block, of
every head's and every MLP's **direct effect**, and of biases; and what a head writes is in turn a sum over the tokens
that it attends to (Gandelsman et al., ICLR 2024, arXiv 2310.05916, sections 3 to 5). Later layers also react to what
a part writes; a direct effect does not contain that.

Contributions here are those to the embedding of length 1, as `ClipModel.encode_images` returns it. Their scalar
products with the embedding of a caption (of length 1) add up to the cosine similarity. A model in half precision
rounds: its sum is within 5e-3 (fp16) and 3e-2 (bf16) of the embedding instead of 1e-4 (relative).

Parameters shared by the functions: `decomposition`, of n images; `directions`, float (n_images, embed_dim), for each
image the embedding of its caption, possibly `centered`. All raise InputError if the directions do not fit. An
`effect` is in units of the cosine similarity, and `image` is the number in the stream.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.geometry import rings
from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.attention import patch_eccentricities
from crosseyed.internals.trace import listened, stream
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import AttentionWeights, Calls, TowerAdapter
from crosseyed.models.towers.registry import adapter_of

_BATCH_AXIS = {
    **dict.fromkeys(("embedding", "length", "start", "tokens", "bias"), 0),
    **dict.fromkeys(("heads", "mlp", "head_tokens"), 1),
}

_PRODUCTS = {2: "be,be->b", 3: "bte,be->bt", 4: "lbhe,be->lbh"}


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The embeddings of one batch as sums; see the module's docstring.

    These sums are equal to `embedding`::

        start + heads.sum((0, 2)) + mlp.sum(0) + bias
        start + tokens.sum(1)     + mlp.sum(0) + bias

    Attributes
    ----------
    images : range, which images of the stream these are
    layers : tuple of int, depth that each attention leads to; of a ResNet, the depth that its attention pooling reads
    grid, prefix : rows and columns of the spatial tokens, and number of tokens before them
    embedding : torch.Tensor, shape (batch, embed_dim), of length 1
    length : torch.Tensor, shape (batch,), of the embedding before it was normalised
    start : torch.Tensor, shape (batch, embed_dim), by what enters the first block; 0 in a ResNet
    heads : torch.Tensor, shape (layers, batch, heads, embed_dim), without the bias of the attention's output
    tokens : torch.Tensor, shape (batch, tokens, embed_dim), through the attention to each, over layers and heads
    mlp : torch.Tensor, shape (blocks, batch, embed_dim); empty in a ResNet
    bias : torch.Tensor, shape (batch, embed_dim), all biases outside the MLPs and the heads
    head_tokens : torch.Tensor, shape (layers, batch, heads, tokens, embed_dim), each token through each head, or None
    """

    images: range
    layers: tuple[int, ...]
    grid: tuple[int, int]
    prefix: int
    embedding: Tensor
    length: Tensor
    start: Tensor
    heads: Tensor
    tokens: Tensor
    mlp: Tensor
    bias: Tensor
    head_tokens: Tensor | None = None


def decompose(
    model: ClipModel,
    images: Iterable[ImageSource],
    *,
    head_tokens: bool = False,
    batch_size: int | None = None,
    progress: bool = True,
) -> Iterator[Decomposition]:
    """Encode images and write their embeddings as sums of direct effects, batch by batch.

    Beyond the tokens of all layers of one batch it takes (batch, heads + tokens, embed_dim) numbers a layer, and
    (batch, heads, tokens, tokens) for one layer where pooling is not by the class token.

    Parameters
    ----------
    model, images, batch_size, progress : as for `crosseyed.internals.trace.run`; unreadable images are NaN
    head_tokens : bool, keep `Decomposition.head_tokens`: layers × heads × tokens × embed_dim numbers an image

    Raises
    ------
    UnsupportedTower
        The tower cannot be traced, or its embedding is no such sum.
    """
    adapter = adapter_of(model)
    adapter.require("decomposition")
    run = partial(_decompose_batch, model, adapter, head_tokens)
    return stream(model, images, run, batch_size=batch_size, progress=progress)


@torch.no_grad()
def _decompose_batch(
    model: ClipModel, adapter: TowerAdapter, head_tokens: bool, batch: Tensor, first: int
) -> Decomposition:
    calls = listened(model, adapter, {"mlp"}, batch)
    return decomposed(adapter, calls, range(first, first + len(batch)), head_tokens)


@torch.no_grad()
def decomposed(
    adapter: TowerAdapter, calls: Calls, images: range, keep_head_tokens: bool = False
) -> Decomposition:
    """Decompose a batch that was `listened` to, with "mlp" among what was wanted.

    Parameters
    ----------
    adapter : TowerAdapter whose embedding is such a sum
    calls : Calls, of a batch
    images : range, the numbers of its images in the stream
    keep_head_tokens : bool, as `head_tokens` of `decompose`
    """
    embedding, readout = calls["tower"][1].float(), adapter.pool(calls).readout
    heads, head_tokens, bias = [], [], readout.bias
    tokens = torch.zeros(*readout.rows[:, 0].shape, embedding.shape[-1], device=embedding.device)
    if adapter.blocks:
        layers, start = adapter.blocks, readout(adapter.tokens(calls, 0).float())
        mlp = torch.stack([readout(adapter.added(calls, layer, "mlp").float()) for layer in adapter.blocks])
        for layer in adapter.blocks:
            weights, read = adapter.attention(layer), adapter.attended(calls, layer).float()
            factor, written_besides = adapter.written(calls, layer)
            rows, values = readout.rows * factor[:, None], weights.values(read)
            gathered = _gathered(adapter, weights, read, rows)
            written = torch.einsum("hdw,gwe->ghde", weights.output, readout.matrix)
            heads.append(torch.einsum("bght,bhtd,ghde->bhe", gathered, values, written))
            # group by group: all groups of a token at once would be groups × width numbers
            for group, into in zip(gathered.unbind(1), written, strict=True):
                tokens += torch.einsum("bhtd,hde->bte", group[..., None] * values, into)
            if keep_head_tokens:
                head_tokens.append(torch.einsum("bght,bhtd,ghde->bhte", gathered, values, written))
            bias = bias + readout(written_besides.expand(*tokens.shape[:2], -1))
    else:  # the readout's groups are the heads of attention pooling, the only ones there are
        layers, start = adapter.layers[-1:], torch.zeros_like(embedding)
        mlp = embedding.new_zeros(0, *embedding.shape)
        for rows, matrix in zip(readout.rows.unbind(1), readout.matrix, strict=True):
            contribution = rows[..., None] * (adapter.tokens(calls, layers[0]).float() @ matrix)
            heads.append(contribution.sum(1))
            tokens += contribution
            if keep_head_tokens:
                head_tokens.append(contribution)
        heads = [torch.stack(heads, 1)]
        head_tokens = [torch.stack(head_tokens, 1)] if head_tokens else []
    length = embedding.norm(dim=-1)
    by_image = 1 / length[:, None]
    return Decomposition(
        images=images,
        layers=layers,
        grid=adapter.grid,
        prefix=adapter.prefix,
        embedding=embedding * by_image,
        length=length,
        start=start * by_image,
        heads=torch.stack(heads) * by_image[:, None],
        tokens=tokens * by_image[:, None],
        mlp=mlp * by_image,
        bias=bias * by_image,
        head_tokens=torch.stack(head_tokens) * by_image[:, None, None] if head_tokens else None,
    )


def _gathered(adapter: TowerAdapter, weights: AttentionWeights, read: Tensor, rows: Tensor) -> Tensor:
    """Return the share of each token that each head adds to the embedding: (batch, groups, heads, tokens)."""
    if adapter.pooled_token is not None:
        token = adapter.pooled_token
        return rows[:, :, token, None, None] * weights.row(token, read)[:, None]
    return torch.einsum("bgq,bhqt->bght", rows, weights.rows(read, read))


def concatenate(parts: Iterable[Decomposition]) -> Decomposition:
    """Join consecutive batches of `decompose` on the CPU; raises InputError if there is none."""
    collected: dict[str, list[Tensor]] = {}
    part, first = None, None
    for part in parts:
        first = part.images.start if first is None else first
        for name in _BATCH_AXIS:
            if getattr(part, name) is not None:
                collected.setdefault(name, []).append(getattr(part, name).cpu())
    if part is None:
        raise InputError("There is no batch to join: give decompose at least one image.")
    joined = {name: torch.cat(tensors, _BATCH_AXIS[name]) for name, tensors in collected.items()}
    return replace(part, images=range(first, part.images.stop), **joined)


def centered(captions: np.ndarray) -> np.ndarray:
    """Subtract from captions' embeddings (n_captions, embed_dim), at least two, their mean, which changes no choice."""
    if captions.ndim != 2 or len(captions) < 2:
        raise InputError(
            f"The captions' embeddings have the shape {captions.shape}; give at least two captions to choose from."
        )
    return captions - captions.mean(0)


def effect_maps(decomposition: Decomposition, directions: np.ndarray) -> np.ndarray:
    """Map where on the image the similarity to its caption comes from, as far as attention brings it.

    Returns the direct effect of each spatial token, summed over layers and heads: (n_images, rows, columns).
    """
    effects = _along(decomposition.tokens, _directions(decomposition, directions))
    return effects[:, decomposition.prefix :].reshape(-1, *decomposition.grid)


def effect_parts(decomposition: Decomposition, directions: np.ndarray, covered: np.ndarray) -> pd.DataFrame:
    """Split the similarity to a caption into contributions of the object's tokens, of the others and of the rest.

    Parameters
    ----------
    covered : float (n_images, rows, columns), from `attention.coverage`; divides a patch between object and background

    Returns
    -------
    pandas.DataFrame
        One row per image: `image`, `similarity` and its summands

        - `on_object`, `elsewhere`: of spatial tokens, through the attention to them;
        - `prefix`: of the class token (or a ResNet's mean token) through the attention to it;
        - `rest`: of what enters the first block, the MLPs and the biases;

        and `per_object_token`: `on_object` by the number of patches that the object covers, NaN for none.
    """
    directions = _directions(decomposition, directions)
    covered = check_covered(covered, len(decomposition.images), decomposition.grid)
    tokens = _along(decomposition.tokens, directions)
    prefix, spatial = np.split(tokens, [decomposition.prefix], axis=1)
    others = decomposition.start + decomposition.mlp.sum(0) + decomposition.bias
    on_object = (spatial * covered).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_token = np.where(covered.sum(1) > 0, on_object / covered.sum(1), np.nan)
    return pd.DataFrame(
        {
            "image": decomposition.images,
            "similarity": _along(decomposition.embedding, directions),
            "on_object": on_object,
            "elsewhere": spatial.sum(1) - on_object,
            "prefix": prefix.sum(1),
            "rest": _along(others, directions),
            "per_object_token": per_token,
        }
    )


def radial_profile(maps: np.ndarray, bins: int = 6) -> pd.DataFrame:
    """Average maps (n_images, rows, columns) over `bins` rings of equal width from eccentricity 0 to 1.

    Returns one row per image (`image`, from 0) and ring that contains patch centers: `ring_low`, `ring_high` (its
    edges), `ring` (mean eccentricity of its patches), `patches` (their number), `effect` (their mean).
    """
    if np.ndim(maps) != 3:
        raise InputError(f"maps has the shape {np.shape(maps)}; expected (n_images, rows, columns).")
    places = patch_eccentricities(maps.shape[1:])
    edges, ring = rings(places, bins, "the patches")
    parts = []
    for number in np.unique(ring):
        inside = ring == number
        parts.append(
            pd.DataFrame(
                {
                    "image": np.arange(len(maps)),
                    "ring_low": edges[number],
                    "ring_high": edges[number + 1],
                    "ring": places[inside].mean(),
                    "patches": inside.sum(),
                    "effect": maps.reshape(len(maps), -1)[:, inside].mean(1),
                }
            )
        )
    return pd.concat(parts).sort_values(["image", "ring_low"], ignore_index=True)


def layer_effects(decomposition: Decomposition, directions: np.ndarray) -> pd.DataFrame:
    """List the direct effect of the attention and of the MLP of every layer on each image's caption.

    Returns one row per `image` and `part` (``"start"``, ``"attention"``, ``"mlp"`` or ``"bias"``) with `layer` (0 for
    the start, <NA> for the biases) and `effect`. An image's effects add up to its similarity.
    """
    directions = _directions(decomposition, directions)
    summands = [("start", 0, decomposition.start), ("bias", pd.NA, decomposition.bias)]
    for layer, heads in zip(decomposition.layers, decomposition.heads, strict=True):
        summands.append(("attention", layer, heads.sum(1)))
    summands += [("mlp", *pair) for pair in zip(decomposition.layers, decomposition.mlp, strict=False)]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "image": decomposition.images,
                    "part": part,
                    "layer": pd.array([layer] * len(decomposition.images), dtype="Int64"),
                    "effect": _along(contribution, directions),
                }
            )
            for part, layer, contribution in summands
        ],
        ignore_index=True,
    )


def head_effects(decomposition: Decomposition, directions: np.ndarray) -> pd.DataFrame:
    """List the direct effect of every attention head on each image's caption.

    Returns one row per `image`, `layer` and `head` with `effect`. With the columns of the scenes merged in,
    `crosseyed.measure.bootstrap.center_difference` ranks the heads by how much their effect drops off-center.
    """
    effects = _along(decomposition.heads, _directions(decomposition, directions))  # (layers, images, heads)
    index = pd.MultiIndex.from_product(
        [decomposition.layers, decomposition.images, range(effects.shape[2])],
        names=["layer", "image", "head"],
    )
    table = pd.DataFrame({"effect": effects.ravel()}, index=index).reset_index()
    return table[["image", "layer", "head", "effect"]]


def mean_ablation(decomposition: Decomposition, heads: Sequence[tuple[int, int]]) -> np.ndarray:
    """Replace the direct contributions of heads by their mean over all images.

    This removes from the embedding what a head says about the single image and keeps what it says about all; no later
    layer reacts (Gandelsman et al. 2024, section 3, where whole layers are ablated in this way).

    Parameters
    ----------
    decomposition : Decomposition of all images that the mean is taken over
    heads : sequence of tuple of int, layer and head of each

    Returns
    -------
    numpy.ndarray, shape (n_images, embed_dim)
        The embeddings, of length 1. Images that cannot be read are NaN and left out of the mean.

    Raises
    ------
    InputError
        A head does not exist.
    """
    n_heads = decomposition.heads.shape[2]
    for layer, head in heads:
        if layer not in decomposition.layers or not 0 <= head < n_heads:
            layers = ", ".join(map(str, decomposition.layers))
            raise InputError(
                f"There is no head {head} in layer {layer}: layers are {layers}, heads 0 to {n_heads - 1}."
            )
    places = [(decomposition.layers.index(layer), head) for layer, head in dict.fromkeys(heads)]
    removed = sum(
        (decomposition.heads[layer, :, head] for layer, head in places),
        start=torch.zeros_like(decomposition.embedding),
    )
    ablated = decomposition.embedding - removed + removed.nanmean(0)
    return F.normalize(ablated, dim=-1).numpy(force=True)


def _along(contributions: Tensor, directions: Tensor) -> np.ndarray:
    """Scalar product of each contribution (…, image, …, embed_dim) with its image's direction."""
    return torch.einsum(_PRODUCTS[contributions.ndim], contributions.cpu(), directions).numpy()


def _directions(decomposition: Decomposition, directions: np.ndarray) -> Tensor:
    expected = tuple(decomposition.embedding.shape)
    if np.shape(directions) != expected:
        raise InputError(
            f"directions has the shape {np.shape(directions)}, expected {expected}: the caption's embedding for "
            "each image."
        )
    return torch.from_numpy(np.ascontiguousarray(directions, np.float32))


def check_covered(covered: np.ndarray, n_images: int, grid: tuple[int, int]) -> np.ndarray:
    """Return the covered shares as float32 (n_images, T) after checking their shape."""
    expected = (n_images, *grid)
    if np.shape(covered) != expected:
        raise InputError(
            f"covered has the shape {np.shape(covered)}, expected {expected}: the share of each patch that the "
            "object covers, from attention.coverage(masks, grid)."
        )
    return np.asarray(covered, np.float32).reshape(n_images, -1)
