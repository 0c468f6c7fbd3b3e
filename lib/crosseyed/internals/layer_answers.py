"""Is the object found at each depth of a tower? Two readers answer: the logit lens, and a probe.

Both return one row per image and depth with `reader`, `source` (of `SOURCES`), `layer` and `correct`, for
`crosseyed.measure.bootstrap`. Parameters shared by them: `reading`, the vectors of all images, and `about`, the table
of their scenes, one row per image.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.internals.layer_reading import SOURCES, LayerReading
from crosseyed.internals.probes import probe_layers, readout
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.registry import adapter_of

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


def probe_answers(reading: LayerReading, about: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Count the object as found if the nearest class mean, learned from scenes of the other renderings, is its own.

    `about` has a column `style`; `seed` is that of the split. Depths at which all vectors are equal or NaN are left
    out.
    """
    answers = []
    for number, source in enumerate(SOURCES):
        vectors = reading.vectors[:, :, number]
        varying = np.flatnonzero(np.ptp(vectors, axis=1).max(axis=1) > _SAME)
        if len(varying):  # without a class token nothing is pooled before the end
            rows = probe_layers(vectors[varying], about, "style", folds=about["style"].nunique(), seed=seed)
            depths = np.take(reading.layers, varying[rows["layer"]])
            answers.append(rows.assign(reader="probe", source=source, layer=depths))
    return pd.concat(answers, ignore_index=True)


def last_read(model: ClipModel, source: str) -> int:
    """Return the last depth at which the vectors of a source are read.

    With class-token pooling no layer reads the spatial tokens that leave the last block.
    """
    adapter = adapter_of(model)
    unread = adapter.pooled_token is not None and source != "pooled"
    return adapter.layers[-2 if unread else -1]
