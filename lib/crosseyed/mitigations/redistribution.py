"""Redistribute attention over the image without training, by rules of our own.

What others publish stands in modules of its own: `crosseyed.mitigations.rf_clip`, `crosseyed.mitigations.adaptvis`,
`crosseyed.mitigations.locate_then_correct`. Chew et al. (arXiv 2604.05971), who report that redistributed attention
reduces center bias, do not publish their rule; the two here are the plainest ones against it.

Attention probabilities are recomputed from what enters an attention, changed, and what the attention writes is
replaced by what it would write with the changed ones (`redirected`). Every change moves attention from patch to
patch: the share of the class token (or a ResNet's mean token) and the sum over the image stay what they were, row by
row and head by head.

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
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from crosseyed.errors import InputError
from crosseyed.internals.attention import patch_eccentricities
from crosseyed.mitigations.base import Mitigation, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.redirection import Scope, attends, attention_steps, redirected
from crosseyed.models.clip import ClipModel


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

    def first_changed(self, model: ClipModel) -> int:
        """Return the first of these attentions."""
        return self.layers(model)[0]

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
            self._check_heads(model, min(len(steps[layer].weights.query) for layer in layers))
        return layers

    def _check_heads(self, model: ClipModel, n_heads: int) -> None:
        for head in self.heads:
            if not 0 <= head < n_heads:
                raise InputError(
                    f"There is no head {head} in the last attentions of {model.name}: heads are 0 to {n_heads - 1}."
                )


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
    def candidates(cls) -> Iterable[Mitigation]:
        """Return one strength in one and two attentions."""
        return [cls(3.0, last=last) for last in (1, 2)]

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        places = torch.as_tensor(patch_eccentricities(scope.grid), dtype=image.dtype, device=image.device)
        # off 0, where probabilities underflow or a head is turned off
        logits = image.clamp_min(torch.finfo(image.dtype).tiny).log() + self.strength * places
        return logits.softmax(-1) * image.sum(-1, keepdim=True)


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
    def candidates(cls) -> Iterable[Mitigation]:
        """Return two strengths."""
        return [cls(strength) for strength in (0.5, 1.0)]

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        return torch.lerp(image, image.mean(-1, keepdim=True), self.strength)
