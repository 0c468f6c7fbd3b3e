"""FALIP: let the class token attend more to the place of the object, without changing the image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.map_scores import fit_masks
from crosseyed.mitigations.base import Location, Mitigation, portions, register
from crosseyed.mitigations.marks import region_mask
from crosseyed.mitigations.parameters import parameter
from crosseyed.mitigations.redirection import Change, Scope, attention_steps, redirected
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer
from crosseyed.models.towers.registry import adapter_of

_SIGMA = 100.0  # patches

_PORTION = 256  # images that are held in memory to be sorted by place

Box = tuple[int, int, int, int]
"""First and last row, first and last column of the patches that a box touches; both ends are included."""


class _Told(np.ndarray):
    """An image that knows where its object is; what is made of it does not know."""

    location: Location | None = None


@register
@dataclass(frozen=True)
class Falip(Mitigation):
    r"""Add a bump to the class token's attention logits at the object, having been told where it is.

    FALIP (Zhuang et al., ECCV 2024, arXiv 2407.05578), after the authors' code
    (https://github.com/pumpkin805/FALIP, ``executor.py`` and ``clip/model.py``). In the class token's row, for the
    patches that the object's box touches, at a distance of d patches from the box's middle::

        l'_j = l_j + strength · (g_j - min g + 1e-6) / (max g - min g + 1e-6),   g = exp(-d² / (2 · 100²))

    before the softmax, in all heads of the blocks after the eighth; of towers with fewer than twelve blocks in the last
    third. Outside the box nothing is added. The authors' strength is 0.2. The box is the square around the object. An
    oracle, like visual prompts; one pass.
    """

    label: ClassVar[str] = "FALIP"
    needs_location: ClassVar[bool] = True
    neutral_at: ClassVar = {"strength": 0}
    strength: float = parameter(0.2, "largest number added to a logit", low=0, high=100)

    @classmethod
    def candidates(cls) -> Iterable[Mitigation]:
        """Return the authors' strength and a larger one."""
        return [cls(0.2), cls(1.0)]

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a tower whose class token is not what is pooled."""
        adapter = adapter_of(model)
        if adapter.pooled_token is None or not adapter.blocks:
            raise InputError(
                f"FALIP changes what a pooled class token attends to; {model.name} pools by {adapter.native_pooling}."
            )

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the image with its location."""
        if self.neutral:
            return [image]
        told = image.view(_Told)
        told.location = location
        return [told]

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Score the images place by place, with the bump of each; one pass."""
        if self.neutral:
            return scorer.similarities(views, texts, progress=False)
        layers = [layer for layer in attention_steps(model) if layer > _first(len(adapter_of(model).blocks))]
        scores = [np.empty((0, len(texts)))]
        for portion in portions(views, _PORTION):
            places = [_box(model, view) for view in portion]
            found = np.empty((len(portion), len(texts)))
            for box in dict.fromkeys(places):
                members = [number for number, place in enumerate(places) if place == box]
                changes = {} if box is None else dict.fromkeys(layers, self._change(model, box))
                with redirected(model, changes):
                    found[members] = scorer.similarities(
                        [portion[number] for number in members], texts, progress=False
                    )
            scores.append(found)
        return np.concatenate(scores)

    def _change(self, model: ClipModel, box: Box) -> Change:
        added = (self.strength * bump(adapter_of(model).grid, box)).flatten()

        def raised(attention: Tensor, scope: Scope) -> Tensor:
            changed = attention.clone()
            changed[..., scope.prefix :] *= added.to(attention).exp()
            return changed / changed.sum(-1, keepdim=True)

        return raised


def bump(grid: tuple[int, int], box: Box) -> Tensor:
    """Return what strength 1 adds to the logits of the patches, (rows, columns), from 0 to 1."""
    top, bottom, left, right = box
    rows = torch.arange(bottom - top + 1, dtype=torch.float64) - (bottom - top) / 2
    columns = torch.arange(right - left + 1, dtype=torch.float64) - (right - left) / 2
    weight = torch.exp(-0.5 * (rows[:, None] ** 2 + columns**2) / _SIGMA**2)
    least, most = weight.min(), weight.max()
    added = torch.zeros(grid)
    added[top : bottom + 1, left : right + 1] = ((weight - least + 1e-6) / (most - least + 1e-6)).float()
    return added


def _first(blocks: int) -> int:
    """Return the depth after which attention changes."""
    return min(8, 2 * blocks // 3)


def _box(model: ClipModel, view: ImageSource) -> Box | None:
    """Return the patches that an object's box touches as the model sees the image; None if none, or if unreadable."""
    if not isinstance(view, np.ndarray):
        return None
    location = getattr(view, "location", None)
    if location is None:
        raise InputError(
            "FALIP has to be told where the object is in what the model sees, and another mitigation changed the image "
            "after it: put FALIP last."
        )
    (seen,) = fit_masks(model, region_mask(view, location)[None])
    box = []
    for axis, cells in ((1, adapter_of(model).grid[0]), (0, adapter_of(model).grid[1])):
        (inside,) = np.nonzero(seen.any(axis))
        if not len(inside):
            return None
        patch = seen.shape[1 - axis] / cells
        # the code counts patches from 1: the one that ends at or after an end of the box, but at least the first
        box += [max(ceil(edge / patch), 1) - 1 for edge in (int(inside[0]), int(inside[-1]) + 1)]
    return tuple(box)
