"""Replace the pooling of a frozen tower with another step from its tokens to one vector, without training.

The tower itself runs unchanged, read by `crosseyed.internals.trace`, so changes that a context manager makes to the
model take effect here too. Exception: methods that replace the attention of the last block or of attention pooling, or
take a mask from it, compute that attention from its weights and its input, and do not see a change of it.

Throughout, `model` is left as it is; `images`, `texts` and `progress` are those of
`crosseyed.models.scorer.Scorer.similarities`. `UnsupportedTower` is raised for towers that tracing does not know.

Notation
--------
v_t is what the tower's own pooling would take from spatial token t = 1 … T (`TowerAdapter.candidates`):

- class-token and average pooling: the token after the final norm, before the projection. (If the tower has its final
  norm after pooling, the token itself; the norm then follows this pooling too.)
- attention pooling, in a ViT or a ResNet: what the attention would write if it read that token alone, that is, its
  values and output applied to the token (as ECLIP does for ResNets).

Pooled vectors then go through what follows pooling in the tower (`embed`), for instance the projection. So "max" equals
a tower trained with a maximum in place of its `_global_pool`.

Methods of the last block run it again on its own input x_t with other attention; residual connection and MLP stay:

- *uniform*, *sharpened* and *flattened attention* change the probabilities A that form the pooled vector: the class
  token's row in the last block or, where the tower averages, the rows of all spatial tokens; in a tower with attention
  pooling, that attention instead. The tower's own pooling follows.
- *value only* and *SCLIP* recompute the last block's output of the spatial tokens, *CLIP Surgery* that of several
  blocks (`crosseyed.internals.self_similarity`); they become v_t as above and are averaged. The class token is read but
  not pooled. (The papers segment: they read tokens one by one, without averaging.)
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError, suggest
from crosseyed.internals.trace import stream
from crosseyed.mitigations.pooling_methods import NEEDS, POOLINGS, Batch, PoolingMethod
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Encoder, Scorer, ScorerWrapper
from crosseyed.models.towers.base import TowerAdapter
from crosseyed.models.towers.registry import adapter_of


@dataclass(frozen=True, eq=False)
class Repooled(ScorerWrapper, Encoder):
    """A model whose tower is pooled in another way; subclasses define `pooling` and `encode_images`.

    Attributes
    ----------
    clip_model : ClipModel
        The model that computes; it embeds texts as before.
    """

    clip_model: ClipModel

    @property
    def pooling(self) -> str:
        """Name of the pooling, in column `pooling` of the tables."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """Name of the model and the pooling, e.g. ``"pocketclip-centered, max"``."""
        return f"{self.clip_model.name}, {self.pooling}"

    @property
    def inner(self) -> Scorer:
        """The model that computes."""
        return self.clip_model

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the model's own embeddings of the texts."""
        return self.clip_model.encode_texts(texts)


@dataclass(frozen=True, eq=False)
class PooledModel(Repooled):
    """A model with a training-free pooling; made by `pool`.

    Attributes
    ----------
    method, parameters : PoolingMethod, mapping of str to float
        The pooling and the values of its parameters.
    """

    method: PoolingMethod
    parameters: Mapping[str, float]

    @property
    def pooling(self) -> str:
        """The method and its parameters, e.g. ``"top-k (k=4)"``."""
        values = ", ".join(f"{name}={value:g}" for name, value in self.parameters.items())
        return f"{self.method.name} ({values})" if values else self.method.name

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Encode as `ClipModel.encode_images`; raise InputError if the pooling depends on the caption."""
        if self.method.by_caption:
            raise InputError(
                f"With the pooling {self.method.name!r} an image has another vector for each caption: call "
                "similarities(images, texts) instead of encode_images(images)."
            )
        return _run(self, images, None, progress)

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        """Return the cosine of every image's vector with every text's."""
        captions = self.encode_texts(texts)
        found = _run(self, images, captions, progress).astype(np.float64)
        return found if self.method.by_caption else found @ captions.T.astype(float)


def supported(model: ClipModel) -> list[str]:
    """List the poolings that the model's tower supports, its own included, in the order of `POOLINGS`."""
    adapter = adapter_of(model)
    return [name for name, method in POOLINGS.items() if not _missing(method, adapter)]


def unsupported(model: ClipModel) -> dict[str, tuple[str, ...]]:
    """Return the poolings that the tower does not support, each with what it needs."""
    able = supported(model)
    return {name: method.needs for name, method in POOLINGS.items() if name not in able}


def native(model: ClipModel) -> str:
    """Return the pooling that the tower was trained with: "class token", "average" or "attention"."""
    return adapter_of(model).native_pooling


def pool(model: ClipModel, name: str, **parameters: float) -> PooledModel:
    """Replace the pooling of a model.

    Parameters
    ----------
    model : ClipModel
        See the module.
    name : str
        One of `supported`; `POOLINGS` has formula, source and parameters.
    **parameters : float
        Parameters of the method; each has a range and a default.

    Returns
    -------
    PooledModel
        An `Encoder`, or only a `Scorer` if the pooling depends on the caption.

    Raises
    ------
    InputError
        The pooling is unknown or not supported by the tower; a parameter is unknown or out of range.
    """
    adapter, able = adapter_of(model), supported(model)
    if name not in POOLINGS:
        near = suggest(name, POOLINGS) or "."
        raise InputError(f"There is no pooling {name!r}{near} {model.name} supports {', '.join(able)}.")
    method = POOLINGS[name]
    if missing := _missing(method, adapter):
        raise InputError(
            f"The pooling {name!r} needs {' and '.join(missing)}, which the tower of {model.name} "
            f"({model.tower.kind}) does not have; it supports {', '.join(able)}."
        )
    for given in parameters.keys() - method.parameters.keys():
        near = suggest(given, method.parameters) or "."
        known = ", ".join(method.parameters) or "none"
        raise InputError(f"The pooling {name!r} has no parameter {given!r}{near} Its parameters: {known}.")
    values = {key: parameter.default for key, parameter in method.parameters.items()} | parameters
    for key, value in values.items():
        method.parameters[key].check(key, value, f"the pooling {name!r}")
    if values.get("k", 0) > math.prod(adapter.grid):
        raise InputError(
            f"k={values['k']} of the pooling {name!r} exceeds the number of spatial tokens of {model.name}, "
            f"{math.prod(adapter.grid)}."
        )
    return PooledModel(model, method, values)


def candidates(model: ClipModel) -> list[PooledModel]:
    """Return all settings that chapter 4 tries of every supported pooling except the tower's own."""
    return [
        pool(model, name, **setting)
        for name in supported(model)
        if name != native(model)
        for setting in POOLINGS[name].settings("grid")
        if setting.get("k", 0) <= math.prod(adapter_of(model).grid)
    ]


def _run(
    model: PooledModel, images: Iterable[ImageSource], captions: np.ndarray | None, progress: bool
) -> np.ndarray:
    """Return the unit vectors (n_images, embed_dim) of a model, or its cosines (n_images, n_texts)."""
    clip_model = model.clip_model
    texts = None if captions is None else torch.from_numpy(captions).to(clip_model.device)

    @torch.inference_mode()
    def run(pixels: Tensor, _: int) -> list[np.ndarray]:
        return [of_batch(model, Batch.of(clip_model, pixels), texts).cpu().numpy()]

    width = len(captions) if model.method.by_caption else clip_model.tower.embed_dim
    (found,) = gathered(clip_model, images, run, [width], progress)
    return found


def gathered(
    model: ClipModel,
    images: Iterable[ImageSource],
    run: Callable[[Tensor, int], list[np.ndarray]],
    widths: Sequence[int],
    progress: bool,
) -> list[np.ndarray]:
    """Run over batches of images and return each of several outputs as one array (n_images, width)."""
    results = [[np.empty((0, width), np.float32)] for width in widths]
    for batch in stream(model, images, run, progress=progress):
        for parts, part in zip(results, batch, strict=True):
            parts.append(part)
    return [np.concatenate(parts) for parts in results]


def of_batch(model: PooledModel, batch: Batch, texts: Tensor | None) -> Tensor:
    """Return unit vectors (batch, embed_dim); for a pooling by caption, cosines with `texts`, (batch, n_texts)."""
    method = model.method
    if method.by_caption:
        return method.step(batch, texts, **model.parameters)
    is_native = method.name == batch.adapter.native_pooling  # the tower's very own numbers
    embedding = batch.embedding if is_native else method.step(batch, **model.parameters)
    return F.normalize(embedding.float(), dim=-1)


def _missing(method: PoolingMethod, adapter: TowerAdapter) -> list[str]:
    return [need for need in method.needs if not NEEDS[need](adapter)]
