"""Change what a tower knows of places: shift its positional embeddings, or make them all alike.

A transformer adds one learned (or sine and cosine) vector to the token of each patch, and sees where a patch is by
nothing else; a ResNet adds them only to the cells that its attention pooling reads, and sees places by its zero
padding too. What these vectors have learned can therefore be moved away from the picture's border without touching the
picture. The class token's vector, or that of a ResNet's mean token, is left as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models.vision_transformer import VisionTransformer as TimmTransformer
from torch import Tensor, nn

from crosseyed.encoder import Scorer
from crosseyed.errors import InputError
from crosseyed.images import ImageSource
from crosseyed.mitigate import Ensemble, Location, Mitigation, check_range, portions
from crosseyed.models import ClipModel
from crosseyed.views import check_side, places

_IMAGES_AT_ONCE = 32


@contextmanager
def changed_positions(model: ClipModel, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Compute with other positional embeddings of the spatial tokens within the context.

    Parameters
    ----------
    model : ClipModel
        The model. Its own parameter is put aside and put back, also after an exception.
    change : callable
        From the positional embeddings (rows, columns, width) to others of the same shape, both float32.

    Raises
    ------
    InputError
        The tower has no positional embeddings, or is of another family.
    """
    found = _positions(model)
    original = getattr(found.holder, found.attribute)
    embeddings = original.detach().float().flatten(0, -2)  # timm's have an axis for the batch
    spatial = change(embeddings[found.before :].unflatten(0, found.grid)).flatten(0, 1)
    changed = torch.cat([embeddings[: found.before], spatial]).view_as(original).to(original.dtype)
    setattr(found.holder, found.attribute, nn.Parameter(changed, requires_grad=False))
    try:
        yield
    finally:
        setattr(found.holder, found.attribute, original)


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
        _positions(model)

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
        _positions(model)

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Average them within the context."""
        if self.strength == 0:
            return nullcontext()
        return changed_positions(model, lambda spatial: spatial.lerp(spatial.mean((0, 1)), self.strength))


@dataclass(frozen=True)
class PositionShifts(Ensemble):
    r"""Shift the positional embeddings so that each cell of a grid is taken for the middle, and combine the answers.

    .. math:: s(I, t) = \operatorname{A}_{p} \cos(f_p(I), g(t))

    with the tower :math:`f_p` whose embeddings are shifted from the middle to the place p (`crosseyed.views.places`;
    see `ShiftedPositions`), rounded to cells, and the aggregate A. On a transformer it is the ensemble
    `crosseyed.views.CyclicShifts` of what the model sees, in whole patches: no patch is cut anew.

    Strength zero: ``side=1``.

    Parameters
    ----------
    side : int
        Places along each side; at least 1. ``side ** 2`` passes if odd, one more if even.
    aggregate, temperature
        As for `crosseyed.mitigate.Ensemble`.

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
    def count(self) -> int:
        """One view for each place."""
        return len(places(self.side))

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: at strength zero, as each view is encoded by another tower."""
        return self.count == 1

    @property
    def only_views(self) -> bool:
        """Whether the model stays as it is: at strength zero."""
        return self.count == 1

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the picture as often as the positions are shifted."""
        return [image] * self.count

    def check(self, model: ClipModel) -> None:
        """Refuse a tower without positional embeddings."""
        _positions(model)

    def ask(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Encode the views of a place with the positions shifted there."""
        if self.count == 1:
            return scorer.similarities(views, texts, progress=False)
        shifts, answers = self._shifts(model), [np.empty((0, len(texts)))]
        for portion in portions(views, self.count * _IMAGES_AT_ONCE):
            shifted = []
            for number, shift in enumerate(shifts):
                with shift.applied(model):
                    shifted.append(scorer.similarities(portion[number :: self.count], texts, progress=False))
            answers.append(np.stack(shifted, axis=1).reshape(-1, len(texts)))
        return np.concatenate(answers)

    def _shifts(self, model: ClipModel) -> list[ShiftedPositions]:
        rows, columns = _positions(model).grid
        return [
            ShiftedPositions(rows=round((y - 0.5) * rows), columns=round((x - 0.5) * columns))
            for y, x in places(self.side)
        ]


@dataclass(frozen=True, eq=False)
class _Positions:
    """Where a tower keeps its positional embeddings: those of `before` tokens, then those of the grid, row by row."""

    holder: nn.Module
    attribute: str
    grid: tuple[int, int]
    before: int


def _positions(model: ClipModel) -> _Positions:
    visual = model.clip.visual
    if isinstance(visual, ModifiedResNet):
        holder, attribute, grid = visual.attnpool, "positional_embedding", (visual.image_size // 32,) * 2
    elif isinstance(visual, VisionTransformer):
        holder, attribute, grid = visual, "positional_embedding", visual.grid_size
    elif isinstance(visual, TimmModel) and isinstance(visual.trunk, TimmTransformer):
        holder, attribute, grid = visual.trunk, "pos_embed", visual.trunk.patch_embed.grid_size
    else:
        raise InputError(
            f"The tower of {model.name} is a {model.tower.kind}, whose positions cannot be changed; those of "
            "open_clip's VisionTransformer and ModifiedResNet and of timm's VisionTransformer can."
        )
    embedding = getattr(holder, attribute)
    if embedding is None:
        raise InputError(f"The tower of {model.name} has no positional embeddings that could be changed.")
    return _Positions(holder, attribute, tuple(grid), before=embedding.shape[-2] - grid[0] * grid[1])
