"""How well a model finds the object without the direct contributions of some heads."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from crosseyed.internals.decompose import Decomposition, mean_ablation
from crosseyed.internals.probes import readout

Heads = Sequence[tuple[int, int]]


def random_sets(heads: Heads, size: int, number: int, seed: int) -> list[Heads]:
    """Draw `number` sets of `size` different heads."""
    rng = np.random.default_rng(seed)
    return [[heads[place] for place in rng.permutation(len(heads))[:size]] for _ in range(number)]


def ablation_answers(
    decomposition: Decomposition,
    sets: Mapping[str, Sequence[Heads]],
    captions: np.ndarray,
    labels: Sequence[str],
    about: pd.DataFrame,
) -> pd.DataFrame:
    """Answer which object an image shows, without the direct contribution of some heads.

    Parameters
    ----------
    decomposition : Decomposition of all images
    sets : mapping from str to sets of heads, each a sequence of pairs of layer and head that are ablated together
    captions : float (labels, embed_dim), embeddings of one caption for each label, of length 1
    labels : sequence of str, names of all objects
    about : pandas.DataFrame, one row per image with `object`

    Returns
    -------
    pandas.DataFrame
        One row per set and image: those of `about` with `correct` and `ablated`, the name of the set.
    """
    return pd.concat(
        [
            readout(mean_ablation(decomposition, heads), captions, labels, about, top=1).assign(ablated=name)
            for name, several in sets.items()
            for heads in several
        ],
        ignore_index=True,
    )
