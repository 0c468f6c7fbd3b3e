"""Train PocketCLIP, a CLIP small enough for a laptop, on images taken by the photographer.

Every step shows each class equally often as the subject. In composed scenes that is once, so the contrastive loss has
no false negatives among first subjects; in the studio, `crosseyed.training.objective` leaves them out. Images depend
only on seed, step and place in the batch. A resumed run therefore equals an uninterrupted one (on the same device with
the same number of threads).
"""

import csv
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import open_clip
import torch
from open_clip.transformer import PatchDropout
from pydantic import Field
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.documents import read_text
from crosseyed.errors import CheckpointError, InputError
from crosseyed.files import atomic_write, claim_folder, expand, locked, require_file
from crosseyed.training.architecture import (
    WEIGHTS,
    SeenPatches,
    build_tokenizer,
    config_of,
    export,
    pool_by_maximum,
)
from crosseyed.training.objective import Objective, half_precision, normalized
from crosseyed.training.optimizers import alike, fits, make_optimizers
from crosseyed.training.recipes import Recipe, StudioRecipe, world_of
from crosseyed.training.stream import caption_words, photograph_batch, studio_batch
from crosseyed.validation import Checked, validated

_LARGEST_LOGIT_SCALE = math.log(100)

_STATE = "training_state.pt"

COST = "cost.json"
"""The file that says what a training took."""


class _State(Checked):
    """An interrupted training, as it is kept; the number of losses is the number of steps done."""

    recipe: str
    losses: list[Annotated[float, Field(allow_inf_nan=False)]]
    core_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    model: dict[str, torch.Tensor]
    optimizers: list[dict[str, Any]]


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
        Where to write the model (``local-dir:<folder>``), ``recipe.json``, ``loss.csv``, ``cost.json`` (the device and
        the time of all cores, over all sittings) and, until it is done, ``training_state.pt``. A finished model of the
        same recipe is left as it is.
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
    InputError
        The folder holds what this training did not make, cannot be written to, or another process trains in it.
    CheckpointError
        The folder holds a damaged state, or that of another recipe.
    """
    if is_finished(recipe, folder):
        return expand(folder)
    folder = claim_folder(folder, "train")
    busy = f"Another run trains the model in {str(folder)!r}; wait for it, or give another folder."
    with locked(folder / ".lock", busy):
        if not is_finished(recipe, folder):  # another process may have finished it just now
            _train(recipe, folder, device, save_every, progress, cutouts)
    return folder


def _train(
    recipe: Recipe,
    folder: Path,
    device: str,
    save_every: int,
    progress: bool,
    cutouts: Sequence[Cutout] | None,
) -> None:
    with atomic_write(folder / "recipe.json") as temporary:
        temporary.write_text(_describe(recipe), encoding="utf-8")
    cutouts = list(cutouts if cutouts is not None else world_of(recipe))
    tokenizer = build_tokenizer(objects_of(cutouts), caption_words(recipe))
    config = config_of(recipe, len(tokenizer))
    model = _create(recipe, config).to(device)
    optimizers = make_optimizers(model, recipe)
    state_file = folder / _STATE
    losses, spent = _restore(state_file, recipe, model, optimizers)
    start, began = len(losses), time.process_time() - spent
    batches, loss_of = _task(recipe, cutouts, tokenizer, config)
    with tqdm(
        total=recipe.steps, initial=start, disable=not progress, desc=folder.name, mininterval=5
    ) as bar:
        for step, batch in _drawn_ahead(batches, start, recipe.steps):
            rate = learning_rate_at(recipe, step)
            with _chance_of(recipe, step):
                loss = _step(model, optimizers, partial(loss_of, model, batch, step), rate)
            losses.append(loss)
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if (step + 1) % save_every == 0 or step + 1 == recipe.steps:
                _save_state(state_file, recipe, model, optimizers, losses, time.process_time() - began)
                _write_losses(folder / "loss.csv", losses)
    _write_losses(folder / "loss.csv", losses)  # of a training that was killed after its last save
    _write_cost(folder / COST, device, time.process_time() - began)
    export(model, tokenizer, config, folder)
    state_file.unlink()


def is_finished(recipe: Recipe, folder: str | os.PathLike) -> bool:
    """Return whether a folder holds the finished model of a recipe.

    Raises
    ------
    InputError
        It holds a model or a training of another recipe, or weights without their recipe.
    """
    folder = expand(folder)
    file, weights, state = (folder / name for name in ("recipe.json", WEIGHTS, _STATE))
    if os.path.lexists(file):
        if read_text(file, "the recipe of a model") != _describe(recipe):
            raise InputError(f"{str(folder)!r} holds a model of another recipe; give another folder.")
    elif os.path.lexists(weights) or os.path.lexists(state):
        raise InputError(
            f"{str(folder)!r} holds a model without its recipe ('recipe.json'); give another folder."
        )
    return os.path.lexists(weights) and not os.path.lexists(state)


def _describe(recipe: Recipe) -> str:
    return json.dumps(asdict(recipe), indent=2) + "\n"


def _create(recipe: Recipe, config: dict) -> open_clip.model.CLIP:
    """Make the model of a recipe with the initial weights that its seed decides."""
    text = {key: value for key, value in config["text_cfg"].items() if key != "tokenizer_kwargs"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = open_clip.model.CLIP(**{**config, "text_cfg": text})
    if recipe.pooling == "max":
        pool_by_maximum(model.visual)
    if isinstance(recipe, StudioRecipe):  # neither has weights, and both rest when not training
        model.visual.patch_dropout = torch.nn.Sequential(SeenPatches(), PatchDropout(recipe.patch_dropout))
    return model


@contextmanager
def _chance_of(recipe: Recipe, step: int) -> Iterator[None]:
    """Let seed and step decide what a step draws in torch, so that a resumed training draws the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([recipe.seed, step]).generate_state(1)[0]))
        yield


def _task(
    recipe: Recipe, cutouts: Sequence[Cutout], tokenizer: PreTrainedTokenizerFast, config: dict
) -> tuple[Callable[[int], Any], Callable[..., torch.Tensor]]:
    """Give what draws the batch of a step, and what gives its loss to a model, the batch and the step."""
    side, context = config["vision_cfg"]["image_size"], config["text_cfg"]["context_length"]
    if not isinstance(recipe, StudioRecipe):
        return partial(photograph_batch, recipe, cutouts, side=side), partial(_contrast, tokenizer, context)
    objective = Objective(recipe, tokenizer, objects_of(cutouts), context)
    return partial(studio_batch, recipe, cutouts, side=side), objective


def _drawn_ahead(draw: Callable[[int], Any], start: int, stop: int) -> Iterator[tuple[int, Any]]:
    """Draw the next step's batch in the background while a step is computed."""
    with ThreadPoolExecutor(1) as painter:
        pending = painter.submit(draw, step=start)
        for step in range(start, stop):
            batch = pending.result()
            if step + 1 < stop:
                pending = painter.submit(draw, step=step + 1)
            yield step, batch


def _contrast(
    tokenizer: PreTrainedTokenizerFast,
    context: int,
    model: open_clip.model.CLIP,
    batch: tuple[np.ndarray, list[str]],
    step: int,
) -> torch.Tensor:
    """Give open_clip's contrastive loss of composed scenes."""
    images, captions = batch
    device = model.logit_scale.device
    tokens = tokenizer(
        captions, padding="max_length", truncation=True, max_length=context, return_tensors="pt"
    )
    with half_precision(device.type):
        features = model(normalized(images).to(device), tokens.input_ids.to(device))
    return open_clip.ClipLoss()(*(each.float() for each in features))


def _step(
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    loss_of: Callable[[], torch.Tensor],
    learning_rate: float,
) -> float:
    for optimizer in optimizers:
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
    loss = loss_of()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, _LARGEST_LOGIT_SCALE)
    return loss.item()


def _write_losses(file: Path, losses: Sequence[float]) -> None:
    with atomic_write(file) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([("step", "loss"), *((step, f"{loss:.5f}") for step, loss in enumerate(losses))])


def _write_cost(file: Path, device: str, core_seconds: float) -> None:
    with atomic_write(file) as temporary:
        cost = {"device": device, "core_seconds": round(core_seconds, 1)}
        temporary.write_text(json.dumps(cost) + "\n", encoding="utf-8")


def _save_state(
    file: Path,
    recipe: Recipe,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    losses: Sequence[float],
    core_seconds: float,
) -> None:
    state = {
        "recipe": _describe(recipe),
        "losses": list(losses),
        "core_seconds": core_seconds,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    with atomic_write(file) as temporary:
        torch.save(state, temporary)


def _restore(
    file: Path, recipe: Recipe, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> tuple[list[float], float]:
    """Load an interrupted training into model and optimizers; return the losses of the steps done, and their cost."""
    if not os.path.lexists(file):
        return [], 0.0
    require_file(file, "the state of a training, or delete it")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler passes on whatever a damaged file makes it raise
        raise CheckpointError(
            f"{str(file)!r} is damaged or no state of a training; delete it to start the training again."
        ) from error
    try:
        state = validated(_State, content if isinstance(content, dict) else {}, f"the state {str(file)!r}")
    except InputError as error:
        raise CheckpointError(f"{error} Delete the file to start the training again.") from error
    if state.recipe != _describe(recipe):
        raise CheckpointError(
            f"{str(file)!r} belongs to another recipe; delete it or train into another folder."
        )
    if len(state.losses) > recipe.steps or not _fits(state, model, optimizers):
        raise CheckpointError(
            f"The numbers in {str(file)!r} do not fit the model of its recipe; "
            "delete it to start the training again."
        )
    model.load_state_dict(state.model)
    for optimizer, kept in zip(optimizers, state.optimizers, strict=True):
        optimizer.load_state_dict(kept)
    return state.losses, state.core_seconds


def _fits(state: _State, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> bool:
    """Return whether a state has every number of a model and its optimizers."""
    expected = model.state_dict()
    return (
        state.model.keys() == expected.keys()
        and all(alike(state.model[name], value) for name, value in expected.items())
        and len(state.optimizers) == len(optimizers)
        and all(
            fits(each, optimizer, len(state.losses))
            for each, optimizer in zip(state.optimizers, optimizers, strict=True)
        )
    )
