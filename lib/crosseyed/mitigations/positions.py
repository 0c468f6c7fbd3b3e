"""Change what a tower knows of places: shift its positional embeddings, or make them all alike.

A transformer adds one learned (or sine and cosine) vector to the token of each patch, and sees where a patch is by
nothing else; a ResNet adds them only to the cells that its attention pooling reads, and sees places by its zero
padding too. So these vectors can be moved away from the image's border while the image stays as it is. The vector of
the class token, or of a ResNet's mean token, is not changed. Source of the embeddings: Dosovitskiy et al., ICLR 2021,
arXiv 2010.11929, eq. 1; what is done to them here is an ablation of this study.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crosseyed.data.images import ImageSource
from crosseyed.mitigations.base import Ensemble, Location, Mitigation, portions, register
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.views import places
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer
from crosseyed.models.towers.position_embeddings import changed_positions, positions

_IMAGES_AT_ONCE = 32


class _OfPositions(Mitigation):
    """A mitigation of towers with positional embeddings."""

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower without positional embeddings."""
        positions(model)


@register
@dataclass(frozen=True)
class ShiftedPositions(_OfPositions):
    r"""Shift the positional embeddings cyclically: one pass.

    .. math:: e'_{r, c} = e_{(r - \text{rows}) \bmod R,\, (c - \text{columns}) \bmod C}

    A transformer reads its tokens as a set. For it this is the same as shifting what it sees (the image after
    resizing and cropping) cyclically by as many patches the other way, to the rounding of sums: chapter 5 does not try
    it beside the cyclic shifts of the image.
    """

    label: ClassVar[str] = "shifted positions"
    neutral_at: ClassVar = {"rows": 0, "columns": 0}
    rows: int = parameter(0, "downwards, in cells of the tower's grid")
    columns: int = parameter(0, "to the right, in cells of the tower's grid")

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Shift them within the context."""
        if self.neutral:
            return nullcontext()
        return changed_positions(model, lambda spatial: spatial.roll((self.rows, self.columns), (0, 1)))


@register
@dataclass(frozen=True)
class AveragedPositions(_OfPositions):
    r"""Draw the positional embeddings towards their mean: one pass.

    .. math:: e'_{r, c} = (1 - \text{strength}) \, e_{r, c} + \text{strength} \, \bar e

    with the mean over all cells. At 1 a transformer no longer knows where a patch was.
    """

    label: ClassVar[str] = "averaged positions"
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(0.5, "weight of the mean", low=0, high=1)

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return three strengths."""
        return [cls(strength) for strength in (0.25, 0.5, 1.0)]

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Average them within the context."""
        if self.neutral:
            return nullcontext()
        return changed_positions(model, lambda spatial: spatial.lerp(spatial.mean((0, 1)), self.strength))


@register
@dataclass(frozen=True)
class PositionShifts(Ensemble, _OfPositions):
    r"""Shift the positional embeddings so that each cell of a grid is taken for the middle, and combine the views.

    .. math:: s(I, t) = \operatorname{A}_{p} \cos(f_p(I), g(t))

    with the tower :math:`f_p` whose embeddings are shifted from the middle to the place p
    (`crosseyed.mitigations.views.places`; see `ShiftedPositions`), rounded to cells, and the aggregate A. On a
    transformer it is the ensemble `crosseyed.mitigations.views.CyclicShifts` of what the model sees, in whole patches:
    no patch is cut anew. ``side ** 2`` passes if `side` is odd, one more if even.
    """

    label: ClassVar[str] = "position shifts"
    neutral_at: ClassVar = {"side": 1}
    side: int = parameter(3, "places along each side", low=1)

    @property
    def n_views(self) -> int:
        """One view for each place."""
        return len(places(self.side))

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: only if neutral, as each view is encoded by another tower."""
        return self.neutral

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the image as often as the positions are shifted."""
        return [image] * self.n_views

    @property
    def only_views(self) -> bool:
        """Whether the model stays as it is: only if neutral."""
        return self.neutral

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Encode the views of a place with the positions shifted there."""
        if self.neutral:
            return scorer.similarities(views, texts, progress=False)
        shifts, scores = self._shifts(model), [np.empty((0, len(texts)))]
        for portion in portions(views, self.n_views * _IMAGES_AT_ONCE):
            shifted = []
            for number, shift in enumerate(shifts):
                with shift.applied(model):
                    shifted.append(
                        scorer.similarities(portion[number :: self.n_views], texts, progress=False)
                    )
            scores.append(np.stack(shifted, axis=1).reshape(-1, len(texts)))
        return np.concatenate(scores)

    def _shifts(self, model: ClipModel) -> list[ShiftedPositions]:
        rows, columns = positions(model).grid
        return [
            ShiftedPositions(rows=round((y - 0.5) * rows), columns=round((x - 0.5) * columns))
            for y, x in places(self.side)
        ]
