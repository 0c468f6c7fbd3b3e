"""Load any CLIP that open_clip knows, a checkpoint file or a PocketCLIP behind one object that encodes."""

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from threading import Lock

import numpy as np
import torch
from open_clip import CLIP
from torch import Tensor, nn
from torchvision.transforms import Compose

from crosseyed.data.images import ImageSource, UnreadableImage, check_several, map_ahead, read_image
from crosseyed.data.scenes import Scene, scene_of
from crosseyed.editions import PRECISIONS
from crosseyed.errors import InputError
from crosseyed.models.memory import by_halves
from crosseyed.models.scorer import Encoder, UnreadableImagesWarning
from crosseyed.models.towers.description import Tower
from crosseyed.progress import bar

DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))
"""torch's type of each precision."""

RESIZES = {"crop": "shortest", "squash": "squash", "letterbox": "longest"}
"""How an image becomes the square that a model sees, and open_clip's word for it. Crop: the short side is
resized to fit, the border cut away; squash: both sides are; letterbox: the long side is, the rest black."""

_IMAGES_AT_ONCE = {"cpu": 32, "mps": 64, "cuda": 256}  # more gain nothing; out of memory, the batch is halved
_TEXTS_AT_ONCE = 256
_WORKERS_AT_MOST = 16
_NAMED_AT_MOST = 20
_KEPT_BYTES = 2**27  # of resized scenes: 4,400 for a PocketCLIP, 890 for an input of 224 pixels

_kept: OrderedDict[tuple[Scene, str], np.ndarray] = OrderedDict()
_keeping = Lock()


@dataclass(frozen=True, eq=False)
class ClipModel(Encoder):
    """A CLIP in evaluation mode, without gradients: a `crosseyed.models.scorer.Encoder`.

    Attributes
    ----------
    name : str
        Name of the edition: ``"<architecture>--<pretrained>"``, or the name of the folder or repository.
    model : str
        Architecture, folder or repository.
    pretrained : str
        Where the weights come from: open_clip's tag, that of a checkpoint and its file name without suffix with the
        digest of its content, ``"local-dir"``, ``"hf-hub"``, ``"crosseyed"`` for what the repository ships, or
        `RANDOM`.
    clip : torch.nn.Module
        The open_clip model.
    preprocess : callable
        open_clip's transform, from a Pillow image to a tensor (3, height, width).
    tokenizer : callable
        From a list of texts to token numbers (n_texts, context_length).
    tower : Tower
        What the image tower is made of.
    device : torch.device
        Where the model computes.
    precision : {"fp32", "fp16", "bf16"}
        Type of the weights and activations; embeddings are float32 in any case.
    resize : {"crop", "squash", "letterbox"}
        How an image is made square; see `RESIZES`.
    """

    name: str
    model: str
    pretrained: str
    clip: nn.Module = field(repr=False)
    preprocess: Compose = field(repr=False)
    tokenizer: Callable[[list[str]], Tensor] = field(repr=False)
    tower: Tower
    device: torch.device
    precision: str
    resize: str

    @property
    def logit_scale(self) -> float:
        """Factor from cosine similarity to logit, about 100 for published CLIPs."""
        return self.clip.logit_scale.exp().item()

    @property
    def logit_bias(self) -> float | None:
        """Summand of the logits of a model trained with a sigmoid loss (SigLIP); None for the others.

        Such a model takes ``sigmoid(logit_scale · cosine + logit_bias)`` for the probability that image and caption
        belong together, each pair by itself. The summand is the same for all captions, so it changes nothing where
        captions are compared: neither choice, margin, rank and average precision, nor the softmax over captions.
        """
        bias = getattr(self.clip, "logit_bias", None)
        return None if bias is None else bias.item()

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits that stand for the weights: their names, shapes and values in float32."""
        digest = hashlib.sha256()
        for name, value in sorted(self.clip.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().float().cpu().contiguous().numpy())
        return digest.hexdigest()[:8]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels of the model's input."""
        return self.tower.image_size

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of any number of images, in constant memory beyond them.

        Images are read and resized in background threads while the model computes. Parameters, NaN rows and warnings
        as of `Scorer.similarities`; a single image, or what is not an `ImageSource`, raises InputError, and so does a
        model that gives NaN for an image that can be read.
        """
        rows = [np.empty((0, self.tower.embed_dim), np.float32)]
        for pixels, readable in self.read_batches(images, progress=progress):
            rows.append(np.full((len(readable), self.tower.embed_dim), np.nan, np.float32))
            if pixels:
                rows[-1][readable] = self.encode_pixels(pixels)
        return np.concatenate(rows)

    def read_batches(
        self, images: Iterable[ImageSource], *, batch_size: int | None = None, progress: bool = True
    ) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        """Read any number of images, resized to the model's input, some batches ahead of their use.

        Parameters, errors and warnings as of `encode_images`, and `batch_size`, by default as many as `encode_images`
        takes.

        Yields
        ------
        pixels : list of numpy.ndarray, shape (height, width, 3)
            uint8 pixels of those images of the batch that can be read, for `to_input`.
        readable : numpy.ndarray of bool, shape (n_batch,)
            Which images of the batch these are.
        """
        check_several(images)
        size = batch_size or _IMAGES_AT_ONCE.get(self.device.type, _IMAGES_AT_ONCE["cpu"])
        # torch's threads, because that is the number of cores this process may use
        workers = min(torch.get_num_threads(), _WORKERS_AT_MOST)
        total, done, unreadable = len(images) if hasattr(images, "__len__") else None, 0, []
        shown = bar(total=total, unit="image", shown=progress)
        with shown, closing(map_ahead(self._pixels, images, workers=workers, ahead=2 * size)) as pixels:
            while batch := list(islice(pixels, size)):
                readable = np.array([not isinstance(item, UnreadableImage) for item in batch])
                unreadable += [item for item in batch if isinstance(item, UnreadableImage)]
                yield [item for item, ok in zip(batch, readable, strict=True) if ok], readable
                done += len(batch)
                shown.update(len(batch))
        if unreadable:
            # the caller of encode_images, or of whatever else reads its images here
            warnings.warn(report_unreadable(unreadable, done), UnreadableImagesWarning, stacklevel=3)

    def to_input(self, pixels: Sequence[np.ndarray]) -> Tensor:
        """Finish the model's transform for a whole batch, on the model's device and in its precision.

        Parameters
        ----------
        pixels : sequence of numpy.ndarray, shape (height, width, 3)
            uint8 pixels of the size of the model's input, from `read_batches`; at least one image.

        Returns
        -------
        torch.Tensor, shape (n_images, 3, height, width)
            What the model's `encode_image` takes.
        """
        *_, normalize = self.preprocess.transforms
        whole = torch.from_numpy(np.stack(pixels)).to(self.device)
        batch = whole.permute(0, 3, 1, 2).contiguous().float().div_(255)
        return normalize(batch).to(DTYPES[self.precision])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings (n_texts, embed_dim) of the texts, float32 rows of length 1.

        Each distinct text is computed once. What exceeds the model's context length is cut off; a single text, or what
        is not a text, raises InputError.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"encode_texts takes a list of texts, not {texts!r}.")
        place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        distinct = iter(place)
        rows = [np.empty((0, self.tower.embed_dim), np.float32)]
        with bar(total=len(place), unit="text") as read, torch.inference_mode():
            while batch := list(islice(distinct, _TEXTS_AT_ONCE)):
                rows.append(self.unit(self._encode_tokens(self.tokenizer(batch).to(self.device))).numpy())
                read.update(len(batch))
        return np.concatenate(rows)[[place[text] for text in texts]]

    def _encode_tokens(self, tokens: Tensor) -> Tensor:
        """Encode texts (n, context_length) without the padding that follows the longest of them.

        Where each position sees only those before it and the text's embedding is read at its last token, that padding
        has no influence; but captions are short, and it is nearly all of the work.
        """
        clip = self.clip
        if not isinstance(clip, CLIP) or clip.attn_mask is None or clip.text_pool_type != "argmax":
            return clip.encode_text(tokens)
        length = int(tokens.argmax(dim=1).max()) + 1
        shortened = {
            "positional_embedding": clip.positional_embedding[:length],
            "attn_mask": clip.attn_mask[:length, :length],
        }
        _, embeddings, *_ = torch.func.functional_call(clip, shortened, kwargs={"text": tokens[:, :length]})
        return embeddings

    def _pixels(self, source: ImageSource) -> np.ndarray | UnreadableImage:
        """Resize one image as the model's transform does: (height, width, 3) of uint8.

        Of composed scenes the last are kept, so that models that resize alike draw and resize each of them once.
        """
        scene = scene_of(source)
        if scene is None:
            return self._resized(source)
        key = (scene, self._resizing)
        with _keeping:
            if key in _kept:
                _kept.move_to_end(key)
                return _kept[key]
        pixels = self._resized(source)
        if isinstance(pixels, np.ndarray):
            with _keeping:
                _kept[key] = pixels
                while len(_kept) * pixels.nbytes > _KEPT_BYTES:
                    _kept.popitem(last=False)
        return pixels

    @cached_property
    def _resizing(self) -> str:
        """Name what the model's transform does to an image before it becomes a tensor."""
        steps = self.preprocess.transforms[:-2]
        return str(
            [(step, getattr(step, "fill", None)) for step in steps]
        )  # open_clip's padding does not name it

    def _resized(self, source: ImageSource) -> np.ndarray | UnreadableImage:
        try:
            return np.asarray(Compose(self.preprocess.transforms[:-2])(read_image(source)))
        except UnreadableImage as error:
            return error

    @torch.inference_mode()
    def encode_pixels(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return the embeddings of one batch that `read_batches` has read; see `to_input` for `pixels`."""
        return torch.cat(list(by_halves(self._embed_at_once, pixels))).numpy()

    def _embed_at_once(self, pixels: Sequence[np.ndarray], _first: int) -> Tensor:
        return self.unit(self.clip.encode_image(self.to_input(pixels)))

    def unit(self, embeddings: Tensor) -> Tensor:
        """Return rows of length 1, float32; refuse what is none, which would count as an unreadable image."""
        unit = nn.functional.normalize(embeddings.float(), dim=-1).cpu()
        if not torch.isfinite(unit).all():
            raise InputError(
                f"{self.name} gives embeddings that are NaN or infinite: its weights or its preprocessing hold numbers "
                f"that are too large for {self.precision}. Give precision='fp32', or get the model anew."
            )
        return unit


def report_unreadable(unreadable: Sequence[UnreadableImage], total: int) -> str:
    """Say how many of `total` images could not be read, and name the first twenty."""
    names = [f"{image.name} ({image.reason})" for image in unreadable[:_NAMED_AT_MOST]]
    if len(unreadable) > _NAMED_AT_MOST:
        names.append(f"{len(unreadable) - _NAMED_AT_MOST} more")
    listed = "; ".join(names)
    return f"{len(unreadable)} of {total} images could not be read, their embeddings are NaN: {listed}."
