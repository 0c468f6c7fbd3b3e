"""Keep embeddings, so that notebooks and editions that show a model the same images or texts share them.

An entry belongs to one list of texts, or to up to `IMAGES_IN_ENTRY` images, as one model sees them. Its key is a
digest of the content: of the model's weights and structure, its precision and kind of device; of its transform and
every image's file, recipe (of a composed scene, see `crosseyed.data.scenes.Scene.digest`) or pixels; or of the token
numbers of every text. A changed weight, image or option is therefore another entry, and nothing has to be deleted by
hand. Entries are safetensors files with a digest of their own; one that is damaged is made anew. A cache that cannot be
written to is a warning and not the end.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from crosseyed.data.images import ImageSource, map_ahead, read_image
from crosseyed.data.scenes import scene_of
from crosseyed.errors import InputError
from crosseyed.files import CACHE_VARIABLE, atomic_write, expand, require_file
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import IMAGES_TOGETHER, Encoder, Scorer, ScorerWrapper
from crosseyed.progress import count

IMAGES_IN_ENTRY = IMAGES_TOGETHER
"""Images whose embeddings lie in one file; a multiple of every batch size, so that batches stay the same."""

_FORM = "2"  # of the entries; those of another are not looked for
_WORKERS = 2
_AHEAD = 64


class DamagedEntryWarning(UserWarning):
    """An entry of the cache does not hold what was written; it is made anew."""


class UnwritableCacheWarning(UserWarning):
    """Embeddings cannot be kept; they are computed each time."""


class CachedEncoder(ScorerWrapper, Encoder):
    """A model whose embeddings are kept in a folder, created when the first is written.

    A generator of images is encoded without the cache, because it can be read only once; so are images of which one
    cannot be read, so that the model names them.
    """

    def __init__(self, encoder: ClipModel, folder: str | os.PathLike) -> None:
        self.encoder = encoder
        self.folder = expand(folder)
        self.name = encoder.name
        self._writable = True

    @property
    def inner(self) -> Scorer:
        """The model whose embeddings are kept."""
        return self.encoder

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of the texts from the cache, or compute and keep them."""
        if isinstance(texts, str) or not len(texts):
            return self.encoder.encode_texts(texts)
        digest = hashlib.sha256(self._text_digest.encode())
        digest.update(np.asarray(self.encoder.tokenizer(list(texts))).tobytes())
        entry = self._entry(digest.hexdigest())
        embeddings = _read(entry)
        if embeddings is None:
            embeddings = self.encoder.encode_texts(texts)
            self._keep(entry, embeddings)
        return embeddings

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of the images from the cache, or compute and keep them; warn of damaged ones."""
        if not isinstance(images, Sequence) or isinstance(images, str) or not len(images):
            return self.encoder.encode_images(images, progress=progress)
        digests = list(map_ahead(_digest_image, images, workers=_WORKERS, ahead=_AHEAD))
        if None in digests:
            return self.encoder.encode_images(images, progress=progress)
        starts = range(0, len(images), IMAGES_IN_ENTRY)
        entries = [self._image_entry(digests[start : start + IMAGES_IN_ENTRY]) for start in starts]
        found = [_read(entry) for entry in entries]
        count(sum(len(rows) for rows in found if rows is not None), kept=True)
        missing = [start for start, rows in zip(starts, found, strict=True) if rows is None]
        if missing:
            wanted = [image for start in missing for image in images[start : start + IMAGES_IN_ENTRY]]
            made = self.encoder.encode_images(wanted, progress=progress)
            for number, start in enumerate(missing):
                rows = made[number * IMAGES_IN_ENTRY : (number + 1) * IMAGES_IN_ENTRY]
                found[start // IMAGES_IN_ENTRY] = rows
                self._keep(entries[start // IMAGES_IN_ENTRY], rows)
        return np.concatenate(found)

    def _keep(self, entry: Path, embeddings: np.ndarray) -> None:
        """Write an entry, until one cannot be written."""
        if not self._writable:
            return
        try:
            _write(entry, embeddings)
        except (InputError, OSError) as error:
            self._writable = False
            warnings.warn(
                f"The embeddings of {self.name} are not kept, so that each use computes them anew. {error}",
                UnwritableCacheWarning,
                stacklevel=3,
            )

    def _image_entry(self, digests: Sequence[bytes]) -> Path:
        return self._entry(hashlib.sha256(self._image_digest.encode() + b"".join(digests)).hexdigest())

    def _entry(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    @cached_property
    def _image_digest(self) -> str:
        seen = ("images", str(self.encoder.preprocess), self.encoder.resize)
        return _digest_tower(self.encoder, seen, lambda name: name.startswith("visual."))

    @cached_property
    def _text_digest(self) -> str:
        return _digest_tower(self.encoder, ("texts",), lambda name: not name.startswith("visual."))


def cached(encoder: Encoder) -> Encoder:
    """Give a `ClipModel` the cache that the variable `CACHE_VARIABLE` names; return other encoders as given."""
    folder = os.environ.get(CACHE_VARIABLE)
    return CachedEncoder(encoder, folder) if folder and isinstance(encoder, ClipModel) else encoder


def _digest_tower(encoder: ClipModel, seen: Sequence[str], belongs: Callable[[str], bool]) -> str:
    """Digest how a tower is made, what it is given, and its weights."""
    # the structure too, because weights do not say which activation function goes with them
    made = (_FORM, *seen, str(encoder.clip), str(encoder.tower), encoder.precision, encoder.device.type)
    digest = hashlib.sha256("\0".join(made).encode())
    for name, value in sorted(encoder.clip.state_dict().items()):
        if belongs(name):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest_image(source: ImageSource) -> bytes | None:
    """Digest a file by its bytes, a scene by its recipe, another source by its pixels; None if it cannot be read."""
    try:
        if isinstance(source, str | os.PathLike):
            with require_file(source, "an image").open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        if (scene := scene_of(source)) is not None:
            return scene.digest()
        pixels = np.ascontiguousarray(read_image(source))
    except (InputError, OSError):
        return None
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).digest()


def _checksum(entry: Path, embeddings: np.ndarray) -> str:
    """Digest what an entry holds, and its name, so that another entry in its place is told."""
    about = f"{entry.stem} {embeddings.dtype} {embeddings.shape}"
    return hashlib.sha256(about.encode() + np.ascontiguousarray(embeddings).tobytes()).hexdigest()


def _write(entry: Path, embeddings: np.ndarray) -> None:
    if entry.is_dir():  # has been told of when it was read, and is left as it is
        return
    embeddings = np.ascontiguousarray(embeddings)
    with atomic_write(entry) as temporary:
        save_file({"embeddings": embeddings}, temporary, metadata={"sha256": _checksum(entry, embeddings)})


def _read(entry: Path) -> np.ndarray | None:
    """Return what an entry holds; None if there is none, or a damaged one."""
    if not os.path.lexists(entry):
        return None
    try:
        with safe_open(require_file(entry, "an entry of the cache"), framework="np") as file:
            checksum, embeddings = (file.metadata() or {}).get("sha256"), file.get_tensor("embeddings")
        reason = None if _checksum(entry, embeddings) == checksum else "its checksum does not fit"
    except Exception as error:  # a damaged file can make the reader fail in any way
        reason = " ".join(str(error).split())
    if reason is None:
        return embeddings
    warnings.warn(f"{entry} is damaged ({reason}) and is made anew.", DamagedEntryWarning, stacklevel=3)
    return None
