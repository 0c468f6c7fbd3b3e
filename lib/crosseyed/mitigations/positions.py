"""Change what a tower knows of places: shift its positional embeddings, or make them all alike.

A transformer adds one learned (or sine and cosine) vector to the token of each patch, and sees where a patch is by
nothing else; a ResNet adds them only to the cells that its attention pooling reads, and sees places by its zero
padding too. What these vectors have learned can therefore be moved away from the picture's border without touching the
picture. The class token's vector, or that of a ResNet's mean token, is left as it is.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.mitigations.base import Ensemble, Location, Mitigation, check_range, portions
from crosseyed.mitigations.views import check_side, places
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer
from crosseyed.models.towers.position_embeddings import changed_positions, positions

_IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class ShiftedPositions(Mitigation):
    r"""Shift the positional embeddings cyclically: one pass.

    .. math:: e'_{r, c} = e_{(r - \text{rows}) \bmod R,\, (c - \text{columns}) \bmod C}

    A transformer reads its tokens as a set. For it this is the same as shifting what it sees (the picture after
    resizing and cropping) cyclically by as many patches the other way, to the rounding of sums. Source: the embeddings
    are those of Dosovitskiy et al., ICLR 2021, arXiv 2010.11929, eq. 1; the shift is an ablation of this study.

    Strength zero: ``rows=0, columns=0``.

    Parameters
    ----------
    rows, columns : int
        Downwards and to the right, in cells of the tower's grid; may be negative.

    Raises
    ------
    InputError
        A shift is not a whole number.
    """

    label: ClassVar[str] = "shifted positions"
    rows: int
    columns: int

    def __post_init__(self) -> None:
        """Check the shifts."""
        for name in ("rows", "columns"):
            if not isinstance(getattr(self, name), int | np.integer):
                raise InputError(f"{name} is a whole number of cells, not {getattr(self, name)!r}.")

    def check(self, model: ClipModel) -> None:
        """Refuse a tower without positional embeddings."""
        positions(model)

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Shift them within the context."""
        if self.rows == self.columns == 0:
            return nullcontext()
        return changed_positions(model, lambda spatial: spatial.roll((self.rows, self.columns), (0, 1)))


@dataclass(frozen=True)
class AveragedPositions(Mitigation):
    r"""Draw the positional embeddings towards their mean: one pass.

    .. math:: e'_{r, c} = (1 - \text{strength}) \, e_{r, c} + \text{strength} \, \bar e

    with the mean over all cells. At 1 a transformer no longer knows where a patch was. Source: the embeddings are those
    of Dosovitskiy et al., ICLR 2021, arXiv 2010.11929, eq. 1; averaging them is an ablation of this study.

    Strength zero: ``strength=0``.

    Parameters
    ----------
    strength : float
        In [0, 1].

    Raises
    ------
    InputError
        The strength is out of range.
    """

    label: ClassVar[str] = "averaged positions"
    strength: float = 0.5

    def __post_init__(self) -> None:
        """Check the strength."""
        check_range("strength", self.strength, 0, 1)

    def check(self, model: ClipModel) -> None:
        """Refuse a tower without positional embeddings."""
        positions(model)

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Average them within the context."""
        if self.strength == 0:
            return nullcontext()
        return changed_positions(model, lambda spatial: spatial.lerp(spatial.mean((0, 1)), self.strength))


@dataclass(frozen=True)
class PositionShifts(Ensemble):
    r"""Shift the positional embeddings so that each cell of a grid is taken for the middle, and combine the answers.

    .. math:: s(I, t) = \operatorname{A}_{p} \cos(f_p(I), g(t))

    with the tower :math:`f_p` whose embeddings are shifted from the middle to the place p
    (`crosseyed.mitigations.views.places`;
    see `ShiftedPositions`), rounded to cells, and the aggregate A. On a transformer it is the ensemble
    `crosseyed.mitigations.views.CyclicShifts` of what the model sees, in whole patches: no patch is cut anew.

    Strength zero: ``side=1``.

    Parameters
    ----------
    side : int
        Places along each side; at least 1. ``side ** 2`` passes if odd, one more if even.
    aggregate, temperature
        As for `crosseyed.mitigations.base.Ensemble`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    label: ClassVar[str] = "position shifts"
    side: int = 3

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        check_side(self.side)

    @property
    def n_views(self) -> int:
        """One view for each place."""
        return len(places(self.side))

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: at strength zero, as each view is encoded by another tower."""
        return self.n_views == 1

    @property
    def only_views(self) -> bool:
        """Whether the model stays as it is: at strength zero."""
        return self.n_views == 1

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the picture as often as the positions are shifted."""
        return [image] * self.n_views

    def check(self, model: ClipModel) -> None:
        """Refuse a tower without positional embeddings."""
        positions(model)

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Encode the views of a place with the positions shifted there."""
        if self.n_views == 1:
            return scorer.similarities(views, texts, progress=False)
        shifts, answers = self._shifts(model), [np.empty((0, len(texts)))]
        for portion in portions(views, self.n_views * _IMAGES_AT_ONCE):
            shifted = []
            for number, shift in enumerate(shifts):
                with shift.applied(model):
                    shifted.append(
                        scorer.similarities(portion[number :: self.n_views], texts, progress=False)
                    )
            answers.append(np.stack(shifted, axis=1).reshape(-1, len(texts)))
        return np.concatenate(answers)

    def _shifts(self, model: ClipModel) -> list[ShiftedPositions]:
        rows, columns = positions(model).grid
        return [
            ShiftedPositions(rows=round((y - 0.5) * rows), columns=round((x - 0.5) * columns))
            for y, x in places(self.side)
        ]
