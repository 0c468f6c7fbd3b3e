"""Keep the embeddings of images, so that notebooks and editions that ask a model about the same images share them.

An entry belongs to one list of images as one model sees them. Its key is a digest of the content: of the model's
weights, transform, precision and kind of device, and of every image's own bytes or pixels. A changed weight, image or
option is therefore another entry, and nothing has to be thrown away by hand. Entries are safetensors files with a
digest of their own; one that is damaged is made anew.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from crosseyed.data.images import ImageSource, UnreadableImage, map_ahead, read_image
from crosseyed.files import CACHE_VARIABLE, atomic_write
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Encoder, Scorer, ScorerWrapper

_WORKERS = 2

_AHEAD = 64


class DamagedEntryWarning(UserWarning):
    """An entry of the cache does not hold what was written; it is made anew."""


class CachedEncoder(ScorerWrapper, Encoder):
    """A model whose embeddings of images are kept in a folder.

    Everything else is the model's own. A generator of images is encoded without the cache, because it can be read
    only once; so are images of which one cannot be read, so that the model names them.

    Parameters
    ----------
    encoder : ClipModel
        The model.
    folder : path
        Where entries are kept; created when the first is written.
    """

    def __init__(self, encoder: ClipModel, folder: str | os.PathLike) -> None:
        self.encoder = encoder
        self.folder = Path(folder)
        self.name = encoder.name
        self._model_digest = _digest_model(encoder)

    @property
    def inner(self) -> Scorer:
        """The model whose embeddings are kept."""
        return self.encoder

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of the texts, as the model does."""
        return self.encoder.encode_texts(texts)

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of the images from the cache, or compute and keep them.

        As `ClipModel.encode_images`.

        Warns
        -----
        DamagedEntryWarning
            The entry was damaged and is made anew.
        """
        if not isinstance(images, Sequence) or isinstance(images, str):
            return self.encoder.encode_images(images, progress=progress)
        key = self._key(images)
        if key is None:
            return self.encoder.encode_images(images, progress=progress)
        entry = self.folder / f"{key}.safetensors"
        embeddings = _read(entry)
        if embeddings is None:
            embeddings = self.encoder.encode_images(images, progress=progress)
            _write(entry, embeddings)
        return embeddings

    def _key(self, images: Sequence[ImageSource]) -> str | None:
        """Digest model and images; None if an image cannot be read."""
        digest = hashlib.sha256(self._model_digest.encode())
        for image in map_ahead(_digest_image, images, workers=_WORKERS, ahead=_AHEAD):
            if image is None:
                return None
            digest.update(image)
        return digest.hexdigest()


def cached(encoder: ClipModel) -> Encoder:
    """Let a model keep its embeddings where the environment says so.

    Parameters
    ----------
    encoder : ClipModel
        The model.

    Returns
    -------
    Encoder
        A `CachedEncoder` with the folder that the environment variable `CACHE_VARIABLE` names; the model itself
        where there is no such variable.
    """
    folder = os.environ.get(CACHE_VARIABLE)
    return CachedEncoder(encoder, folder) if folder else encoder


def _digest_model(encoder: ClipModel) -> str:
    sight = [str(encoder.preprocess), encoder.precision, encoder.resize, encoder.device.type]
    digest = hashlib.sha256(json.dumps(sight).encode())
    for name, value in sorted(encoder.clip.visual.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest_image(source: ImageSource) -> bytes | None:
    """Digest a file by its bytes and any other source by its pixels; None if it cannot be read."""
    try:
        if isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        pixels = np.ascontiguousarray(read_image(source))
    except (UnreadableImage, OSError):
        return None
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).digest()


def _write(entry: Path, embeddings: np.ndarray) -> None:
    checksum = hashlib.sha256(embeddings.tobytes()).hexdigest()
    with atomic_write(entry) as temporary:
        save_file({"embeddings": embeddings}, temporary, metadata={"sha256": checksum})


def _read(entry: Path) -> np.ndarray | None:
    """Return what an entry holds; None if there is none, or a damaged one."""
    if not entry.exists():
        return None
    try:
        with safe_open(entry, framework="np") as file:
            checksum, embeddings = (file.metadata() or {}).get("sha256"), file.get_tensor("embeddings")
    except (SafetensorError, OSError) as error:
        reason = str(error)
    else:
        if hashlib.sha256(embeddings.tobytes()).hexdigest() == checksum:
            return embeddings
        reason = "its checksum does not fit"
    warnings.warn(f"{entry} is damaged ({reason}) and is made anew.", DamagedEntryWarning, stacklevel=3)
    return None
