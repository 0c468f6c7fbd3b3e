"""What each layer of a tower says about the object, read through the model's own projection."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.decompose import Decomposition, check_covered, concatenate, decomposed
from crosseyed.internals.trace import Trace, listened, run, stream, traced
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import TowerAdapter
from crosseyed.models.towers.registry import adapter_of

SOURCES = ("object", "mean", "pooled")


@dataclass(frozen=True, eq=False)
class LayerReading:
    """What can be read of each image at every depth, in the order of `SOURCES`.

    Attributes
    ----------
    layers : tuple of int
        Depths, along the first axes.
    vectors : numpy.ndarray, shape (layers, n_images, sources, width)
        The mean of the tokens under the object (weighted by how much of each patch it covers), the mean of all
        spatial tokens, and the pooled token, which only class-token pooling has at all depths: NaN elsewhere.
    projected : numpy.ndarray, shape (layers, n_images, sources, embed_dim)
        The same through the final norm and the projection, of length 1. The pooled one of the last depth is the
        embedding, with any pooling.
    """

    layers: tuple[int, ...]
    vectors: np.ndarray
    projected: np.ndarray


def read_layers(
    model: ClipModel,
    images: Iterable[ImageSource],
    covered: np.ndarray,
    *,
    batch_size: int | None = None,
    progress: bool = True,
) -> LayerReading:
    """Read the object from the tokens of every layer.

    Projecting tokens of any layer as if they were the last is the *logit lens* (nostalgebraist, *interpreting GPT:
    the logit lens*, 2020). The projection was trained for the pooled token of the last layer: what it does not find
    may still be there, in other coordinates, where a probe of `LayerReading.vectors` may find it.

    Parameters
    ----------
    model, images, batch_size, progress : as for `crosseyed.internals.trace.run`
    covered : float (n_images, rows, columns), from `attention.coverage`; an object that covers no patch is read as NaN
    """
    traces = run(model, images, "tokens", batch_size=batch_size, progress=progress)
    return _reading(adapter_of(model), traces, covered)


def read_and_decompose(
    model: ClipModel, images: Sequence[ImageSource], covered: np.ndarray, chosen: np.ndarray
) -> tuple[LayerReading, Decomposition | None]:
    """Do what `read_layers` does with all images and `decompose` with some of them, in one pass for each image.

    Parameters
    ----------
    model, images, covered : as for `read_layers`
    chosen : bool (n_images,), which images are decomposed, at least one

    Returns
    -------
    tuple of LayerReading and Decomposition
        That of all images, in their order, and that of the chosen ones, numbered from 0; None instead where the
        embedding of the tower is no such sum.
    """
    adapter = adapter_of(model)
    if "decomposition" not in adapter.capabilities:
        return read_layers(model, images, covered), None
    parts = []

    def both(batch: Tensor, first: int) -> tuple[Trace, Decomposition]:
        calls, shown = listened(model, adapter, {"mlp"}, batch), range(first, first + len(batch))
        return traced(adapter, calls, shown, {"tokens"}, adapter.layers), decomposed(adapter, calls, shown)

    def traces() -> Iterator[Trace]:
        for trace, part in stream(model, [images[n] for n in np.flatnonzero(chosen)], both):
            parts.append(concatenate([part]))  # not on the device
            yield trace

    readings = [_reading(adapter, traces(), covered[chosen])]
    if not chosen.all():
        others = [images[n] for n in np.flatnonzero(~chosen)]
        readings.append(read_layers(model, others, covered[~chosen]))
    place = np.argsort(np.argsort(~chosen, kind="stable"))
    vectors, projected = (
        np.concatenate([getattr(each, name) for each in readings], axis=1)[:, place]
        for name in ("vectors", "projected")
    )
    return LayerReading(adapter.layers, vectors, projected), concatenate(parts)


def _reading(adapter: TowerAdapter, traces: Iterable[Trace], covered: np.ndarray) -> LayerReading:
    """Read consecutive batches with the tokens of all layers."""
    covered = check_covered(covered, len(covered), adapter.grid)
    vectors, projected, n_images = [], [], 0
    for part in traces:
        n_images = part.images.stop
        weights = torch.from_numpy(covered[part.images.start : n_images]).to(part.tokens)
        if len(weights) != len(part.images):
            break
        spatial = part.tokens[:, :, part.prefix :]
        under = torch.einsum("bt,lbtw->lbw", weights / weights.sum(1, keepdim=True), spatial)
        pooled = adapter.pooled_token
        token = torch.full_like(under, torch.nan) if pooled is None else part.tokens[:, :, pooled]
        read = torch.stack([under, spatial.mean(2), token], 2)
        through = adapter.project(read)
        through[-1, :, SOURCES.index("pooled")] = part.embedding
        vectors.append(read.cpu())
        projected.append(F.normalize(through, dim=-1).cpu())
    if n_images != len(covered) or not n_images:
        count = "more" if n_images > len(covered) else n_images
        raise InputError(
            f"covered describes {len(covered)} images, but there are {count}; give a row for each."
        )
    return LayerReading(adapter.layers, torch.cat(vectors, 1).numpy(), torch.cat(projected, 1).numpy())
