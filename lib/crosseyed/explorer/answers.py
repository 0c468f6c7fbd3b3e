"""What models answer to the scenes of the page, and where they look.

A scene goes through a tower once: the same run gives the embedding and the attention of the pooled token. It is drawn
once for all models.

Parameters shared by the functions: `encoders`, the models in the order of the page; `scenes`, as
`crosseyed.explorer.scenes` orders them; `labels`, the candidate names, among which a model chooses.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from functools import cache, partial

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch.nn import functional as F  # noqa: N812

from crosseyed.data.images import ImageSource
from crosseyed.data.scenes import Scene, pair_table, scene_table
from crosseyed.explorer import format
from crosseyed.explorer.format import Answers, Arrangement, Mitigated, Mitigations, Model, Pairs, Single
from crosseyed.internals import attention, trace
from crosseyed.measure.protocols import FOUR_CAPTIONS_SCALE, four_captions_of
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.redistribution import RadialAttention, UniformMix
from crosseyed.mitigations.registry import applicable
from crosseyed.mitigations.sharing import OfRun, Remembering, SharedRun, depth_in_common
from crosseyed.mitigations.views import CyclicShifts, Padding
from crosseyed.models.cache import CachedEncoder, cached
from crosseyed.models.clip import ClipModel
from crosseyed.models.memory import by_halves
from crosseyed.models.scorer import cosines, similarities_of_each
from crosseyed.models.towers.registry import adapter_of
from crosseyed.progress import bar
from crosseyed.report import notices
from crosseyed.settings import settings

FINEST = 16
"""Most rows and columns of a map of attention; a finer one is averaged over neighbors."""

PLAIN = "the plain model"
"""Name of the first candidate."""

_SMALL = 20_000_000  # parameters of a tower up to which several cores gain little
CANDIDATES = {
    "a border of a quarter around the image": Padding(0.25, "edge", plain=False),
    "each quarter shifted to the middle, mean of the similarities": CyclicShifts(2, aggregate="mean"),
    "attention moved outwards (a corner counts e³ centers)": RadialAttention(3.0),
    "attention spread evenly over the image": UniformMix(1.0),
}
"""The mitigations that the page shows, by their names in words."""


def describe(encoders: Sequence[ClipModel]) -> list[Model]:
    """Say of each model what the page needs to know; the first is that of the edition."""
    return [_described(each, "yardstick" if number else "edition") for number, each in enumerate(encoders)]


def single(
    encoders: Sequence[ClipModel], scenes: Sequence[Scene], shape: Sequence[int], labels: Sequence[str]
) -> Single:
    """Ask about one object at every place on a background.

    Parameters
    ----------
    encoders, labels
        See the module.
    scenes : sequence of Scene
        From `crosseyed.explorer.scenes.everywhere`.
    shape : sequence of int
        Numbers of objects, sizes, rows and columns.
    """
    captions = [settings.caption(label) for label in labels]
    kept = [cached(each) for each in encoders]
    texts = [each.encode_texts(captions) for each in kept]
    asked, of_object = [], len(scenes) // shape[0]
    with _in_turn_or_together(encoders) as run:
        for start in bar(range(0, len(scenes), of_object), unit="object"):
            portion = scenes[start : start + of_object]
            drawn, truth = [cache(scene.render) for scene in portion], _truth(portion, labels)
            asked.append(list(run(partial(_single, images=drawn, truth=truth), kept, texts)))
    asked = list(zip(*asked, strict=True))
    joined = [_joined([chosen for chosen, _ in rows], shape) for rows in asked]
    maps, peaks = (
        [_laid_out([looks[part] for _, looks in rows], shape) for rows in asked] for part in (0, 1)
    )
    return Single(_stacked(joined), maps, peaks)


def _single(
    encoder: CachedEncoder, text: np.ndarray, images: Sequence[ImageSource], truth: np.ndarray
) -> tuple[Answers, tuple[np.ndarray | None, np.ndarray | None]]:
    embeddings, maps = look(encoder, images)
    answers = format.answers(softmax(encoder.logit_scale * cosines(embeddings, text), axis=1), truth)
    return answers, (None, None) if maps is None else format.attention_maps(maps)


@contextmanager
def _in_turn_or_together(encoders: Sequence[ClipModel]) -> Iterator[Callable[..., Iterable]]:
    """Give `map`, or the same with a core for each encoder: towers that are small gain nothing from several cores."""
    cores = torch.get_num_threads()
    if cores == 1 or any(each.tower.parameters > _SMALL for each in encoders):
        yield map
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(cores, len(encoders))) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(cores)


def look(kept: CachedEncoder, images: Sequence[ImageSource]) -> tuple[np.ndarray, np.ndarray | None]:
    """Encode images, and see where the pooled token looks in the last attention; both are kept in the cache.

    Returns
    -------
    embeddings : numpy.ndarray, shape (n_images, embed_dim)
        As `ClipModel.encode_images` gives them.
    maps : numpy.ndarray, shape (n_images, rows, columns), or None
        Attention on the image, mean over heads, at most `FINEST` rows and columns; each map sums to 1. None where the
        tower has no attention.
    """
    encoder = kept.encoder
    adapter = adapter_of(encoder)
    if "attention" not in adapter.capabilities:
        return kept.encode_images(images, progress=False), None
    side = [min(each, FINEST) for each in adapter.grid]
    width = encoder.tower.embed_dim + side[0] * side[1]
    what = f"embedding and last attention on at most {FINEST} rows and columns"
    step = partial(_look, encoder)
    rows = kept.compute(what, images, lambda pixels: np.concatenate([*by_halves(step, pixels)]), width)
    return rows[:, : encoder.tower.embed_dim], rows[:, encoder.tower.embed_dim :].reshape(-1, *side)


def _look(encoder: ClipModel, pixels: Sequence[np.ndarray], _first: int) -> np.ndarray:
    """Return the embedding and the map side by side for a batch of what the model sees."""
    adapter, want = adapter_of(encoder), {"attention"}
    with adapter.pooled_alone():
        calls = trace.listened(encoder, adapter, want, encoder.to_input(pixels))
        seen = trace.traced(adapter, calls, range(len(pixels)), want, adapter.layers[-1:])
    maps = _coarse(attention.last_on_image(seen).unflatten(-1, seen.grid)).cpu()
    return torch.cat([encoder.unit(seen.embedding), maps.flatten(1)], 1).numpy()


def table(encoders: Sequence[ClipModel], scenes: Sequence[Scene], answers: Single) -> pd.DataFrame:
    """Return the answers to one object as a tidy table: `scene_table` for each model, with `rank` and `correct`."""
    shown = scene_table(scenes)
    rows = [
        shown.assign(
            model=each.model, pretrained=each.pretrained, rank=rank.ravel(), correct=rank.ravel() == 1
        )
        for each, rank in zip(encoders, answers.answers.rank, strict=True)
    ]
    return pd.concat(rows, ignore_index=True)


def pairs(
    encoders: Sequence[ClipModel], scenes: Sequence[Scene], objects: Sequence[str], n_backgrounds: int
) -> tuple[Pairs | None, pd.DataFrame]:
    """Ask about two objects with What'sUp's four captions, as `crosseyed.measure.protocols.four_captions` does.

    Parameters
    ----------
    encoders
        See the module.
    scenes : sequence of Scene
        From `crosseyed.explorer.scenes.arranged`.
    objects : sequence of str
        Names of the objects of the page.
    n_backgrounds : int
        How many there are.

    Returns
    -------
    Pairs or None
        None if there are no scenes.
    pandas.DataFrame
        For each model `crosseyed.data.scenes.pair_table`, with `correct`: whether the caption with both objects wins.
    """
    if not scenes:
        return None, pd.DataFrame()
    shown = pair_table(scenes)
    own, captions = four_captions_of(shown)
    scorers = [cached(each) for each in encoders]
    compared = similarities_of_each(scorers, [scene.render for scene in scenes], [*captions])
    logits = [FOUR_CAPTIONS_SCALE * np.take_along_axis(each, own, axis=1) for each in compared]
    rows = [
        shown.assign(model=each.model, pretrained=each.pretrained, correct=logit.argmax(axis=1) == 0)
        for each, logit in zip(encoders, logits, strict=True)
    ]
    ways = len(set(zip(shown["relation"], shown["together"], strict=True)))
    starts = range(0, len(scenes), n_backgrounds * ways)
    found = Pairs(
        objects=[tuple(objects.index(each.cutout.object) for each in scenes[n].placements) for n in starts],
        captions=[tuple(captions[own[n]]) for n in starts],
        arrangements=[_arrangement(scene) for scene in scenes[:ways]],
        size=scenes[0].placements[0].size,
        share=format.per_mille(softmax(np.stack(logits), axis=-1)).reshape(
            len(encoders), len(starts), n_backgrounds, ways, 4
        ),
    )
    return found, pd.concat(rows, ignore_index=True)


def mitigations(
    encoders: Sequence[ClipModel],
    scenes: Sequence[Scene],
    given: Single,
    chosen: tuple[Sequence[int], int, int],
    labels: Sequence[str],
) -> Mitigations:
    """Ask about some of the scenes with each of `CANDIDATES` that a tower supports.

    Parameters
    ----------
    encoders, labels
        See the module.
    scenes : sequence of Scene
        Those of the objects, the background and the size that are chosen, in their order.
    given : Single
        What the models answer on the background without a mitigation.
    chosen : tuple
        Indices of the objects, of the background and of the size.
    """
    objects, background, size = chosen
    drawn = [cache(scene.render) for scene in scenes]
    truth = _truth(scenes, labels)
    plain = [_part(given.answers, (number, objects, size)) for number in range(len(encoders))]
    with _in_turn_or_together(encoders) as run:
        told = list(run(partial(_mitigated, images=drawn, labels=labels, truth=truth), encoders, plain))
    return Mitigations(objects, background, size, told)


def _mitigated(
    encoder: ClipModel,
    plain: Answers,
    images: Sequence[ImageSource],
    labels: Sequence[str],
    truth: np.ndarray,
) -> Mitigated:
    captions = [settings.caption(label) for label in labels]
    left_out: dict[str, str] = {}
    usable = applicable(CANDIDATES.values(), encoder, left_out)
    late = {each.name: each for each in usable if depth_in_common(encoder, each) is not None}
    run = SharedRun(Remembering(encoder, {}), {encoder.name: encoder, **late})
    run.similarities(encoder.name, images, captions)  # first, so that views find the plain image
    kept, answered = [(PLAIN, 1.0)], [plain]
    for name, candidate in CANDIDATES.items():
        if candidate in usable:
            asked = OfRun(run, candidate.name) if candidate.name in late else mitigate(run.plain, candidate)
            similarities = asked.similarities(images, captions, progress=False)
            shares = softmax(encoder.logit_scale * similarities, axis=1)
            kept.append((name, float(candidate.passes)))
            answered.append(_joined([format.answers(shares, truth)], plain.rank.shape))
    words = {candidate.name: name for name, candidate in CANDIDATES.items()}
    return Mitigated(kept, {words[name]: reason for name, reason in left_out.items()}, _stacked(answered))


def _described(encoder: ClipModel, role: str) -> Model:
    reasons = notices.reasons(encoder, "attention")
    if reasons:
        return Model(encoder.name, role, no_attention=f"{reasons[0][0].upper()}{reasons[0][1:]}.")
    rows, cols = adapter_of(encoder).grid
    return Model(encoder.name, role, (min(rows, FINEST), min(cols, FINEST)))


def _truth(scenes: Sequence[Scene], labels: Sequence[str]) -> np.ndarray:
    place = {label: number for number, label in enumerate(labels)}
    return np.array([place[scene.placements[0].cutout.object] for scene in scenes])


def _coarse(maps: torch.Tensor) -> torch.Tensor:
    """Return maps (n, rows, columns) with at most `FINEST` rows and columns, each with the sum 1."""
    side = tuple(min(each, FINEST) for each in maps.shape[-2:])
    if side == maps.shape[-2:]:
        return maps
    smaller = F.adaptive_avg_pool2d(maps, side)
    return smaller / smaller.sum((-2, -1), keepdim=True)


def _arrangement(scene: Scene) -> Arrangement:
    first, second = ((each.x, each.y) for each in scene.placements)
    return Arrangement(scene.relation, scene.center, (first, second))


def _part(answers: Answers, chosen: object) -> Answers:
    """Return the answers that an index of their shape chooses."""
    return Answers(**{field.name: getattr(answers, field.name)[chosen] for field in fields(Answers)})


def _joined(parts: Sequence[Answers], shape: Sequence[int]) -> Answers:
    """Put answers to images behind each other, and lay them out in a shape."""
    return Answers(
        **{
            field.name: _laid_out([getattr(part, field.name) for part in parts], shape)
            for field in fields(Answers)
        }
    )


def _stacked(parts: Sequence[Answers]) -> Answers:
    return Answers(
        **{field.name: np.stack([getattr(part, field.name) for part in parts]) for field in fields(Answers)}
    )


def _laid_out(parts: Sequence[np.ndarray | None], shape: Sequence[int]) -> np.ndarray | None:
    if parts[0] is None:
        return None
    rows = np.concatenate(parts)
    return rows.reshape(*shape, *rows.shape[1:])
