"""Redistribute attention without training: over the image, away from sinks, by confidence, between heads.

Attention probabilities are recomputed from what enters an attention, changed, and what the attention writes is
replaced by what it would write with the changed ones (`redirected`). With one exception every change moves
attention from patch to patch: the share of the class token (or a ResNet's mean token) and the sum over the image
stay what they were, row by row and head by head. The exception is `HeadSuppression`, which scales whole heads.

Which attentions there are: the blocks', numbered by the depth that they lead to, from 1, and, of a tower that pools
by attention, its pooling, one depth after the last. "The last m" counts back from the end, so that the pooling comes
first where there is one; a ResNet has nothing else. Where pooling takes the class token, only its row is changed;
where it averages the tokens or attends to them, those of all tokens, and of the pooling the queries that are used.

The changed attentions are computed a second time: for the class token's row that is little, for all rows about what
the attention itself costs. Whoever computes attention again from its input does not see the change, only what it does
to later layers: a trace shows changed outputs beside the model's own probabilities, and a pooling that replaces the
attention by which the pooled vector is formed (`crosseyed.mitigations.pooling`) replaces a change of that
attention, too.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.attention import patch_eccentricities
from crosseyed.internals.attention_tables import SINK_FACTOR, sinks
from crosseyed.mitigations.base import Mitigation, portions, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.redirection import Scope, attends, attention_steps, check_layer, redirected
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer
from crosseyed.models.towers.base import AttentionStep

_PORTION = 256  # images that are held in memory to be encoded twice


@dataclass(frozen=True, kw_only=True)
class LastAttentions(Mitigation):
    """A mitigation that changes the last attentions of a tower, in all heads or in those numbered by `heads`."""

    last: int = parameter(1, "how many of the last attentions change", low=1)
    heads: tuple[int, ...] | str = "all"

    def __post_init__(self) -> None:
        """Raise InputError for a parameter out of range or no heads."""
        super().__post_init__()
        if isinstance(self.heads, str) and self.heads == "all":
            return
        if isinstance(self.heads, str) or not len(self.heads):
            raise InputError(f"heads is 'all' or numbers of heads, at least one, not {self.heads!r}.")
        object.__setattr__(self, "heads", tuple(int(head) for head in self.heads))

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower with fewer attentions or heads."""
        self.layers(model)

    def layers(self, model: ClipModel) -> list[int]:
        """Return the depths that the last attentions lead to, ascending.

        Parameters
        ----------
        model : ClipModel
            The model.

        Returns
        -------
        list of int
            `last` of them.

        Raises
        ------
        UnsupportedTower
            The tower is of a family that tracing does not know.
        InputError
            There are fewer attentions, or one of them has fewer heads.
        """
        steps = attention_steps(model)
        if self.last > len(steps):
            raise InputError(
                f"last is from 1 to {len(steps)} with {model.name}, not {self.last}: {attends(model)}."
            )
        layers = list(steps)[-self.last :]
        if self.heads != "all":
            check_heads(model, steps, [(layer, head) for layer in layers for head in self.heads])
        return layers


@dataclass(frozen=True, kw_only=True)
class Redistribution(LastAttentions, ABC):
    """A mitigation that moves attention over the image."""

    @abstractmethod
    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Move attention over the image.

        Parameters
        ----------
        image : torch.Tensor, shape (batch, heads, reading tokens, rows × columns)
            The spatial tokens' part of the attention; leave it unchanged.
        scope : Scope
            What is read.

        Returns
        -------
        torch.Tensor, shape (batch, heads, reading tokens, rows × columns)
            With the same sums over the last axis.
        """

    def change(self, attention: Tensor, scope: Scope) -> Tensor:
        """Return attention (batch, heads, reading tokens, tokens) changed at the spatial tokens of the chosen heads."""
        heads = slice(None) if self.heads == "all" else list(self.heads)
        changed = attention.clone()
        changed[:, heads, :, scope.prefix :] = self.redistribute(
            attention[:, heads, :, scope.prefix :], scope
        )
        return changed

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Redirect the last attentions; nothing if neutral."""
        if self.neutral:
            return nullcontext()
        return redirected(model, dict.fromkeys(self.layers(model), self.change))


@register
@dataclass(frozen=True)
class RadialAttention(Redistribution):
    """Reweight the attention on the image by the distance from the center.

    With the attention A_t on the spatial token t and the eccentricity e_t of its patch (0 center, 1 corner)::

        A'_t = A_t exp(strength · e_t) · Σ_u A_u / Σ_u A_u exp(strength · e_u)

    The sums go over the spatial tokens: the attention on the image as a whole stays the same. A plain exponential
    tilt against the radial profile that `crosseyed.internals.attention_tables.radial_table` measures; own formula.
    """

    label: ClassVar[str] = "radial attention"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(
        1.0, "positive moves attention outwards: a corner is worth exp(strength) centers", low=-20, high=20
    )

    @classmethod
    def candidates(cls, heads: Sequence[tuple[int, int]]) -> Iterable[Mitigation]:
        """Return two strengths in one and two attentions."""
        return [cls(strength, last=last) for strength, last in product((1.0, 3.0), (1, 2))]

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        places = torch.as_tensor(patch_eccentricities(scope.grid), dtype=image.dtype, device=image.device)
        return _renormalised(_log(image) + self.strength * places, image)


@register
@dataclass(frozen=True)
class UniformMix(Redistribution):
    """Mix the attention on the image with one that is the same everywhere.

    With the attention A_t on the spatial token t of n::

        A'_t = (1 - strength) A_t + strength · Σ_u A_u / n

    Linear interpolation; own formula. At 1 the image is averaged.
    """

    label: ClassVar[str] = "uniform mix"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(0.5, "weight of the uniform attention", low=0, high=1)

    @classmethod
    def candidates(cls, heads: Sequence[tuple[int, int]]) -> Iterable[Mitigation]:
        """Return two strengths."""
        return [cls(strength) for strength in (0.5, 1.0)]

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        return torch.lerp(image, image.mean(-1, keepdim=True), self.strength)


@register
@dataclass(frozen=True)
class AttentionTemperature(Redistribution):
    """Flatten or sharpen the attention on the image.

    With the attention A_t on the spatial token t::

        A'_t = A_t^(1 / temperature) · Σ_u A_u / Σ_u A_u^(1 / temperature)

    which is the softmax of the logits of the spatial tokens over the temperature (Hinton et al. 2015, arXiv
    1503.02531, eq. 1), scaled to the attention that was on the image.
    """

    label: ClassVar[str] = "attention temperature"
    neutral_at: ClassVar = {"temperature": 1}
    temperature: float = parameter(
        2.0, "above 1 attention becomes more even, below 1 less", low=0.01, high=100
    )

    @classmethod
    def candidates(cls, heads: Sequence[tuple[int, int]]) -> Iterable[Mitigation]:
        """Return one that sharpens and one that flattens."""
        return [cls(temperature) for temperature in (0.5, 2.0)]

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        return _renormalised(_log(image) / self.temperature, image)


@register
@dataclass(frozen=True)
class SinkRedistribution(Redistribution):
    """Move attention from sinks to the rest of the image, in proportion to what the rest has.

    With the attention A_t on the spatial token t and the sinks S, tokens of exceptional norm among those that enter
    the attention (`crosseyed.internals.attention_tables.sinks`)::

        A'_t = (1 - strength) A_t                                          for t in S
        A'_t = A_t · (1 + strength · Σ_{u in S} A_u / Σ_{u not in S} A_u)  for the others

    After the idea of RF-CLIP (Li et al., AAAI 2026, arXiv 2511.16170), which redirects attention from distraction
    tokens, found by over-activated dimensions, to target regions for segmentation; the formula here is another
    one. An image without sinks is left as it is.
    """

    label: ClassVar[str] = "sink redistribution"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(1.0, "share of the sinks' attention that is moved", low=0, high=1)
    factor: float = parameter(
        SINK_FACTOR, "a sink's norm over the median norm of the image's spatial tokens", above=1
    )

    @classmethod
    def candidates(cls, heads: Sequence[tuple[int, int]]) -> Iterable[Mitigation]:
        """Return the default."""
        return [cls()]

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        sink = sinks(scope.tokens, scope.grid, scope.prefix, self.factor).flatten(-2)[:, None, None]
        taken = self.strength * image * sink
        rest = image * ~sink
        share = taken.sum(-1, keepdim=True) / _positive(rest.sum(-1, keepdim=True))
        return image - taken + share * rest


@register
@dataclass(frozen=True)
class ConfidenceScaling(LastAttentions):
    """Sharpen the attention on the image where the plain model is confident, smooth it where it is not.

    The plain model scores first. Its confidence about an image is the largest probability of a caption, the softmax
    going over all captions, scaled by its logit scale. Then the image is encoded again with
    the logits of the spatial tokens multiplied (see `AttentionTemperature`, temperature 1 / factor)::

        factor = sharpen  if confidence ≥ threshold,  else  smooth

    After the idea of AdaptVis (Chen et al. 2025, arXiv 2503.01773), which multiplies the logits of attention to
    image tokens in generating vision-language models by a factor above or below 1 as the generated answer's
    probability is high or low; here it is the image tower's own attention.

    An image's vector depends on the captions, so there are only similarities. Two passes.
    """

    label: ClassVar[str] = "confidence scaling"
    neutral_at: ClassVar = {"sharpen": 1, "smooth": 1}
    sharpen: float = parameter(1.5, "factor where the model is confident", low=1, high=100)
    smooth: float = parameter(0.5, "factor where it is not", low=0.01, high=1)
    threshold: float = parameter(0.5, "probability", low=0, high=1)

    @classmethod
    def candidates(cls, heads: Sequence[tuple[int, int]]) -> Iterable[Mitigation]:
        """Return the default."""
        return [cls()]

    @property
    def passes(self) -> int:
        """Two, or one if neutral."""
        return 1 if self.neutral else 2

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Score plainly, then again with attention scaled by how confident the model was."""
        if self.neutral:
            return scorer.similarities(views, texts, progress=False)
        scores = [np.empty((0, len(texts)))]
        scores += [self._scaled(scorer, model, portion, texts) for portion in portions(views, _PORTION)]
        return np.concatenate(scores)

    def _scaled(
        self, scorer: Scorer, model: ClipModel, views: list[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        scores = scorer.similarities(views, texts, progress=False)
        confidence = softmax(scorer.logit_scale * scores, axis=1).max(1, initial=0)
        for factor, group in {
            self.sharpen: confidence >= self.threshold,
            self.smooth: confidence < self.threshold,  # NaN, of what cannot be read, is in neither
        }.items():
            chosen = [view for view, member in zip(views, group, strict=True) if member]
            scaling = AttentionTemperature(1 / factor, last=self.last, heads=self.heads)
            if chosen and not scaling.neutral:
                with scaling.applied(model):
                    scores[group] = scorer.similarities(chosen, texts, progress=False)
        return scores


def check_heads(
    model: ClipModel, steps: Mapping[int, AttentionStep], heads: Iterable[tuple[int, int]]
) -> None:
    """Raise InputError unless the heads exist."""
    for layer, head in heads:
        check_layer(model, steps, layer)
        n_heads = len(steps[layer].weights.query)
        if not 0 <= head < n_heads:
            raise InputError(
                f"There is no head {head} in layer {layer} of {model.name}: heads are 0 to {n_heads - 1}."
            )


def _log(image: Tensor) -> Tensor:
    return _positive(image).log()


def _renormalised(logits: Tensor, image: Tensor) -> Tensor:
    """Distribute what attention was on the image by other logits."""
    return logits.softmax(-1) * image.sum(-1, keepdim=True)


def _positive(values: Tensor) -> Tensor:
    """Keep off 0, where probabilities underflow or a head is turned off."""
    return values.clamp_min(torch.finfo(values.dtype).tiny)
