"""Is a concept in these vectors? Probes that are fitted to a layer, and a readout that is not.

Both take vectors that were read inside a tower, one for each row of `table` (NaN for unreadable images), and return
the table, numbered from 0, with `choice` (``"unreadable"`` for NaN) and `correct` (dtype ``boolean``, ``<NA>`` for
NaN) added, for `crosseyed.measure.bootstrap`. `label` is the table's column of the true concept. They raise
InputError where numbers or widths do not agree or a column is missing.
"""

import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crosseyed.errors import InputError, suggest
from crosseyed.tables import require_columns

_CLASSIFIERS = {"centroid": NearestCentroid, "logistic": lambda: LogisticRegression(max_iter=1000)}
_UNREADABLE = "unreadable"
_SIMILARITIES_AT_ONCE = 2**23  # 64 MB


def probe_layers(
    layers: np.ndarray,
    table: pd.DataFrame,
    groups: str | Sequence[object],
    *,
    label: str = "object",
    classifier: Literal["centroid", "logistic"] = "centroid",
    folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """Classify the vectors of each layer by a probe that has not seen their scenes.

    The rows are split into folds so that all rows of a scene are in the same one. The vectors of a fold are
    standardised and classified by what was learned from the other folds; the folds are the same for all layers.

    Parameters
    ----------
    layers : float (n_layers, n, width)
    groups : str or n values, the scene of a row, as a column of the table or the values themselves; rows by which a
        probe could recognise each other (the same image, the same background) should share a group
    classifier : {"centroid", "logistic"}, the class with the nearest mean, or scikit-learn's multinomial logistic
        regression (C = 1), which is the stronger probe and takes minutes where the other takes seconds
    folds : int, at least 2
    seed : int, seed of the split

    Returns
    -------
    pandas.DataFrame
        n_layers × n rows, layer by layer (`layer`, from 0) in the order of the table.

    Raises
    ------
    InputError
        There are fewer groups than folds, fewer than two labels, or a label whose readable rows all fall into one fold.
    """
    if layers.ndim != 3 or layers.shape[1] != len(table):
        raise InputError(
            f"The layers have the shape {layers.shape}; give (n_layers, {len(table)}, width), one vector for each "
            "row of the table."
        )
    require_columns(
        table, [label, *([groups] if isinstance(groups, str) else [])], "the table of the vectors"
    )
    if classifier not in _CLASSIFIERS:
        raise InputError(
            f"Unknown classifier {classifier!r}{suggest(classifier, _CLASSIFIERS)} Choose from "
            f"{', '.join(_CLASSIFIERS)}."
        )
    scenes = np.asarray(table[groups] if isinstance(groups, str) else groups)
    if len(scenes) != len(table):
        raise InputError(f"There are {len(scenes)} groups but {len(table)} rows; give one for each row.")
    readable = ~np.isnan(layers).any(axis=(0, 2))
    truth = table[label].to_numpy(dtype=object)
    splits = _split(truth[readable], scenes[readable], folds, seed)
    answers = []
    for number, layer in enumerate(layers):
        choice = np.full(len(table), _UNREADABLE, dtype=object)
        choice[readable] = _cross_validate(layer[readable], truth[readable], splits, classifier)
        answers.append(_answer(table, choice, choice == truth, readable).assign(layer=number))
    return pd.concat(answers, ignore_index=True)


def readout(
    vectors: np.ndarray,
    concept_embeddings: np.ndarray,
    concepts: Sequence[str],
    table: pd.DataFrame,
    *,
    label: str = "object",
    top: int = 5,
) -> pd.DataFrame:
    """Rank the true concept among all by similarity to each vector, without anything fitted.

    Parameters
    ----------
    vectors : float (n, embed_dim), of any length but 0
    concept_embeddings : float (n_concepts, embed_dim), rows of length 1
    concepts : sequence of str, their names, all different, with all labels among them
    top : int, at least 1; up to which rank the true concept counts as found

    Returns
    -------
    pandas.DataFrame
        `choice` is the most similar concept (of equally similar ones the first), `rank` the place of the true concept
        when all are sorted so, from 1 (dtype ``Int64``, ``<NA>`` for NaN), and `correct` whether that is at most `top`.
    """
    require_columns(table, [label], "the table of the vectors")
    _check_readout(vectors, concept_embeddings, concepts, table, top)
    place = pd.Index(concepts).get_indexer(table[label])
    if (place < 0).any():
        missing = str(table[label].iloc[int(np.argmin(place))])
        raise InputError(
            f"The {label} {missing!r} is not among the {len(concepts)} concepts{suggest(missing, concepts)}"
        )
    readable = ~np.isnan(vectors).any(axis=1)
    best, rank = _rank(vectors, concept_embeddings, place)
    choice = np.where(readable, np.array(concepts, dtype=object)[best], _UNREADABLE)
    answers = _answer(table, choice, rank <= top, readable)
    return answers.assign(rank=pd.Series(rank, dtype="Int64").where(readable))


def _split(
    labels: np.ndarray, scenes: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split rows into folds of whole scenes with all labels spread over them as evenly as possible."""
    if folds < 2 or len(set(scenes)) < folds:
        raise InputError(
            f"{len(set(scenes))} scenes cannot make {folds} folds; give at least 2 folds and as many scenes."
        )
    if len(set(labels)) < 2:
        raise InputError(f"There are {len(set(labels))} different labels; a probe needs at least two.")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a label with fewer rows than folds is fine, unless it is unlearnable
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splits = list(splitter.split(labels, labels, scenes))
    for learned, asked in splits:
        unknown = set(labels[asked]) - set(labels[learned])
        if unknown:
            raise InputError(
                f"All rows of {min(unknown, key=str)!r} fall into one fold, so a probe cannot learn it; give it more "
                "scenes."
            )
    return splits


def _cross_validate(
    vectors: np.ndarray,
    labels: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    classifier: str,
) -> np.ndarray:
    """Predict each row's label from the rows of the other folds."""
    predicted = np.empty(len(labels), dtype=object)
    for learned, asked in splits:
        probe = make_pipeline(StandardScaler(), _CLASSIFIERS[classifier]())
        predicted[asked] = probe.fit(vectors[learned], labels[learned]).predict(vectors[asked])
    return predicted


def _rank(vectors: np.ndarray, texts: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the most similar text and the rank of the text at `place`, for each vector; in double precision."""
    best, rank = np.zeros((2, len(vectors)), dtype=int)
    texts = texts.astype(np.float64)
    at_once = max(1, _SIMILARITIES_AT_ONCE // len(texts))
    for start in range(0, len(vectors), at_once):
        rows = slice(start, start + at_once)
        similarities = vectors[rows].astype(np.float64) @ texts.T
        true = np.take_along_axis(similarities, place[rows, None], axis=1)
        earlier = np.arange(len(texts)) < place[rows, None]
        best[rows] = similarities.argmax(axis=1)
        rank[rows] = 1 + ((similarities > true) | (similarities == true) & earlier).sum(axis=1)
    return best, rank


def _answer(
    table: pd.DataFrame, choice: np.ndarray, correct: np.ndarray, readable: np.ndarray
) -> pd.DataFrame:
    """Add the answers to the table; no right or wrong for images that could not be read."""
    return table.reset_index(drop=True).assign(
        choice=choice, correct=pd.Series(correct, dtype="boolean").where(readable)
    )


def _check_readout(
    vectors: np.ndarray, texts: np.ndarray, concepts: Sequence[str], table: pd.DataFrame, top: int
) -> None:
    if vectors.shape != (len(table), *texts.shape[1:]):
        raise InputError(
            f"The vectors have the shape {vectors.shape}; give one for each of the {len(table)} rows of the table, "
            f"as wide as the {texts.shape[-1]} of the concept embeddings."
        )
    if len(concepts) != len(texts):
        raise InputError(
            f"There are {len(concepts)} concepts but {len(texts)} embeddings of them; give one for each."
        )
    if len(set(concepts)) < len(concepts):
        repeated = pd.Series(list(concepts)).mode()[0]
        raise InputError(f"The concept {repeated!r} is given more than once; give every concept once.")
    if not 1 <= top <= len(concepts):
        raise InputError(f"top is {top}; give a rank between 1 and {len(concepts)}, the number of concepts.")
