"""Sparse linear concept embeddings (SpLiCE).

Parameters shared by the functions: `embeddings`, float (n, embed_dim), rows of length 1, or of NaN for unreadable
images.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.data.cutouts import read_catalogue
from crosseyed.data.layouts import scattered
from crosseyed.errors import InputError
from crosseyed.internals.lasso import nonnegative_lasso
from crosseyed.internals.vocabulary import check_vocabulary
from crosseyed.models.cache import cached
from crosseyed.models.scorer import Encoder


def modality_mean(embeddings: np.ndarray) -> np.ndarray:
    """Return the mean (embed_dim,) of the readable embeddings of one modality, not of length 1.

    Images and texts of a CLIP lie in two cones (Liang et al., *Mind the Gap*, NeurIPS 2022); an image is compared
    with concepts after the mean of its modality was subtracted from each.
    """
    readable = embeddings[~np.isnan(embeddings).any(axis=1)]
    if not len(readable):
        raise InputError("There is no embedding to take the mean of; give at least one readable image.")
    return readable.mean(axis=0, dtype=np.float64).astype(embeddings.dtype)


def reference_mean(encoder: Encoder) -> np.ndarray:
    """Return the mean image embedding (embed_dim,) of a fixed set of images (see `modality_mean`).

    Bhalla et al. take that of MS COCO. Here it is that of every cut-out of the catalogue, at random sizes and places,
    of `crosseyed.data.layouts.scattered` with seed 0: the same images whatever is analysed.
    """
    scenes = scattered(read_catalogue(), seed=0)
    return modality_mean(cached(encoder).encode_images([scene.render for scene in scenes]))


def center(embeddings: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Subtract a modality's mean (see `modality_mean`) and scale the rows back to length 1; NaN stays NaN.

    Raises
    ------
    InputError
        The mean has another width, or an embedding equals the mean, so that nothing is left of it.
    """
    if mean.shape != embeddings.shape[1:]:
        raise InputError(
            f"The mean has the shape {mean.shape}, not {embeddings.shape[1:]}; take it from the same model."
        )
    rest = embeddings - mean
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    nothing = np.flatnonzero(lengths < 1e-6)
    if len(nothing):
        raise InputError(
            f"Embedding {nothing[0]} equals the mean, so nothing is left of it; take the mean over many "
            "different images or concepts."
        )
    return rest / lengths


def splice(
    embeddings: np.ndarray,
    concept_embeddings: np.ndarray,
    concepts: Sequence[str],
    image_mean: np.ndarray,
    *,
    penalty: float = 0.1,
    images: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Write image embeddings as sparse sums of concepts (SpLiCE, Bhalla et al. 2024, section 4).

    Images and concepts are centered by the mean of their modality. Then, for every image z and the dictionary C, the
    weights w ≥ 0 minimise ‖z − w C‖² / 2 + penalty · Σ w.

    Parameters
    ----------
    concept_embeddings : float (n_concepts, embed_dim), such as from `told_apart`; their mean is that of the texts
    concepts : sequence of str, their names (see `check_vocabulary`)
    image_mean : float (embed_dim,), mean over other images than those in question, such as `reference_mean`
    penalty : float, positive; the larger, the fewer concepts. Half of `l1_penalty` in the authors' code
    images : sequence of str, names of the images; by default their numbers from 0

    Returns
    -------
    pandas.DataFrame
        Columns `image`, `concept`, `weight`; one row for each concept that an image uses (weight > 0), images in the
        order given, the heaviest concept first. Unreadable images have no rows.

    Raises
    ------
    InputError
        The concepts are not a vocabulary; names and embeddings differ in number or width; the penalty is not positive.
    """
    check_vocabulary(concepts)
    names = np.arange(len(embeddings)) if images is None else np.array(images, dtype=object)
    for what, given, needed in (
        ("names of concepts", len(concepts), len(concept_embeddings)),
        ("names of images", len(names), len(embeddings)),
    ):
        if given != needed:
            raise InputError(f"There are {given} {what} but {needed} embeddings of them; give one for each.")
    readable = ~np.isnan(embeddings).any(axis=1)
    weights = nonnegative_lasso(
        center(embeddings[readable], image_mean),
        center(concept_embeddings, modality_mean(concept_embeddings)),
        penalty,
    ).tocoo()
    table = pd.DataFrame(
        {
            "image": names[readable][weights.row],
            "concept": np.array(concepts, dtype=object)[weights.col],
            "weight": weights.data,
        }
    )
    return table.iloc[np.lexsort((-weights.data, weights.row))].reset_index(drop=True)


def name_share(sparse: pd.DataFrame, about: pd.DataFrame) -> pd.Series:
    """Return the share of the object's own name in the weights of each image's sum, in percent.

    Parameters
    ----------
    sparse : pandas.DataFrame of `splice`, images by number
    about : pandas.DataFrame, one row per image, numbered from 0, with `object`

    Returns
    -------
    pandas.Series
        One value per row of `about`, in [0, 100]; 0 also where the sum uses no concept at all.
    """
    own = sparse["concept"] == about["object"].reindex(sparse["image"]).to_numpy()
    weights = pd.DataFrame({"own": sparse["weight"].where(own, 0.0), "all": sparse["weight"]})
    totals = weights.groupby(sparse["image"]).sum().reindex(about.index, fill_value=0.0)
    return (100 * totals["own"] / totals["all"].where(totals["all"] > 0)).fillna(0.0).rename("share")
