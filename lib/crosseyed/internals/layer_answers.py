"""Is the object found inside a tower? The logit lens and probes answer, at each depth and at the end.

All return one row per image and question with `reader`, `source` and `correct`, for `crosseyed.measure.bootstrap`.
Parameters shared by them: `reading`, the vectors of all images, and `about`, the table of their scenes, one row per
image, with the columns that `crosseyed.internals.probes.probe` needs.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from crosseyed.internals.layer_reading import SOURCES, LayerReading
from crosseyed.internals.probes import CLASSIFIERS, PLACES, probe, readout, shuffled_names
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.registry import adapter_of

RANDOM_WEIGHTS, SHUFFLED_NAMES = CONTROLS = ("random weights", "shuffled names")
"""The controls beside the sources of `end_answers`: the object's tokens in a tower that learned nothing, and the
object's tokens with names that belong to nothing."""

_SAME = 1e-6  # vectors of a depth that vary less say nothing: a class token enters the first block always the same


def lens_answers(
    reading: LayerReading, captions: np.ndarray, labels: Sequence[str], about: pd.DataFrame, *, top: int
) -> pd.DataFrame:
    """Count the object as found if its caption is among the `top` captions most similar to the projected vector.

    Parameters
    ----------
    captions : float (labels, embed_dim), embeddings of one caption for each label, of length 1
    labels : sequence of str, names of all objects
    top : int, at least 1
    """
    return pd.concat(
        [
            readout(reading.projected[place, :, number], captions, labels, about, top=top).assign(
                reader="logit lens", source=source, layer=layer
            )
            for place, layer in enumerate(reading.layers)
            for number, source in enumerate(SOURCES)
        ],
        ignore_index=True,
    )


def probe_answers(reading: LayerReading, about: pd.DataFrame) -> pd.DataFrame:
    """Count the object as found if the nearest mean of the other renderings, in its cell, is its own, at each depth.

    Depths (`layer`) at which all vectors are equal or NaN are left out: without a class token nothing is pooled before
    the end. The linear probe of `end_answers` would take minutes.
    """
    answers = []
    for number, source in enumerate(SOURCES):
        vectors = reading.vectors[:, :, number]
        for place in np.flatnonzero(np.ptp(vectors, axis=1).max(axis=1) > _SAME):
            found = probe(vectors[place], about, classifier="nearest mean")
            answers.append(found.assign(source=source, layer=reading.layers[place]))
    return pd.concat(answers, ignore_index=True).assign(reader=reader_name("nearest mean", "same cell"))


def reader_name(classifier: str, place: str) -> str:
    """Name a probe by its kind and by where it learns, such as ``"linear probe, same cell"``."""
    return f"{classifier}{' probe' if classifier == 'linear' else ''}, {place}"


READERS = tuple(reader_name(classifier, place) for classifier in CLASSIFIERS for place in PLACES)
"""The probes of `end_answers`. The first is the one that verdicts are about, fixed before any was tried: matched for
position, and the stronger kind."""


def end_vectors(model: ClipModel, reading: LayerReading) -> dict[str, np.ndarray]:
    """Return what the end of a tower holds: the vectors (n_images, width) of `object`, `mean` and `embedding`.

    Spatial tokens are taken where they are read last (see `last_read`).
    """
    ends = {
        source: reading.vectors[reading.layers.index(last_read(model, source)), :, SOURCES.index(source)]
        for source in ("object", "mean")
    }
    return ends | {"embedding": reading.projected[-1, :, SOURCES.index("pooled")]}


def end_answers(
    ends: Mapping[str, np.ndarray], about: pd.DataFrame, *, random: np.ndarray | None = None, seed: int = 0
) -> pd.DataFrame:
    """Ask the probes of `READERS` about the end of a tower, and about controls.

    Parameters
    ----------
    ends : mapping from str to float (n_images, width)
        By `source`, from `end_vectors`, with the object's tokens among them.
    random : float (n_images, width), optional
        The object's tokens in a tower of the same architecture with random weights. What a probe finds there comes
        from the pixels alone: the tower passes them on and has learned nothing.
    seed : int
        Seed of the shuffled names (see `crosseyed.internals.probes.shuffled_names`).

    Returns
    -------
    pandas.DataFrame
        For each reader one row per image and source, and those of the `CONTROLS`, which are sources, too; without
        `random` of the second one alone.
    """
    about = about.assign(shuffled=shuffled_names(about, seed=seed))
    asked = {source: (vectors, "object") for source, vectors in ends.items()}
    asked |= {} if random is None else {RANDOM_WEIGHTS: (random, "object")}
    asked[SHUFFLED_NAMES] = (ends["object"], "shuffled")
    answers = [
        probe(vectors, about, classifier=classifier, place=place, taught=taught).assign(
            reader=reader_name(classifier, place), source=source
        )
        for classifier in CLASSIFIERS
        for place in PLACES
        for source, (vectors, taught) in asked.items()
    ]
    return pd.concat(answers, ignore_index=True).drop(columns="shuffled")


def last_read(model: ClipModel, source: str) -> int:
    """Return the last depth at which the vectors of a source are read.

    With class-token pooling no layer reads the spatial tokens that leave the last block.
    """
    adapter = adapter_of(model)
    unread = adapter.pooled_token is not None and source != "pooled"
    return adapter.layers[-2 if unread else -1]
