"""Is a concept in these vectors? Probes that are fitted to them, and a readout that is not.

Both take vectors that were read inside a tower, one for each row of `table` (NaN for unreadable images), and return
the table, numbered from 0, with `choice` (``"unreadable"`` for NaN) and `correct` (dtype ``boolean``, ``<NA>`` for
NaN) added, for `crosseyed.measure.bootstrap`. `label` is the table's column of the true concept. They raise
InputError where numbers or widths do not agree or a column is missing.

A probe is no ceiling: what one finds is there, but another may find what this one does not (Belinkov, *Probing
Classifiers: Promises, Shortcomings, and Advances*, Computational Linguistics 48, 2022). Nor does it say that the tower
has learned it: that is what the controls of `crosseyed.internals.layer_answers` are for.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.linear_model import RidgeClassifierCV

from crosseyed.errors import InputError, check_choice, suggest
from crosseyed.tables import require_columns

STRENGTHS = tuple(10.0**power for power in range(-1, 5))
"""Strengths of the regularisation that the linear probe chooses among."""

CLASSIFIERS = ("linear", "nearest mean")
"""The kinds of probe: a ridge classifier, one against the rest, and the class with the nearest mean."""

PLACES = ("same cell", "center")
"""Where the scenes stand that a probe learns from."""

_RENDERINGS = 3  # one is asked about; the strength of the linear probe is chosen between the two others
_UNREADABLE = "unreadable"
_SIMILARITIES_AT_ONCE = 2**23  # 64 MB


def probe(
    vectors: np.ndarray,
    table: pd.DataFrame,
    *,
    classifier: str = "linear",
    place: str = "same cell",
    taught: str = "object",
    label: str = "object",
) -> pd.DataFrame:
    """Classify vectors by what scenes of the other renderings teach, at the same place or at the center.

    The images of a rendering are classified by a probe that learned from all other renderings: other drawings of the
    same objects, on other backgrounds. It is matched for position where it learns in the cell that it is asked about
    (``"same cell"``, one probe for each cell). Asked about every cell, what it learns at the center tells whether the
    object is coded in the same way wherever it stands (``"center"``). Both learn from one image of each object and
    rendering, so that no place has more to learn from than another.

    The vectors are standardised by those that the probe learns from. The strength of the linear probe is chosen among
    `STRENGTHS` by leaving out one of these at a time (least squared error): as each is the only one of its object and
    rendering, the choice is between renderings, too, and made within what is learned from.

    Parameters
    ----------
    vectors : float (n, width)
    table : pandas.DataFrame
        One row per vector, with `style` (the rendering), `row`, `col`, `center`, `taught` and `label`.
    classifier : str, of `CLASSIFIERS`
    place : str, of `PLACES`
    taught : str
        Column of what the probe is taught: the true concept, or for a control another one.

    Raises
    ------
    InputError
        There are fewer than three renderings or two concepts, or one is taught by a single rendering, so that a probe
        could not learn it.
    """
    check_choice("probe", classifier, CLASSIFIERS)
    check_choice("place", place, PLACES)
    if vectors.ndim != 2 or len(vectors) != len(table):
        raise InputError(
            f"The vectors have the shape {vectors.shape}; give ({len(table)}, width), one for each row of the table."
        )
    require_columns(table, ["style", "row", "col", "center", taught, label], "the table of the vectors")
    _check_renderings(table, taught)
    readable = ~np.isnan(vectors).any(axis=1)
    names, truth = table[taught].to_numpy(dtype=object), table[label].to_numpy(dtype=object)
    choice = np.full(len(table), _UNREADABLE, dtype=object)
    classify = _by_ridge if classifier == "linear" else _by_nearest_mean
    for learned, asked in _lessons(table, place):
        learned, asked = learned[readable[learned]], asked[readable[asked]]
        if len(asked):
            choice[asked] = classify(*_standardised(vectors[learned], vectors[asked]), names[learned])
    return _answer(table, choice, choice == truth, readable)


def shuffled_names(table: pd.DataFrame, *, label: str = "object", seed: int = 0) -> pd.Series:
    """Exchange the names of the concepts at random, in each rendering differently.

    A probe that is taught these names has nothing to learn: what a rendering calls a cup another calls a dog. All else
    stays as it is, so that it finds what guessing finds (a control task; Hewitt and Liang, *Designing and Interpreting
    Probes with Control Tasks*, EMNLP 2019).
    """
    rng, names = np.random.default_rng(seed), table[label].unique()
    given = {
        style: dict(zip(names, rng.permutation(names), strict=True)) for style in table["style"].unique()
    }
    pairs = zip(table["style"], table[label], strict=True)
    return pd.Series([given[style][name] for style, name in pairs], index=table.index, dtype=object)


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


def _lessons(table: pd.DataFrame, place: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows that a probe learns from, and those that it is asked about."""
    style, center = table["style"].to_numpy(), table["center"].to_numpy(dtype=bool)
    cells = table.groupby(["row", "col"]).ngroup().to_numpy()
    for rendering in table["style"].unique():
        own = style == rendering
        if place == "center":
            yield np.flatnonzero(~own & center), np.flatnonzero(own)
        else:
            for cell in np.unique(cells[own]):
                yield np.flatnonzero(~own & (cells == cell)), np.flatnonzero(own & (cells == cell))


def _standardised(learned: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give what is learned from mean 0 and deviation 1 in each dimension that varies, and shift the rest likewise."""
    mean, deviation = learned.mean(axis=0), learned.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1)
    return (learned - mean) / deviation, (asked - mean) / deviation


def _by_ridge(learned: np.ndarray, asked: np.ndarray, names: np.ndarray) -> np.ndarray:
    return RidgeClassifierCV(STRENGTHS).fit(learned, names).predict(asked)


def _by_nearest_mean(learned: np.ndarray, asked: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Do what scikit-learn's NearestCentroid does, in a tenth of its time for so few rows."""
    classes, codes = np.unique(names, return_inverse=True)
    member = codes == np.arange(len(classes))[:, None]
    means = member @ learned / member.sum(axis=1, keepdims=True)
    return classes[cdist(asked, means).argmin(axis=1)]


def _check_renderings(table: pd.DataFrame, taught: str) -> None:
    renderings = table.groupby(taught)["style"].nunique()
    if table["style"].nunique() < _RENDERINGS:
        raise InputError(
            f"The scenes have {table['style'].nunique()} renderings; give at least {_RENDERINGS}, so that a probe "
            "learns from several and is asked about another."
        )
    if len(renderings) < 2:
        raise InputError(f"There are {len(renderings)} different concepts; a probe needs at least two.")
    if renderings.min() < 2:
        raise InputError(
            f"{renderings.idxmin()!r} has one rendering only, so a probe cannot learn it; give it in another one, too."
        )


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
