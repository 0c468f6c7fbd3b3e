"""Train a new step from tokens to the embedding; the image tower and the text tower stay as they are.

A training-free pooling (`crosseyed.mitigations.pooling`, which also explains the notation) hands the rest of the tower
a vector that it was never trained for. A *trained head* can adapt: it pools the tokens v_t of the frozen tower and maps
what the tower makes of the pooled vector linearly::

    z = embed(pooled) + D embed(pooled),        embedding = z / |z|

D starts at zero, so an untrained head is the training-free pooling. The poolings differ, apart from D, as follows:

- *average*: the mean of the v_t;
- *attention*: head h of `N_HEADS` averages its own slice of the channels with weights ``A_ht = softmax_t(q_h · v_t)``.
  The learned queries q_h absorb the key matrix and start at zero, which gives the average;
- *masked max*: the maximum of each channel over the tokens to which the tower's own pooling attends most, as Li et al.
  (ECLIP, arXiv 2209.07046) train it, with a mask from the tower itself.

The v_t come from the last tokens or from an earlier depth. Where a class token is pooled, only that token of the last
block's output was trained; the tokens that it reads are one block earlier.

Heads are trained as the tower was: images against captions, with the contrastive loss (Radford et al., arXiv
2103.00020, figure 3). Images show one object anywhere (`crosseyed.data.photographer.snapshot`). Learning rate and
number of epochs are chosen on images of other objects, so that memorising the training objects is not rewarded.

Throughout, `model` is left as it is; `layer` is numbered as in `crosseyed.internals.trace` (negative: from the last);
`pixels` is the model's input (batch, 3, height, width) and `texts` has one caption per image. `UnsupportedTower` is
raised for towers that tracing does not know.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError, suggest
from crosseyed.mitigations.pooling import Repooled, gathered, supported
from crosseyed.mitigations.pooling_methods import POOLINGS, Batch, most_attended
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.registry import adapter_of

N_HEADS = 4
"""Heads of the attention head; the width of every tower is a multiple."""


@dataclass(frozen=True, eq=False)
class HeadedModel(Repooled):
    """A model whose tower is pooled and projected by a head; made by `train_heads` and `untrained`.

    Attributes
    ----------
    head : Head
        What replaces the tower's pooling.
    history : pandas.DataFrame
        One row per learning rate and epoch (0: before training); empty if untrained. Columns: `learning_rate`, `epoch`,
        `loss` (mean of the epoch; NaN for epoch 0), `accuracy` (percent, on validation images), `chosen`.
    """

    head: "Head"
    history: pd.DataFrame = field(repr=False)

    @property
    def pooling(self) -> str:
        """Kind of head, e.g. ``"trained average"``, in column `pooling` of the tables."""
        kind = f"{'untrained' if self.history.empty else 'trained'} {self.head.pooling.name}"
        last = adapter_of(self.clip_model).layers[-1]
        return kind if self.head.layer == last else f"{kind} (layer {self.head.layer})"

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of images, as `ClipModel.encode_images` does."""
        (vectors,) = encode_together([self], images, progress=progress)
        return vectors


def supported_heads(model: ClipModel) -> list[str]:
    """List the heads in `HEADS` whose training-free pooling the tower supports."""
    able = supported(model)
    return [name for name, pooling in HEADS.items() if pooling.starts_as in able]


def untrained(model: ClipModel, name: str, *, fraction: float | None = None, layer: int = -1) -> HeadedModel:
    """Put an untrained head on a model, which changes only the pooling.

    Parameters
    ----------
    model, layer
        See the module.
    name : str
        One of `supported_heads`.
    fraction : float, optional
        For masked max: share of spatial tokens in the mask, in (0, 1]; by default that of the training-free pooling.

    Returns
    -------
    HeadedModel
        At the last layer, it embeds like the training-free pooling *average* or *masked max*.

    Raises
    ------
    InputError
        The head is unknown or not supported, the tower has no such layer, or `fraction` is out of range.
    """
    able = supported_heads(model)
    if name not in able:
        near = suggest(name, able) or "."
        raise InputError(f"No head {name!r} can be put on {model.name}{near} Choose from {', '.join(able)}.")
    default = POOLINGS["masked max"].parameters["fraction"]
    chosen = default.default if fraction is None else fraction
    default.check("fraction", chosen, f"the head {name!r}")
    adapter = adapter_of(model)
    depth = depth_of(model, layer)
    with torch.no_grad():
        gray = np.full((*model.image_size, 3), 127, np.uint8)
        width = Batch.of(model, model.to_input([gray])).tokens_at(depth).shape[-1]
    head = Head(adapter.embed, HEADS[name](width, chosen), model.tower.embed_dim, depth).to(model.device)
    return HeadedModel(model, head, pd.DataFrame())


def encode_together(
    models: Sequence[HeadedModel | ClipModel], images: Iterable[ImageSource], *, progress: bool = True
) -> list[np.ndarray]:
    """Encode images with several heads of one model, running its tower once on each image.

    Parameters
    ----------
    models : sequence of HeadedModel or ClipModel
        Heads on one and the same `ClipModel`, or this model itself; else InputError.
    images, progress
        As for `ClipModel.encode_images`; images are not kept.

    Returns
    -------
    list of numpy.ndarray, shape (n_images, embed_dim)
        The `encode_images` of each model.
    """
    bases = {id(base): base for base in (getattr(model, "clip_model", model) for model in models)}
    if len(bases) != 1:
        raise InputError(
            "encode_together takes at least one head, and all on the same loaded model. Given: "
            f"{', '.join(model.name for model in models) or 'none'}."
        )
    (clip_model,) = bases.values()

    @torch.no_grad()
    def run(pixels: Tensor, _: int) -> list[np.ndarray]:
        batch = Batch.of(clip_model, pixels)
        own = F.normalize(batch.embedding.float(), dim=-1)
        vectors = [own if each is clip_model else each.head(*_taken(batch, each.head)) for each in models]
        return [each.cpu().numpy() for each in vectors]

    return gathered(clip_model, images, run, [clip_model.tower.embed_dim] * len(models), progress)


def itsm(model: HeadedModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Compare each token with the caption, mapped by the head as if it were the pooled vector.

    For an untrained head this is `crosseyed.internals.explain.itsm`; ECLIP is judged by this map after training.

    Parameters
    ----------
    model, pixels, texts
        See the module; InputError unless there is one caption per image.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 cosines in [-1, 1], interpolated between the centers of the tokens' cells.
    """
    text = _one_each(model, pixels, texts)
    with torch.no_grad():
        tokens = Batch.of(model.clip_model, pixels).tokens_at(model.head.layer)
        cosines = torch.einsum("bte,be->bt", model.head.project(tokens), text)
    return _spread(model, cosines, pixels)


def itsm_after_pooling(model: HeadedModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Return how much each token adds to the similarity of image and caption when the head pools it.

    Like `crosseyed.internals.explain.itsm_after_pooling`: a maximum credits each channel to the token that has it;
    attention weights are held fixed. Credit is input times gradient of the similarity with its norm held fixed, which
    sums to the similarity exactly if only a projection follows pooling. Parameters are those of `itsm`.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 summands of the cosine, interpolated as for `itsm`.
    """
    text, head = _one_each(model, pixels, texts), model.head
    with torch.no_grad():
        tokens, attention = _taken(Batch.of(model.clip_model, pixels), head)
        fixed = head.pooling.weights(tokens, attention)
    with torch.enable_grad():
        tokens = tokens.clone().requires_grad_()
        mapped = head.map((fixed * tokens).sum(1))
        similarity = (mapped * text).sum(-1) / mapped.detach().norm(dim=-1)
        (gradient,) = torch.autograd.grad(similarity.sum(), tokens)
    return _spread(model, (gradient * tokens.detach()).sum(-1), pixels)


def as_method(
    method: Callable[[HeadedModel, Tensor, Sequence[str]], np.ndarray], model: HeadedModel
) -> Callable[[ClipModel, Tensor, Sequence[str]], np.ndarray]:
    """Turn a map of a headed model into a method for `crosseyed.internals.map_scores.maps_of`."""
    return lambda _, pixels, texts: method(model, pixels, texts)


class HeadPooling(nn.Module):
    """A pooling as weights of the tokens, one for each channel: pooled = Σ_t weights_t · v_t.

    Attributes
    ----------
    name, starts_as : str
        Its name in `HEADS`, and the training-free pooling that it is before training.
    reads_attention : bool
        Whether it needs the tower's own attention.
    """

    name: str
    starts_as: str
    reads_attention = False

    def __init__(self, width: int, fraction: float) -> None:
        super().__init__()

    def weights(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return weights that sum to 1 over tokens (batch, T, width); `attention` is (batch, T)."""
        raise NotImplementedError

    def forward(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return the pooled vectors, (batch, width)."""
        return (self.weights(tokens, attention) * tokens).sum(1)


class AverageHead(HeadPooling):
    """The mean of the tokens."""

    name = starts_as = "average"

    def weights(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return the same weight for all tokens."""
        return tokens.new_full((1, 1, 1), 1 / tokens.shape[1])


class AttentionHead(HeadPooling):
    """Softmax attention of a learned query, with several heads."""

    name, starts_as = "attention", "average"

    def __init__(self, width: int, fraction: float) -> None:
        super().__init__(width, fraction)
        self.query = nn.Parameter(torch.zeros(N_HEADS, width))

    def weights(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return each head's probabilities for the channels that it reads."""
        return self._probabilities(tokens).repeat_interleave(tokens.shape[-1] // N_HEADS, -1)

    def forward(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return the weighted means without expanding the weights to all channels."""
        slices = tokens.unflatten(-1, (N_HEADS, -1))
        return torch.einsum("bth,bthc->bhc", self._probabilities(tokens), slices).flatten(1)

    def _probabilities(self, tokens: Tensor) -> Tensor:
        return (tokens @ self.query.T).softmax(1)


class MaskedMaxHead(HeadPooling):
    """The maximum over the tokens to which the tower's own pooling attends most."""

    name = starts_as = "masked max"
    reads_attention = True

    def __init__(self, width: int, fraction: float) -> None:
        super().__init__(width, fraction)
        self.fraction = fraction

    def weights(self, tokens: Tensor, attention: Tensor) -> Tensor:
        """Return 1 for the token in the mask with the largest value, 0 for the others."""
        winner = self._masked(tokens, attention).argmax(1, keepdim=True)
        return torch.zeros_like(tokens).scatter(1, winner, 1.0)

    def forward(self, tokens: Tensor, attention: Tensor) -> Tensor:
        """Return the maximum."""
        return self._masked(tokens, attention).amax(1)

    def _masked(self, tokens: Tensor, attention: Tensor) -> Tensor:
        kept = torch.zeros_like(attention, dtype=torch.bool)
        kept = kept.scatter(1, most_attended(attention, self.fraction), True)
        return tokens.masked_fill(~kept[..., None], -torch.inf)


class Head(nn.Module):
    """Pooling, what follows it in the tower (`TowerAdapter.embed`), and a linear map that starts as the identity."""

    def __init__(
        self, embed: Callable[[Tensor], Tensor], pooling: HeadPooling, embed_dim: int, layer: int
    ) -> None:
        super().__init__()
        self.layer = layer
        self.embed = embed
        self.pooling = pooling
        self.change = nn.Linear(embed_dim, embed_dim, bias=False)
        nn.init.zeros_(self.change.weight)

    def forward(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return unit vectors (batch, embed_dim) for tokens (batch, T, width) and attention (batch, T)."""
        return self.project(self.pooling(tokens, attention))

    def map(self, pooled: Tensor) -> Tensor:
        """Return z (see the module), (..., embed_dim), for pooled vectors (..., width)."""
        embedded = self.embed(pooled)
        return embedded + self.change(embedded)

    def project(self, pooled: Tensor) -> Tensor:
        """Return the unit vectors of pooled vectors, or of single tokens, as if the head saw only that token."""
        return F.normalize(self.map(pooled), dim=-1)


HEADS: dict[str, type[HeadPooling]] = {
    head.name: head for head in (AverageHead, AttentionHead, MaskedMaxHead)
}
"""The heads by name."""


def _taken(batch: Batch, head: Head) -> tuple[Tensor, Tensor | None]:
    """Return the tokens (batch, T, pooled_width) and, if the head reads it, the attention (batch, T)."""
    return batch.tokens_at(head.layer), batch.attention if head.pooling.reads_attention else None


def embed_texts(model: ClipModel, texts: Sequence[str]) -> Tensor:
    """Return the unit vectors of texts, (n_texts, embed_dim), on the model's device."""
    return torch.from_numpy(model.encode_texts(texts)).to(model.device)


def _spread(model: HeadedModel, values: Tensor, pixels: Tensor) -> np.ndarray:
    """Interpolate values of the spatial tokens (batch, T) to the pixels."""
    cells = values.float().unflatten(1, adapter_of(model.clip_model).grid)[:, None]
    spread = F.interpolate(cells, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
    return spread[:, 0].cpu().numpy()


def depth_of(model: ClipModel, layer: int) -> int:
    """Return the depth of a layer; negative numbers count from the last."""
    layers = adapter_of(model).layers
    depth = layer + layers[-1] + 1 if layer < 0 else layer
    if depth not in layers:
        valid = ", ".join(map(str, layers))
        raise InputError(
            f"layer is {layer!r}; {model.name} has tokens at {valid} (or negative, from the last)."
        )
    return depth


def _one_each(model: HeadedModel, pixels: Tensor, texts: Sequence[str]) -> Tensor:
    if isinstance(texts, str) or len(texts) != len(pixels):
        raise InputError(
            f"texts is {texts!r}; expected a list with one caption for each of {len(pixels)} images"
        )
    return embed_texts(model.clip_model, texts)
