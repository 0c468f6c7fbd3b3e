"""Where the pooled token looks: maps, rollout, entropy, radial profiles, shares on objects, and sinks.

The functions on tensors take any leading axes; the tables take a `crosseyed.trace.Trace` and have one row for
each image, layer and head. Their column `layer` is the depth that a block leads to, from 1; where attention
pools the last tokens (`Trace.pooling_attention`), that step is the layer after the last.

Attention on the image is attention on the spatial tokens, scaled to the sum 1: what goes to the class token
goes nowhere in the picture, and is a column of its own.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosseyed.errors import InputError
from crosseyed.images import ImageSource
from crosseyed.models import ClipModel
from crosseyed.stimuli import eccentricity
from crosseyed.trace import Trace, pooled_rows, trace

SINK_FACTOR = 3.0
"""A spatial token is a sink if its norm exceeds this many times the median norm of the image's spatial tokens."""

MATCHED = ("object", "style", "size", "background")
"""What is held fixed, where a table has it, when center and off-center are compared."""

_ROUNDING = 1e-9  # a patch center on the edge of two rings stays on its side
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
    return _spatial(values, grid, prefix).unflatten(-1, grid)


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
    spatial = _spatial(attention, grid, prefix)
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
        As `crosseyed.trace.trace`.
    """
    seen = next(trace(model, images, "attention", attention_rows="all", progress=False))
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


def entropy(attention: Tensor) -> Tensor:
    """Measure how widely attention spreads.

    Parameters
    ----------
    attention : torch.Tensor, shape (..., tokens)
        Probabilities.

    Returns
    -------
    torch.Tensor, shape (...)
        Shannon entropy in nats: 0 if one token has all, ln(tokens) if all have the same.
    """
    return torch.special.entr(attention).sum(-1)


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


def attention_table(trace: Trace) -> pd.DataFrame:
    """Summarise each row of pooled attention.

    Parameters
    ----------
    trace : Trace
        Traced with ``want="attention"``.

    Returns
    -------
    pandas.DataFrame
        Columns `image` (number in the stream), `layer`, `head` (from 0), and

        - `entropy`: of the whole row, in nats;
        - `spatial`: share on spatial tokens, in [0, 1]; the rest is on the class or mean token;
        - `eccentricity`: mean over the attention on the image;
        - `uniform`: what `eccentricity` would be if all patches had the same.

    Raises
    ------
    InputError
        The trace holds no attention.
    """
    places = patch_eccentricities(trace.grid)
    parts = []
    for layer, attention in pooled_attention(trace).items():
        image = spatial_attention(attention, trace.grid, trace.prefix)
        parts.append(
            _rows(trace, layer, attention.shape[1]).assign(
                entropy=_flat(entropy(attention)),
                spatial=_flat(attention[..., trace.prefix :].sum(-1)),
                eccentricity=_flat(image @ _like(image, places)),
            )
        )
    return pd.concat(parts, ignore_index=True).assign(uniform=places.mean())


def radial_table(trace: Trace, bins: int | Sequence[float] = 6) -> pd.DataFrame:
    """Compare the attention on the image, ring by ring, with attention that is the same everywhere.

    Parameters
    ----------
    trace : Trace
        Traced with ``want="attention"``.
    bins : int or sequence of float
        Number of rings of equal width from eccentricity 0 to 1, or their increasing edges. A ring contains its
        outer edge, the first also its inner one.

    Returns
    -------
    pandas.DataFrame
        Columns `image` (number in the stream), `layer`, `head` (from 0), and for every ring with patch centers

        - `eccentricity`: mean of the patch centers in the ring; `eccentricity_low`, `eccentricity_high`: edges;
        - `attention`: share of the attention on the image that falls into the ring;
        - `uniform`: share of the patches that lie in it;
        - `relative`: their ratio, 1 where attention is no more and no less than uniform.

    Raises
    ------
    InputError
        The trace holds no attention; `bins` is not valid or leaves patches out.
    """
    places = patch_eccentricities(trace.grid)
    edges, ring = _rings(places, bins)
    member = np.eye(len(edges) - 1)[ring]  # (patches, rings)
    filled = member.any(0)
    member = member[:, filled]
    rings = pd.DataFrame(
        {
            "eccentricity": places @ member / member.sum(0),
            "eccentricity_low": edges[:-1][filled],
            "eccentricity_high": edges[1:][filled],
            "uniform": member.mean(0),
        }
    )
    parts = []
    for layer, attention in pooled_attention(trace).items():
        image = spatial_attention(attention, trace.grid, trace.prefix)
        shares = image @ _like(image, member)
        rows = _rows(trace, layer, attention.shape[1]).merge(rings, how="cross")
        parts.append(rows.assign(attention=_flat(shares)))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(relative=table["attention"] / table["uniform"])


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


def mask_table(trace: Trace, masks: np.ndarray, about: pd.DataFrame | None = None) -> pd.DataFrame:
    """Measure how much of the attention on the image is on an object.

    Parameters
    ----------
    trace : Trace
        Traced with ``want="attention"``.
    masks : numpy.ndarray of bool, shape (batch, height, width)
        One mask per image of the batch (see `coverage`). Within a patch, attention counts as evenly spread.
    about : pandas.DataFrame, optional
        One row per image of the batch, such as the rows ``trace.images`` of a table of single-object scenes;
        its columns are put before the others.

    Returns
    -------
    pandas.DataFrame
        Columns of `about`, or else `image` (number in the stream); then `layer`, `head` (from 0), and

        - `share`: of the attention on the image, in [0, 1];
        - `mask_area`: share of the image that the mask covers;
        - `relative`: their ratio, 1 if the object gets no more and no less than its area; NaN for an empty mask.

    Raises
    ------
    InputError
        The trace holds no attention; there is not one mask, or row of `about`, per image; masks of another
        shape, type or other proportions.
    """
    covered = coverage(masks, trace.grid).reshape(len(masks), -1)
    for name, count in {
        "masks": len(masks),
        "rows in about": len(trace.images) if about is None else len(about),
    }.items():
        if count != len(trace.images):
            raise InputError(
                f"{count} {name} for the {len(trace.images)} images of this trace: give one for each, those of "
                "the numbers trace.images."
            )
    parts = []
    for layer, attention in pooled_attention(trace).items():
        image = spatial_attention(attention, trace.grid, trace.prefix)
        shares = torch.einsum("bht,bt->bh", image, _like(image, covered))
        rows = _rows(trace, layer, attention.shape[1]).assign(share=_flat(shares))
        rows["mask_area"] = np.repeat(covered.mean(1), attention.shape[1])
        parts.append(rows)
    table = pd.concat(parts, ignore_index=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        table["relative"] = table["share"] / table["mask_area"]
    if about is None:
        return table
    described = about.iloc[table["image"] - trace.images.start].reset_index(drop=True)
    return pd.concat([described, table.drop(columns="image")], axis=1)


def center_contrast(table: pd.DataFrame, value: str = "share") -> pd.DataFrame:
    """Compare the same object at the center and off-center, all else the same.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `mask_table` with columns of scenes: `center` (bool), `object`, `layer`, `head` and `value`.
    value : str
        The column to compare.

    Returns
    -------
    pandas.DataFrame
        One row per layer, head and combination of `MATCHED` columns that occurs at both places: those columns,
        `center_mean`, `off_center_mean` (means over the images) and `difference`, center minus off-center.
        `crosseyed.metrics.mean` of the difference gives its interval.

    Raises
    ------
    InputError
        A column is missing, or no object occurs at both places.
    """
    if missing := [name for name in ("center", "object", "layer", "head", value) if name not in table]:
        raise InputError(
            f"The table lacks the columns {', '.join(missing)}; give mask_table the scenes' table."
        )
    matched = [*(name for name in MATCHED if name in table), "layer", "head"]
    place = table["center"].map({True: "center_mean", False: "off_center_mean"})
    means = table.groupby([*matched, place.rename("place")], observed=True)[value].mean().unstack("place")
    pairs = means.reindex(columns=["center_mean", "off_center_mean"]).dropna().reset_index()
    if pairs.empty:
        raise InputError(
            "No object occurs both at the center and off-center with the same style, size, background."
        )
    pairs.columns.name = None
    return pairs.assign(difference=pairs["center_mean"] - pairs["off_center_mean"])


def sinks(tokens: Tensor, grid: tuple[int, int], prefix: int = 1, factor: float = SINK_FACTOR) -> Tensor:
    """Find the spatial tokens of exceptional norm.

    Large transformers reuse tokens of uninformative patches to store what concerns the whole image; such tokens
    stand out by their norm and draw attention (Darcet et al., ICLR 2024, arXiv 2309.16588, who cut at a norm of
    150 in DINOv2). As norms differ between models and layers, the threshold here is relative.

    Parameters
    ----------
    tokens : torch.Tensor, shape (..., tokens, width)
        Tokens, for instance of all layers.
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before them, which are left out.
    factor : float
        A token is a sink if its norm exceeds this many times the median norm of the spatial tokens of its image
        and layer; above 1.

    Returns
    -------
    torch.Tensor of bool, shape (..., rows, columns)
        Where the sinks are.

    Raises
    ------
    InputError
        The number of tokens is not that of prefix and grid; `factor` is not above 1.
    """
    if not factor > 1:
        raise InputError(f"factor is above 1, not {factor}: a multiple of the median norm.")
    norms = on_grid(tokens.norm(dim=-1), grid, prefix)
    return norms > factor * _median(norms.flatten(-2))[..., None, None]


def sink_table(trace: Trace, factor: float = SINK_FACTOR) -> pd.DataFrame:
    """Count the sinks and say how far out they lie.

    Parameters
    ----------
    trace : Trace
        Traced with ``want="tokens"``.
    factor : float
        See `sinks`.

    Returns
    -------
    pandas.DataFrame
        One row per image and layer (from 0, what enters the first block): `image` (number in the stream),
        `layer`, and

        - `sinks`: their number; NaN for an image that could not be read;
        - `largest`: largest norm of a spatial token over the median;
        - `eccentricity`: mean of the sinks' patch centers; NaN if there are none;
        - `uniform`: what `eccentricity` would be on average if sinks were anywhere.

    Raises
    ------
    InputError
        The trace holds no tokens; `factor` is not above 1.
    """
    if trace.tokens is None:
        raise InputError('The trace holds no tokens: trace with want=("tokens",).')
    found = sinks(trace.tokens, trace.grid, trace.prefix, factor).flatten(-2)
    norms = _spatial(trace.tokens.norm(dim=-1), trace.grid, trace.prefix)
    places = patch_eccentricities(trace.grid)
    number = found.sum(-1).where(norms.isfinite().all(-1), torch.nan)
    total = found.to(norms) @ _like(norms, places)
    return pd.DataFrame(
        {
            "image": np.tile(trace.images, len(trace.layers)),
            "layer": np.repeat(trace.layers, len(trace.images)),
            "sinks": _flat(number),
            "largest": _flat(norms.amax(-1) / _median(norms)),
            "eccentricity": _flat(total / number),
            "uniform": places.mean(),
        }
    )


def _spatial(values: Tensor, grid: tuple[int, int], prefix: int) -> Tensor:
    rows, cols = grid
    if values.shape[-1] != prefix + rows * cols:
        raise InputError(
            f"{values.shape[-1]} tokens are not {prefix} and a grid of {rows} x {cols}; the last axis of the "
            "values must be the tokens."
        )
    return values[..., prefix:]


def _rows(trace: Trace, layer: int, heads: int) -> pd.DataFrame:
    """Say in columns which image, layer and head a row is about, the head changing fastest."""
    images = len(trace.images)
    return pd.DataFrame(
        {
            "image": np.repeat(trace.images, heads),
            "layer": layer,
            "head": np.tile(np.arange(heads), images),
        }
    )


def _like(tensor: Tensor, array: np.ndarray) -> Tensor:
    return torch.as_tensor(array, dtype=tensor.dtype).to(tensor.device)


def _median(values: Tensor) -> Tensor:
    """Median over the last axis, of an even number the mean of the middle two."""
    ordered, length = values.sort(-1).values, values.shape[-1]
    return (ordered[..., (length - 1) // 2] + ordered[..., length // 2]) / 2


def _flat(values: Tensor) -> np.ndarray:
    return values.flatten().cpu().numpy()


def _rings(places: np.ndarray, bins: int | Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the rings, and the ring of each place."""
    edges = (
        np.linspace(0, 1, max(bins, 0) + 1) if isinstance(bins, int | np.integer) else np.asarray(bins, float)
    )
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"bins are {bins!r}: expected a number of rings, or at least two increasing edges.")
    if places.min() < edges[0] - _ROUNDING or places.max() > edges[-1] + _ROUNDING:
        raise InputError(
            f"bins reach from {edges[0]:g} to {edges[-1]:g}, but the patches from {places.min():g} to "
            f"{places.max():g}: widen them."
        )
    return edges, np.searchsorted(edges[1:-1], places - _ROUNDING, side="left")


def _overlaps(pixels: int, patches: int) -> np.ndarray:
    """Share of each patch (first axis) that each pixel makes up along one side of the image."""
    edges = np.linspace(0, pixels, patches + 1)
    pixel = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return overlap.clip(0) * (patches / pixels)
