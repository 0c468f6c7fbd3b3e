"""Train pooling heads on the tokens of a frozen tower."""

import copy
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import pandas as pd
import torch
from open_clip import ClipLoss
from torch import Tensor

from crosseyed.data.cutouts import Cutout, objects_of
from crosseyed.data.photographer import Dose, snapshot
from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError, suggest
from crosseyed.internals.probes import readout
from crosseyed.internals.trace import stream
from crosseyed.mitigations.heads import (
    Head,
    HeadedModel,
    embed_texts,
    encode_together,
    supported_heads,
    untrained,
)
from crosseyed.mitigations.pooling import supported
from crosseyed.mitigations.pooling_methods import Batch
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.mitigations.tasks import Task
from crosseyed.models.clip import ClipModel
from crosseyed.progress import bar
from crosseyed.settings import settings

LEARNING_RATES = (3e-4, 1e-3, 3e-3)

EARLIER = ", one block earlier"
"""What follows the name of a head that reads the tokens that enter the last block."""

_WEIGHT_DECAY = 0.05

_AT_ONCE = 256


def train_heads(
    model: ClipModel,
    cutouts: Sequence[Cutout],
    validation: Sequence[Cutout],
    labels: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    scenes_per_object: int = 30,
    epochs: int = 12,
    learning_rates: Sequence[float] = LEARNING_RATES,
    fraction: float | None = None,
    earlier: Sequence[str] = (),
    seed: int = 0,
    progress: bool = True,
) -> dict[str, HeadedModel]:
    """Train heads on the tokens of a frozen tower, which runs once on each image for all heads.

    Tokens are kept in memory in half precision: ``2 · n_scenes · T · pooled_width`` bytes.

    Parameters
    ----------
    model, fraction
        As for `crosseyed.mitigations.heads.untrained`, whose errors also apply.
    cutouts, validation : sequence of Cutout
        Objects (at least two) to train on, and others (half as many images each) to choose rate and epochs by.
    labels : sequence of str
        What the model chooses among on validation images; use the labels of the test.
    names : sequence of str, optional
        The heads that read the last tokens; by default all that the tower supports.
    scenes_per_object : int
        Training images of each object, at uniform positions, at least 1; every batch shows each object once.
    epochs : int
        Maximum number of times that each image is seen, at least 1.
    learning_rates : sequence of float
        Peak learning rates to choose among, for AdamW with cosine decay to zero.
    earlier : sequence of str
        Heads that read the tokens one block earlier, besides.
    seed : int
        Determines the images and their order.
    progress : bool
        Show a progress bar where somebody watches (`crosseyed.progress.bar`).

    Returns
    -------
    dict of str to HeadedModel
        By the head's name, which of those that read earlier tokens is followed by `EARLIER`.

    Raises
    ------
    InputError
        Too few objects, an object in both sets or not in `labels`, or a number out of range.
    """
    _check(cutouts, validation, labels, scenes_per_object, epochs, learning_rates)
    names = supported_heads(model) if names is None else names
    started = {name: untrained(model, name, fraction=fraction) for name in names}
    started |= {name + EARLIER: untrained(model, name, fraction=fraction, layer=-2) for name in earlier}
    depths = {each.head.layer for each in started.values()}
    learned = _freeze(model, cutouts, scenes_per_object, depths, [seed, 0], progress)
    checked = _freeze(model, validation, math.ceil(scenes_per_object / 2), depths, [seed, 1], progress)
    captions = embed_texts(model, next(iter(learned.values())).captions)
    texts = embed_texts(model, [settings.caption(label) for label in labels])
    truth = pd.Index(labels).get_indexer(next(iter(checked.values())).objects)
    answers = texts, torch.from_numpy(truth).to(model.device)
    trained = {}
    with bar(total=len(started) * len(learning_rates), unit="training", shown=progress) as done:
        for name, start in started.items():
            head, attempts = start.head, []
            n_objects = learned[head.layer].n_objects
            learn, check = (_pooled(head, images[head.layer]) for images in (learned, checked))
            fresh = copy.deepcopy(head.state_dict())
            for rate in learning_rates:
                head.load_state_dict(fresh)
                losses = _epochs(head, learn, n_objects, captions, model.logit_scale, rate, epochs, seed)
                for epoch, loss in zip(count(), losses):
                    accuracy = _accuracy(head, check, *answers)
                    row = {"learning_rate": rate, "epoch": epoch, "loss": loss, "accuracy": accuracy}
                    attempts.append((row, copy.deepcopy(head.state_dict())))
                done.update()
            history = pd.DataFrame([row for row, _ in attempts])
            best = history["accuracy"].idxmax()  # of equally good ones the first
            head.load_state_dict(attempts[best][1])
            history["chosen"] = history.index == best
            trained[name] = HeadedModel(model, head.requires_grad_(False), history)
    return trained


def score_heads(
    model: ClipModel, headed: Sequence[HeadedModel], asked: Sequence[tuple[str, Task, Sequence[str]]]
) -> pd.DataFrame:
    """Score a model and its heads on the same images; the images of a task are encoded once.

    Parameters
    ----------
    model, headed : ClipModel, sequence of HeadedModel
        The model with its own pooling (candidate ``"none"``), and the same tower with other heads.
    asked : sequence of (str, Task, sequence of str)
        Name of each comparison, its images, and the names to choose among.

    Returns
    -------
    pandas.DataFrame
        Columns as of `crosseyed.mitigations.scoring.score_all`; `protocol` is the name of the comparison.
    """
    tables, encoded = [], {}
    for protocol, task, names in asked:
        if id(task) not in encoded:
            encoded[id(task)] = encode_together([model, *headed], task.images)
        captions = model.encode_texts([settings.caption(name) for name in names])
        candidates = [BASELINE, *(head.pooling for head in headed)]
        for candidate, vectors in zip(candidates, encoded[id(task)], strict=True):
            rows = readout(vectors, captions, names, task.table, top=1)
            about = {"family": candidate, "kind": "head", "oracle": False, "passes": 1.0}
            tables.append(rows.assign(protocol=protocol, candidate=candidate, **about))
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True, eq=False)
class _Frozen:
    """Output of the frozen tower: one image of each object in turn, round after round."""

    tokens: Tensor  # (n_scenes, T, pooled_width), float16
    attention: Tensor | None  # (n_scenes, T)
    objects: list[str]
    captions: list[str]
    n_objects: int

    def at(self, rows: Tensor | slice) -> tuple[Tensor, Tensor | None]:
        attention = None if self.attention is None else self.attention[rows]
        return self.tokens[rows].float(), attention


def _freeze(
    model: ClipModel,
    cutouts: Sequence[Cutout],
    scenes_per_object: int,
    layers: Collection[int],
    seed: list[int],
    progress: bool,
) -> dict[int, _Frozen]:
    """Take images of all objects in turn and run the tower on them, once for all layers."""
    names = objects_of(cutouts)
    shots: list[tuple[Scene, str]] = [
        snapshot(cutouts, name, Dose(), np.random.default_rng([*seed, turn, number]), max(model.image_size))
        for turn in range(scenes_per_object)
        for number, name in enumerate(names)
    ]
    reads_attention = "masked max" in supported(model)

    @torch.no_grad()
    def run(pixels: Tensor, _: int) -> tuple[list[Tensor], Tensor | None]:
        batch = Batch.of(model, pixels)
        tokens = [batch.tokens_at(layer).half() for layer in layers]
        return tokens, batch.attention if reads_attention else None

    parts = stream(model, [scene.render for scene, _ in shots], run, progress=progress)
    tokens, attention = zip(*parts, strict=True)
    return {
        layer: _Frozen(
            tokens=torch.cat(of_layer),
            attention=torch.cat(attention) if reads_attention else None,
            objects=names * scenes_per_object,
            captions=[caption for _, caption in shots],
            n_objects=len(names),
        )
        for layer, of_layer in zip(layers, zip(*tokens, strict=True), strict=True)
    }


def _pooled(head: Head, data: _Frozen) -> Callable[[Tensor | slice], Tensor]:
    """Return a function from rows to pooled vectors, (n, pooled_width).

    They are computed once if the pooling has nothing to learn.
    """
    if next(head.pooling.parameters(), None) is not None:
        return lambda rows: head.pooling(*data.at(rows))
    with torch.no_grad():
        places = _slices(len(data.objects))
        whole = torch.cat([head.pooling(*data.at(rows)) for rows in places])
    return lambda rows: whole[rows]


def _slices(length: int) -> list[slice]:
    return [slice(start, start + _AT_ONCE) for start in range(0, length, _AT_ONCE)]


def _epochs(
    head: Head,
    pooled: Callable[[Tensor | slice], Tensor],
    n_objects: int,
    captions: Tensor,
    scale: float,
    rate: float,
    epochs: int,
    seed: int,
) -> Iterable[float]:
    """Train; yield the mean loss after each epoch, and NaN before the first; `pooled` is that of `_pooled`."""
    yield math.nan
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=_WEIGHT_DECAY)
    rounds = np.arange(len(captions)).reshape(-1, n_objects)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(rounds))
    rng, loss_of = np.random.default_rng([seed, 2]), ClipLoss()
    for _ in range(epochs):
        losses = []
        # each object once per batch, so that no other caption in it is true of the image
        for rows in torch.from_numpy(rng.permuted(rounds, axis=0)):
            vectors = head.project(pooled(rows))
            loss = loss_of(vectors, captions[rows], torch.tensor(scale, device=captions.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        yield float(np.mean(losses))


@torch.no_grad()
def _accuracy(head: Head, pooled: Callable[[Tensor | slice], Tensor], texts: Tensor, truth: Tensor) -> float:
    """Return how often the right text is nearest, in percent; `pooled` is that of the function of this name."""
    right = [
        ((head.project(pooled(rows)) @ texts.T).argmax(1) == truth[rows]).float()
        for rows in _slices(len(truth))
    ]
    return 100 * torch.cat(right).mean().item()


def _check(
    cutouts: Sequence[Cutout],
    validation: Sequence[Cutout],
    labels: Sequence[str],
    scenes_per_object: int,
    epochs: int,
    learning_rates: Sequence[float],
) -> None:
    learned, others = objects_of(cutouts), objects_of(validation)
    if len(learned) < 2 or not others:
        raise InputError(
            f"There are {len(learned)} objects to train on and {len(others)} to choose by; give at least 2 and 1."
        )
    if both := [name for name in learned if name in others]:
        raise InputError(
            f"{both[0]!r} is among the objects to train on and those to choose by; give each to one of them."
        )
    for name in others:
        if name not in labels:
            raise InputError(f"{name!r} is not among the {len(labels)} labels{suggest(name, labels)}")
    if scenes_per_object < 1 or epochs < 1:
        raise InputError(
            f"scenes_per_object is {scenes_per_object} and epochs {epochs}; each must be at least 1."
        )
    if not learning_rates or not all(rate > 0 for rate in learning_rates):
        raise InputError(f"learning_rates is {learning_rates!r}; give at least one positive number.")
