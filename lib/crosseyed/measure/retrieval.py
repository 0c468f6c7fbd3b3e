"""The question turned round: whether a caption finds the image that shows its object, among many that do not."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.errors import InputError
from crosseyed.tables import require_columns


def ranks(
    similarities: np.ndarray, objects: Sequence[str], labels: Sequence[str], n_images: int, seed: int = 0
) -> np.ndarray:
    """Find the place of each image among images of other objects when all are sorted by similarity to its caption.

    The other images are drawn once for each object, so that all images of an object, wherever it stands, are looked for
    among the same. Those of a smaller number are among those of a larger one.

    Parameters
    ----------
    similarities : numpy.ndarray, shape (n, n_labels)
        Of images and the captions of labels.
    objects : sequence of str
        The object of each image.
    labels : sequence of str
        Label of each column, each object among them.
    n_images : int
        Number of images to search, the one looked for included; at least 2. Of fewer all.
    seed : int
        Seed of the draw.

    Returns
    -------
    numpy.ndarray of float, shape (n,)
        From 1; of equally similar images the one looked for comes last. NaN for an image that cannot be read; others
        that cannot be read are never found.

    Raises
    ------
    InputError
        The number of images is below 2, or all images show one object.
    """
    objects = np.asarray(objects, dtype=object)
    if n_images < 2 or len(set(objects)) < 2:
        raise InputError(
            f"There are images of {len(set(objects))} object(s), of which {n_images} are to be searched; expected "
            "images of two objects and a search among two images, or more."
        )
    found = np.full(len(objects), np.nan)
    for name in dict.fromkeys(objects):
        column = list(labels).index(name)
        own, others = np.flatnonzero(objects == name), np.flatnonzero(objects != name)
        drawn = np.random.default_rng([seed, column]).permutation(others)[: n_images - 1]
        similarity, rivals = similarities[own, column], similarities[drawn, column]
        with np.errstate(invalid="ignore"):
            place = 1.0 + (rivals >= similarity[:, None]).sum(axis=1)
        found[own] = np.where(np.isnan(similarity), np.nan, place)
    return found


def recall(table: pd.DataFrame, numbers: Sequence[int]) -> pd.DataFrame:
    """Say of each image whether it is among the first of those that were searched.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image with its `rank` (float, from `ranks`).
    numbers : sequence of int
        How many of the first are looked at.

    Returns
    -------
    pandas.DataFrame
        The rows for each number, with `first` (the number) and `correct` (dtype ``boolean``), for
        `crosseyed.measure.bootstrap.center_bias` by `first`, whose accuracies are then the recall.
    """
    require_columns(table, ["rank"], "the table of ranks")
    correct = [(table["rank"] <= number).astype("boolean").mask(table["rank"].isna()) for number in numbers]
    return pd.concat(
        [table.assign(first=number, correct=each) for number, each in zip(numbers, correct, strict=True)],
        ignore_index=True,
    )
