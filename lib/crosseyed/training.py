"""Train PocketCLIP, a CLIP small enough for a laptop, on pictures taken by the photographer.

Every step shows each class once as the subject, so that the captions of a batch are distinct and the contrastive
loss has no false negatives among first subjects. Pictures are a function of the seed, the step and their place in
the batch alone; together with the saved state of the optimizer this makes a resumed run the same as one that was
never interrupted (on the same device with the same number of threads).
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.transformer import VisionTransformer
from safetensors.torch import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from crosseyed.errors import CheckpointError, InputError, suggest
from crosseyed.files import atomic_write
from crosseyed.photographer import TEMPLATES, Dose, Positions, take
from crosseyed.stimuli import Cutout, objects_of, read_catalogue, sample_objects

ARCHITECTURES = {
    "pocketclip": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 100, "patch_size": 10, "width": 128, "layers": 6, "head_width": 32},
        "text_cfg": {"width": 128, "heads": 4, "layers": 2},
    },
    "small": {
        "embed_dim": 96,
        "vision_cfg": {"image_size": 80, "patch_size": 10, "width": 96, "layers": 4, "head_width": 32},
        "text_cfg": {"width": 96, "heads": 3, "layers": 2},
    },
}
"""Sizes of model: that of the two PocketCLIPs, and one for experiments that train many models."""

POOLINGS = {
    "class token": {},
    "average": {"pool_type": "avg"},
    "attention": {"attentional_pool": True, "attn_pooler_queries": 1, "attn_pooler_heads": 3},
    "max": {"pool_type": "avg"},  # open_clip has no maximum: see `pool_by_maximum`
}
"""Poolings that a model can be trained with, as options of open_clip's image tower."""

WEIGHTS = "open_clip_model.safetensors"
"""File with the weights; the last that a training writes."""

MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)

_TEXT = {"context_length": 16, "hf_tokenizer_name": "pocketclip", "tokenizer_kwargs": {"clean": "lower"}}
_LARGEST_LOGIT_SCALE = math.log(100)
_SPECIAL_TOKENS = ("<pad>", "<unknown>", "<start>")
_END_TOKEN = "<end>"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a PocketCLIP becomes.

    Attributes
    ----------
    positions : {"centered", "uniform", "centered, all named"} or Dose
        Where the photographer's objects stand; see `crosseyed.photographer`.
    architecture : {"pocketclip", "small"}
        Size of the model; see `ARCHITECTURES`.
    pooling : {"class token", "average", "attention", "max"}
        Step from tokens to one vector; see `POOLINGS`.
    n_objects : int, optional
        How many objects of the catalogue to train on, drawn at random but the same for every recipe; all by
        default.
    styles : tuple of str
        Renderings to train on; the others are held out.
    steps : int
        Optimizer steps; each shows every class once as the subject.
    learning_rate : float
        Peak of the schedule: linear warm-up, then a cosine to zero.
    warmup : int
        Steps of the warm-up.
    weight_decay : float
        Decoupled weight decay of AdamW, on matrices only.
    color_jitter : float
        Largest relative change of the gain of each color channel.
    seed : int
        Decides the initial weights and all pictures.
    """

    positions: Positions | Dose
    architecture: str = "pocketclip"
    pooling: str = "class token"
    n_objects: int | None = None
    styles: tuple[str, ...] = ("fluent", "twemoji")
    steps: int = 2600
    learning_rate: float = 1e-3
    warmup: int = 150
    weight_decay: float = 0.05
    color_jitter: float = 0.15
    seed: int = 0


RECIPES = {"centered": Recipe("centered"), "uniform": Recipe("uniform")}


def find_recipe(name: str) -> Recipe:
    """Look up a recipe by name.

    Raises
    ------
    InputError
        There is no recipe of that name.
    """
    if name not in RECIPES:
        raise InputError(
            f"Recipe {name!r} does not exist; choose one of {', '.join(RECIPES)}{suggest(name, RECIPES)}"
        )
    return RECIPES[name]


def world_of(recipe: Recipe) -> list[Cutout]:
    """List the cut-outs that a recipe trains on."""
    cutouts = read_catalogue(recipe.styles)
    return cutouts if recipe.n_objects is None else sample_objects(cutouts, recipe.n_objects, seed=0)


def pool_by_maximum(visual: VisionTransformer) -> None:
    """Let a tower with average pooling take the largest value of each channel over the spatial tokens instead."""

    def largest(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tokens[:, 1:].amax(1), tokens[:, 1:]

    visual._global_pool = largest


def build_tokenizer(objects: Sequence[str]) -> PreTrainedTokenizerFast:
    """Make a word tokenizer for the captions of some objects.

    Parameters
    ----------
    objects : sequence of str
        Names that captions may contain.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        One token a word, lower case; the end token has the highest number, as open_clip's text pooling expects.
    """
    texts = [*(template.format("and") for template in TEMPLATES), *objects]
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
    """Write the open_clip configuration of a recipe's model.

    Parameters
    ----------
    recipe : Recipe
        Its architecture and pooling are what counts here.
    vocab_size : int
        Number of tokens of its tokenizer.

    Returns
    -------
    dict
        With `embed_dim`, `vision_cfg` and `text_cfg`.
    """
    sizes = ARCHITECTURES[recipe.architecture]
    return {
        "embed_dim": sizes["embed_dim"],
        "vision_cfg": {**sizes["vision_cfg"], **POOLINGS[recipe.pooling]},
        "text_cfg": {**_TEXT, **sizes["text_cfg"], "vocab_size": vocab_size},
    }


def photograph_batch(
    recipe: Recipe, cutouts: Sequence[Cutout], step: int, side: int
) -> tuple[np.ndarray, list[str]]:
    """Take the pictures of one training step.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    cutouts : sequence of Cutout
        The cut-outs to train on.
    step : int
        Number of the step, from 0.
    side : int
        Height and width of the pictures in pixels.

    Returns
    -------
    pictures : numpy.ndarray
        (classes, side, side, 3), uint8.
    captions : list of str
        One a picture.
    """
    pictures, captions = [], []
    for index, subject in enumerate(objects_of(cutouts)):
        rng = np.random.default_rng([recipe.seed, step, index])
        scene, caption = take(cutouts, subject, recipe.positions, rng, side)
        picture = scene.render()
        jitter = np.random.default_rng([recipe.seed, step, index, 1])  # own chance: the same for both recipes
        gains = 1 + recipe.color_jitter * jitter.uniform(-1, 1, 3)
        pictures.append(np.clip(picture * gains, 0, 255).astype(np.uint8))
        captions.append(caption)
    return np.stack(pictures), captions


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Give the learning rate of a step: linear warm-up, then a cosine that ends at zero."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def train(
    recipe: Recipe,
    folder: Path,
    *,
    device: str = "cpu",
    save_every: int = 100,
    progress: bool = True,
    cutouts: Sequence[Cutout] | None = None,
) -> Path:
    """Train one PocketCLIP, or go on with a training that was interrupted.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    folder : path
        Where the model goes; open_clip loads it as ``local-dir:<folder>``. While training, the state to resume from
        (``training_state.pt``) lies there too; at the end it is removed.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"mps"``.
    save_every : int
        Steps between two saves.
    progress : bool
        Show a progress bar with the loss.
    cutouts : sequence of Cutout, optional
        What to train on; by default the recipe's own (`world_of`).

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    CheckpointError
        The folder holds the state of another recipe, or a damaged one.
    """
    cutouts = list(cutouts if cutouts is not None else world_of(recipe))
    tokenizer = build_tokenizer(objects_of(cutouts))
    config = config_of(recipe, len(tokenizer))
    model = _create(recipe, config).to(device)
    optimizer = _make_optimizer(model, recipe)
    state_file = folder / "training_state.pt"
    start = _restore(state_file, recipe, model, optimizer)
    loss_of = open_clip.ClipLoss()
    losses: list[tuple[int, float]] = []
    with tqdm(
        total=recipe.steps, initial=start, disable=not progress, desc=folder.name, mininterval=5
    ) as bar:
        for step, pictures, captions in _batches(recipe, cutouts, start, config["vision_cfg"]["image_size"]):
            tokens = _tokenize(tokenizer, captions, config["text_cfg"]["context_length"])
            loss = _step(
                model,
                optimizer,
                loss_of,
                pictures.to(device),
                tokens.to(device),
                learning_rate_at(recipe, step),
            )
            losses.append((step, loss))
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if (step + 1) % save_every == 0 or step + 1 == recipe.steps:
                _append_losses(folder / "loss.csv", losses)
                losses.clear()
                _save_state(state_file, recipe, model, optimizer, step + 1)
    export(model, tokenizer, config, folder)
    state_file.unlink()
    return folder


def export(
    model: open_clip.model.CLIP, tokenizer: PreTrainedTokenizerFast, config: dict, folder: Path
) -> None:
    """Write a model as open_clip's ``local-dir:`` schema reads it: float16 safetensors, configuration, tokenizer.

    Parameters
    ----------
    model : open_clip.model.CLIP
        The trained model.
    tokenizer : transformers.PreTrainedTokenizerFast
        Its tokenizer.
    config : dict
        Its open_clip model configuration.
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


def _create(recipe: Recipe, config: dict) -> open_clip.model.CLIP:
    """Make the model of a recipe with the initial weights that its seed decides."""
    text = {key: value for key, value in config["text_cfg"].items() if key != "tokenizer_kwargs"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = open_clip.model.CLIP(**{**config, "text_cfg": text})
    if recipe.pooling == "max":
        pool_by_maximum(model.visual)
    return model


def _make_optimizer(model: torch.nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98))


def _batches(
    recipe: Recipe, cutouts: Sequence[Cutout], start: int, side: int
) -> Iterator[tuple[int, torch.Tensor, list[str]]]:
    """Draw the next step's pictures in the background while a step is computed."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with ThreadPoolExecutor(1) as painter:

        def ask(step: int) -> Future:
            return painter.submit(photograph_batch, recipe, cutouts, step, side)

        pending = ask(start) if start < recipe.steps else None
        for step in range(start, recipe.steps):
            pictures, captions = pending.result()
            pending = ask(step + 1)
            scaled = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
            yield step, (scaled - mean) / std, captions


def _tokenize(tokenizer: PreTrainedTokenizerFast, captions: list[str], length: int) -> torch.Tensor:
    tokens = tokenizer(
        captions, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    return tokens.input_ids


def _step(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[..., torch.Tensor],
    pictures: torch.Tensor,
    tokens: torch.Tensor,
    learning_rate: float,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    kind = pictures.device.type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=_has_bfloat16(kind)):
        image_features, text_features, logit_scale = model(pictures, tokens)
    loss = loss_of(image_features.float(), text_features.float(), logit_scale.float())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, _LARGEST_LOGIT_SCALE)
    return loss.item()


def _has_bfloat16(kind: str) -> bool:
    """Tell whether bfloat16 is computed natively; emulated, it would be slower than float32."""
    return kind == "cuda" or (kind == "cpu" and torch.cpu._is_avx512_bf16_supported())


def _append_losses(file: Path, losses: Sequence[tuple[int, float]]) -> None:
    first = losses[0][0]
    old = []
    if file.exists():
        with file.open(newline="") as stream:
            old = [(int(step), loss) for step, loss in list(csv.reader(stream))[1:] if int(step) < first]
    with atomic_write(file) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([("step", "loss"), *old, *((step, f"{loss:.5f}") for step, loss in losses)])


def _save_state(
    file: Path, recipe: Recipe, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    state = {
        "recipe": json.dumps(asdict(recipe)),
        "step": step,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_write(file) as temporary:
        torch.save(state, temporary)


def _restore(file: Path, recipe: Recipe, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load an interrupted training into model and optimizer and give the number of steps it has done."""
    if not file.exists():
        return 0
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        same = state["recipe"] == json.dumps(asdict(recipe))
    except Exception as error:
        raise CheckpointError(
            f"{file} cannot be read ({error}); delete it to start the training afresh."
        ) from error
    if not same:
        raise CheckpointError(f"{file} belongs to another recipe; delete it or train into another folder.")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]
