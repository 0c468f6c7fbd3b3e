"""Train another step from tokens to the embedding, and leave the tower and the text tower as they are.

A training-free pooling (`crosseyed.mitigations.pooling`) hands the rest of the tower a vector that it was never
trained for. A
*trained head* has the chance to adapt: it pools the tokens v_t of the frozen tower (the notation is that of
`crosseyed.mitigations.pooling`) and maps what the tower makes of the pooled vector linearly::

    z = embed(pooled) + D embed(pooled),        embedding = z / |z|

D starts at zero, so an untrained head is the training-free pooling, and what is learned is the change. Three poolings,
with as many numbers to learn but for the query:

- *average*: the mean of the v_t;
- *attention*: a learned query q_h for each of `N_HEADS` heads, ``A_ht = softmax_t(q_h · v_t)``; head h averages its own
  slice of the channels with these weights. (The matrix that would make keys of tokens is absorbed in the query.) The
  queries start at zero, where this is the average;
- *masked max*: the maximum of each channel over the tokens to which the tower's own pooling attends most, as
  Li et al. (ECLIP, arXiv 2209.07046) train it, with a mask that the tower itself provides.

The v_t are made of the last tokens, or of those of an earlier depth. Where a class token is pooled, only that token of
the last block's output was ever trained, and the tokens that it reads are those one block earlier.

Heads are trained as the tower was: images against captions, with the contrastive loss (Radford et al., arXiv
2103.00020, figure 3). The images show one object each, anywhere (`crosseyed.data.photographer.snapshot`);
captions are
embedded by the model's own text tower. Learning rate and number of epochs are chosen on images of other objects, so
that a head is not rewarded for learning the training objects by heart.
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

"""Heads of the attention head; the widths of all towers are multiples of it."""


@dataclass(frozen=True, eq=False)
class HeadedModel(Repooled):
    """A model whose tower is pooled and projected by a head; made by `train_heads` and `untrained`.

    Attributes
    ----------
    head : Head
        What takes the place of the tower's pooling.
    history : pandas.DataFrame
        One row per learning rate and epoch, epoch 0 before training: `learning_rate`, `epoch`, `loss` (mean over the
        epoch; NaN for epoch 0), `accuracy` (percent, on the validation images) and `chosen`. Empty if untrained.
    """

    head: "Head"
    history: pd.DataFrame = field(repr=False)

    @property
    def pooling(self) -> str:
        """What kind of head it is, e.g. ``"trained average"``: column `pooling` of the tables."""
        kind = f"{'untrained' if self.history.empty else 'trained'} {self.head.pooling.name}"
        last = adapter_of(self.clip_model).layers[-1]
        return kind if self.head.layer == last else f"{kind} (layer {self.head.layer})"

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of any number of images, as `ClipModel.encode_images` does."""
        (vectors,) = encode_together([self], images, progress=progress)
        return vectors


def supported_heads(model: ClipModel) -> list[str]:
    """List the heads that a tower supports: those of `HEADS` whose training-free pooling it supports."""
    able = supported(model)
    return [name for name, pooling in HEADS.items() if pooling.starts_as in able]


def untrained(model: ClipModel, name: str, *, fraction: float | None = None, layer: int = -1) -> HeadedModel:
    """Put a head on a model that changes nothing but the pooling.

    Parameters
    ----------
    model : ClipModel
        A loaded model; left as it is.
    name : str
        One of `supported_heads`.
    fraction : float, optional
        For the masked maximum: share of the spatial tokens inside the mask, in (0, 1]; by default that of the
        training-free pooling.
    layer : int
        Depth of the tokens that are pooled, as `crosseyed.internals.trace` numbers them; negative numbers count
        from the last.

    Returns
    -------
    HeadedModel
        Gives, with the last layer, the embeddings of the training-free pooling *average* or *masked max*.

    Raises
    ------
    InputError
        There is no such head, or the tower does not support it or has no such layer; `fraction` is out of range.
    UnsupportedTower
        The tower is of a family that tracing does not know.
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
    models: Sequence[HeadedModel], images: Iterable[ImageSource], *, progress: bool = True
) -> list[np.ndarray]:
    """Encode images with several heads of one model, whose tower runs once on each image.

    Parameters
    ----------
    models : sequence of HeadedModel
        Heads on one and the same `ClipModel`.
    images, progress
        As for `ClipModel.encode_images`; images are not kept.

    Returns
    -------
    list of numpy.ndarray, shape (n_images, embed_dim)
        For each of the models, what its own `encode_images` gives.

    Raises
    ------
    InputError
        There are no models, or they are heads on different ones; as for `ClipModel.encode_images`.
    """
    if len({id(model.clip_model) for model in models}) != 1:
        raise InputError(
            "encode_together takes at least one head, and all on the same loaded model. Given: "
            f"{', '.join(model.name for model in models) or 'none'}."
        )
    clip_model = models[0].clip_model

    @torch.no_grad()
    def run(pixels: Tensor, _: int) -> list[np.ndarray]:
        batch = Batch.of(clip_model, pixels)
        return [model.head(*_taken(batch, model.head)).cpu().numpy() for model in models]

    return gathered(clip_model, images, run, [clip_model.tower.embed_dim] * len(models), progress)


def itsm(model: HeadedModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Compare each token, mapped by the head as if it were the pooled vector, with the caption.

    Of an untrained head it is `crosseyed.internals.explain.itsm`; after training, the map with which ECLIP is judged.

    Parameters
    ----------
    model : HeadedModel
        A model with a head.
    pixels : torch.Tensor, shape (batch, 3, height, width)
        The model's input, as of `ClipModel.to_input`.
    texts : sequence of str
        One caption an image; else InputError.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 cosines in [-1, 1], interpolated between the middles of the tokens' cells.
    """
    text = _one_each(model, pixels, texts)
    with torch.no_grad():
        tokens = Batch.of(model.clip_model, pixels).tokens_at(model.head.layer)
        cosines = torch.einsum("bte,be->bt", model.head.project(tokens), text)
    return _spread(model, cosines, pixels)


def itsm_after_pooling(model: HeadedModel, pixels: Tensor, texts: Sequence[str]) -> np.ndarray:
    """Say what each token adds to the similarity of image and caption when the head pools it.

    As `crosseyed.internals.explain.itsm_after_pooling`, for the pooling of the head: each channel of the maximum
    is credited to the token that has it; of attention, the weights are held fixed. Credit is input times gradient of
    the similarity, its norm held fixed, which sums to the similarity exactly where only a projection follows pooling.

    Parameters
    ----------
    model, pixels, texts
        As for `itsm`.

    Returns
    -------
    numpy.ndarray, shape (batch, height, width)
        float32 summands of the cosine similarity, interpolated as for `itsm`.
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
    """Make a map of a headed model a method of `crosseyed.internals.map_scores.compare`."""
    return lambda _, pixels, texts: method(model, pixels, texts)


class HeadPooling(nn.Module):
    """A pooling as weights of the tokens, one for each channel: pooled = Σ_t weights_t · v_t.

    Attributes
    ----------
    name : str
        Its name in `HEADS`.
    starts_as : str
        The training-free pooling that it is before training.
    reads_attention : bool
        Whether it needs the tower's own attention.
    """

    name: str
    starts_as: str
    reads_attention = False

    def __init__(self, width: int, fraction: float) -> None:
        super().__init__()

    def weights(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return weights, broadcasting to (batch, T, width), that sum to 1 over the tokens (batch, T, width).

        `attention`, (batch, T), is that of the tower's own pooling, for a head that reads it.
        """
        raise NotImplementedError

    def forward(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return the pooled vectors, (batch, width)."""
        return (self.weights(tokens, attention) * tokens).sum(1)


class AverageHead(HeadPooling):
    """The mean of the tokens."""

    name = starts_as = "average"

    def weights(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Give all tokens the same."""
        return tokens.new_full((1, 1, 1), 1 / tokens.shape[1])


class AttentionHead(HeadPooling):
    """Softmax attention of a learned query, with several heads."""

    name, starts_as = "attention", "average"

    def __init__(self, width: int, fraction: float) -> None:
        super().__init__(width, fraction)
        self.query = nn.Parameter(torch.zeros(N_HEADS, width))

    def weights(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Give each head's probabilities to the channels that it reads."""
        return self._probabilities(tokens).repeat_interleave(tokens.shape[-1] // N_HEADS, -1)

    def forward(self, tokens: Tensor, attention: Tensor | None) -> Tensor:
        """Return the weighted means, without writing out a weight for each channel."""
        slices = tokens.unflatten(-1, (N_HEADS, -1))
        return torch.einsum("bth,bthc->bhc", self._probabilities(tokens), slices).flatten(1)

    def _probabilities(self, tokens: Tensor) -> Tensor:
        return (tokens @ self.query.T).softmax(1)


class MaskedMaxHead(HeadPooling):
    """The maximum over the tokens that the tower's own pooling attends to most."""

    name = starts_as = "masked max"
    reads_attention = True

    def __init__(self, width: int, fraction: float) -> None:
        super().__init__(width, fraction)
        self.fraction = fraction

    def weights(self, tokens: Tensor, attention: Tensor) -> Tensor:
        """Give all to the token inside the mask that has the largest value."""
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
        return F.normalize(self.map(self.pooling(tokens, attention)), dim=-1)

    def map(self, pooled: Tensor) -> Tensor:
        """Return z of the module's docstring, (..., embed_dim), for pooled vectors (..., width)."""
        embedded = self.embed(pooled)
        return embedded + self.change(embedded)

    def project(self, tokens: Tensor) -> Tensor:
        """Return the unit vectors that the head would give if it saw one token only, for each of the tokens."""
        return F.normalize(self.map(tokens), dim=-1)


HEADS: dict[str, type[HeadPooling]] = {
    head.name: head for head in (AverageHead, AttentionHead, MaskedMaxHead)
}

"""The heads by name."""


def _taken(batch: Batch, head: Head) -> tuple[Tensor, Tensor | None]:
    """Return what the head takes: tokens (batch, T, pooled_width) and, if it reads it, attention (batch, T)."""
    return batch.tokens_at(head.layer), batch.attention if head.pooling.reads_attention else None


def embed_texts(model: ClipModel, texts: Sequence[str]) -> Tensor:
    """Return the unit vectors of texts on the device of the model, (n_texts, embed_dim)."""
    return torch.from_numpy(model.encode_texts(texts)).to(model.device)


def _spread(model: HeadedModel, values: Tensor, pixels: Tensor) -> np.ndarray:
    """Spread values of the spatial tokens (batch, T) over the pixels."""
    cells = values.float().unflatten(1, adapter_of(model.clip_model).grid)[:, None]
    spread = F.interpolate(cells, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
    return spread[:, 0].cpu().numpy()


def depth_of(model: ClipModel, layer: int) -> int:
    """Return the depth of a layer, counted from the last if it is negative."""
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
