"""What the studio's training minimises: the contrastive loss of images and captions, and a loss over objects' names.

Both are cross-entropies of softmax over cosines times the model's logit scale. In a batch, many captions name the
same objects; such pairs are no negatives of each other, and are left out of the contrastive loss.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from open_clip.model import CLIP
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy, normalize
from transformers import PreTrainedTokenizerFast

from crosseyed.training.architecture import MEAN, STD
from crosseyed.training.recipes import StudioRecipe
from crosseyed.training.stream import StudioBatch
from crosseyed.training.studio.captions import MEDIA

TEMPLATES = ("a {}", *(f"a {medium} of a {{}}" for medium in MEDIA), "this is a {}", "there is a {}")
"""Texts about an object alone; one of them is drawn for each step."""

_NEVER = -1e4  # a logit


@contextmanager
def half_precision(kind: str) -> Iterator[None]:
    """Let a device compute in bfloat16 if it does so natively; emulated, it would be slower.

    On a CPU attention is then made of plain products: the backward pass of the fused one would take half of a step.
    """
    on_cpu = kind == "cpu"
    native = kind == "cuda" or (on_cpu and torch.cpu._is_avx512_bf16_supported())
    plain = sdpa_kernel(SDPBackend.MATH) if native and on_cpu else nullcontext()
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=native), plain:
        yield


def normalized(images: np.ndarray) -> torch.Tensor:
    """Take images (images, side, side, 3), uint8, to what a tower reads: (images, 3, side, side), float32."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - mean) / std


def tokenize(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], longest: int) -> torch.Tensor:
    """Return tokens (texts, length), padded to the longest text, int64; at most `longest`."""
    tokens = tokenizer(texts, padding="longest", truncation=True, max_length=longest, return_tensors="pt")
    return tokens.input_ids


def encode_texts(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Encode texts as open_clip's text tower does, without padding to the length of its context, which changes nothing.

    Parameters
    ----------
    model : open_clip.model.CLIP
    tokens : torch.Tensor
        (texts, length), int64, from `tokenize`; the end token has the highest number.

    Returns
    -------
    torch.Tensor
        (texts, embedding), float32, unit vectors.
    """
    length = tokens.shape[1]
    states = model.token_embedding(tokens) + model.positional_embedding[:length]
    states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:length, :length]))
    ends = states[torch.arange(len(states), device=tokens.device), tokens.argmax(1)]
    return normalize((ends @ model.text_projection).float(), dim=-1)


def shares(named: Sequence[Sequence[str]], objects: Sequence[str]) -> torch.Tensor:
    """Give each object its share of each image: (images, objects), equal among those that the caption names."""
    numbers = {name: number for number, name in enumerate(objects)}
    target = torch.zeros(len(named), len(objects))
    for row, names in zip(target, named, strict=True):
        row[[numbers[name] for name in names]] = 1 / len(names)
    return target


def caption_loss(
    images: torch.Tensor, captions: torch.Tensor, scale: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """Return the contrastive loss, in nats, mean over both directions.

    Parameters
    ----------
    images, captions : torch.Tensor
        (images, embedding), unit vectors.
    scale : torch.Tensor
        Scalar, the model's logit scale.
    target : torch.Tensor
        From `shares`: pairs of images whose captions share an object are no negatives.
    """
    alike = (target @ target.T > 0).fill_diagonal_(False)
    logits = (scale * images @ captions.T).masked_fill(alike, _NEVER)
    own = torch.arange(len(images), device=images.device)
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def name_loss(
    images: torch.Tensor, names: torch.Tensor, scale: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """Return the cross-entropy, in nats, of which of all objects an image shows.

    Parameters
    ----------
    images, names : torch.Tensor
        (images, embedding) and (objects, embedding), unit vectors.
    scale : torch.Tensor
        Scalar, the model's logit scale.
    target : torch.Tensor
        (images, objects), from `shares`.
    """
    return cross_entropy(scale * images @ names.T, target)


class Objective:
    """The loss of a training step in the studio.

    Parameters
    ----------
    recipe : StudioRecipe
        Its seed and `naming` are used.
    tokenizer : transformers.PreTrainedTokenizerFast
        From `crosseyed.training.architecture.build_tokenizer`.
    objects : sequence of str
        All objects of its world.
    context : int
        Most tokens of a text.
    """

    def __init__(
        self,
        recipe: StudioRecipe,
        tokenizer: PreTrainedTokenizerFast,
        objects: Sequence[str],
        context: int,
    ) -> None:
        self._seed, self._naming = recipe.seed, recipe.naming
        self._tokenize = partial(tokenize, tokenizer, longest=context)
        self._objects = list(objects)

    def __call__(self, model: CLIP, batch: StudioBatch, step: int) -> torch.Tensor:
        """Return the loss of a batch: a scalar, in nats."""
        device, scale = model.logit_scale.device, model.logit_scale.exp()
        model.visual.patch_dropout[0].seen = (
            None if batch.seen is None else torch.from_numpy(batch.seen).to(device)
        )
        with half_precision(device.type):
            images = model.encode_image(normalized(batch.images).to(device), normalize=True).float()
            captions = encode_texts(model, self._tokenize(batch.captions).to(device))
        target = shares(batch.named, self._objects).to(device)
        loss = caption_loss(images, captions, scale, target)
        if self._naming:
            template = TEMPLATES[np.random.default_rng([self._seed, step]).integers(len(TEMPLATES))]
            texts = [template.format(name) for name in self._objects]
            with half_precision(device.type):
                names = encode_texts(model, self._tokenize(texts).to(device))
            loss = loss + self._naming * name_loss(images, names, scale, target)
        return loss
