"""One mitigation behind another."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.mitigations.base import Location, Mitigation
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer, ScorerWrapper


@dataclass(frozen=True)
class Composed(Mitigation):
    """Several mitigations behind one another; made by `compose`.

    Each view that the first makes is an image to the second, and so on; the views of the second are combined before
    those of the first. The changes to the model are in force together, those of the first entered first.

    Parameters
    ----------
    parts : tuple of Mitigation
        At least two, in the order in which they see the image.
    """

    label: ClassVar[str] = "composed"
    parts: tuple[Mitigation, ...]

    @property
    def name(self) -> str:
        """The names of the parts."""
        return " + ".join(part.name for part in self.parts)

    @property
    def needs_location(self) -> bool:
        """Whether one of the parts does."""
        return any(part.needs_location for part in self.parts)

    @property
    def moves(self) -> bool:
        """Whether one of the parts does."""
        return any(part.moves for part in self.parts)

    @property
    def n_views(self) -> int:
        """The product over the parts."""
        return prod(part.n_views for part in self.parts)

    @property
    def passes(self) -> int:
        """The product over the parts."""
        return prod(part.passes for part in self.parts)

    @property
    def only_views(self) -> bool:
        """Whether the model stays as it is under each of the parts."""
        return all(part.only_views for part in self.parts)

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector under each of the parts."""
        return all(part.has_vector for part in self.parts)

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the last part's views of ... the first part's views of the image."""
        views = [image]
        for part in self.parts:
            told = location if part.needs_location else None
            views = [view for whole in views for view in part.views(whole, told)]
        return views

    @contextmanager
    def applied(self, model: ClipModel) -> Iterator[None]:
        """Enter the contexts of all parts."""
        with ExitStack() as entered:
            for part in self.parts:
                entered.enter_context(part.applied(model))
            yield

    def first_changed(self, model: ClipModel) -> int | None:
        """Return the first of the parts' depths, if all have one."""
        first = [part.first_changed(model) for part in self.parts]
        return None if None in first else min(first)

    def check(self, model: ClipModel) -> None:
        """Let each part check the model."""
        for part in self.parts:
            part.check(model)

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Let each part score by the parts after it, and the last one by the scorer."""
        for part in reversed(self.parts):
            scorer = _Scored(scorer, part, model)
        return scorer.similarities(views, texts)

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Combine the views of the last part first."""
        for part in reversed(self.parts):
            grouped = similarities.reshape(-1, part.n_views, similarities.shape[-1])
            similarities = part.combine(grouped, logit_scale)
        return similarities

    def combine_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Combine the views of the last part first."""
        for part in reversed(self.parts):
            vectors = part.combine_vectors(vectors.reshape(-1, part.n_views, vectors.shape[-1]))
        return vectors


def compose(*mitigations: Mitigation) -> Mitigation:
    """Put mitigations behind one another.

    Parameters
    ----------
    *mitigations : Mitigation
        In the order in which they see the image: each view of the first is an image to the second, and so on.

    Returns
    -------
    Mitigation
        A `Composed`; of a single mitigation, itself.

    Raises
    ------
    InputError
        None is given; one that has to be told where the object is comes after one that moves things in the image.
    """
    parts = tuple(
        part for each in mitigations for part in (each.parts if isinstance(each, Composed) else (each,))
    )
    if not parts:
        raise InputError("compose takes at least one mitigation.")
    for number, later in enumerate(parts):
        for earlier in parts[:number]:
            _check_pair(earlier, later)
    return Composed(parts) if len(parts) > 1 else parts[0]


@dataclass(frozen=True, eq=False)
class _Scored(ScorerWrapper):
    """A scorer seen through the `score` of one mitigation."""

    scorer: Scorer
    mitigation: Mitigation
    clip_model: ClipModel

    @property
    def name(self) -> str:
        return f"{self.scorer.name}, {self.mitigation.name}"

    @property
    def inner(self) -> Scorer:
        return self.scorer

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        return self.mitigation.score(self.scorer, self.clip_model, images, texts)


def _check_pair(earlier: Mitigation, later: Mitigation) -> None:
    if not (earlier.moves and later.needs_location):
        return
    if later.moves and earlier.needs_location:
        raise InputError(
            f"{earlier.name} and {later.name} exclude each other: both are told where the object is, and both move it."
        )
    raise InputError(
        f"{later.name} is told where the object is, but {earlier.name} moves it: put {later.label} first."
    )
