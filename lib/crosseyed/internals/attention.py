"""Where the pooled token looks: maps, rollout, entropy, radial profiles, shares on objects, and sinks.

The functions on tensors take any leading axes; the tables take a `crosseyed.internals.trace.Trace` and have one row for
each image, layer and head. Their column `layer` is the depth that a block leads to, from 1; where attention
pools the last tokens (`Trace.pooling_attention`), that step is the layer after the last.

Attention on the image is attention on the spatial tokens, scaled to the sum 1: what goes to the class token
goes nowhere in the picture, and is a column of its own.
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

"""A spatial token is a sink if its norm exceeds this many times the median norm of the image's spatial tokens."""

"""What is held fixed, where a table has it, when center and off-center are compared."""

_ASPECT_TOLERANCE = 0.01


def pooled_attention(trace: Trace) -> dict[int, Tensor]:
    """Return the attention of the pooled token, layer by layer.

    Parameters
    ----------
    trace : Trace
        Traced with ``want="attention"``, of either kind of rows.

    Returns
    -------
    dict of int to torch.Tensor, shape (batch, heads, tokens)
        By layer: the blocks, then attention pooling if the tower has it. Sums to 1 over the tokens.

    Raises
    ------
    InputError
        The trace holds no attention.
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
    """Lay the spatial tokens' values out as a picture.

    Parameters
    ----------
    values : torch.Tensor, shape (..., tokens)
        One number per token, such as a row of attention.
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before them, which are left out.

    Returns
    -------
    torch.Tensor, shape (..., rows, columns)
        The values in place, unchanged.

    Raises
    ------
    InputError
        The number of tokens is not that of prefix and grid.
    """
    return spatial_part(values, grid, prefix).unflatten(-1, grid)


def spatial_attention(attention: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tensor:
    """Return how the attention on the image is distributed over it.

    Parameters
    ----------
    attention : torch.Tensor, shape (..., tokens)
        Probabilities.
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before them.

    Returns
    -------
    torch.Tensor, shape (..., rows × columns)
        Sums to 1.

    Raises
    ------
    InputError
        The number of tokens is not that of prefix and grid.
    """
    spatial = spatial_part(attention, grid, prefix)
    return spatial / spatial.sum(-1, keepdim=True)


def maps(model: ClipModel, images: Iterable[ImageSource], n_layers: int = 6) -> dict[str, np.ndarray]:
    """Map the attention of the pooled token on some images: some of the layers, and the rollout of all.

    Parameters
    ----------
    model : ClipModel
        A model whose tower attends.
    images : iterable of ImageSource
        As many as fit into one batch are shown.
    n_layers : int
        At most so many layers, evenly chosen from the first to the last.

    Returns
    -------
    dict of str to numpy.ndarray, shape (n_images, rows, columns)
        ``"layer 3"``: probabilities on the spatial tokens, mean over heads. ``"rollout"``: `rollout`, in the row of
        the pooled token; for towers with transformer blocks.

    Raises
    ------
    UnsupportedTower, InputError
        As `crosseyed.internals.trace.run`.
    """
    seen = next(run(model, images, "attention", attention_rows="all", progress=False))
    by_layer = {layer: attention.mean(1) for layer, attention in pooled_attention(seen).items()}
    chosen = np.unique(np.linspace(min(by_layer), max(by_layer), n_layers).round().astype(int))
    shown = {f"layer {layer}": by_layer[layer] for layer in chosen}
    if seen.attention is not None:
        shown["rollout"] = pooled_rows(rollout(seen.attention)[:, None], seen)[:, 0]
    return {name: on_grid(each, seen.grid, seen.prefix).cpu().numpy() for name, each in shown.items()}


def rollout(attention: Tensor) -> Tensor:
    """Follow attention through the layers: attention rollout.

    The heads' mean is mixed half and half with the identity, for the residual connection, and the layers are
    multiplied (Abnar and Zuidema, ACL 2020, arXiv 2005.00928, section 3 and eq. 1).

    Parameters
    ----------
    attention : torch.Tensor, shape (blocks, batch, heads, tokens, tokens)
        Of all blocks in their order, traced with ``attention_rows="all"``.

    Returns
    -------
    torch.Tensor, shape (batch, tokens, tokens)
        How much of each token of the first layer (last axis) is in each token of the last; rows sum to 1.
        Row 0 is the class token's.

    Raises
    ------
    InputError
        The attention is not that of all rows.
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
    """Return how far from the image center the centers of the patches are.

    Parameters
    ----------
    grid : tuple of int
        Rows and columns of square patches.

    Returns
    -------
    numpy.ndarray, shape (rows × columns,)
        Eccentricities in reading order, 0 at the center; a corner patch's center is below 1.
    """
    rows, cols = grid
    return np.array(
        [
            eccentricity((col + 0.5) / cols, (row + 0.5) / rows, rows, cols)
            for row in range(rows)
            for col in range(cols)
        ]
    )


def coverage(masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Measure which share of each patch a mask covers.

    Parameters
    ----------
    masks : numpy.ndarray of bool, shape (n_images, height, width)
        Object masks, of any resolution with the proportions of the model's input.
    grid : tuple of int
        Rows and columns of patches.

    Returns
    -------
    numpy.ndarray, shape (n_images, rows, columns)
        In [0, 1]; exact also where the edge of a patch cuts a pixel.

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
    """Return the values of the spatial tokens as a grid, (..., rows, columns)."""
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
