"""How well a map agrees with the mask of the object, and with the score when pixels are removed in its order."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor
from torchvision.transforms import Compose

from crosseyed.data.scenes import Scene, scene_table
from crosseyed.errors import InputError
from crosseyed.internals.explain import (
    IMAGES_AT_ONCE,
    Method,
    check_texts,
    embed_pixels,
    scale,
    similarity_of,
)
from crosseyed.models.clip import ClipModel

SCORES = ("iou", "contrast", "auroc", "pointing")
"""The columns of `score_maps`."""


def fit_masks(model: ClipModel, masks: np.ndarray) -> np.ndarray:
    """Resize masks as the model resizes its images.

    Parameters
    ----------
    masks : bool (n_masks, height, width), at the resolution of the images, as of `crosseyed.data.scenes.Scene.masks`

    Returns
    -------
    numpy.ndarray of bool, shape (n_masks, model's height, model's width)
        True where at least half of a pixel of the model's input belongs to the object.
    """
    if np.ndim(masks) != 3:
        raise InputError(f"masks have the shape {np.shape(masks)}; expected (n_masks, height, width)")
    resize = Compose(model.preprocess.transforms[:-2])  # without ToTensor and Normalize
    images = [Image.fromarray(mask.astype(np.uint8) * 255).convert("RGB") for mask in masks]
    fitted = [np.asarray(resize(image))[..., 0] >= 128 for image in images]
    return np.array(fitted).reshape(-1, *model.image_size)


def score_maps(maps: np.ndarray, masks: np.ndarray) -> pd.DataFrame:
    """Compare maps with the masks of the objects that their captions name.

    Parameters
    ----------
    maps : float (batch, height, width), of any method
    masks : bool (batch, height, width), where the objects are, at the maps' resolution (`fit_masks`)

    Returns
    -------
    pandas.DataFrame
        One row a map. NaN where the mask is empty or covers everything.

        - `iou`: intersection over union of the mask and the places where the scaled map is at least 0.5, in
          [0, 1]; its mean over images is the mIoU.
        - `contrast`: mean of the scaled map on the object minus its mean elsewhere, in [-1, 1]: below 0 if the
          background is preferred (the mean score contrast of Li et al., arXiv 2209.07046).
        - `auroc`: probability that a pixel of the object has a higher value than one elsewhere, ties counted
          half, in [0, 1].
        - `pointing`: whether the highest pixel is on the object, 1 or 0; the share on the object if several
          are highest (pointing game, Zhang et al., arXiv 1608.00507).

    Raises
    ------
    InputError
        Masks and maps differ in shape.
    """
    maps, masks = np.asarray(maps), np.asarray(masks, dtype=bool)
    if maps.ndim != 3 or masks.shape != maps.shape:
        raise InputError(
            f"masks have the shape {masks.shape}, maps {maps.shape}; expected (batch, height, width) for both. "
            "explain.fit_masks brings a scene's masks to the size of a model's maps."
        )
    scaled, inside = scale(maps).reshape(len(maps), -1), masks.reshape(len(maps), -1)
    size, n_pixels = inside.sum(1), inside.shape[1]
    rest = n_pixels - size
    highest, chosen = scaled == scaled.max(1, keepdims=True), scaled >= 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        ranks = (rankdata(scaled, axis=1) * inside).sum(1)  # Mann and Whitney's statistic
        scores = {
            "iou": (chosen & inside).sum(1) / (chosen | inside).sum(1),
            "contrast": (scaled * inside).sum(1) / size - (scaled * ~inside).sum(1) / rest,
            "auroc": (ranks - size * (size + 1) / 2) / (size * rest),
            "pointing": (highest & inside).sum(1) / highest.sum(1),
        }
    judged = (size > 0) & (rest > 0)
    return pd.DataFrame({name: np.where(judged, values, np.nan) for name, values in scores.items()})


def removal_curves(
    score: Callable[[Tensor], Tensor], pixels: Tensor, maps: np.ndarray, *, steps: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Follow a score while pixels vanish, or appear, in the order of a map.

    Deletion and insertion of Petsiuk et al. (arXiv 1806.07421). If the map is right about the score, the score
    falls quickly by deletion and rises quickly by insertion.

    Parameters
    ----------
    score : callable, from images (batch, 3, height, width) to numbers (batch,), such as `similarity_to`
    pixels : float (batch, 3, height, width), the model's input
    maps : float (batch, height, width), which order the pixels, highest first
    steps : int, number of equal portions in which the pixels are removed, at least 1

    Returns
    -------
    deletion, insertion : numpy.ndarray, shape (batch, steps + 1)
        float32 scores after 0, 1, ... portions; the area below a curve is ``np.trapezoid(curve, axis=1) / steps``.
    """
    if maps.shape != (len(pixels), *pixels.shape[-2:]):
        raise InputError(
            f"maps have the shape {maps.shape}; expected {(len(pixels), *pixels.shape[-2:])}, as the pixels"
        )
    if steps < 1:
        raise InputError(f"steps is {steps}; expected at least 1")
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    place = torch.from_numpy(np.argsort(order, axis=1).reshape(maps.shape)).to(pixels.device)[:, None]
    curves = []
    for portion in range(steps + 1):
        first = place < portion * maps[0].size / steps
        curves.append([score(pixels * kept).detach().float().cpu() for kept in (~first, first)])
    deletion, insertion = (torch.stack(curve, 1).numpy() for curve in zip(*curves, strict=True))
    return deletion, insertion


def similarity_to(model: ClipModel, texts: Sequence[str]) -> Callable[[Tensor], Tensor]:
    """Return the similarity of images with their captions as a function of the images, for `removal_curves`."""
    text, similarity = embed_pixels(model, texts), similarity_of(model)

    @torch.no_grad()
    def score(pixels: Tensor) -> Tensor:
        return similarity(pixels, text)

    return score


def compare(
    model: ClipModel,
    scenes: Sequence[Scene],
    texts: Sequence[str],
    methods: Mapping[str, Method],
    *,
    steps: int = 10,
    progress: bool = True,
) -> pd.DataFrame:
    """Score methods on scenes, in one tidy table.

    Parameters
    ----------
    model : ClipModel whose tower can be traced
    scenes : sequence of Scene, at least one; the caption names the first object of each
    texts : sequence of str, one caption a scene
    methods : mapping of str to callable, such as from `crosseyed.internals.explain.methods`
    steps : int, portions of the deletion and insertion curves; 0 leaves them out
    progress : bool, show a progress bar if the standard error is a terminal

    Returns
    -------
    pandas.DataFrame
        One row per scene and method: the columns of `crosseyed.data.scenes.scene_table` for the object, `model`,
        `pretrained`, `method`, those of `score_maps`, and the areas `deletion` (the lower the better) and
        `insertion` (the higher the better) below the curves of the similarity.
    """
    if not scenes:
        raise InputError("scenes is empty; expected at least one")
    check_texts(texts, len(scenes), "scenes")
    tables, left = [], iter(zip(scenes, texts, strict=True))
    images = [scene.render for scene in scenes]
    for batch, _ in model.read_batches(images, batch_size=IMAGES_AT_ONCE, progress=progress):
        shown, captions = zip(*islice(left, len(batch)), strict=True)
        pixels = model.to_input(batch)
        similarity = similarity_to(model, captions) if steps else None
        masks = fit_masks(model, np.stack([scene.masks()[0] for scene in shown]))
        about = scene_table(shown).drop_duplicates("image", ignore_index=True)
        about = about.assign(model=model.model, pretrained=model.pretrained)
        for name, method in methods.items():
            maps = method(model, pixels, captions)
            areas = _removal_areas(similarity, pixels, maps, steps) if similarity else {}
            tables.append(about.assign(method=name).join(score_maps(maps, masks)).assign(**areas))
    return pd.concat(tables, ignore_index=True)


def _removal_areas(
    similarity: Callable[[Tensor], Tensor], pixels: Tensor, maps: np.ndarray, steps: int
) -> dict[str, np.ndarray]:
    curves = removal_curves(similarity, pixels, maps, steps=steps)
    return {
        way: np.trapezoid(curve, axis=1) / steps
        for way, curve in zip(("deletion", "insertion"), curves, strict=True)
    }


def pooling_contrasts(scores: pd.DataFrame) -> pd.DataFrame:
    """List the contrast of each image before pooling (ITSM) and after (ITSM after pooling), and its shift.

    `scores` is a table of `compare` with a column `place`. Returns one row per model, image and `contrast`
    (``"before"``, ``"after"`` or ``"shift"``, after minus before) with `value`, `object` and `place`. A tower without
    such a map has no rows.
    """
    keys = ["model", "object", "image", "place"]
    wide = scores.pivot(index=keys, columns="method", values="contrast")
    wide = wide.rename(columns={"ITSM": "before", "ITSM after pooling": "after"})
    wide = wide.reindex(columns=["before", "after"])
    wide = wide.assign(shift=wide["after"] - wide["before"]).reset_index()
    table = wide.melt(keys, var_name="contrast").dropna(subset="value", ignore_index=True)
    order = [name for name in wide.columns if name in set(table["contrast"])]
    return table.assign(contrast=pd.Categorical(table["contrast"], order))
