"""Architecture, tokenizer and export of PocketCLIP."""

import json
from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from open_clip.transformer import VisionTransformer
from safetensors.torch import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from crosseyed.data.photographer import TEMPLATES
from crosseyed.files import atomic_write
from crosseyed.training.recipes import ARCHITECTURES, POOLINGS, Recipe, StudioRecipe

WEIGHTS = "open_clip_model.safetensors"  # the last file that a training writes

MEAN = (0.5, 0.5, 0.5)

STD = (0.25, 0.25, 0.25)

_CONTEXT, _CONTEXT_STUDIO = 16, 24  # tokens; attributes make captions longer

_TEXT = {
    "hf_tokenizer_name": "pocketclip",
    "tokenizer_kwargs": {"clean": "lower"},
}

_SPECIAL_TOKENS = ("<pad>", "<unknown>", "<start>")

_END_TOKEN = "<end>"


def pool_by_maximum(visual: VisionTransformer) -> None:
    """Replace the average pooling of an image tower by the maximum over spatial tokens, channel by channel."""

    def largest(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tokens[:, 1:].amax(1), tokens[:, 1:]

    visual._global_pool = largest


class SeenPatches(torch.nn.Module):
    """Stands where open_clip's towers drop patches: keeps the class token and the patches in `seen`, in training alone.

    Attributes
    ----------
    seen : torch.Tensor, optional
        (images, count), int64, from `crosseyed.training.patches.nearest_patches`; all patches if None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: torch.Tensor | None = None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the class token and the patches that are seen: (images, 1 + count, width)."""
        if self.seen is None or not self.training:
            return tokens
        patches = tokens[:, 1:].gather(1, self.seen[..., None].expand(-1, -1, tokens.shape[-1]))
        return torch.cat([tokens[:, :1], patches], dim=1)


def build_tokenizer(objects: Sequence[str], texts: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Build a word tokenizer for captions that name these objects.

    Parameters
    ----------
    objects, texts : sequence of str
        Names that captions may contain, and texts with the other words that they may, beside those of `TEMPLATES`.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        One token per lower-case word; the end token has the highest number, as open_clip's pooling expects.
    """
    texts = [*(template.format("and") for template in TEMPLATES), *objects, *texts]
    words = sorted({word for text in texts for word in text.lower().split()})
    vocabulary = {token: index for index, token in enumerate((*_SPECIAL_TOKENS, *words, _END_TOKEN))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"<start> $A {_END_TOKEN}",
        special_tokens=[("<start>", vocabulary["<start>"]), (_END_TOKEN, vocabulary[_END_TOKEN])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unknown>",
        bos_token="<start>",
        eos_token=_END_TOKEN,
    )


def config_of(recipe: Recipe, vocab_size: int) -> dict:
    """Return the open_clip configuration of a recipe's model: `embed_dim`, `vision_cfg` and `text_cfg`.

    Parameters
    ----------
    recipe : Recipe
        Its architecture and pooling are used.
    vocab_size : int
        Number of tokens of its tokenizer.
    """
    sizes = ARCHITECTURES[recipe.architecture]
    return {
        "embed_dim": sizes["embed_dim"],
        "vision_cfg": {**sizes["vision_cfg"], **POOLINGS[recipe.pooling]},
        "text_cfg": {
            **_TEXT,
            "context_length": _CONTEXT_STUDIO if isinstance(recipe, StudioRecipe) else _CONTEXT,
            **sizes["text_cfg"],
            "vocab_size": vocab_size,
        },
    }


def export(
    model: open_clip.model.CLIP, tokenizer: PreTrainedTokenizerFast, config: dict, folder: Path
) -> None:
    """Write a model for open_clip's ``local-dir:`` schema: float16 safetensors, configuration, tokenizer.

    Parameters
    ----------
    model, tokenizer : open_clip.model.CLIP, transformers.PreTrainedTokenizerFast
        The trained model and its tokenizer.
    config : dict
        From `config_of`.
    folder : path
        Where to write.
    """
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    with atomic_write(folder / "open_clip_config.json") as temporary:
        temporary.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=2) + "\n")
    tokenizer.save_pretrained(folder)
    weights = {name: value.detach().cpu().half().contiguous() for name, value in model.state_dict().items()}
    with atomic_write(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)
