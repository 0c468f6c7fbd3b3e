"""What becomes of each object under a mitigation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.data import layouts
from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError, suggest
from crosseyed.internals.attention import coverage
from crosseyed.internals.layer_answers import end_vectors
from crosseyed.internals.layer_reading import read_layers
from crosseyed.internals.probes import probe
from crosseyed.measure import bootstrap
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.models.clip import ClipModel
from crosseyed.models.towers.registry import adapter_of

OUTCOMES = (
    "recognised before and after",
    "repaired",
    "broken",
    "lost, found by the probe",
    "lost, not found by the probe",
)
"""What can become of an object, in the order of the rows of `outcomes`."""


def outcomes(
    answers: pd.DataFrame,
    candidate: str,
    found: pd.DataFrame,
    protocol: str = "grid",
    **sampling: float,
) -> pd.DataFrame:
    """Classify each object as recognised, repaired or lost, and whether a probe finds it in its tokens.

    Where the probe finds an unrecognised object in the tokens under it, it may have been lost between there and the
    embedding, and another way from tokens to embedding might keep it. Where it does not, that is all that is known: a
    probe is no ceiling, and another reader or pooling may find what this one does not. It chooses among the objects
    shown, fewer names than the model has.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `crosseyed.mitigations.scoring.score_all`.
    candidate, protocol : str
        The candidate and the protocol in question.
    found : pandas.DataFrame
        With `image` and `correct` (whether the probe found the object) for those images that are classified.
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
        There are no answers of the candidate, or none to an image of `found`.
    """
    scored = answers[answers["protocol"] == protocol]
    if candidate == BASELINE or candidate not in set(scored["candidate"]):
        near = suggest(candidate, scored["candidate"].unique()) or "."
        raise InputError(f"The candidate {candidate!r} was not scored under the protocol {protocol!r}{near}")
    scored = scored[scored["image"].isin(found["image"])]
    if scored.empty:
        raise InputError(f"found has no image of {protocol!r}; probe the images of this protocol.")
    before, after = (scored[scored["candidate"] == name].set_index("image") for name in (BASELINE, candidate))
    probed = found.set_index("image")["correct"].reindex(after.index)
    readable = before["correct"].notna() & after["correct"].notna() & probed.notna()
    after = after[readable]
    was, is_, there = (
        column[readable].astype(bool) for column in (before["correct"], after["correct"], probed)
    )
    parts = [was & is_, ~was & is_, was & ~is_, ~was & ~is_ & there, ~was & ~is_ & ~there]
    shares = [
        bootstrap.accuracy(after.assign(correct=part), "center", **sampling).assign(outcome=outcome)
        for outcome, part in zip(OUTCOMES, parts, strict=True)
    ]
    table = pd.concat(shares).rename(columns={"accuracy": "share"})
    table = table.sort_values("center", ascending=False, kind="stable", ignore_index=True)
    return table[["center", "outcome", "share", "low", "high", "n", "confidence"]]


def found_in_tokens(
    model: ClipModel,
    cutouts: Sequence[Cutout],
    others: Sequence[Cutout] = (),
    *,
    shown: Sequence[Cutout] | None = None,
    size: float = 0.3,
    seed: int = 0,
) -> pd.DataFrame:
    """Probe the tokens of each object for its name, where the last attention reads them.

    The probe is that of the verdict on lost objects: linear, matched for position, taught by the other renderings
    (`crosseyed.internals.probes.probe`). To read fewer images, it is asked about every second cell of the grid.

    Parameters
    ----------
    model : ClipModel
        A model whose tokens can be read.
    cutouts : sequence of Cutout
        The objects, as the protocol shows them.
    others : sequence of Cutout
        The same objects in further renderings, which only teach; with those of `cutouts` at least three.
    shown : sequence of Cutout, optional
        Those of `cutouts` that are asked about (`crosseyed.mitigations.tasks.deal_split`); by default all.
    size, seed
        As for `crosseyed.data.layouts.grid`.

    Returns
    -------
    pandas.DataFrame
        As of `probe`, one row per cut-out that is shown and cell of `crosseyed.data.layouts.chessboard`.
    """
    scenes = layouts.grid(cutouts, size=size, seed=seed)
    scenes = scenes if shown is None else layouts.showing(shown, scenes)
    scenes += layouts.grid(others, size=size, seed=seed + 1) if others else []
    scenes, adapter = layouts.chessboard(scenes), adapter_of(model)
    covered = coverage(np.stack([scene.masks()[0] for scene in scenes]), adapter.grid)
    reading = read_layers(model, [scene.render() for scene in scenes], covered)
    answers = probe(end_vectors(model, reading)["object"], scene_table(scenes))
    return answers[answers["style"].isin({cutout.style for cutout in cutouts})].reset_index(drop=True)
