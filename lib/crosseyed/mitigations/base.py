"""Help a model without training it: change what it is shown or how it attends, but not its weights.

A `Mitigation` turns one image into one or several views, may change attention or positions while these are
encoded, and combines the similarities of the views. `crosseyed.mitigations.mitigated.mitigate` puts one in front of a
model: the result is a `crosseyed.models.scorer.Scorer` like any other, so every protocol takes it.
`crosseyed.mitigations.composition.compose` puts several behind one another.

A neutral mitigation (`Mitigation.neutral`) does nothing: one view, the image itself, in the batches of the plain
model, so that the result is that of the plain model bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import Field, dataclass, fields
from inspect import cleandoc
from itertools import islice
from math import inf, isfinite
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.mitigations.parameters import documented, parameter
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Scorer


@dataclass(frozen=True)
class Location:
    """Where the object in question is, for a mitigation that is told (an oracle).

    Attributes
    ----------
    x, y : float
        Center of the object as fractions of width and height of the image, from the top left.
    size : float
        Longer side of the object as a fraction of the shorter side of the image; positive.
    """

    x: float
    y: float
    size: float

    def __post_init__(self) -> None:
        """Raise InputError if a number is not finite, or the size not positive."""
        if not (isfinite(self.x) and isfinite(self.y) and 0 < self.size < inf):
            raise InputError(f"{self} is not a location: x and y must be finite, and size positive.")


@runtime_checkable
class Wrapped(Protocol):
    """A scorer that computes with a `ClipModel` in its own way, such as a model with another pooling."""

    clip_model: ClipModel


def _soft_maximum(similarities: np.ndarray, scale: float) -> np.ndarray:
    return (logsumexp(scale * similarities, axis=1) - np.log(similarities.shape[1])) / scale


AGGREGATES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "max": lambda similarities, _scale: similarities.max(1),
    "mean": lambda similarities, _scale: similarities.mean(1),
    "logsumexp": _soft_maximum,
}
"""How the similarities s of an image's V views become one, caption by caption; from an array
(n_images, views, n_texts) and a scale to (n_images, n_texts): ``"max"`` max s; ``"mean"`` Σ s / V; ``"logsumexp"``
log(Σ exp(scale · s) / V) / scale, between the mean (small scales) and the maximum (large ones)."""


@dataclass(frozen=True)
class Mitigation:
    """What is done to an image and to a model; this base class does nothing.

    A subclass is a frozen dataclass whose fields are the hyper-parameters, each declared by
    `crosseyed.mitigations.parameters.parameter`; its docstring says the formula and the source. It overrides what it
    changes: `n_views` and `views` for another image or several of them, `applied` and `check` for another
    computation, `first_changed` if that begins late in the tower, `combine` (or the fields of `Ensemble`) for several
    views, `score` if the computation depends on the captions. With the decorator `register` and `candidates` it takes
    part in chapter 5.

    Attributes
    ----------
    label : str
        Name in tables and figures; unique among mitigations.
    neutral_at : mapping of str to float
        Values of hyper-parameters at which nothing is done.
    needs_location : bool
        Whether it has to be told where the object is (an oracle).
    moves : bool
        Whether its views show things elsewhere, or at another size, than the image does. A mitigation that needs
        the location cannot come after it, so two that both move things and need the location exclude each other.
    gated : bool
        Whether chapter 5 also tries its candidates behind a gate (`crosseyed.mitigations.views.Gated`).
    """

    label: ClassVar[str]
    neutral_at: ClassVar[Mapping[str, float]] = {}
    needs_location: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    gated: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Add the hyper-parameters to the docstring."""
        super().__init_subclass__(**options)
        declared = getattr(cls, "__dataclass_fields__", {}) | vars(cls)
        known = {
            name: each.metadata["parameter"]
            for name, each in declared.items()
            if isinstance(each, Field) and "parameter" in each.metadata
        }
        cls.__doc__ = documented(cleandoc(cls.__doc__ or ""), known)

    def __post_init__(self) -> None:
        """Raise InputError for a hyper-parameter out of its range; a subclass that checks more calls this first."""
        for each in fields(self):
            if "parameter" in each.metadata:
                each.metadata["parameter"].check(each.name, getattr(self, each.name), self.label)

    @classmethod
    def candidates(cls) -> Iterable["Mitigation"]:
        """Return the settings that chapter 5 tries, as far as they need no images."""
        return ()

    @classmethod
    def fitted(
        cls,
        model: ClipModel,
        images: Iterable[ImageSource],
        table: pd.DataFrame,
        labels: Sequence[str],
    ) -> Iterable["Mitigation"]:
        """Return the settings that chapter 5 tries, as far as they are fitted to a model on validation images.

        Parameters
        ----------
        model : ClipModel
            The model.
        images : iterable of ImageSource
            Scenes of one object each; none of them, and none of their objects, is in the test.
        table : pandas.DataFrame
            One row per image, with `object` and `center`.
        labels : sequence of str
            What the model chooses among.

        Raises
        ------
        InputError
            The tower lacks what is fitted.
        """
        return ()

    @property
    def name(self) -> str:
        """The label and all hyper-parameters, e.g. ``"cyclic shifts (side=3, aggregate=max)"``."""
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in self.parameters.items())
        return f"{self.label} ({shown})" if shown else self.label

    @property
    def parameters(self) -> dict[str, object]:
        """The hyper-parameters that have an effect, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def neutral(self) -> bool:
        """Whether nothing is done."""
        return bool(self.neutral_at) and all(
            getattr(self, name) == value for name, value in self.neutral_at.items()
        )

    @property
    def n_views(self) -> int:
        """Number of views, the same for every image; 1 unless overridden."""
        return 1

    @property
    def passes(self) -> int:
        """Passes of the image tower for one image: the number of views, unless overridden."""
        return self.n_views

    @property
    def only_views(self) -> bool:
        """Whether the model itself stays as it is, so that a view has the same similarities under any mitigation."""
        return self.neutral or (type(self).applied is Mitigation.applied and self._scores_plainly)

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector whatever the captions."""
        return self.neutral or (self.n_views == 1 and self._scores_plainly)

    @property
    def _scores_plainly(self) -> bool:
        return type(self).score is Mitigation.score

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the images that the model is shown; called in background threads.

        Parameters
        ----------
        image : numpy.ndarray, shape (height, width, 3)
            uint8 pixels; leave them unchanged.
        location : Location or None
            Where the object is; None unless `needs_location`.

        Returns
        -------
        list of numpy.ndarray, shape (any height, any width, 3)
            `n_views` of them, uint8.
        """
        return [image]

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Return a context in which the model computes differently, and is restored afterwards, also after an error."""
        return nullcontext()

    def first_changed(self, model: ClipModel) -> int | None:
        """Return the depth that the first block or attention which changes leads to; None if anything may change.

        What comes before is then computed once for all (`crosseyed.mitigations.sharing`). So give a depth only where
        the one view is the image as it is, and the tower up to there computes what the plain one does.
        """
        return None

    def check(self, model: ClipModel) -> None:
        """Raise InputError for a model to which this cannot be done; the message says what its tower has."""

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Compare views with texts while the mitigation is applied.

        Override it where the computation depends on the similarities; take `views` in portions then (`portions`), as
        there may be too many for memory.

        Parameters
        ----------
        scorer : Scorer
            What compares; computes with `model`.
        model : ClipModel
            The model underneath.
        views : iterable of ImageSource
            The views of all images one after another, `n_views` for each image; of an image that cannot be read,
            as many functions that raise `UnreadableImage`.
        texts : sequence of str
            Captions.

        Returns
        -------
        numpy.ndarray, shape (n_views, n_texts)
            Similarities; a row of NaN for what cannot be read.
        """
        with self.applied(model):
            return scorer.similarities(views, texts, progress=False)

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Make one row of similarities of those of the views.

        Parameters
        ----------
        similarities : numpy.ndarray, shape (n_images, n_views, n_texts)
            NaN for an image that cannot be read.
        logit_scale : float
            The model's factor from similarity to logit.

        Returns
        -------
        numpy.ndarray, shape (n_images, n_texts)
            Those of the only view, unless overridden.
        """
        return similarities[:, 0]

    def combine_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Make one unit vector of those of the views; called only where `has_vector`.

        Parameters
        ----------
        vectors : numpy.ndarray, shape (n_images, n_views, embed_dim)
            Unit vectors; NaN for an image that cannot be read.

        Returns
        -------
        numpy.ndarray, shape (n_images, embed_dim)
            That of the only view; of several, their mean scaled to length 1 (float32).
        """
        if vectors.shape[1] == 1:
            return vectors[:, 0]
        mean = vectors.mean(1, dtype=np.float64)
        return (mean / np.linalg.norm(mean, axis=-1, keepdims=True)).astype(np.float32)


Kind = TypeVar("Kind", bound=Mitigation)

MITIGATIONS: dict[str, type[Mitigation]] = {}
"""Every registered mitigation by its label; import `crosseyed.mitigations.registry` to have them all."""


def register(mitigation: type[Kind]) -> type[Kind]:
    """Enter a class in `MITIGATIONS`, so that it is found by its label and tried in chapter 5."""
    MITIGATIONS[mitigation.label] = mitigation
    return mitigation


@dataclass(frozen=True, kw_only=True)
class Ensemble(Mitigation):
    """A mitigation with several views and the choice how to combine them."""

    aggregate: str = parameter("max", "how the similarities of views become one", choices=AGGREGATES)
    temperature: float = parameter(
        1.0,
        "logit scale of the model over the scale of logsumexp: 1 sums the model's probabilities, less tends to the "
        "maximum, more to the mean",
        above=0,
    )

    @classmethod
    def combined(cls, **options: Any) -> list[Self]:
        """Return one mitigation for each aggregate."""
        return [cls(aggregate=aggregate, **options) for aggregate in AGGREGATES]

    @property
    def parameters(self) -> dict[str, object]:
        """The hyper-parameters that have an effect, the aggregate last."""
        own = super().parameters
        aggregate, temperature = own.pop("aggregate"), own.pop("temperature")
        own["aggregate"] = aggregate
        return own | {"temperature": temperature} if aggregate == "logsumexp" else own

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: with one view, or with the mean of several."""
        return super().has_vector or (self._scores_plainly and self.aggregate == "mean")

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Return those of the only view, or else apply the aggregate."""
        if similarities.shape[1] == 1:
            return similarities[:, 0]
        return AGGREGATES[self.aggregate](similarities, logit_scale / self.temperature)


def portions(views: Iterable[ImageSource], size: int) -> Iterator[list[ImageSource]]:
    """Yield lists of `size` views, the last maybe shorter, for a mitigation that encodes them more than once."""
    remaining = iter(views)
    while portion := list(islice(remaining, size)):
        yield portion


def _shown(value: object) -> str:
    if isinstance(value, Mitigation):
        return value.name
    return f"{value:g}" if isinstance(value, float) else str(value)
