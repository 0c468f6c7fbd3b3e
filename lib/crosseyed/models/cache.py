"""Keep embeddings, so that chapters and editions that show a model the same images or texts share them.

Embeddings are those of one model: they lie under a digest of its weights and structure, its transform, its precision
and kind of device. The key of an image is a digest of its file, of its recipe (of a composed scene, see
`crosseyed.data.scenes.Scene.digest`) or of its pixels, or of what the model sees of it, once resized; that of a text is
one of all texts that it is encoded with. A changed weight, image or option is therefore another key, and nothing has to
be deleted by hand (`crosseyed.models.store`). A cache that cannot be written to is a warning and not the end.

What is there must not change any digit of what is computed. How a processor rounds depends on how many images are in a
batch, though not on which, nor on their places in it. So images are always encoded in batches of one size, of which the
last is filled up: an image has the same embedding whatever else was missing.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from itertools import islice

import numpy as np
import torch

from crosseyed.data.images import ImageSource, map_ahead, read_image
from crosseyed.data.scenes import scene_of
from crosseyed.errors import InputError
from crosseyed.files import CACHE_VARIABLE, require_file
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import IMAGES_TOGETHER, Encoder, Scorer, ScorerWrapper
from crosseyed.models.store import KEY_BYTES, KIND_BYTES, Store
from crosseyed.models.towers.base import UnsupportedTower
from crosseyed.models.towers.registry import adapter_of
from crosseyed.progress import count, partly

BATCH = {"cpu": 8, "mps": 16, "cuda": 64}
"""Images in each batch, by kind of device: large enough to be fast, and small enough to be filled up."""

_hash = partial(hashlib.blake2b, digest_size=KEY_BYTES)

_FORM = "3"  # of keys and rows; those of another are not looked for
_WORKERS = 2
_AHEAD = 64


class UnwritableCacheWarning(UserWarning):
    """Embeddings cannot be kept; they are computed each time."""


class CachedEncoder(ScorerWrapper, Encoder):
    """A model whose embeddings are kept.

    A generator of images is encoded without the cache, because it can be read only once; so are images of which one
    cannot be read, so that the model names them.

    Parameters
    ----------
    encoder : ClipModel
        The model, which nothing changes while it is encoded.
    folder : path, optional
        Where embeddings are kept, created when the first is written; without it they are computed in the same way.
    """

    def __init__(self, encoder: ClipModel, folder: str | os.PathLike | None = None) -> None:
        self.encoder = encoder
        self.store = None if folder is None else Store.at(folder)
        self.name = encoder.name
        self._writable = True

    @property
    def inner(self) -> Scorer:
        """The model whose embeddings are kept."""
        return self.encoder

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of the texts from the cache, or compute and keep them."""
        if self.store is None or isinstance(texts, str) or not len(texts):
            return self.encoder.encode_texts(texts)
        tokens = np.asarray(self.encoder.tokenizer(list(texts)))
        together = _digest(self._text_digest.encode(), tokens.tobytes()).hex()
        keys = [_digest(each.tobytes()) for each in tokens]
        found = self._find(together, keys)
        if len(found) < len(set(keys)):
            found = dict(zip(keys, self.encoder.encode_texts(texts), strict=True))
            self._keep(together, found)
        return np.stack([found[key] for key in keys])

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of the images from the cache, or compute and keep them; warn of damaged ones."""
        if not isinstance(images, Sequence) or isinstance(images, str) or not len(images):
            return self.encoder.encode_images(images, progress=progress)
        keys = _digest_images(images)
        if None in keys:
            return self.encoder.encode_images(images, progress=progress)
        width = self.encoder.tower.embed_dim
        return self._rows(self._image_digest, keys, images, self._embed, width, progress=progress)

    def compute(
        self,
        what: str,
        scenes: Sequence[ImageSource],
        make: Callable[[Sequence[np.ndarray]], np.ndarray],
        width: int,
    ) -> np.ndarray:
        """Return numbers that a run of the model gives for each image, from the cache, or compute and keep them.

        Parameters
        ----------
        what : str
            What they are; another name for whatever is computed otherwise.
        scenes : sequence of ImageSource
            Images that can be read, such as composed scenes.
        make : callable
            From what the model sees of a batch of images (see `ClipModel.to_input`) to float32 rows
            (n_images, width), each of which depends on its own image alone.
        width : int
            Numbers for each image.

        Returns
        -------
        numpy.ndarray, shape (n_images, width)
            float32.
        """
        kind = _digest(self._image_digest.encode(), what.encode()).hex()
        return self._rows(kind, _digest_images(scenes), scenes, make, width, progress=False)

    def _rows(
        self,
        kind: str,
        keys: Sequence[bytes],
        images: Sequence[ImageSource],
        make: Callable[[Sequence[np.ndarray]], np.ndarray],
        width: int,
        *,
        progress: bool,
    ) -> np.ndarray:
        found = self._find(kind, keys)
        missing = {key: image for key, image in zip(keys, images, strict=True) if key not in found}
        count(len(keys) - len(missing), kept=True)
        if missing:
            batches = self.encoder.read_batches(
                list(missing.values()), batch_size=self._batch_size, progress=progress
            )
            made = ((readable, self._filled(make, pixels)) for pixels, readable in batches)
            found |= self._kept_by_and_by(kind, missing, made)
        nothing = np.full(width, np.nan, np.float32)  # of a file that is not an image
        return np.stack([found.get(key, nothing) for key in keys])

    def encode_seen(self, seen: Mapping[bytes, np.ndarray]) -> dict[bytes, np.ndarray]:
        """Return the embeddings of what the model sees, from the cache, or compute and keep them.

        Parameters
        ----------
        seen : mapping of bytes to numpy.ndarray
            By their `digest_seen`, pixels that `ClipModel.read_batches` has read.

        Returns
        -------
        dict of bytes to numpy.ndarray, shape (embed_dim,)
            In any order.
        """
        kind = self._seen_digest
        found = self._find(kind, seen)
        count(len(found), kept=True)
        missing = [key for key in seen if key not in found]
        starts = range(0, len(missing), self._batch_size)
        batches = ([seen[key] for key in missing[start : start + self._batch_size]] for start in starts)
        made = ((np.ones(len(pixels), bool), self._filled(self._embed, pixels)) for pixels in batches)
        return found | self._kept_by_and_by(kind, missing, made)

    def _kept_by_and_by(
        self, kind: str, keys: Iterable[bytes], made: Iterator[tuple[np.ndarray, Sequence[np.ndarray]]]
    ) -> dict[bytes, np.ndarray]:
        """Keep embeddings as they are made, so that what was made before an interruption stays; return them."""
        keys, done, fresh = iter(keys), {}, {}
        for readable, vectors in made:
            own = [key for key, ok in zip(islice(keys, len(readable)), readable, strict=True) if ok]
            fresh.update(zip(own, vectors, strict=True))
            if len(fresh) >= IMAGES_TOGETHER:
                self._keep(kind, fresh)
                done, fresh = done | fresh, {}
        self._keep(kind, fresh)
        return done | fresh

    def _filled(
        self, make: Callable[[Sequence[np.ndarray]], np.ndarray], pixels: Sequence[np.ndarray]
    ) -> Sequence[np.ndarray]:
        """Compute rows for at most a batch of what the model sees, in a batch that is filled up."""
        if not pixels:
            return []
        filled = [*pixels, *[pixels[-1]] * (self._batch_size - len(pixels))]
        with partly(len(pixels) / len(filled)):
            return make(filled)[: len(pixels)]

    def _embed(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        with _pooled_alone(self.encoder):
            return self.encoder.encode_pixels(pixels)

    @property
    def _batch_size(self) -> int:
        return BATCH.get(self.encoder.device.type, BATCH["cpu"])

    def _find(self, kind: str, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        return {} if self.store is None else self.store.find(kind, keys)

    def _keep(self, kind: str, rows: Mapping[bytes, np.ndarray]) -> None:
        """Keep embeddings, until some cannot be written."""
        if self.store is None or not self._writable:
            return
        try:
            self.store.keep(kind, rows)
        except (InputError, OSError) as error:
            self._writable = False
            warnings.warn(
                f"The embeddings of {self.name} are not kept, so that each use computes them anew. {error}",
                UnwritableCacheWarning,
                stacklevel=4,
            )

    @cached_property
    def _image_digest(self) -> str:
        return self._tower_digest("images", str(self.encoder.preprocess), self.encoder.resize)

    @cached_property
    def _seen_digest(self) -> str:
        return self._tower_digest("seen", str(self.encoder.preprocess.transforms[-1]))

    def _tower_digest(self, *seen: str) -> str:
        return "" if self.store is None else _digest("\0".join((self._image_tower, *seen)).encode()).hex()

    @cached_property
    def _image_tower(self) -> str:
        return _digest_tower(self.encoder, lambda name: name.startswith("visual."))

    @cached_property
    def _text_digest(self) -> str:
        return _digest_tower(self.encoder, lambda name: not name.startswith("visual."))


def cached(encoder: Encoder) -> Encoder:
    """Give a `ClipModel` the cache that the variable `CACHE_VARIABLE` names; return other encoders as given.

    Without the variable nothing is kept, and everything else is the same.
    """
    folder = os.environ.get(CACHE_VARIABLE) or None
    return CachedEncoder(encoder, folder) if isinstance(encoder, ClipModel) else encoder


def digest_seen(pixels: np.ndarray) -> bytes:
    """Digest pixels (height, width, 3) to a key."""
    return _digest(str(pixels.shape).encode(), np.ascontiguousarray(pixels))


def _digest(*parts: bytes | np.ndarray) -> bytes:
    digest = _hash()
    for each in parts:
        digest.update(each)
    return digest.digest()


def _pooled_alone(model: ClipModel) -> AbstractContextManager[None]:
    """Spare what the last block computes for tokens that are not pooled, of a tower that is known."""
    try:
        return adapter_of(model).pooled_alone()
    except UnsupportedTower:
        return nullcontext()


def _digest_tower(encoder: ClipModel, belongs: Callable[[str], bool]) -> str:
    """Digest how a tower is made, and its weights."""
    # the structure too, because weights do not say which activation function goes with them
    made = (_FORM, str(encoder.clip), str(encoder.tower), encoder.precision, encoder.device.type)
    digest = hashlib.blake2b("\0".join(made).encode(), digest_size=KIND_BYTES)
    for name, value in sorted(encoder.clip.state_dict().items()):
        if belongs(name):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest_images(images: Sequence[ImageSource]) -> list[bytes | None]:
    return list(map_ahead(_digest_image, images, workers=_WORKERS, ahead=_AHEAD))


def _digest_image(source: ImageSource) -> bytes | None:
    """Digest a file by its bytes, a scene by its recipe, another source by its pixels; None if it cannot be read."""
    try:
        if isinstance(source, str | os.PathLike):
            with require_file(source, "an image").open("rb") as file:
                return hashlib.file_digest(file, _hash).digest()
        if (scene := scene_of(source)) is not None:
            return _digest(scene.digest())
        return digest_seen(np.asarray(read_image(source)))
    except (InputError, OSError):
        return None
