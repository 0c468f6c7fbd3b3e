"""The one interface that carries the study: an encoder turns images and captions into unit vectors.

A loaded model is an encoder, and so is everything built around one (another pooling, a changed image), so
that every protocol and figure works for all of them.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from crosseyed.images import ImageSource


class UnreadableImagesWarning(UserWarning):
    """Some images of a run could not be read; their embeddings are NaN."""


@runtime_checkable
class Encoder(Protocol):
    """What every protocol asks of a model.

    Attributes
    ----------
    name : str
        Name of the edition, e.g. ``"pocketclip-centered"`` or ``"ViT-B-32--openai"``.
    model : str
        The architecture or repository, e.g. ``"ViT-B-32"``: column `model` of every table.
    pretrained : str
        Where the weights come from, e.g. ``"openai"``, or ``"random"``: column `pretrained` of every table.
    logit_scale : float
        The factor from cosine similarity to logit that the model has learned, about 100 for published CLIPs.
    """

    name: str
    model: str
    pretrained: str
    logit_scale: float

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of the images.

        Parameters
        ----------
        images : iterable of ImageSource
            Any number of images; they are read one after another and not kept.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        numpy.ndarray, shape (n_images, embed_dim)
            float32 rows of length 1; a row of NaN for an image that cannot be read.

        Warns
        -----
        UnreadableImagesWarning
            Once, at the end, with the number and the names of the images that could not be read.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of the texts, each distinct text computed once.

        Parameters
        ----------
        texts : sequence of str
            Captions.

        Returns
        -------
        numpy.ndarray, shape (n_texts, embed_dim)
            float32 rows of length 1.
        """
        ...
