"""Help a model without training it: change what it is shown or how it attends, never what it has learned.

A `Mitigation` turns one image into one or several views, may change attention or positions while these are
encoded, and combines what the model says about the views. `mitigate` puts one in front of a model: the result is a
`crosseyed.encoder.Scorer` like any other, so every protocol takes it. `compose` puts several behind one another.

At strength zero (each mitigation says what that is) nothing is done at all: one view, the picture itself, in the
batches of the plain model, so that the result is that of the plain model bit for bit.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import islice, repeat, zip_longest
from math import inf, isfinite, prod
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from scipy.special import logsumexp
from tqdm import tqdm

from crosseyed.encoder import Around, Encoder, Scorer, UnreadableImagesWarning
from crosseyed.errors import InputError, check_choice
from crosseyed.images import ImageSource, UnreadableImage, check_several, map_ahead, read_image
from crosseyed.models import ClipModel, report_unreadable

_WORKERS_AT_MOST = 16
_VIEWS_AHEAD = 16  # kept ready while the model computes; they have the size of the image, which may be large


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
    says the formula, the source and what strength zero is. It overrides what it changes: `count` and `views` for
    another image or several of them, `applied` and `check` for another computation, `combine` (or the fields of
    `Ensemble`) for several views, `ask` if the computation depends on what the model answers.

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
    def count(self) -> int:
        """Number of views, the same for every image; 1 unless overridden."""
        return 1

    @property
    def passes(self) -> int:
        """Passes of the image tower for one image: the number of views, unless overridden."""
        return self.count

    @property
    def only_views(self) -> bool:
        """Whether the model itself stays as it is, so that what it says about a view holds wherever it is seen."""
        return type(self).applied is Mitigation.applied and type(self).ask is Mitigation.ask

    @property
    def has_vector(self) -> bool:
        """Whether an image has one vector whatever the captions: with one view, unless `ask` is overridden."""
        return self.count == 1 and type(self).ask is Mitigation.ask

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
            As many as `count` says, of uint8.
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

    def ask(
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
            The views of all images one after another, `count` for each image; of an image that cannot be read,
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
        similarities : numpy.ndarray, shape (n_images, count, n_texts)
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
        vectors : numpy.ndarray, shape (n_images, count, embed_dim)
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
        """Whether an image has one vector: with one view or with their mean, unless `ask` is overridden."""
        return type(self).ask is Mitigation.ask and (self.count == 1 or self.aggregate == "mean")

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Return those of the only view, or else apply the aggregate."""
        if similarities.shape[1] == 1:
            return similarities[:, 0]
        return AGGREGATES[self.aggregate](similarities, logit_scale / self.temperature)


@dataclass(frozen=True)
class Composed(Mitigation):
    """Several mitigations behind one another; made by `compose`.

    Each view that the first makes is an image to the second, and so on; the second's answers are combined before
    the first's. The changes to the model are in force together, those of the first entered first.

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
    def count(self) -> int:
        """The product over the parts."""
        return prod(part.count for part in self.parts)

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

    def check(self, model: ClipModel) -> None:
        """Let each part check the model."""
        for part in self.parts:
            part.check(model)

    def ask(
        self, scorer: Scorer, model: ClipModel, views: Iterable[ImageSource], texts: Sequence[str]
    ) -> np.ndarray:
        """Let each part ask the parts after it, and the last one the scorer."""
        for part in reversed(self.parts):
            scorer = _Asked(scorer, part, model)
        return scorer.similarities(views, texts)

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        """Combine the views of the last part first."""
        for part in reversed(self.parts):
            grouped = similarities.reshape(-1, part.count, similarities.shape[-1])
            similarities = part.combine(grouped, logit_scale)
        return similarities

    def combine_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Combine the views of the last part first."""
        for part in reversed(self.parts):
            vectors = part.combine_vectors(vectors.reshape(-1, part.count, vectors.shape[-1]))
        return vectors


@dataclass(frozen=True, eq=False)
class Mitigated(Around):
    """A model with a mitigation in front of it; made by `mitigate`.

    Attributes
    ----------
    scorer : Scorer
        The model: a `ClipModel`, or one that computes with it (`Wrapped`).
    mitigation : Mitigation
        What is done.
    locations : sequence of Location, optional
        Where the object is, one for each image that will be compared, in their order.
    """

    scorer: Scorer
    mitigation: Mitigation
    locations: Sequence[Location] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The model's name and the mitigation's."""
        return f"{self.scorer.name}, {self.mitigation.name}"

    @property
    def inner(self) -> Scorer:
        """The model that the mitigation is put in front of."""
        return self.scorer

    @property
    def clip_model(self) -> ClipModel:
        """The model underneath."""
        return clip_model_of(self.scorer)

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        """Compare the views of every image with every text, and combine them.

        Each image is read once, its views are made in background threads while the model computes.

        Parameters
        ----------
        images : iterable of ImageSource
            The images; may be a generator.
        texts : sequence of str
            Captions.
        progress : bool
            Show a progress bar, of images, if the standard error is a terminal.

        Returns
        -------
        numpy.ndarray, shape (n_images, n_texts)
            float64, as `Mitigation.combine` says; a row of NaN for an image that cannot be read.

        Raises
        ------
        InputError
            `images` is a single image, or contains what is not an `ImageSource`; there are more or fewer of them
            than locations.

        Warns
        -----
        UnreadableImagesWarning
            Once, at the end, with the number and the names of the images (not views) that could not be read.
        """
        shown = self._over_views(
            images, lambda views: self.mitigation.ask(self.scorer, self.clip_model, views, texts), progress
        )
        return self.mitigation.combine(shown.reshape(-1, self.mitigation.count, len(texts)), self.logit_scale)

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return one unit vector for each image, where there is one.

        With several views that are combined by their mean this is the mean of their unit vectors, scaled to
        length 1. Its cosines sort captions as `similarities` does, which are smaller by the length of the mean.

        Parameters
        ----------
        images : iterable of ImageSource
            The images; may be a generator.
        progress : bool
            Show a progress bar, of images, if the standard error is a terminal.

        Returns
        -------
        numpy.ndarray, shape (n_images, embed_dim)
            float32 rows of length 1; a row of NaN for an image that cannot be read.

        Raises
        ------
        InputError
            There is no single vector, because views are not combined by their mean, because the mitigation
            depends on the captions, or because the model itself has none; or as for `similarities`.

        Warns
        -----
        UnreadableImagesWarning
            As for `similarities`.
        """
        self._check_vectors(self.mitigation.has_vector)

        def encode(views: Iterable[ImageSource]) -> np.ndarray:
            with self.mitigation.applied(self.clip_model):
                return self.scorer.encode_images(views, progress=False)

        vectors = self._over_views(images, encode, progress)
        return self.mitigation.combine_vectors(vectors.reshape(-1, self.mitigation.count, vectors.shape[-1]))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the model's own embeddings of the texts; see `Encoder.encode_texts`."""
        self._check_vectors(True)
        return self.scorer.encode_texts(texts)

    def _check_vectors(self, single: bool) -> None:
        if not (single and isinstance(self.scorer, Encoder)):
            raise InputError(
                f"{self.name} gives an image no single vector: ask for similarities, or combine views by their "
                "mean on a model that has one."
            )

    def _over_views(
        self,
        images: Iterable[ImageSource],
        run: Callable[[Iterable[ImageSource]], np.ndarray],
        progress: bool,
    ) -> np.ndarray:
        """Run something on the views of all images, and report unreadable images once."""
        check_several(images)
        sources, total = self._told(images), len(images) if hasattr(images, "__len__") else None
        unreadable = []
        bar = tqdm(total=total, unit="image", disable=None if progress else True)
        with bar, closing(self._stream(sources, unreadable, bar)) as views, warnings.catch_warnings():
            warnings.simplefilter("ignore", UnreadableImagesWarning)  # would count views
            rows = run(views)
        if unreadable:
            report = report_unreadable(unreadable, len(rows) // self.mitigation.count)
            warnings.warn(report, UnreadableImagesWarning, stacklevel=3)
        return rows

    def _told(self, images: Iterable[ImageSource]) -> Iterator[tuple[ImageSource, Location | None]]:
        """Give each image its location, if the mitigation wants to be told."""
        if not self.mitigation.needs_location:
            return zip(images, repeat(None))
        if hasattr(images, "__len__") and len(images) != len(self.locations):
            raise self._miscounted()
        return self._paired(images)

    def _paired(self, images: Iterable[ImageSource]) -> Iterator[tuple[ImageSource, Location]]:
        for image, location in zip_longest(images, self.locations):
            if image is None or location is None:
                raise self._miscounted()
            yield image, location

    def _miscounted(self) -> InputError:
        return InputError(
            f"{self.mitigation.name} was told {len(self.locations)} locations, but there are more or fewer images: "
            "give mitigate one for each image, in their order."
        )

    def _stream(
        self,
        sources: Iterator[tuple[ImageSource, Location | None]],
        unreadable: list[UnreadableImage],
        bar: tqdm,
    ) -> Iterator[ImageSource]:
        """Yield the views of all images; functions that fail in the place of those of an unreadable one."""
        count = self.mitigation.count
        # torch's threads, because that is the number of cores this process may use
        workers = min(torch.get_num_threads(), _WORKERS_AT_MOST)
        ahead = max(workers, _VIEWS_AHEAD // count)
        with closing(map_ahead(self._views_of, sources, workers=workers, ahead=ahead)) as shown:
            for views in shown:
                if isinstance(views, UnreadableImage):
                    unreadable.append(views)
                    views = [partial(_fail, views)] * count
                yield from views
                bar.update()

    def _views_of(self, told: tuple[ImageSource, Location | None]) -> list[np.ndarray] | UnreadableImage:
        source, location = told
        try:
            image = np.asarray(read_image(source))
        except UnreadableImage as error:
            return error
        return self.mitigation.views(image, location)


def mitigate(
    scorer: Scorer, mitigation: Mitigation, locations: Sequence[Location] | None = None
) -> Mitigated:
    """Put a mitigation in front of a model.

    Parameters
    ----------
    scorer : Scorer
        A `ClipModel`, one that computes with it (`Wrapped`), or one mitigated already: then the new mitigation
        sees the image first, as in ``compose(mitigation, scorer.mitigation)``.
    mitigation : Mitigation
        What is to be done.
    locations : sequence of Location, optional
        Where the object is in each image that will be compared, in their order. Needed if the mitigation has to
        be told, else not used; of a scorer mitigated already the known ones are kept if none are given.

    Returns
    -------
    Mitigated
        Its `similarities` are those of the mitigated model; its `model` and `pretrained` those of the plain one.

    Raises
    ------
    InputError
        Locations are missing or are not `Location` objects; the tower lacks what is to be changed; the mitigation
        cannot be composed with that of the scorer; the scorer does not compute with a `ClipModel`.

    Examples
    --------
    >>> shifted = mitigate(model, CyclicShifts(side=3))
    >>> shifted.similarities(images, ["a photo of a dog", "a photo of a cat"])
    """
    if isinstance(scorer, Mitigated):
        mitigation = compose(mitigation, scorer.mitigation)
        locations = scorer.locations if locations is None else locations
        scorer = scorer.scorer
    if mitigation.needs_location and locations is None:
        raise InputError(
            f"{mitigation.name} has to be told where the object is: give mitigate(..., locations=[...]), a Location "
            "for each image; or choose a mitigation that is not told."
        )
    for location in () if locations is None else locations:
        if not isinstance(location, Location):
            raise InputError(f"locations are Location objects, not {location!r}.")
    mitigation.check(clip_model_of(scorer))
    return Mitigated(scorer, mitigation, locations)


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
        None is given; one that has to be told where the object is comes after one that moves things in the
        picture.
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


def clip_model_of(scorer: Scorer) -> ClipModel:
    """Return the model that a scorer computes with.

    Parameters
    ----------
    scorer : Scorer
        A `ClipModel`, or a `Wrapped` one such as a model with another pooling.

    Returns
    -------
    ClipModel
        The model underneath.

    Raises
    ------
    InputError
        The scorer is of another kind.
    """
    if isinstance(scorer, ClipModel):
        return scorer
    if isinstance(scorer, Wrapped):
        return scorer.clip_model
    raise InputError(
        f"A {type(scorer).__name__} cannot be mitigated: it is no ClipModel and has none as clip_model."
    )


def portions(views: Iterable[ImageSource], size: int) -> Iterator[list[ImageSource]]:
    """Take views a bounded number at a time, for a mitigation that encodes them more than once.

    Parameters
    ----------
    views : iterable of ImageSource
        As `Mitigation.ask` gets them.
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


@dataclass(frozen=True, eq=False)
class _Asked(Around):
    """A scorer seen through the `ask` of one mitigation."""

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
        return self.mitigation.ask(self.scorer, self.clip_model, images, texts)


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


def _fail(error: UnreadableImage) -> None:
    raise error


def _shown(value: object) -> str:
    if isinstance(value, Mitigation):
        return value.name
    return f"{value:g}" if isinstance(value, float) else str(value)
