"""How well a map agrees with the mask of the object, and with the score when pixels are removed in its order."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor
from torchvision.transforms import Compose

from crosseyed.data.scenes import Scene, scene_table
from crosseyed.errors import InputError, check_choice
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

PARTS = ["present", "prior", "own"]
"""The columns that `with_prior` adds about the contrast."""

AUROC_PARTS = {
    "with the object": "auroc",
    "the place alone": "auroc_prior",
    "added by the object": "auroc_own",
}
"""The AUROC of a map and its parts: their names in tables, and the columns of `with_prior`."""


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
            "map_scores.fit_masks brings a scene's masks to the size of a model's maps."
        )
    scaled, inside = scale(maps).reshape(len(maps), -1), masks.reshape(len(maps), -1)
    highest, chosen = scaled == scaled.max(1, keepdims=True), scaled >= 0.5
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = {
            "iou": (chosen & inside).sum(1) / (chosen | inside).sum(1),
            "contrast": _contrast(scaled, inside),
            "auroc": _auroc(scaled, inside),
            "pointing": (highest & inside).sum(1) / highest.sum(1),
        }
    judged = inside.any(1) & ~inside.all(1)
    return pd.DataFrame({name: np.where(judged, values, np.nan) for name, values in scores.items()})


def removal_curves(
    score: Callable[[Tensor], Tensor],
    pixels: Tensor,
    maps: np.ndarray,
    *,
    steps: int = 10,
    ends: tuple[Tensor, Tensor] | None = None,
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
    ends : tuple of torch.Tensor, optional, `ends_of` these images, which are the same for all maps of an image

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
    whole, blank = ends or ends_of(score, pixels)
    curves = [(whole, blank)]
    for portion in range(1, steps):
        first = place < portion * maps[0].size / steps
        curves.append([score(pixels * kept).detach().float().cpu() for kept in (~first, first)])
    curves.append((blank, whole))
    deletion, insertion = (torch.stack(curve, 1).numpy() for curve in zip(*curves, strict=True))
    return deletion, insertion


def ends_of(score: Callable[[Tensor], Tensor], pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scores (batch,) of the whole images and of blank ones, with which every removal begins and ends."""
    whole, blank = (score(shown).detach().float().cpu() for shown in (pixels, torch.zeros_like(pixels)))
    return whole, blank


def similarity_to(model: ClipModel, texts: Sequence[str]) -> Callable[[Tensor], Tensor]:
    """Return the similarity of images with their captions as a function of the images, for `removal_curves`."""
    text, similarity = embed_pixels(model, texts), similarity_of(model)

    @torch.no_grad()
    def score(pixels: Tensor) -> Tensor:
        return similarity(pixels, text)

    return score


def maps_of(
    model: ClipModel, scenes: Sequence[Scene], texts: Sequence[str], methods: Mapping[str, Method]
) -> dict[str, np.ndarray]:
    """Draw the maps of all methods for all scenes, batch by batch.

    Parameters
    ----------
    model : ClipModel whose tower can be traced
    scenes : sequence of Scene, at least one
    texts : sequence of str, one caption a scene
    methods : mapping of str to callable, such as from `crosseyed.internals.explain.methods`

    Returns
    -------
    dict of str to numpy.ndarray, shape (n_scenes, model's height, model's width)
    """
    _check_scenes(scenes, texts)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    for pixels, shown in _batches(model, scenes):
        for name, method in methods.items():
            parts[name].append(method(model, pixels, texts[shown]))
    return {name: np.concatenate(maps) for name, maps in parts.items()}


def compare(
    model: ClipModel,
    scenes: Sequence[Scene],
    texts: Sequence[str],
    maps: Mapping[str, np.ndarray],
    *,
    steps: int = 10,
) -> pd.DataFrame:
    """Score the maps of scenes, in one tidy table.

    Parameters
    ----------
    model : ClipModel whose tower can be traced
    scenes : sequence of Scene, at least one; the caption names the first object of each
    texts : sequence of str, one caption a scene
    maps : mapping of str to numpy.ndarray, of `maps_of`, by the name of the method
    steps : int, portions of the deletion and insertion curves; 0 leaves them out

    Returns
    -------
    pandas.DataFrame
        One row per scene and method: the columns of `crosseyed.data.scenes.scene_table` for the object, `model`,
        `pretrained`, `method`, those of `score_maps`, and the areas `deletion` (the lower the better) and
        `insertion` (the higher the better) below the curves of the similarity.
    """
    _check_scenes(scenes, texts)
    about = scene_table(scenes).drop_duplicates("image", ignore_index=True)
    about = about.assign(model=model.model, pretrained=model.pretrained)
    masks, areas = _masks(model, scenes), _removal_areas(model, scenes, texts, maps, steps)
    return pd.concat(
        [
            about.assign(method=name).join(score_maps(one, masks)).assign(**areas[name])
            for name, one in maps.items()
        ],
        ignore_index=True,
    )


def with_prior(
    scores: pd.DataFrame,
    model: ClipModel,
    scenes: Sequence[Scene],
    texts: Sequence[str],
    methods: Mapping[str, Method],
    maps: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """Separate what an object adds to the contrast and the AUROC of its map from what its place has anyway.

    A map may prefer a place whatever stands there. So the map of the same caption is drawn once more on the same
    background without the object (`Scene.empty`, once where scenes share it), and read at the same place. For the
    contrast both maps are brought to [0, 1] together, by the lowest and the highest value of the two: a map that is
    nearly flat on one side then has next to no contrast there, where scaled by itself it would have any. The AUROC
    knows only the order of the pixels of each map, so it needs no common scale, and a map that is nearly flat counts
    like any other.

    Parameters
    ----------
    scores : pandas.DataFrame, of `compare` for the other arguments
    model, scenes, texts, maps : as for `compare`
    methods : mapping of str to callable, by which the maps were made

    Returns
    -------
    pandas.DataFrame
        The rows of `scores` with three columns of maps on their common scale and two of each map by itself:

        - `present`: mean of the map with the object at the object's place minus its mean elsewhere, in [-1, 1]; its
          sign is that of `contrast`;
        - `prior`: the same of the map without the object, in [-1, 1];
        - `own`: `present` minus `prior`, in [-2, 2];
        - `auroc_prior`: the AUROC of the map without the object against the mask of the object, in [0, 1];
        - `auroc_own`: `auroc` minus `auroc_prior`, in [-1, 1].

        Where both maps are the same everywhere, the contrasts are 0 and the AUROC of the place a half. All are NaN
        where the mask is empty or covers everything.
    """
    keys = [(scene.empty().digest(), text) for scene, text in zip(scenes, texts, strict=True)]
    first = {key: number for number, key in reversed(list(enumerate(keys)))}
    chosen = sorted(first.values())
    bare = maps_of(model, [scenes[n].empty() for n in chosen], [texts[n] for n in chosen], methods)
    rows = [chosen.index(first[key]) for key in keys]
    masks, parts = _masks(model, scenes), []
    for name, one in maps.items():
        present, prior = contrasts_together(one, bare[name][rows], masks)
        about = {"method": name, "image": [scene.name for scene in scenes]}
        about |= {"present": present, "prior": prior, "own": present - prior}
        parts.append(pd.DataFrame(about).assign(auroc_prior=score_maps(bare[name][rows], masks)["auroc"]))
    table = scores.merge(pd.concat(parts), on=["method", "image"], validate="one_to_one")
    return table.assign(auroc_own=table["auroc"] - table["auroc_prior"])


def auroc_changes(scores: pd.DataFrame, reference: str) -> pd.DataFrame:
    """List, image by image, how the AUROC of each map and its parts differ from those of one map.

    `scores` is a table of `with_prior`, and `reference` one of its methods. Returns one row per image, other method
    (the column `map`, in the order of `scores`) and `part` (in that of `AUROC_PARTS`) with `value`, the map's minus
    the reference's, and `object`.
    """
    methods = list(dict.fromkeys(scores["method"]))
    check_choice("reference", reference, methods)
    others = [name for name in methods if name != reference]
    keys = ["object", "image"]
    wide = scores.pivot(index=keys, columns="method", values=[*AUROC_PARTS.values()])
    parts = [
        wide[column][others].sub(wide[column][reference], axis=0).assign(part=part).reset_index()
        for part, column in AUROC_PARTS.items()
    ]
    table = pd.concat(parts).melt([*keys, "part"], others, var_name="map")
    orders = {"map": others, "part": [*AUROC_PARTS]}
    return table.assign(**{name: pd.Categorical(table[name], order) for name, order in orders.items()})


def contrasts_together(
    first: np.ndarray, second: np.ndarray, masks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the contrasts, each (batch,) and in [-1, 1], of pairs of maps that are brought to one scale.

    `first`, `second` and `masks` (bool) are (batch, height, width); the lowest value of both maps of a pair becomes 0,
    the highest 1, and of a pair that is the same everywhere the contrasts are 0.
    """
    both = np.split(scale(np.concatenate([first, second], axis=2)), 2, axis=2)
    inside = np.asarray(masks, dtype=bool).reshape(len(masks), -1)
    return tuple(_contrast(each.reshape(len(each), -1), inside) for each in both)


def _contrast(scaled: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the mean of each map (batch, pixels) on its mask minus that elsewhere; NaN where one of them is empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        on, elsewhere = ((scaled * part).sum(1) / part.sum(1) for part in (inside, ~inside))
    return on - elsewhere


def _auroc(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the AUROC of each map (batch, pixels) against its mask; NaN where one of the sides is empty."""
    size = inside.sum(1)
    ranks = (rankdata(values, axis=1) * inside).sum(1)  # Mann and Whitney's statistic
    return (ranks - size * (size + 1) / 2) / (size * (inside.shape[1] - size))


def _check_scenes(scenes: Sequence[Scene], texts: Sequence[str]) -> None:
    if not scenes:
        raise InputError("scenes is empty; expected at least one")
    check_texts(texts, len(scenes), "scenes")


def _batches(model: ClipModel, scenes: Sequence[Scene]) -> Iterator[tuple[Tensor, slice]]:
    """Yield the model's input for a batch of scenes, and which they are."""
    images, first = [scene.render for scene in scenes], 0
    for batch, _ in model.read_batches(images, batch_size=IMAGES_AT_ONCE):
        yield model.to_input(batch), slice(first, first + len(batch))
        first += len(batch)


def _masks(model: ClipModel, scenes: Sequence[Scene]) -> np.ndarray:
    """Return where the first object of each scene is, at the resolution of maps."""
    return fit_masks(model, np.stack([scene.masks()[0] for scene in scenes]))


def _removal_areas(
    model: ClipModel,
    scenes: Sequence[Scene],
    texts: Sequence[str],
    maps: Mapping[str, np.ndarray],
    steps: int,
) -> dict[str, dict[str, np.ndarray]]:
    """Return the areas below both curves by method, nothing without steps."""
    areas = {name: {"deletion": [], "insertion": []} for name in maps}
    for pixels, shown in _batches(model, scenes) if steps else ():
        similarity = similarity_to(model, texts[shown])
        ends = ends_of(similarity, pixels)
        for name, one in maps.items():
            curves = removal_curves(similarity, pixels, one[shown], steps=steps, ends=ends)
            for way, curve in zip(areas[name], curves, strict=True):
                areas[name][way].append(np.trapezoid(curve, axis=1) / steps)
    return {
        name: {way: np.concatenate(parts) for way, parts in ways.items() if parts}
        for name, ways in areas.items()
    }


def pooling_contrasts(scores: pd.DataFrame) -> pd.DataFrame:
    """List the contrast of each image before pooling (ITSM) and after (ITSM after pooling), and its shift.

    `scores` is a table of `with_prior` with a column `place`. Returns one row per model, image and `contrast`
    (``"before"``, ``"after"`` or ``"shift"``, after minus before; ``"present"`` and its parts ``"prior"`` and
    ``"own"``, of the map before pooling) with `value`, `object` and `place`. A tower without such a map has no rows.
    """
    keys = ["model", "object", "image", "place"]
    wide = scores.pivot(index=keys, columns="method", values="contrast")
    wide = wide.rename(columns={"ITSM": "before", "ITSM after pooling": "after"})
    wide = wide.reindex(columns=["before", "after"])
    wide = wide.assign(shift=wide["after"] - wide["before"])
    wide = wide.join(scores[scores["method"] == "ITSM"].set_index(keys)[PARTS]).reset_index()
    table = wide.melt(keys, var_name="contrast").dropna(subset="value", ignore_index=True)
    order = [name for name in wide.columns if name in set(table["contrast"])]
    return table.assign(contrast=pd.Categorical(table["contrast"], order))
