"""The interface that carries the study: a scorer compares images with captions, an encoder by one vector each.

A loaded model is an encoder, and so is a model with another pooling or with changed attention. Where several views of
an image are combined, or where tokens are weighted by the caption, an image has no single vector: such a model is a
scorer, and the protocols need no more than a scorer.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Protocol, runtime_checkable

import numpy as np

from crosseyed.data.images import ImageSource
from crosseyed.data.scenes import scene_of
from crosseyed.progress import bar

RANDOM = "random"
"""What stands for random weights in place of a tag, and in the column `pretrained` of every table."""

SHIPPED = "crosseyed"
"""What stands in the column `pretrained` for the models that the repository ships."""


IMAGES_TOGETHER = 256
"""Images that models are shown together: a multiple of every batch size, and few enough to keep drawn."""


class UnreadableImagesWarning(UserWarning):
    """Some images of a run could not be read; their embeddings are NaN."""


@runtime_checkable
class Scorer(Protocol):
    """What every protocol needs of a model.

    Attributes
    ----------
    name : str
        Name of the edition, e.g. ``"pocketclip-centered"`` or ``"ViT-B-32--openai"``.
    model : str
        The architecture or repository, e.g. ``"ViT-B-32"``: column `model` of every table.
    pretrained : str
        Where the weights come from, e.g. ``"openai"``, or `RANDOM`: column `pretrained` of every table.
    logit_scale : float
        The factor from cosine similarity to logit that the model has learned, about 100 for published CLIPs.
    """

    name: str
    model: str
    pretrained: str
    logit_scale: float

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        """Compare every image with every text.

        Parameters
        ----------
        images : iterable of ImageSource
            Any number of images; they are read one after another and not kept.
        texts : sequence of str
            Captions.
        progress : bool
            Whether to show a progress bar where somebody watches (`crosseyed.progress.bar`).

        Returns
        -------
        numpy.ndarray, shape (n_images, n_texts)
            float64. A cosine similarity, or what takes its place; a row of NaN for an image that cannot be read.

        Warns
        -----
        UnreadableImagesWarning
            Once, at the end, with the number and the names of the images that could not be read.
        """
        ...


class ScorerWrapper(Scorer):
    """A scorer around another one: the same architecture, weights and scale, scored in another way."""

    @property
    @abstractmethod
    def inner(self) -> Scorer:
        """The scorer inside."""

    @property
    def model(self) -> str:
        """The architecture or repository."""
        return self.inner.model

    @property
    def pretrained(self) -> str:
        """Where the weights come from."""
        return self.inner.pretrained

    @property
    def logit_scale(self) -> float:
        """Factor from similarity to logit."""
        return self.inner.logit_scale


@runtime_checkable
class Encoder(Scorer, Protocol):
    """A scorer that turns images and texts into unit vectors, and compares these; subclass it to inherit that."""

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings (n_images, embed_dim) of the images, float32 rows of length 1.

        Parameters, NaN rows and warnings as of `Scorer.similarities`.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings (n_texts, embed_dim) of the texts, float32 rows of length 1."""
        ...

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        """Return every cosine in double precision, so that no rounding turns one choice into another; see `Scorer`."""
        return cosines(self.encode_images(images, progress=progress), self.encode_texts(texts))


def similarities_of_each(
    scorers: Sequence[Scorer], images: Sequence[ImageSource], texts: Sequence[str]
) -> list[np.ndarray]:
    """Compare the same images with the same texts in several models, drawing each composed scene at most once.

    Scenes are drawn when the first model needs them, and `IMAGES_TOGETHER` are kept at a time. Other images, and those
    of scorers that are not encoders, are read for each model.

    Parameters
    ----------
    scorers : sequence of Scorer
        The models.
    images : sequence of ImageSource
        May be an iterable if there is one model.
    texts : sequence of str
        Captions.

    Returns
    -------
    list of numpy.ndarray, shape (n_images, n_texts)
        As `Scorer.similarities`, one for each model.
    """
    sharing = [each for each in scorers if getattr(type(each), "similarities", None) is Encoder.similarities]
    if len(sharing) < 2 or not images or not all(scene_of(image) for image in images):
        return [each.similarities(images, texts) for each in scorers]
    rows: dict[int, list[np.ndarray]] = {id(each): [] for each in sharing}
    for start in bar(range(0, len(images), IMAGES_TOGETHER), unit="batch"):
        drawn_once = [cache(image) for image in images[start : start + IMAGES_TOGETHER]]
        for each in sharing:
            rows[id(each)].append(each.encode_images(drawn_once, progress=False))
    return [
        cosines(np.concatenate(rows[id(each)]), each.encode_texts(texts))
        if id(each) in rows
        else each.similarities(images, texts)
        for each in scorers
    ]


def cosines(embeddings: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """Return the cosines (n_images, n_texts) of unit vectors of images and of texts, in double precision."""
    return embeddings.astype(np.float64) @ captions.astype(np.float64).T
