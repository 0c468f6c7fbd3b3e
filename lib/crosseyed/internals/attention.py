"""Where the pooled token looks: maps, rollout, and how much of each patch an object covers.

Attention on the image is attention on the spatial tokens, scaled to the sum 1; attention on the class token is left
out.

Parameters shared by the functions: `grid`, the rows and columns of the spatial tokens; `prefix`, the number of tokens
before them. All raise InputError if the last axis is not that many tokens.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from crosseyed.data.images import ImageSource
from crosseyed.data.scenes import eccentricity
from crosseyed.errors import InputError
from crosseyed.internals.trace import Trace, pooled_rows, run
from crosseyed.models.clip import ClipModel

_ASPECT_TOLERANCE = 0.01  # relative


def pooled_attention(trace: Trace) -> dict[int, Tensor]:
    """Return the attention of the pooled token by layer: (batch, heads, tokens), which sums to 1 over the tokens.

    Layers are those that a block leads to, from 1; attention pooling, if the tower has it, is one after the last.
    `trace` has ``want="attention"``, of either kind of rows; raises InputError if it holds no attention.
    """
    attention = trace.attention
    if attention is not None and attention.ndim == 5:
        attention = pooled_rows(attention, trace)
    by_layer = {} if attention is None else dict(zip(trace.blocks, attention, strict=True))
    if trace.pooling_attention is not None:
        by_layer[trace.last + 1] = trace.pooling_attention
    if not by_layer:
        raise InputError(
            'The trace holds no attention: trace with want=("attention",) and at least one block.'
        )
    return by_layer


def on_grid(values: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tensor:
    """Lay one value for each token, (..., tokens), out on the image: (..., rows, columns), without the prefix."""
    return spatial_part(values, grid, prefix).unflatten(-1, grid)


def spatial_attention(attention: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tensor:
    """Return how probabilities (..., tokens) are distributed over the image: (..., rows × columns), which sum to 1."""
    spatial = spatial_part(attention, grid, prefix)
    return spatial / spatial.sum(-1, keepdim=True)


def last_on_image(trace: Trace) -> Tensor:
    """Return how the last attention of the pooled token is spread over the image, mean over heads.

    Parameters
    ----------
    trace : Trace
        With ``want="attention"``, of the last layer at least.

    Returns
    -------
    torch.Tensor, shape (batch, rows × columns)
        In reading order; each row sums to 1. Where attention pools, it is the attention of the pooling.

    Raises
    ------
    InputError
        The trace holds no attention.
    """
    by_layer = pooled_attention(trace)
    return spatial_attention(by_layer[max(by_layer)].mean(1), trace.grid, trace.prefix)


def maps(model: ClipModel, images: Iterable[ImageSource], n_layers: int = 6) -> dict[str, np.ndarray]:
    """Map the attention of the pooled token on some images: some of the layers, and the rollout of all.

    Parameters
    ----------
    model : ClipModel whose tower attends
    images : iterable of ImageSource, of which the first batch is shown
    n_layers : int, the most layers that are shown, evenly chosen from the first to the last

    Returns
    -------
    dict of str to numpy.ndarray, shape (n_images, rows, columns)
        ``"layer 3"``: probabilities on the spatial tokens, mean over heads. ``"rollout"``: `rollout`, in the row of
        the pooled token; for towers with transformer blocks.
    """
    seen = next(run(model, images, "attention", attention_rows="all", progress=False))
    by_layer = {layer: attention.mean(1) for layer, attention in pooled_attention(seen).items()}
    chosen = np.unique(np.linspace(min(by_layer), max(by_layer), n_layers).round().astype(int))
    shown = {f"layer {layer}": by_layer[layer] for layer in chosen}
    if seen.attention is not None:
        shown["rollout"] = pooled_rows(rollout(seen.attention)[:, None], seen)[:, 0]
    return {name: on_grid(each, seen.grid, seen.prefix).cpu().numpy() for name, each in shown.items()}


def rollout(attention: Tensor) -> Tensor:
    """Follow attention through the layers (attention rollout, Abnar and Zuidema, ACL 2020, arXiv 2005.00928, eq. 1).

    The heads' mean is mixed half and half with the identity, for the residual connection, and the layers are
    multiplied.

    Parameters
    ----------
    attention : torch.Tensor, shape (blocks, batch, heads, tokens, tokens), traced with ``attention_rows="all"``

    Returns
    -------
    torch.Tensor, shape (batch, tokens, tokens)
        How much of each token of the first layer (last axis) is in each token of the last; rows sum to 1.
    """
    if attention.ndim != 5 or attention.shape[-1] != attention.shape[-2]:
        raise InputError(
            "Rollout needs the attention of all tokens, (blocks, batch, heads, tokens, tokens), not "
            f'{tuple(attention.shape)}: trace with attention_rows="all".'
        )
    mixed = 0.5 * attention.mean(2) + 0.5 * torch.eye(attention.shape[-1]).to(attention)
    rolled = mixed[0]
    for layer in mixed[1:]:
        rolled = layer @ rolled
    return rolled


def patch_eccentricities(grid: tuple[int, int]) -> np.ndarray:
    """Return the eccentricities of the patches' centers, (rows × columns,) in reading order: 0 at the image center."""
    rows, cols = grid
    return np.array(
        [
            eccentricity((col + 0.5) / cols, (row + 0.5) / rows, rows, cols)
            for row in range(rows)
            for col in range(cols)
        ]
    )


def coverage(masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Measure which share of each patch, in [0, 1], a mask covers; exact also where the edge of a patch cuts a pixel.

    Parameters
    ----------
    masks : bool (n_images, height, width), of any resolution with the proportions of the model's input
    grid : tuple of int, rows and columns of patches

    Returns
    -------
    numpy.ndarray, shape (n_images, rows, columns)

    Raises
    ------
    InputError
        The masks have another number of axes, another type or other proportions.
    """
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.dtype != bool or 0 in masks.shape[1:]:
        raise InputError(
            f"Masks are a bool array (n_images, height, width), not {masks.dtype} of shape {masks.shape}."
        )
    (height, width), (rows, cols) = masks.shape[1:], grid
    if abs(height * cols / (width * rows) - 1) > _ASPECT_TOLERANCE:
        raise InputError(
            f"Masks of {height} x {width} pixels do not have the proportions of the {rows} x {cols} patches: "
            "crop or pad them as the model's preprocessing does its images."
        )
    return _overlaps(height, rows) @ masks.astype(float) @ _overlaps(width, cols).T


def spatial_part(values: Tensor, grid: tuple[int, int], prefix: int) -> Tensor:
    """Return the values of the spatial tokens, (..., rows × columns), of those of all tokens."""
    rows, cols = grid
    if values.shape[-1] != prefix + rows * cols:
        raise InputError(
            f"{values.shape[-1]} tokens are not {prefix} and a grid of {rows} x {cols}; the last axis of the "
            "values must be the tokens."
        )
    return values[..., prefix:]


def _overlaps(pixels: int, patches: int) -> np.ndarray:
    """Share of each patch (first axis) that each pixel makes up along one side of the image."""
    edges = np.linspace(0, pixels, patches + 1)
    pixel = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return overlap.clip(0) * (patches / pixels)
