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
attention by which the pooled vector is formed (`crosseyed.pooling`) replaces a change of that attention, too.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import Tensor, nn

from crosseyed import metrics
from crosseyed.adapters import AttentionStep, TowerAdapter
from crosseyed.attention import SINK_FACTOR, patch_eccentricities, sinks
from crosseyed.decompose import centered, decompose, head_effects
from crosseyed.encoder import Scorer
from crosseyed.errors import InputError, suggest
from crosseyed.images import ImageSource
from crosseyed.mitigate import Mitigation, check_range, portions
from crosseyed.models import ClipModel
from crosseyed.trace import adapter_of

_PORTION = 256  # images that are held in memory to be encoded twice


@dataclass(frozen=True, eq=False)
class Scope:
    """What an attention reads: the tokens and where they lie.

    Attributes
    ----------
    tokens : torch.Tensor, shape (batch, tokens, width)
        As they enter the block or the pooling, before its norm.
    grid : tuple of int
        Rows and columns of the spatial tokens.
    prefix : int
        Number of tokens before them.
    """

    tokens: Tensor
    grid: tuple[int, int]
    prefix: int


Change = Callable[[Tensor, Scope], Tensor]
"""From attention (batch, heads, reading tokens, tokens), float32, to changed attention of that shape. The argument is
left unchanged."""


@contextmanager
def redirected(model: ClipModel, changes: Mapping[int, Change]) -> Iterator[None]:
    """Let a model attend differently within a context.

    What an attention writes becomes ``Σ_h change(A)_h value_h(y) @ output[h] + output_bias`` (see
    `crosseyed.trace.AttentionWeights`), for the rows that the module's docstring names. With a float32 model an
    identity change gives the plain model to a relative error of 1e-5. Contexts nest: of two changes of the same
    attention the one entered first comes first.

    Parameters
    ----------
    model : ClipModel
        The model; after the context, also after an exception, it is what it was.
    changes : mapping of int to Change
        By the depth that the attention leads to. Without any, no hook is installed.

    Raises
    ------
    UnsupportedTower
        The tower is of a family that tracing does not know.
    InputError
        No attention leads to a depth.

    Examples
    --------
    >>> with redirected(model, {12: lambda attention, scope: attention**2}):
    ...     model.encode_images(images)
    """
    steps = _steps(model)
    for layer in changes:
        _check_layer(model, steps, layer)
    with ExitStack() as entered:
        for layer, change in changes.items():
            entered.enter_context(_in_force(change, steps[layer], adapter_of(model)))
        yield


@dataclass(frozen=True, kw_only=True)
class LastAttentions(Mitigation):
    """What mitigations that change the last attentions of a tower have in common: the choice which.

    Parameters
    ----------
    last : int
        In how many of the last attentions; at least 1.
    heads : sequence of int or "all"
        In which of their heads, from 0.

    Raises
    ------
    InputError
        A number below 1; no heads.
    """

    last: int = 1
    heads: tuple[int, ...] | str = "all"

    def __post_init__(self) -> None:
        """Check the fields; a subclass with fields of its own calls this too."""
        if self.last < 1:
            raise InputError(
                f"last is at least 1, not {self.last!r}: how many of the last attentions change."
            )
        if isinstance(self.heads, str) and self.heads == "all":
            return
        if isinstance(self.heads, str) or not len(self.heads):
            raise InputError(f"heads is 'all' or numbers of heads, at least one, not {self.heads!r}.")
        object.__setattr__(self, "heads", tuple(int(head) for head in self.heads))

    def check(self, model: ClipModel) -> None:
        """Refuse a tower with fewer attentions or heads."""
        self.layers(model)

    def layers(self, model: ClipModel) -> list[int]:
        """Return the depths that the last attentions lead to.

        Parameters
        ----------
        model : ClipModel
            The model.

        Returns
        -------
        list of int
            Ascending; `last` of them.

        Raises
        ------
        UnsupportedTower
            The tower is of a family that tracing does not know.
        InputError
            There are fewer attentions, or one of them has fewer heads.
        """
        steps = _steps(model)
        if self.last > len(steps):
            raise InputError(
                f"last is from 1 to {len(steps)} with {model.name}, not {self.last}: {_attends(model)}."
            )
        layers = list(steps)[-self.last :]
        if self.heads != "all":
            _check_heads(model, steps, [(layer, head) for layer in layers for head in self.heads])
        return layers


@dataclass(frozen=True, kw_only=True)
class Redistribution(LastAttentions, ABC):
    """What mitigations that move attention over the image have in common; parameters as `LastAttentions`."""

    @property
    @abstractmethod
    def only_views(self) -> bool:
        """Whether the strength is such that nothing changes; then the model is left alone."""

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
        """Return the changed attention; a `Change` for `redirected`.

        Parameters
        ----------
        attention : torch.Tensor, shape (batch, heads, reading tokens, tokens)
            Of all heads.
        scope : Scope
            What is read.

        Returns
        -------
        torch.Tensor, shape (batch, heads, reading tokens, tokens)
            Changed in the chosen heads, at the spatial tokens.
        """
        heads = slice(None) if self.heads == "all" else list(self.heads)
        changed = attention.clone()
        changed[:, heads, :, scope.prefix :] = self.redistribute(
            attention[:, heads, :, scope.prefix :], scope
        )
        return changed

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Redirect the last attentions; nothing if neutral."""
        if self.only_views:
            return nullcontext()
        return redirected(model, dict.fromkeys(self.layers(model), self.change))


@dataclass(frozen=True)
class RadialAttention(Redistribution):
    """Reweight the attention on the image by the distance from the center.

    With the attention A_t on the spatial token t and the eccentricity e_t of its patch (0 center, 1 corner)::

        A'_t = A_t exp(strength · e_t) · Σ_u A_u / Σ_u A_u exp(strength · e_u)

    The sums go over the spatial tokens: what attention was on the image stays on it, and no other. A plain
    exponential tilt against the radial profile that `crosseyed.attention.radial_table` measures; own formula.
    Neutral at strength 0.

    Parameters
    ----------
    strength : float
        From -20 to 20. Positive moves attention outwards, negative inwards: a corner is worth exp(strength) centers.
    last, heads
        See `LastAttentions`.

    Raises
    ------
    InputError
        A number out of its range.
    """

    label: ClassVar[str] = "radial attention"
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        check_range("The strength of radial attention", self.strength, -20, 20)

    @property
    def only_views(self) -> bool:
        """Whether the strength is 0."""
        return self.strength == 0

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        places = torch.as_tensor(patch_eccentricities(scope.grid), dtype=image.dtype, device=image.device)
        return _renormalised(_log(image) + self.strength * places, image)


@dataclass(frozen=True)
class UniformMix(Redistribution):
    """Mix the attention on the image with one that is the same everywhere.

    With the attention A_t on the spatial token t of n::

        A'_t = (1 - strength) A_t + strength · Σ_u A_u / n

    Linear interpolation; own formula. Neutral at strength 0; at 1 the image is averaged.

    Parameters
    ----------
    strength : float
        From 0 to 1.
    last, heads
        See `LastAttentions`.

    Raises
    ------
    InputError
        A number out of its range.
    """

    label: ClassVar[str] = "uniform mix"
    strength: float = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        check_range("The strength of a uniform mix", self.strength, 0, 1)

    @property
    def only_views(self) -> bool:
        """Whether the strength is 0."""
        return self.strength == 0

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        return torch.lerp(image, image.mean(-1, keepdim=True), self.strength)


@dataclass(frozen=True)
class AttentionTemperature(Redistribution):
    """Flatten or sharpen the attention on the image.

    With the attention A_t on the spatial token t::

        A'_t = A_t^(1 / temperature) · Σ_u A_u / Σ_u A_u^(1 / temperature)

    which is the softmax of the logits of the spatial tokens over the temperature (Hinton et al. 2015, arXiv
    1503.02531, eq. 1), scaled to the attention that was on the image. Neutral at temperature 1.

    Parameters
    ----------
    temperature : float
        From 0.01 to 100. Above 1 attention becomes more even, below 1 less.
    last, heads
        See `LastAttentions`.

    Raises
    ------
    InputError
        A number out of its range.
    """

    label: ClassVar[str] = "attention temperature"
    temperature: float = 2.0

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        check_range("The temperature of attention", self.temperature, 0.01, 100)

    @property
    def only_views(self) -> bool:
        """Whether the temperature is 1."""
        return self.temperature == 1

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        return _renormalised(_log(image) / self.temperature, image)


@dataclass(frozen=True)
class SinkRedistribution(Redistribution):
    """Move attention from sinks to the rest of the image, in proportion to what the rest has.

    With the attention A_t on the spatial token t and the sinks S, tokens of exceptional norm among those that enter
    the attention (`crosseyed.attention.sinks`)::

        A'_t = (1 - strength) A_t                                          for t in S
        A'_t = A_t · (1 + strength · Σ_{u in S} A_u / Σ_{u not in S} A_u)  for the others

    After the idea of RF-CLIP (Li et al., AAAI 2026, arXiv 2511.16170), which redirects attention from distraction
    tokens, found by over-activated dimensions, to target regions for segmentation; the formula here is another
    one. Neutral at strength 0; an image without sinks is left as it is.

    Parameters
    ----------
    strength : float
        Share of the sinks' attention that is moved, from 0 to 1.
    factor : float
        A sink's norm exceeds this many times the median norm of the image's spatial tokens; above 1.
    last, heads
        See `LastAttentions`.

    Raises
    ------
    InputError
        A number out of its range.
    """

    label: ClassVar[str] = "sink redistribution"
    strength: float = 1.0
    factor: float = SINK_FACTOR

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        check_range("The strength of sink redistribution", self.strength, 0, 1)
        if not self.factor > 1:
            raise InputError(f"factor is above 1, not {self.factor!r}: a multiple of the median norm.")

    @property
    def only_views(self) -> bool:
        """Whether the strength is 0."""
        return self.strength == 0

    def redistribute(self, image: Tensor, scope: Scope) -> Tensor:
        """Apply the formula."""
        sink = sinks(scope.tokens, scope.grid, scope.prefix, self.factor).flatten(-2)[:, None, None]
        taken = self.strength * image * sink
        rest = image * ~sink
        share = taken.sum(-1, keepdim=True) / _positive(rest.sum(-1, keepdim=True))
        return image - taken + share * rest


@dataclass(frozen=True)
class ConfidenceScaling(LastAttentions):
    """Sharpen the attention on the image where the plain answer is confident, smooth it where not.

    The plain model is asked first. Its confidence about an image is the largest probability of a caption, the softmax
    going over all captions that it is asked about, scaled by its logit scale. Then the image is encoded again with
    the logits of the spatial tokens multiplied (see `AttentionTemperature`, temperature 1 / factor)::

        factor = sharpen  if confidence ≥ threshold,  else  smooth

    After the idea of AdaptVis (Chen et al. 2025, arXiv 2503.01773), which multiplies the logits of attention to
    image tokens in generating vision-language models by a factor above or below 1 as the generated answer's
    probability is high or low; here it is the image tower's own attention. Neutral if both factors are 1.

    An image's vector depends on the captions, so there are only similarities. Two passes.

    Parameters
    ----------
    sharpen : float
        From 1 to 100.
    smooth : float
        From 0.01 to 1.
    threshold : float
        From 0 to 1.
    last, heads
        See `LastAttentions`.

    Raises
    ------
    InputError
        A number out of its range.
    """

    label: ClassVar[str] = "confidence scaling"
    sharpen: float = 1.5
    smooth: float = 0.5
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        super().__post_init__()
        check_range("sharpen", self.sharpen, 1, 100)
        check_range("smooth", self.smooth, 0.01, 1)
        check_range("The threshold of confidence", self.threshold, 0, 1)

    @property
    def only_views(self) -> bool:
        """Whether both factors are 1."""
        return self.sharpen == self.smooth == 1

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: if neutral, as the factor depends on the captions."""
        return self.only_views

    @property
    def passes(self) -> int:
        """Two, or one if neutral."""
        return 1 if self.only_views else 2

    def ask(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Ask plainly, then again with attention scaled by how confident the answer was."""
        if self.only_views:
            return scorer.similarities(views, texts, progress=False)
        answers = [np.empty((0, len(texts)))]
        answers += [self._scaled(scorer, model, portion, texts) for portion in portions(views, _PORTION)]
        return np.concatenate(answers)

    def _scaled(
        self, scorer: Scorer, model: ClipModel, views: list[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        answers = scorer.similarities(views, texts, progress=False)
        confidence = softmax(scorer.logit_scale * answers, axis=1).max(1, initial=0)
        for factor, group in {
            self.sharpen: confidence >= self.threshold,
            self.smooth: confidence < self.threshold,  # NaN, of what cannot be read, is in neither
        }.items():
            chosen = [view for view, member in zip(views, group, strict=True) if member]
            scaling = AttentionTemperature(1 / factor, last=self.last, heads=self.heads)
            if chosen and not scaling.only_views:
                with scaling.applied(model):
                    answers[group] = scorer.similarities(chosen, texts, progress=False)
        return answers


@dataclass(frozen=True)
class HeadSuppression(Mitigation):
    """Turn down heads, such as those that do less for an object off-center.

    What the attention writes becomes::

        Σ_h w_h A_h value_h @ output[h] + output_bias,   w_h = 1 - strength for the given heads, 1 for the others

    After the idea of Locate-Then-Correct (Yeo et al. 2025, arXiv 2505.17425), which finds spurious heads and replaces
    what they contribute directly to the embedding by its mean over images; here heads are scaled where they write,
    and later layers react. Neutral at strength 0 and without heads.

    Parameters
    ----------
    heads : sequence of tuple of int
        Layer (the depth that its attention leads to; see the module's docstring) and head, from 0, of each: from
        `center_biased_heads`.
    strength : float
        From 0 to 1, which silences the heads.

    Raises
    ------
    InputError
        `heads` is something else; the strength is out of its range.
    """

    label: ClassVar[str] = "head suppression"
    heads: tuple[tuple[int, int], ...]
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields."""
        try:
            heads = tuple((int(layer), int(head)) for layer, head in self.heads)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"heads is a list of (layer, head), such as [(12, 3)], not {self.heads!r}."
            ) from error
        object.__setattr__(self, "heads", heads)
        check_range("The strength of head suppression", self.strength, 0, 1)

    @property
    def only_views(self) -> bool:
        """Whether the strength is 0 or there are no heads."""
        return self.strength == 0 or not self.heads

    def check(self, model: ClipModel) -> None:
        """Refuse a tower that lacks one of the heads."""
        _check_heads(model, _steps(model), self.heads)

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Scale the heads; nothing if neutral."""
        if self.only_views:
            return nullcontext()
        self.check(model)
        by_layer: dict[int, list[int]] = {}
        for layer, head in self.heads:
            by_layer.setdefault(layer, []).append(head)
        return redirected(model, {layer: partial(self._scaled, heads) for layer, heads in by_layer.items()})

    def _scaled(self, heads: list[int], attention: Tensor, _scope: Scope) -> Tensor:
        changed = attention.clone()
        changed[:, heads] *= 1 - self.strength
        return changed


def center_biased_heads(
    model: ClipModel,
    images: Iterable[ImageSource],
    table: pd.DataFrame,
    labels: Sequence[str],
    *,
    n_heads: int = 3,
    confidence: float = 0.95,
    seed: int = 0,
    progress: bool = True,
) -> tuple[tuple[int, int], ...]:
    """Find the heads whose direct effect on the object's name drops most from the center to off-center.

    The measure of chapter 2: `crosseyed.decompose.head_effects` along the centered embeddings of the captions
    "a photo of a ...", compared by `crosseyed.metrics.center_difference`. Use other scenes than those on which the
    suppression of these heads is then tested.

    Parameters
    ----------
    model : ClipModel
        The model.
    images : iterable of ImageSource
        Scenes of one object each, at the center and off-center.
    table : pandas.DataFrame
        One row per image, as `crosseyed.stimuli.scene_table` makes it: `object`, and `center` or `eccentricity`.
    labels : sequence of str
        What the model chooses among; at least two.
    n_heads : int
        At most so many heads; at least 1.
    confidence : float
        A head counts only if the interval of its drop, at this confidence, lies above 0.
    seed : int
        Of the bootstrap.
    progress : bool
        Show a progress bar if the standard error is a terminal.

    Returns
    -------
    tuple of tuple of int
        Layer and head of each, for `HeadSuppression`, the largest drop first; empty if no head drops for certain.

    Raises
    ------
    UnsupportedTower
        The tower is of a family that tracing does not know.
    InputError
        There is not one row per image; there is no column `object`, or an object is not among the labels;
        `n_heads` is below 1; or as `crosseyed.metrics.center_difference`.

    Warns
    -----
    UnreadableImagesWarning, EstimateWarning
        As for `crosseyed.decompose.decompose` and `crosseyed.metrics.center_difference`.
    """
    if n_heads < 1:
        raise InputError(f"n_heads is at least 1, not {n_heads!r}.")
    if "object" not in table:
        raise InputError(f"The table has no column 'object'; it has {', '.join(map(str, table.columns))}.")
    truth = pd.Index(labels).get_indexer(table["object"])
    if (truth < 0).any():
        unknown = str(table["object"].iloc[int((truth < 0).argmax())])
        raise InputError(
            f"The object {unknown!r} is not among the {len(labels)} labels{suggest(unknown, labels)}"
        )
    directions = centered(model.encode_texts([f"a photo of a {label}" for label in labels]))[truth]
    effects, n_images = [], 0
    for part in decompose(model, images, progress=progress):
        n_images = part.images.stop
        if n_images > len(table):
            break
        effects.append(head_effects(part, directions[part.images.start : n_images]))
    if n_images != len(table):
        raise InputError(
            f"The table describes {len(table)} images, but there are others: give one row per image."
        )
    places = table.reset_index(drop=True).drop(columns=["image", "layer", "head"], errors="ignore")
    drop = metrics.center_difference(
        pd.concat(effects, ignore_index=True).join(places, on="image"),
        "effect",
        ["layer", "head"],
        confidence=confidence,
        resamples=1000,
        seed=seed,
    )
    certain = drop[drop["difference_low"] > 0].nlargest(n_heads, "difference")
    # there a ResNet's only attention, its pooling, has the depth that it reads, here the one after
    behind = 0 if adapter_of(model).blocks else 1
    return tuple((int(row.layer) + behind, int(row.head)) for row in certain.itertuples())


class _Redirection:
    """The hooks on one attention, with all the changes in force; itself the hook on what the attention writes."""

    def __init__(self, step: AttentionStep, adapter: TowerAdapter) -> None:
        self.step, self.grid, self.prefix = step, adapter.grid, adapter.prefix
        self.changes: dict[object, Change] = {}
        self.entering: Tensor | None = None
        self.handles = (
            step.entry.register_forward_pre_hook(self.enter),
            step.exit.register_forward_hook(self),
        )

    def enter(self, _module: nn.Module, inputs: tuple) -> None:
        self.entering = inputs[0]

    def __call__(self, _module: nn.Module, _inputs: tuple, output: Tensor) -> Tensor:
        step, tokens = self.step, self.step.tokens(self.entering)
        self.entering = None
        reading, read = (part.float() for part in step.attended(tokens))
        attention, scope = step.weights.rows(reading, read), Scope(tokens.float(), self.grid, self.prefix)
        for change in self.changes.values():
            attention = change(attention, scope)
        written = step.weights.write(attention, read).to(output.dtype)
        if output.ndim == 2:
            return written[:, 0]
        changed = output.clone()
        changed[:, step.rows] = written
        return changed

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


@contextmanager
def _in_force(change: Change, step: AttentionStep, adapter: TowerAdapter) -> Iterator[None]:
    """Add a change behind those already in force at an attention."""
    # two independent hooks would each change the model's own attention, so the second joins the first
    hooks = step.exit._forward_hooks.values()
    redirection = next((hook for hook in hooks if isinstance(hook, _Redirection)), None)
    redirection, key = redirection or _Redirection(step, adapter), object()
    redirection.changes[key] = change
    try:
        yield
    finally:
        del redirection.changes[key]
        if not redirection.changes:
            redirection.remove()


def _steps(model: ClipModel) -> dict[int, AttentionStep]:
    steps = adapter_of(model).attention_steps()
    if not steps:
        raise InputError(
            f"{model.name} is a {model.tower.kind} and has no attention that could be redistributed: transformers "
            "have, and towers that pool by attention. Change what it is shown instead, by crops, tiles or prompts."
        )
    return steps


def _attends(model: ClipModel) -> str:
    """Say in words where the tower attends."""
    adapter = adapter_of(model)
    pooling = f"in its pooling, layer {adapter.layers[-1] + 1}"
    if not adapter.blocks:
        return f"its {model.tower.kind} attends only {pooling}"
    blocks = f"its {model.tower.kind} attends in the blocks that lead to layers 1 to {adapter.blocks[-1]}"
    return f"{blocks}, and {pooling}" if len(adapter.attention_steps()) > len(adapter.blocks) else blocks


def _check_layer(model: ClipModel, steps: Mapping[int, AttentionStep], layer: int) -> None:
    if layer not in steps:
        raise InputError(f"No attention of {model.name} leads to layer {layer!r}: {_attends(model)}.")


def _check_heads(
    model: ClipModel, steps: Mapping[int, AttentionStep], heads: Iterable[tuple[int, int]]
) -> None:
    for layer, head in heads:
        _check_layer(model, steps, layer)
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
    """Keep off 0, where probabilities underflow or a head is silenced."""
    return values.clamp_min(torch.finfo(values.dtype).tiny)
