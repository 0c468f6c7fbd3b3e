"""Attention as tables: by distance from the image center, on objects, and in sinks.

The tables have one row for each image of a `crosseyed.internals.trace.Trace` (`image`, its number in the stream),
`layer` (the depth that a block leads to, from 1; attention pooling is one after the last) and `head` (from 0).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosseyed.data.geometry import rings
from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.attention import (
    coverage,
    on_grid,
    patch_eccentricities,
    pooled_attention,
    spatial_attention,
    spatial_part,
)
from crosseyed.internals.map_scores import fit_masks
from crosseyed.internals.trace import Trace, run
from crosseyed.models.clip import ClipModel

SINK_FACTOR = 3.0
"""A spatial token is a sink if its norm exceeds this many times the median norm of its image."""


def radial_table(trace: Trace, bins: int | Sequence[float] = 6) -> pd.DataFrame:
    """Compare the attention on the image, ring by ring, with attention that is the same everywhere.

    Parameters
    ----------
    trace : Trace, with attention
    bins : int, number of rings of equal width from eccentricity 0 to 1, or their increasing edges

    Returns
    -------
    pandas.DataFrame
        For every ring with patch centers (a ring contains its outer edge, the first also its inner one)

        - `eccentricity`: mean of the patch centers in the ring; `eccentricity_low`, `eccentricity_high`: edges;
        - `attention`: share of the attention on the image that falls into the ring;
        - `uniform`: share of the patches that lie in it;
        - `relative`: their ratio, 1 where attention is as dense as uniform attention.

    Raises
    ------
    InputError
        The trace holds no attention; `bins` is not valid or leaves patches out.
    """
    places = patch_eccentricities(trace.grid)
    edges, ring = rings(places, bins, "the patches")
    member = np.eye(len(edges) - 1)[ring]  # (patches, rings)
    filled = member.any(0)
    member = member[:, filled]
    about = pd.DataFrame(
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
        rows = _rows(trace, layer, attention.shape[1]).merge(about, how="cross")
        parts.append(rows.assign(attention=_flat(shares)))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(relative=table["attention"] / table["uniform"])


def mask_table(trace: Trace, masks: np.ndarray, about: pd.DataFrame | None = None) -> pd.DataFrame:
    """Measure how much of the attention on the image is on an object.

    Parameters
    ----------
    trace : Trace, with attention
    masks : bool (batch, height, width), see `coverage`; within a patch, attention counts as evenly spread
    about : pandas.DataFrame, one row per image of the batch; its columns come first, in the place of `image`

    Returns
    -------
    pandas.DataFrame
        - `share`: of the attention on the image, in [0, 1];
        - `mask_area`: share of the image that the mask covers;
        - `relative`: their ratio, 1 if the object gets as much as its area; NaN for an empty mask.

    Raises
    ------
    InputError
        The trace holds no attention; masks or rows of `about` are not one per image; masks of other proportions.
    """
    covered = coverage(masks, trace.grid).reshape(len(masks), -1)
    counts = {"masks": len(masks), "rows in about": len(trace.images if about is None else about)}
    for name, count in counts.items():
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


def sinks(tokens: Tensor, grid: tuple[int, int], prefix: int = 1) -> Tensor:
    """Find the spatial tokens of exceptional norm: bool (..., rows, columns) for tokens (..., tokens, width).

    Large transformers reuse tokens of uninformative patches to store what concerns the whole image; such tokens stand
    out by their norm and draw attention (Darcet et al., ICLR 2024, arXiv 2309.16588, who cut at a norm of 150 in
    DINOv2). As norms differ between models and layers, a token is a sink here if its norm exceeds `SINK_FACTOR`
    times the median norm of the spatial tokens of its image and layer.
    """
    norms = on_grid(tokens.norm(dim=-1), grid, prefix)
    return norms > SINK_FACTOR * _median(norms.flatten(-2))[..., None, None]


def sink_table(trace: Trace) -> pd.DataFrame:
    """Count the sinks (see `sinks`) and say how far out they lie; `trace` has tokens.

    Returns
    -------
    pandas.DataFrame
        One row per image and layer (from 0, what enters the first block):

        - `sinks`: their number; NaN for an image that could not be read;
        - `largest`: largest norm of a spatial token over the median;
        - `eccentricity`: mean of the sinks' patch centers; NaN without sinks;
        - `uniform`: mean of all patch centers, which is expected of sinks that are anywhere.
    """
    if trace.tokens is None:
        raise InputError('The trace holds no tokens: trace with want=("tokens",).')
    found = sinks(trace.tokens, trace.grid, trace.prefix).flatten(-2)
    norms = spatial_part(trace.tokens.norm(dim=-1), trace.grid, trace.prefix)
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


def measure(
    model: ClipModel, images: Sequence[ImageSource], masks: np.ndarray, about: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure attention and sinks of a model on all images.

    Parameters
    ----------
    model : ClipModel whose tower offers attention
    images : sequence of ImageSource
    masks : bool (n_images, height, width), where the object of each image is
    about : pandas.DataFrame, one row per image, numbered from 0, with `object`

    Returns
    -------
    tuple of pandas.DataFrame
        Those of `radial_table`, `mask_table` and `sink_table`, each with `object` and `model`.
    """
    radial, shares, sinks = [], [], []
    for part in run(model, images):
        shown = slice(part.images.start, part.images.stop)
        shares.append(mask_table(part, fit_masks(model, masks[shown]), about.iloc[shown]))
        radial.append(radial_table(part).join(about["object"], on="image"))
        sinks.append(sink_table(part).join(about["object"], on="image"))
    return tuple(pd.concat(parts).assign(model=model.model) for parts in (radial, shares, sinks))


def measure_places(
    model: ClipModel, images: Sequence[ImageSource], masks: np.ndarray, about: pd.DataFrame
) -> pd.DataFrame:
    """Measure attention on several places of each image, in one pass for all of them.

    Parameters
    ----------
    model : ClipModel whose tower offers attention
    images : sequence of ImageSource
    masks : bool (n_images, n_places, height, width)
    about : pandas.DataFrame, one row per place, those of an image together, in the order of `masks`

    Returns
    -------
    pandas.DataFrame
        That of `mask_table`, with `model`.
    """
    rows, tables = np.arange(len(about)).reshape(masks.shape[:2]), []
    for part in run(model, images):
        shown = slice(part.images.start, part.images.stop)
        for place in range(masks.shape[1]):
            fitted = fit_masks(model, masks[shown, place])
            tables.append(mask_table(part, fitted, about.iloc[rows[shown, place]]))
    return pd.concat(tables).assign(model=model.model)


def with_prior(shares: pd.DataFrame, without: pd.DataFrame) -> pd.DataFrame:
    """Separate the attention that an object draws from what its place gets anyway.

    Attention on an object has two parts: that of the place, which a model may attend to whatever is there, and what is
    added because the object is there.

    Parameters
    ----------
    shares : pandas.DataFrame
        Of `mask_table`, about images with an object; with `model`.
    without : pandas.DataFrame
        The same about the same images without the object, and with the same masks.

    Returns
    -------
    pandas.DataFrame
        The rows of `shares` with two columns: `prior`, `relative` of the same place without the object, and `own`,
        `relative` minus `prior`.

    Raises
    ------
    InputError
        An image, layer or head of the one table is not in the other.
    """
    keys = ["model", "image", "layer", "head"]
    prior = without[[*keys, "relative"]].rename(columns={"relative": "prior"})
    joined = shares.merge(prior, on=keys, how="left", validate="one_to_one", indicator="side")
    if len(without) != len(shares) or (joined.pop("side") != "both").any():
        raise InputError(
            "The tables with and without the objects are not about the same images, layers and heads."
        )
    return joined.assign(own=joined["relative"] - joined["prior"])


def _rows(trace: Trace, layer: int, heads: int) -> pd.DataFrame:
    """Return the columns `image`, `layer` and `head`, the head changing fastest."""
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
