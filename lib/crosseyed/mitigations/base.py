"""Help a model without training it: change what it is shown or how it attends, never what it has learned.

A `Mitigation` turns one image into one or several views, may change attention or positions while these are
encoded, and combines what the model says about the views. `mitigate` puts one in front of a model: the result is a
`crosseyed.models.scorer.Scorer` like any other, so every protocol takes it. `compose` puts several behind one another.

At strength zero (each mitigation says what that is) nothing is done at all: one view, the picture itself, in the
batches of the plain model, so that the result is that of the plain model bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from itertools import islice
from math import inf, isfinite
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from scipy.special import logsumexp

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError, check_choice
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
        """Refuse what is no place.

        Raises
        ------
        InputError
            A number is not finite, or the size not positive.
        """
        if not (isfinite(self.x) and isfinite(self.y) and 0 < self.size < inf):
            raise InputError(f"{self} is no place: x and y are finite, the size is positive.")


@runtime_checkable
class Wrapped(Protocol):
    """A scorer that computes with a `ClipModel` in its own way, such as a model with another pooling."""

    clip_model: ClipModel


def _largest(similarities: np.ndarray, _scale: float) -> np.ndarray:
    return similarities.max(1)


def _mean(similarities: np.ndarray, _scale: float) -> np.ndarray:
    return similarities.mean(1)


def _soft_maximum(similarities: np.ndarray, scale: float) -> np.ndarray:
    return (logsumexp(scale * similarities, axis=1) - np.log(similarities.shape[1])) / scale


AGGREGATES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "max": _largest,
    "mean": _mean,
    "logsumexp": _soft_maximum,
}

"""How the similarities s of an image's V views become one, caption by caption; from an array
(n_images, views, n_texts) and a scale to (n_images, n_texts):

- ``"max"``: max s;
- ``"mean"``: Σ s / V;
- ``"logsumexp"``: log(Σ exp(scale · s) / V) / scale, between the mean (small scales) and the maximum (large ones).
"""


@dataclass(frozen=True)
class Mitigation:
    """What is done to an image and to a model to help it; does nothing by itself.

    A subclass is a frozen dataclass whose fields are the hyper-parameters, with the label `label`; its docstring
    says the formula, the source and what strength zero is. It overrides what it changes: `n_views` and `views` for
    another image or several of them, `applied` and `check` for another computation, `combine` (or the fields of
    `Ensemble`) for several views, `score` if the computation depends on what the model answers.

    Attributes
    ----------
    label : str
        What the mitigation is called in tables and figures; unique among mitigations.
    needs_location : bool
        Whether it has to be told where the object is (an oracle).
    moves : bool
        Whether its views show things elsewhere, or at another size, than the image does. A mitigation that needs
        the location cannot come after it, so two that both move things and need the location exclude each other.
    """

    label: ClassVar[str]
    needs_location: ClassVar[bool] = False
    moves: ClassVar[bool] = False

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
    def n_views(self) -> int:
        """Number of views, the same for every image; 1 unless overridden."""
        return 1

    @property
    def passes(self) -> int:
        """Passes of the image tower for one image: the number of views, unless overridden."""
        return self.n_views

    @property
    def only_views(self) -> bool:
        """Whether the model itself stays as it is, so that what it says about a view holds wherever it is seen."""
        return type(self).applied is Mitigation.applied and type(self).score is Mitigation.score

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector whatever the captions: with one view, unless `score` is overridden."""
        return self.n_views == 1 and type(self).score is Mitigation.score

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        """Return the pictures that the model is shown; called in background threads.

        Parameters
        ----------
        image : numpy.ndarray, shape (height, width, 3)
            uint8 pixels; leave them unchanged.
        location : Location or None
            Where the object is; None unless `needs_location`.

        Returns
        -------
        list of numpy.ndarray, shape (any height, any width, 3)
            As many as `n_views` says, of uint8.
        """
        return [image]

    def applied(self, model: ClipModel) -> AbstractContextManager:
        """Return a context within which the model computes differently, and after which it is exactly as before.

        Parameters
        ----------
        model : ClipModel
            The model; restored also after an exception.

        Returns
        -------
        context manager
            At strength zero it leaves the model alone: no hook, no changed parameter.
        """
        return nullcontext()

    def check(self, model: ClipModel) -> None:
        """Refuse a model to which this cannot be done.

        Parameters
        ----------
        model : ClipModel
            The model.

        Raises
        ------
        InputError
            The tower lacks what is to be changed; the message says what it has.
        """

    def score(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Compare views with texts while the mitigation is applied.

        Override it where the computation depends on the answer; take `views` in portions then (`portions`), as
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
        """Make one unit vector of those of the views; asked only where `has_vector`.

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


@dataclass(frozen=True, kw_only=True)
class Ensemble(Mitigation):
    """A mitigation with several views and the choice how to combine them.

    Parameters
    ----------
    aggregate : {"max", "mean", "logsumexp"}
        See `AGGREGATES`.
    temperature : float
        Of ``"logsumexp"`` alone: its scale is the model's logit scale over the temperature, so that 1 sums
        probabilities as the model gives them, less comes closer to the maximum, more to the mean. Positive.

    Raises
    ------
    InputError
        Another aggregate; a temperature that is not positive and finite.
    """

    aggregate: str = "max"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check the fields; a subclass with fields of its own calls this too."""
        check_choice("aggregate", self.aggregate, AGGREGATES)
        if not 0 < self.temperature < inf:
            raise InputError(f"The temperature is positive and finite, not {self.temperature!r}.")

    @property
    def parameters(self) -> dict[str, object]:
        """The hyper-parameters that have an effect, the aggregate last."""
        own = super().parameters
        aggregate, temperature = own.pop("aggregate"), own.pop("temperature")
        own["aggregate"] = aggregate
        return own | {"temperature": temperature} if aggregate == "logsumexp" else own

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector: with one view or with their mean, unless `score` is overridden."""
        return type(self).score is Mitigation.score and (self.n_views == 1 or self.aggregate == "mean")

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Return those of the only view, or else apply the aggregate."""
        if similarities.shape[1] == 1:
            return similarities[:, 0]
        return AGGREGATES[self.aggregate](similarities, logit_scale / self.temperature)


def portions(views: Iterable[ImageSource], size: int) -> Iterator[list[ImageSource]]:
    """Take views a bounded number at a time, for a mitigation that encodes them more than once.

    Parameters
    ----------
    views : iterable of ImageSource
        As `Mitigation.score` gets them.
    size : int
        Views in a portion; positive.

    Yields
    ------
    list of ImageSource
        `size` views; the last portion may have fewer.
    """
    remaining = iter(views)
    while portion := list(islice(remaining, size)):
        yield portion


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a hyper-parameter out of its range.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : float
        What was given.
    low, high : float
        The range, both ends included.

    Raises
    ------
    InputError
        The value is below, above, or not a number.
    """
    if not low <= value <= high:
        raise InputError(f"{name} is from {low:g} to {high:g}, not {value!r}.")


def _shown(value: object) -> str:
    if isinstance(value, Mitigation):
        return value.name
    return f"{value:g}" if isinstance(value, float) else str(value)
