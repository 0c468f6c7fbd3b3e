"""Load any CLIP that open_clip knows, a checkpoint file or a PocketCLIP behind one object that encodes."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from open_clip import CLIP
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor, nn
from torchvision.transforms import Compose
from tqdm import tqdm

from crosseyed.checkpoints import load_weights
from crosseyed.encoder import Encoder, UnreadableImagesWarning
from crosseyed.errors import InputError, check_choice
from crosseyed.images import ImageSource, UnreadableImage, check_several, map_ahead, read_image
from crosseyed.sources import config_of, create, find_source, tokenizer_of, weights_of
from crosseyed.towers import Tower, describe_tower

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
RESIZES = {"crop": "shortest", "squash": "squash", "letterbox": "longest"}
"""How an image becomes the square that a model sees, and open_clip's word for it. Crop: the short side is
resized to fit, the border cut away; squash: both sides are; letterbox: the long side is, the rest black."""

_IMAGES_AT_ONCE = {"cpu": 32, "mps": 64, "cuda": 256}  # more gain nothing; out of memory, the batch is halved
_TEXTS_AT_ONCE = 256
_WORKERS_AT_MOST = 16
_NAMED_AT_MOST = 20


@dataclass(frozen=True, eq=False)
class ClipModel(Encoder):
    """A CLIP in evaluation mode, without gradients: a `crosseyed.encoder.Encoder`.

    Attributes
    ----------
    name : str
        Name of the edition: ``"<architecture>--<pretrained>"``, or the name of the folder or repository.
    model : str
        Architecture, folder or repository.
    pretrained : str
        Where the weights come from: open_clip's tag, the checkpoint's file name without suffix,
        ``"local-dir"``, ``"hf-hub"``, ``"crosseyed"`` for what the repository ships, or ``"random"``.
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
        captions are compared: neither the choice, nor margins, ranks and average precision, nor the softmax over
        captions that measures how confident a choice is.
        """
        bias = getattr(self.clip, "logit_bias", None)
        return None if bias is None else bias.item()

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels of the model's input."""
        return self.tower.image_size

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        """Return the embeddings of any number of images, in constant memory beyond them.

        Images are read and resized in background threads while the model computes.

        Parameters
        ----------
        images : iterable of ImageSource
            The images; may be a generator.
        progress : bool
            Show a progress bar if the standard error is a terminal.

        Returns
        -------
        numpy.ndarray, shape (n_images, embed_dim)
            float32 rows of length 1; a row of NaN for an image that cannot be read.

        Raises
        ------
        InputError
            `images` is a single image, or contains what is not an `ImageSource`.

        Warns
        -----
        UnreadableImagesWarning
            Once, at the end, if images could not be read: how many and which.
        """
        rows = [np.empty((0, self.tower.embed_dim), np.float32)]
        for pixels, readable in self.read_batches(images, progress=progress):
            rows.append(np.full((len(readable), self.tower.embed_dim), np.nan, np.float32))
            if pixels:
                rows[-1][readable] = self._embed(pixels).numpy()
        return np.concatenate(rows)

    def read_batches(
        self, images: Iterable[ImageSource], *, batch_size: int | None = None, progress: bool = True
    ) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        """Read any number of images, resized to the model's input, some batches ahead of their use.

        Parameters
        ----------
        images : iterable of ImageSource
            The images; may be a generator.
        batch_size : int, optional
            Images in a batch; by default as many as `encode_images` takes at once.
        progress : bool
            Show a progress bar if the standard error is a terminal.

        Yields
        ------
        pixels : list of numpy.ndarray, shape (height, width, 3)
            uint8 pixels of those images of the batch that can be read, for `to_input`.
        readable : numpy.ndarray of bool, shape (n_batch,)
            Which images of the batch these are.

        Raises
        ------
        InputError
            `images` is a single image, or contains what is not an `ImageSource`.

        Warns
        -----
        UnreadableImagesWarning
            Once, at the end, if images could not be read: how many and which.
        """
        check_several(images)
        size = batch_size or _IMAGES_AT_ONCE.get(self.device.type, _IMAGES_AT_ONCE["cpu"])
        # torch's threads, because that is the number of cores this process may use
        workers = min(torch.get_num_threads(), _WORKERS_AT_MOST)
        total, done, unreadable = len(images) if hasattr(images, "__len__") else None, 0, []
        bar = tqdm(total=total, unit="image", disable=None if progress else True)
        with bar, closing(map_ahead(self._pixels, images, workers=workers, ahead=2 * size)) as pixels:
            while batch := list(islice(pixels, size)):
                readable = np.array([not isinstance(item, UnreadableImage) for item in batch])
                unreadable += [item for item in batch if isinstance(item, UnreadableImage)]
                yield [item for item, ok in zip(batch, readable, strict=True) if ok], readable
                done += len(batch)
                bar.update(len(batch))
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
        return normalize(batch).to(PRECISIONS[self.precision])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of the texts, each distinct text computed once.

        Parameters
        ----------
        texts : sequence of str
            Captions; what exceeds the model's context length is cut off.

        Returns
        -------
        numpy.ndarray, shape (n_texts, embed_dim)
            float32 rows of length 1.

        Raises
        ------
        InputError
            `texts` is a single text, or contains what is not a text.
        """
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError(f"encode_texts takes a list of texts, not {texts!r}.")
        place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        distinct = iter(place)
        rows = [np.empty((0, self.tower.embed_dim), np.float32)]
        while batch := list(islice(distinct, _TEXTS_AT_ONCE)):
            with torch.inference_mode():
                rows.append(_unit(self._encode_tokens(self.tokenizer(batch).to(self.device))).numpy())
        return np.concatenate(rows)[[place[text] for text in texts]]

    def _encode_tokens(self, tokens: Tensor) -> Tensor:
        """Encode texts (n, context_length) without the padding that follows the longest of them.

        Where each position sees only those before it and the text's embedding is read at its last token, that
        padding has no influence; but captions are short, and it is nearly all of the work.
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
        """Resize one image as the model's transform does: (height, width, 3) of uint8."""
        *resize, _to_tensor, _normalize = self.preprocess.transforms
        try:
            return np.asarray(Compose(resize)(read_image(source)))
        except UnreadableImage as error:
            return error

    @torch.inference_mode()
    def _embed(self, pixels: list[np.ndarray]) -> Tensor:
        try:
            return _unit(self.clip.encode_image(self.to_input(pixels)))
        except torch.OutOfMemoryError:
            if len(pixels) == 1:
                raise
        torch.cuda.empty_cache()
        half = len(pixels) // 2
        return torch.cat([self._embed(pixels[:half]), self._embed(pixels[half:])])


def load(
    model: str,
    pretrained: str | None = None,
    *,
    checkpoint: str | os.PathLike | None = None,
    device: str = "auto",
    precision: str = "fp32",
    resize: str | None = None,
    random_init: bool = False,
    seed: int = 0,
) -> ClipModel:
    """Load a CLIP for evaluation.

    Parameters
    ----------
    model : str
        One of

        - a PocketCLIP, ``"pocketclip-centered"`` or ``"pocketclip-uniform"``;
        - an open_clip architecture, e.g. ``"ViT-B-32"``, with `pretrained`, `checkpoint` or `random_init`;
        - ``"hf-hub:organization/repository"`` or ``"local-dir:folder"`` with open_clip's files;
        - ``"NegCLIP"``, ``"DetailCLIP"`` or ``"SuperCLIP"``, with the file that its authors publish in
          ``data/checkpoints`` or as `checkpoint` (`crosseyed.sources.NAMED`).
    pretrained : str, optional
        open_clip's tag of the published weights, e.g. ``"openai"``. The activation function that goes with
        them (QuickGELU for OpenAI's) is set, also where open_clip would only warn of the mismatch.
    checkpoint : path, optional
        File to read the weights from, ``.safetensors`` or written by torch.save. A tag in `pretrained` then
        says which published model's activation function and preprocessing they need: a file fine-tuned from
        OpenAI's weights is ``load("ViT-B-32", "openai", checkpoint="mine.pt")``, one trained from scratch
        ``load("ViT-B-32", checkpoint="mine.pt")``.
    device : str
        ``"auto"`` (CUDA, else Apple's MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : {"fp32", "fp16", "bf16"}
        Type of weights and activations.
    resize : {"crop", "squash", "letterbox"}, optional
        How an image is made square (see `RESIZES`); by default as the model was meant to be used, which for
        most is ``"crop"``.
    random_init : bool
        Use random weights instead of trained ones.
    seed : int
        Seed of the random weights. The global random state is left as it was.

    Returns
    -------
    ClipModel
        In evaluation mode, parameters without gradients.

    Raises
    ------
    InputError
        An unknown or contradictory argument; the message offers the valid choices.
    DownloadError
        Weights are neither in the local cache nor to be had from the network.
    CheckpointError
        A checkpoint is damaged, unsafe or of another architecture.
    """
    chosen_device = choose_device(device)
    check_choice("precision", precision, PRECISIONS)
    if resize is not None:
        check_choice("resize", resize, RESIZES)
    source = find_source(model, pretrained)
    if random_init and (pretrained or checkpoint):
        raise InputError("random_init=True asks for random weights: leave out pretrained and checkpoint.")
    name, origin, weights = source.label, source.origin, None
    if random_init:
        origin = "random"
    elif checkpoint:
        origin, weights = Path(checkpoint).stem, checkpoint
    else:
        weights = weights_of(source)
    if random_init or checkpoint or (source.tag and not source.named):
        name = f"{source.label}--{origin}"
    config = config_of(source)
    tokenizer = tokenizer_of(source, config)
    clip = create(
        source,
        config,
        seed,
        precision=precision,
        device=chosen_device,
        force_quick_gelu=source.published.get("quick_gelu", False),
        force_preprocess_cfg=source.published | ({"resize_mode": RESIZES[resize]} if resize else {}),
    )
    if weights is not None:
        load_weights(clip, weights, source.architecture)
    preprocess = PreprocessCfg(**clip.visual.preprocess_cfg)
    return ClipModel(
        name=name,
        model=source.label,
        pretrained=origin,
        clip=clip.eval().requires_grad_(False),
        preprocess=image_transform_v2(preprocess, is_train=False),
        tokenizer=tokenizer,
        tower=describe_tower(clip.visual, config),
        device=chosen_device,
        precision=precision,
        resize=next(name for name, mode in RESIZES.items() if mode == preprocess.resize_mode),
    )


def _unit(embeddings: Tensor) -> Tensor:
    return nn.functional.normalize(embeddings.float(), dim=-1).cpu()


def report_unreadable(unreadable: Sequence[UnreadableImage], total: int) -> str:
    """Say how many images could not be read and which; the message of `UnreadableImagesWarning`.

    Parameters
    ----------
    unreadable : sequence of UnreadableImage
        Those that could not be read; the first twenty are named.
    total : int
        Number of all images.

    Returns
    -------
    str
        The message.
    """
    names = [f"{image.name} ({image.reason})" for image in unreadable[:_NAMED_AT_MOST]]
    if len(unreadable) > _NAMED_AT_MOST:
        names.append(f"{len(unreadable) - _NAMED_AT_MOST} more")
    listed = "; ".join(names)
    return f"{len(unreadable)} of {total} images could not be read, their embeddings are NaN: {listed}."


def choose_device(name: str) -> torch.device:
    """Find the device of a name on this machine.

    Parameters
    ----------
    name : str
        ``"auto"`` (CUDA, else Apple's MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.

    Returns
    -------
    torch.device
        A device that answers.

    Raises
    ------
    InputError
        There is no such device here.
    """
    present = [kind for kind in ("cuda", "mps") if getattr(torch, kind).is_available()] + ["cpu"]
    if name == "auto":
        return torch.device(present[0])
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # only use shows whether "cuda:7" is there
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"The device {name!r} is not available on this machine; available: auto, {', '.join(present)}."
        ) from error
    return device
