"""Ask a model which categories it recognises in images that show several: rank, margin, average precision.

An image of a dog and a car says "dog" as well as "car". An object is therefore not compared with the other categories
in the same image, only with those that are absent from it; where every image shows one category, this is the question
of `crosseyed.measure.protocols.zero_shot`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from crosseyed.data.coco import CocoSet
from crosseyed.errors import InputError
from crosseyed.measure.protocols import captions_of
from crosseyed.models.scorer import Scorer

UNREADABLE = "unreadable"
"""What stands in the column `choice` where an image cannot be read."""


@dataclass(frozen=True, eq=False)
class Recognition:
    """What a model recognises in annotated images.

    Attributes
    ----------
    objects : pandas.DataFrame
        One row per annotated object, see `recognise`.
    categories : pandas.DataFrame
        One row per category that is in a readable image: `model`, `pretrained`, `object`, `n_images` (that show it),
        `average_precision` in percent over all readable images, and `chance`, that of a random order of the images:
        the percentage that show the category.
    """

    objects: pd.DataFrame
    categories: pd.DataFrame


def recognise(scorer: Scorer, data: CocoSet, template: str | None = None) -> Recognition:
    """Compare every image with every category, and score the objects that are annotated in it.

    Parameters
    ----------
    scorer : Scorer
        The model; it warns of images that cannot be read (`UnreadableImagesWarning`).
    data : CocoSet
        From `crosseyed.data.coco.read_coco`; images are read one after another and not kept.
    template : str, optional
        Caption in which ``{}`` stands for the category; by default that of the settings.

    Returns
    -------
    Recognition
        The rows of ``data.objects`` with these columns added:

        - `model`, `pretrained` (of the scorer); `protocol`, ``"own"``;
        - `choice`: which fits best of the object's category and those absent from the image (of equals the first in
          ``data.categories``), `UNREADABLE` where the image cannot be read;
        - `correct`: whether that is the object's category (dtype ``boolean``; ``<NA>`` for an unreadable image, or one
          that no category is absent from);
        - `margin`: logit of the object's category minus that of the best absent one (NaN where `correct` is ``<NA>``);
        - `rank`: place of the object's category among all when sorted by similarity, 1 the best (dtype ``Int64``).

    Raises
    ------
    InputError
        There are fewer than two categories, or the template has not exactly one ``{}``.

    Notes
    -----
    The average precision of a category orders all images by their similarity to its caption and averages the precision
    at each image that shows it (scikit-learn's ``average_precision_score``, without interpolation).
    """
    if len(data.categories) < 2:
        raise InputError(
            f"There are {len(data.categories)} categories to choose among; annotate at least two."
        )
    captions = captions_of(data.categories, template, "category")
    similarities = scorer.similarities(list(data.images["path"]), captions)
    names, labels = pd.Index(data.images["image"]), pd.Index(data.categories)
    present = np.zeros(similarities.shape, dtype=bool)
    present[names.get_indexer(data.presence["image"]), labels.get_indexer(data.presence["object"])] = True
    asked = {"model": scorer.model, "pretrained": scorer.pretrained}
    answers = _answer(
        scorer.logit_scale * similarities,
        present,
        names.get_indexer(data.objects["image"]),
        labels.get_indexer(data.objects["object"]),
        np.array(data.categories, dtype=object),
    )
    return Recognition(
        objects=data.objects.assign(**asked, protocol="own", **answers),
        categories=_average_precision(similarities, present, data.categories).assign(**asked),
    )


def _answer(
    logits: np.ndarray, present: np.ndarray, images: np.ndarray, own: np.ndarray, names: np.ndarray
) -> dict[str, object]:
    """Give the columns that `recognise` adds: `present` is (images, categories), `images` and `own` are (objects,)."""
    unreadable = np.isnan(logits).any(axis=1)
    absent = np.where(present | unreadable[:, None], -np.inf, logits)
    rival = absent.argmax(axis=1)[images]
    logit, best = logits[images, own], absent.max(axis=1)[images]
    correct = (logit > best) | ((logit == best) & (own < rival))
    order = np.argsort(np.argsort(-logits, axis=1, kind="stable"), axis=1)
    without, unanswered = unreadable[images], np.isinf(best)
    choice = np.where(correct, names[own], names[rival])
    choice[without] = UNREADABLE
    return {
        "choice": choice,
        "correct": pd.Series(correct, dtype="boolean").mask(unanswered).array,
        "margin": np.where(unanswered, np.nan, logit - np.where(unanswered, 0, best)),
        "rank": pd.Series(1 + order[images, own], dtype="Int64").mask(without).array,
    }


def _average_precision(similarities: np.ndarray, present: np.ndarray, categories: list[str]) -> pd.DataFrame:
    """Give one row per category that is in a readable image."""
    readable = ~np.isnan(similarities).any(axis=1)
    rows = []
    for name, shown, values in zip(categories, present[readable].T, similarities[readable].T, strict=True):
        if shown.any():
            precision = average_precision_score(shown, values)
            rows.append((name, int(shown.sum()), 100 * precision, 100 * shown.mean()))
    return pd.DataFrame(rows, columns=["object", "n_images", "average_precision", "chance"])
