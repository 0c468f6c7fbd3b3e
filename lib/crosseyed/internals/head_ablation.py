"""How well a model finds the object without the direct contributions of some heads."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from crosseyed.internals.decompose import Decomposition, mean_ablation
from crosseyed.internals.probes import readout

Heads = Sequence[tuple[int, int]]


def half_of_objects(about: pd.DataFrame, seed: int) -> np.ndarray:
    """Draw half of the objects, on whose images heads are ranked; they are ablated on those of the others.

    Parameters
    ----------
    about : pandas.DataFrame, one row per image, with `object`, of which there are at least two
    seed : int

    Returns
    -------
    numpy.ndarray, bool (n_images,)
        Whether the image is of one of the drawn objects.
    """
    objects = about["object"].unique()
    drawn = np.random.default_rng(seed).permutation(objects)[: len(objects) // 2]
    return about["object"].isin(drawn).to_numpy()


def random_sets(chosen: Heads, heads: Heads, number: int, seed: int) -> list[Heads]:
    """Draw `number` sets of heads from all but the chosen ones, in each layer as many as were chosen there.

    Where a layer has fewer others than chosen heads, all its others are drawn.
    """
    rng, others = np.random.default_rng(seed), [head for head in heads if head not in chosen]
    wanted = Counter(layer for layer, _ in chosen)
    in_layer = {layer: [head for head in others if head[0] == layer] for layer in wanted}
    return [
        [
            in_layer[layer][place]
            for layer, size in wanted.items()
            for place in rng.permutation(len(in_layer[layer]))[:size]
        ]
        for _ in range(number)
    ]


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


def ablation_changes(answers: pd.DataFrame, top: str, random: str) -> pd.DataFrame:
    """Compare ablations image by image: the heads at the top and random ones with none, and with each other.

    Parameters
    ----------
    answers : pandas.DataFrame
        Of `ablation_answers`, with `image`, `object` and `center`; one of its sets is ``"none"``.
    top, random : str
        Names of the two others. Of a name with several sets the mean of an image counts.

    Returns
    -------
    pandas.DataFrame
        One row per image and `contrast`, with `object`, `center` and `change`, in percentage points of that image's
        accuracy. `crosseyed.measure.bootstrap.center_difference` makes changes of accuracy and gap of it, paired by
        image.
    """
    keys = ["image", "object", "center"]
    correct = answers.assign(correct=answers["correct"].astype("Float64")).pivot_table(
        "correct", keys, "ablated", aggfunc="mean", observed=True
    )
    contrasts = {top: (top, "none"), random: (random, "none"), f"{top} against {random}": (top, random)}
    return pd.concat(
        [
            (100.0 * (correct[first] - correct[second])).rename("change").reset_index().assign(contrast=name)
            for name, (first, second) in contrasts.items()
        ],
        ignore_index=True,
    ).astype({"change": float})
