"""Train PocketCLIP, a CLIP small enough for a laptop, on images taken by the photographer.

Every step shows each class once as the subject, so the contrastive loss has no false negatives among first subjects.
Images depend only on seed, step and place in the batch. A resumed run therefore equals an uninterrupted one (on the
same device with the same number of threads).
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import open_clip
import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.photographer import take
from crosseyed.errors import CheckpointError
from crosseyed.files import atomic_write
from crosseyed.training.architecture import MEAN, STD, build_tokenizer, config_of, export, pool_by_maximum
from crosseyed.training.recipes import Recipe, world_of

_LARGEST_LOGIT_SCALE = math.log(100)


def photograph_batch(
    recipe: Recipe, cutouts: Sequence[Cutout], step: int, side: int
) -> tuple[np.ndarray, list[str]]:
    """Draw the images of one training step.

    Parameters
    ----------
    recipe, cutouts : Recipe, sequence of Cutout
        What to train, and on which cut-outs.
    step, side : int
        Number of the step, from 0; height and width of the images in pixels.

    Returns
    -------
    images : uint8 (classes, side, side, 3)
    captions : list of str
        One an image.
    """
    images, captions = [], []
    for index, subject in enumerate(objects_of(cutouts)):
        rng = np.random.default_rng([recipe.seed, step, index])
        scene, caption = take(cutouts, subject, recipe.positions, rng, side)
        image = scene.render()
        jitter = np.random.default_rng(
            [recipe.seed, step, index, 1]
        )  # a generator of its own, so that both recipes draw the same numbers
        gains = 1 + recipe.color_jitter * jitter.uniform(-1, 1, 3)
        images.append(np.clip(image * gains, 0, 255).astype(np.uint8))
        captions.append(caption)
    return np.stack(images), captions


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine that ends at zero."""
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
    """Train one PocketCLIP, or continue an interrupted training.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    folder : path
        Where to write the model (``local-dir:<folder>``) and, until it is done, ``training_state.pt``.
    device : {"cpu", "cuda", "mps"}
    save_every : int
        Steps between two saves.
    progress : bool
        Show a progress bar with the loss.
    cutouts : sequence of Cutout, optional
        Training cut-outs; by default those of `world_of`.

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
        for step, images, captions in _batches(recipe, cutouts, start, config["vision_cfg"]["image_size"]):
            tokens = _tokenize(tokenizer, captions, config["text_cfg"]["context_length"])
            rate = learning_rate_at(recipe, step)
            loss = _step(model, optimizer, loss_of, images.to(device), tokens.to(device), rate)
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
    """Draw the next step's images in the background while a step is computed."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    with ThreadPoolExecutor(1) as painter:
        pending = painter.submit(photograph_batch, recipe, cutouts, start, side)
        for step in range(start, recipe.steps):
            images, captions = pending.result()
            pending = painter.submit(photograph_batch, recipe, cutouts, step + 1, side)
            scaled = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
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
    images: torch.Tensor,
    tokens: torch.Tensor,
    learning_rate: float,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    kind = images.device.type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=_has_bfloat16(kind)):
        image_features, text_features, logit_scale = model(images, tokens)
    loss = loss_of(image_features.float(), text_features.float(), logit_scale.float())
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, _LARGEST_LOGIT_SCALE)
    return loss.item()


def _has_bfloat16(kind: str) -> bool:
    """Return whether bfloat16 is computed natively; emulated, it would be slower than float32."""
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
    """Load an interrupted training into model and optimizer and return the number of steps done."""
    if not file.exists():
        return 0
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        same = state["recipe"] == json.dumps(asdict(recipe))
    except Exception as error:
        raise CheckpointError(
            f"{file} cannot be read ({error}); delete it to start the training again."
        ) from error
    if not same:
        raise CheckpointError(f"{file} belongs to another recipe; delete it or train into another folder.")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]
