"""What becomes of each object under a mitigation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.data import layouts
from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError, suggest
from crosseyed.internals.attention import coverage
from crosseyed.internals.layer_reading import SOURCES, read_layers
from crosseyed.internals.probes import probe_layers
from crosseyed.measure import bootstrap
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.registry import adapter_of

OUTCOMES = (
    "recognised before and after",
    "repaired",
    "broken",
    "in the object's tokens, yet lost",
    "not found in the tokens",
)
"""What can become of an object, in the order of the rows of `outcomes`."""


def outcomes(
    answers: pd.DataFrame,
    candidate: str,
    found: pd.DataFrame,
    protocol: str = "grid",
    **sampling: float,
) -> pd.DataFrame:
    """Classify each object as recognised, repaired or lost, and whether its tokens still reveal it.

    If a probe (`crosseyed.internals.probes.probe_layers`) finds an unrecognised object in the tokens under it, it
    was lost between there and the embedding, and another way might keep it; if not, the probe could read nothing from
    the tokens, and no pooling helps. The probe is told the place and chooses among fewer names, so it is a ceiling.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `crosseyed.mitigations.scoring.score_all`.
    candidate, protocol : str
        The candidate and the protocol in question.
    found : pandas.DataFrame
        With `image` and `correct` (whether the probe found the object), for at least every image of the protocol.
    **sampling
        `confidence`, `resamples` and `seed` of `crosseyed.measure.bootstrap.accuracy`.

    Returns
    -------
    pandas.DataFrame
        One row for each of `OUTCOMES` at the center, then off-center: `center`, `outcome`, `share` of the readable
        images in percent (summing to 100 per place) with `low` and `high`, `n` images and `confidence`.

    Raises
    ------
    InputError
        There are no answers of the candidate, or an image is missing in `found`.
    """
    scored = answers[answers["protocol"] == protocol]
    if candidate == BASELINE or candidate not in set(scored["candidate"]):
        near = suggest(candidate, scored["candidate"].unique()) or "."
        raise InputError(f"The candidate {candidate!r} was not scored under the protocol {protocol!r}{near}")
    before, after = (scored[scored["candidate"] == name].set_index("image") for name in (BASELINE, candidate))
    probed = found.set_index("image")["correct"].reindex(after.index)
    readable = before["correct"].notna() & after["correct"].notna()
    if probed[readable].isna().any():
        raise InputError(f"found lacks {probed[readable].isna().sum()} of the images of {protocol!r}")
    after = after[readable]
    was, is_, there = (
        column[readable].astype(bool) for column in (before["correct"], after["correct"], probed)
    )
    parts = [was & is_, ~was & is_, was & ~is_, ~was & ~is_ & there, ~was & ~is_ & ~there]
    shares = [
        bootstrap.mean(after.assign(share=100.0 * part), "share", "center", **sampling).assign(
            outcome=outcome
        )
        for outcome, part in zip(OUTCOMES, parts, strict=True)
    ]
    table = pd.concat(shares).rename(columns={"mean": "share"})
    table = table.sort_values("center", ascending=False, kind="stable", ignore_index=True)
    return table[["center", "outcome", "share", "low", "high", "n", "confidence"]]


def found_in_tokens(
    model: ClipModel, cutouts: Sequence[Cutout], *, size: float = 0.3, seed: int = 0
) -> pd.DataFrame:
    """Probe the tokens of each object for its name, where the last attention reads them.

    The probe is trained on one rendering, tested on another, and chooses among the objects given.

    Parameters
    ----------
    model : ClipModel
        A model whose tokens can be read.
    cutouts : sequence of Cutout
        The objects, in at least two renderings.
    size, seed
        As for `crosseyed.data.layouts.grid`.

    Returns
    -------
    pandas.DataFrame
        As of `crosseyed.internals.probes.probe_layers`, one row per object and cell of the grid.
    """
    scenes, adapter = layouts.grid(cutouts, size=size, seed=seed), adapter_of(model)
    covered = coverage(np.stack([scene.masks()[0] for scene in scenes]), adapter.grid)
    reading = read_layers(model, [scene.render() for scene in scenes], covered)
    # with a class token nothing reads the spatial tokens that leave the last block
    read_last = -1 if adapter.pooled_token is None else -2
    own = reading.vectors[[read_last], :, SOURCES.index("object")]
    folds = len({cutout.style for cutout in cutouts})
    return probe_layers(own, scene_table(scenes), "style", folds=folds, seed=seed)
