"""ScalingVis and AdaptVis: scale the logits of attention on the image, always or by how confident the model is."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from crosseyed.data.images import ImageSource
from crosseyed.mitigations.base import Mitigation, portions, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.redirection import Scope, attention_steps, redirected
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer

LOW, HIGH, THRESHOLDS = (0.5, 0.8), (1.2, 1.5, 2.0), (0.3, 0.4)
"""The authors' weights where the model is not confident, where it is, and what confidence divides the two."""

_PORTION = 256  # images that are held in memory to be encoded twice


@register
@dataclass(frozen=True)
class ScalingVis(Mitigation):
    r"""Multiply the logits of attention on the image: ScalingVis (Chen et al. 2025, arXiv 2503.01773).

    After the authors' code (https://github.com/shiqichen17/AdaptVis), which does this in the language model of LLaVA,
    for the last token's attention on the image tokens, in all layers and heads, before the softmax. In a CLIP the
    class token reads the image; with its logits l_t over all tokens t::

        A' = softmax(l'),   l'_t = weight · l_t  for spatial tokens,  l_t  for the others

    So the attention on the image as a whole changes too, and negative logits move the other way. Where pooling
    combines all tokens or attends to them, the rows of those are changed.
    """

    label: ClassVar[str] = "ScalingVis"
    neutral_at: ClassVar = {"weight": 1}
    weight: float = parameter(1.5, "factor of the logits of spatial tokens", low=0, high=100)

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return the weights that the authors try."""
        return [cls(weight) for weight in LOW + HIGH]

    def first_changed(self, model: ClipModel) -> int:
        """Return the first attention, as all are changed."""
        return min(attention_steps(model))

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower without attention."""
        attention_steps(model)

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Scale the logits of all attentions; nothing if neutral."""
        if self.neutral:
            return nullcontext()
        return redirected(model, dict.fromkeys(attention_steps(model), self.change))

    def change(self, attention: Tensor, scope: Scope) -> Tensor:
        """Return attention (batch, heads, reading tokens, tokens) with scaled logits."""
        logits = attention.clamp_min(torch.finfo(attention.dtype).tiny).log() + scope.log_total
        before, image = logits.tensor_split([scope.prefix], -1)
        return torch.cat([before, self.weight * image], -1).softmax(-1)


@register
@dataclass(frozen=True)
class AdaptVis(Mitigation):
    """Scale attention on the image down where the model is not confident, up where it is.

    AdaptVis (Chen et al. 2025, arXiv 2503.01773), after the authors' code as for `ScalingVis`. The plain model
    answers first; its confidence is the largest probability of an answer: in a CLIP, of the softmax over all captions,
    scaled by the logit scale. Then the image is encoded again under `ScalingVis` with::

        weight = low  if confidence < threshold,  else  high

    The authors choose among these settings on a held-out fifth of their questions; here it is done on validation
    objects. An image's vector depends on the captions, so there are only similarities. Two passes.
    """

    label: ClassVar[str] = "AdaptVis"
    neutral_at: ClassVar = {"low": 1, "high": 1}
    low: float = parameter(0.5, "weight where the model is not confident", low=0, high=100)
    high: float = parameter(1.5, "weight where it is", low=0, high=100)
    threshold: float = parameter(0.4, "probability", low=0, high=1)

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return the settings that the authors choose among."""
        return [cls(*setting) for setting in product(LOW, HIGH, THRESHOLDS)]

    @property
    def passes(self) -> int:
        """Two, or one if neutral."""
        return 1 if self.neutral else 2

    @property
    def scalings(self) -> tuple[ScalingVis, ScalingVis]:
        """What is done where the model is not confident, and where it is."""
        return ScalingVis(self.low), ScalingVis(self.high)

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower without attention."""
        attention_steps(model)

    def groups(self, plain: np.ndarray, logit_scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Say of which images the model is not confident, and of which it is; one that is NaN is in neither.

        Parameters
        ----------
        plain : numpy.ndarray, shape (n_images, n_texts)
            Similarities of the plain model.
        logit_scale : float
            The model's factor from similarity to logit.
        """
        confidence = softmax(logit_scale * plain, axis=1).max(1, initial=0)
        return confidence < self.threshold, confidence >= self.threshold

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Score plainly, then again with attention scaled by how confident the model was."""
        if self.neutral:
            return scorer.similarities(views, texts, progress=False)
        scores = [np.empty((0, len(texts)))]
        for portion in portions(views, _PORTION):
            found = scorer.similarities(portion, texts, progress=False)
            for scaling, group in zip(self.scalings, self.groups(found, scorer.logit_scale), strict=True):
                chosen = [view for view, member in zip(portion, group, strict=True) if member]
                if chosen and not scaling.neutral:
                    with scaling.applied(model):
                        found[group] = scorer.similarities(chosen, texts, progress=False)
            scores.append(found)
        return np.concatenate(scores)
