"""A model with a mitigation in front of it."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat, zip_longest
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from crosseyed.data.images import ImageSource, UnreadableImage, check_several, map_ahead, read_image
from crosseyed.errors import InputError
from crosseyed.mitigations.base import Location, Mitigation, Wrapped
from crosseyed.mitigations.composition import compose
from crosseyed.models.clip import ClipModel, report_unreadable
from crosseyed.models.scorer import Encoder, Scorer, ScorerWrapper, UnreadableImagesWarning
from crosseyed.progress import bar

Rows = TypeVar("Rows", bound=Sized)

_WORKERS_AT_MOST = 16

_VIEWS_AHEAD = 16  # kept ready while the model computes; they have the size of the image, which may be large


@dataclass(frozen=True, eq=False)
class Mitigated(ScorerWrapper):
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
        """Compare the views of every image with every text, and combine them; see `crosseyed.models.scorer.Scorer`.

        Each image is read once; its views are made in background threads while the model computes. Unreadable images
        are counted as images, not as views. Raises InputError also if there are more or fewer images than locations.
        """
        shown = self.over_views(
            images, lambda views: self.mitigation.score(self.scorer, self.clip_model, views, texts), progress
        )
        return self.mitigation.combine(
            shown.reshape(-1, self.mitigation.n_views, len(texts)), self.logit_scale
        )

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return one unit vector for each image, where there is one; see `crosseyed.models.scorer.Encoder`.

        With several views that are combined by their mean this is the mean of their unit vectors, scaled to
        length 1. Its cosines sort captions as `similarities` does, which are smaller by the length of the mean.

        Raises
        ------
        InputError
            There is no single vector, because views are not combined by their mean, because the mitigation
            depends on the captions, or because the model itself has none; or as for `similarities`.
        """
        self._check_vectors(self.mitigation.has_vector)

        def encode(views: Iterable[ImageSource]) -> np.ndarray:
            with self.mitigation.applied(self.clip_model):
                return self.scorer.encode_images(views, progress=False)

        vectors = self.over_views(images, encode, progress)
        return self.mitigation.combine_vectors(
            vectors.reshape(-1, self.mitigation.n_views, vectors.shape[-1])
        )

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the model's own embeddings of the texts; see `Encoder.encode_texts`."""
        self._check_vectors(True)
        return self.scorer.encode_texts(texts)

    def _check_vectors(self, single: bool) -> None:
        if not (single and isinstance(self.scorer, Encoder)):
            raise InputError(
                f"{self.name} gives an image no single vector: use its similarities, or combine views by their "
                "mean on a model that has one."
            )

    def over_views(
        self,
        images: Iterable[ImageSource],
        run: Callable[[Iterable[ImageSource]], Rows],
        progress: bool,
    ) -> Rows:
        """Run something on the views of all images, and report unreadable images once.

        Parameters
        ----------
        images : iterable of ImageSource
            Any number of images.
        run : callable
            Takes the views of all images one after another, and returns something for each.
        progress : bool
            Whether to show a progress bar where somebody watches.
        """
        check_several(images)
        sources, total = self._told(images), len(images) if hasattr(images, "__len__") else None
        unreadable = []
        seen = bar(total=total, unit="image", shown=progress)
        with seen, closing(self._stream(sources, unreadable, seen)) as views, warnings.catch_warnings():
            warnings.simplefilter("ignore", UnreadableImagesWarning)  # would count views
            rows = run(views)
        if unreadable:
            report = report_unreadable(unreadable, len(rows) // self.mitigation.n_views)
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
        seen: tqdm,
    ) -> Iterator[ImageSource]:
        """Yield the views of all images; functions that fail in the place of those of an unreadable one."""
        count = self.mitigation.n_views
        # torch's threads, because that is the number of cores this process may use
        workers = min(torch.get_num_threads(), _WORKERS_AT_MOST)
        ahead = max(workers, _VIEWS_AHEAD // count)
        with closing(map_ahead(self._views_of, sources, workers=workers, ahead=ahead)) as shown:
            for views in shown:
                if isinstance(views, UnreadableImage):
                    unreadable.append(views)
                    views = [partial(_fail, views)] * count
                yield from views
                seen.update()

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


def clip_model_of(scorer: Scorer) -> ClipModel:
    """Return the `ClipModel` that a scorer is or computes with (`Wrapped`); raise InputError if it has none."""
    if isinstance(scorer, ClipModel):
        return scorer
    if isinstance(scorer, Wrapped):
        return scorer.clip_model
    raise InputError(
        f"A {type(scorer).__name__} cannot be mitigated: it is not a ClipModel and does not have one as clip_model."
    )


def _fail(error: UnreadableImage) -> None:
    raise error
