"""Scale down the attention heads that carry the center bias."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pandas as pd
from torch import Tensor

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError, suggest
from crosseyed.internals.decompose import centered, decompose, head_effects
from crosseyed.measure import bootstrap
from crosseyed.mitigations.base import Mitigation, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.redirection import Scope, attention_steps, redirected
from crosseyed.mitigations.redistribution import check_heads
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.settings import settings


@register
@dataclass(frozen=True)
class HeadSuppression(Mitigation):
    """Turn down heads, such as those that do less for an object off-center.

    What the attention writes becomes::

        Σ_h w_h A_h value_h @ output[h] + output_bias,   w_h = 1 - strength for the given heads, 1 for the others

    After the idea of Locate-Then-Correct (Yeo et al. 2025, arXiv 2505.17425), which finds spurious heads and replaces
    what they contribute directly to the embedding by its mean over images; here heads are scaled where they write,
    and later layers react. Nothing is done without heads.

    `heads` are layer (the depth that its attention leads to) and head, from 0, of each: from `center_biased_heads`.
    """

    label: ClassVar[str] = "head suppression"
    heads: tuple[tuple[int, int], ...]
    strength: float = parameter(1.0, "part of the heads that is taken away", low=0, high=1)

    def __post_init__(self) -> None:
        """Raise InputError if heads are something else, or the strength is out of range."""
        super().__post_init__()
        try:
            heads = tuple((int(layer), int(head)) for layer, head in self.heads)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"heads is a list of (layer, head), such as [(12, 3)], not {self.heads!r}."
            ) from error
        object.__setattr__(self, "heads", heads)

    @classmethod
    def candidates(cls, heads: Sequence[tuple[int, int]]) -> Iterable[Mitigation]:
        """Return two strengths, if there are heads."""
        return [cls(tuple(heads), strength) for strength in (0.5, 1.0)] if heads else []

    @property
    def neutral(self) -> bool:
        """Whether the strength is 0 or there are no heads."""
        return self.strength == 0 or not self.heads

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower that lacks one of the heads."""
        check_heads(model, attention_steps(model), self.heads)

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Scale the heads; nothing if neutral."""
        if self.neutral:
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
    confidence: float | None = None,
    seed: int = 0,
    progress: bool = True,
) -> tuple[tuple[int, int], ...]:
    """Find the heads whose direct effect on the object's name drops most from the center to off-center.

    The measure of chapter 2: `crosseyed.internals.decompose.head_effects` along the centered embeddings of the
    captions, compared by `crosseyed.measure.bootstrap.center_difference`. Use other scenes than those on which the
    suppression of these heads is then tested.

    Parameters
    ----------
    model : ClipModel
        The model.
    images : iterable of ImageSource
        Scenes of one object each, at the center and off-center.
    table : pandas.DataFrame
        One row per image, as `crosseyed.data.scenes.scene_table` makes it: `object`, and `center` or `eccentricity`.
    labels : sequence of str
        What the model chooses among; at least two.
    n_heads : int
        At most so many heads; at least 1.
    confidence : float, optional
        A head counts only if the interval of its drop, at this confidence, lies above 0; by default the setting.
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
        There is not one row per image, no column `object`, or an object that is not among the labels.

    Warns
    -----
    UnreadableImagesWarning, EstimateWarning
        As for `crosseyed.internals.decompose.decompose` and `crosseyed.measure.bootstrap.center_difference`.
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
    directions = centered(model.encode_texts([settings.caption(label) for label in labels]))[truth]
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
    drop = bootstrap.center_difference(
        pd.concat(effects, ignore_index=True).join(places, on="image"),
        "effect",
        ["layer", "head"],
        confidence=settings.confidence if confidence is None else confidence,
        resamples=1000,
        seed=seed,
    )
    certain = drop[drop["difference_low"] > 0].nlargest(n_heads, "difference")
    # there a ResNet's only attention, its pooling, has the depth that it reads, here the one after
    behind = 0 if adapter_of(model).blocks else 1
    return tuple((int(row.layer) + behind, int(row.head)) for row in certain.itertuples())


def heads_if_any(model: ClipModel, *given: object, **options: object) -> Sequence[tuple[int, int]]:
    """Return `center_biased_heads`, or nothing for a tower whose heads cannot be told apart."""
    try:
        return center_biased_heads(model, *given, **options)
    except UnsupportedTower:
        return ()
