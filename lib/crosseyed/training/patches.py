"""Let a training step see a part of each image: the patches nearest to what its caption names.

A tower that sees a quarter of the tokens takes a quarter of the time, and has less to look through while it learns
what objects look like. Tokens keep their true positional embeddings, so objects stand where a recipe puts them.
"""

from collections.abc import Sequence

import numpy as np

Target = tuple[float, float, float]
"""An object: its center, as fractions of the side, and its size over the side."""

# Of what is seen against the object, in patches, so that the object is not always in its middle.
_LARGEST_SHIFT = 1.0


def nearest_patches(
    images: Sequence[Sequence[Target]], count: int, grid: int, rng: np.random.Generator
) -> np.ndarray:
    """Choose the patches of each image whose centers are nearest to the squares around its objects.

    Parameters
    ----------
    images : sequence of sequence of Target
        The objects of each image that count; at least one.
    count, grid : int
        How many patches to choose, out of ``grid * grid``.
    rng : numpy.random.Generator
        Moves each square by up to one patch in x and in y, and decides between patches of equal distance.

    Returns
    -------
    numpy.ndarray
        (images, count), int64: numbers of patches, row by row from 0, the nearest first. Of patches within a square,
        that nearest to its center is nearest.
    """
    middles = (np.arange(grid) + 0.5) / grid
    chosen = []
    for targets in images:
        distance = np.full((grid, grid), np.inf)
        for x, y, size in targets:
            right, below = _LARGEST_SHIFT / grid * rng.uniform(-1, 1, 2)
            away = np.maximum(abs(middles[None, :] - x - right), abs(middles[:, None] - y - below))
            distance = np.minimum(distance, away - size / 2)
        order = np.lexsort((rng.random(grid * grid), distance.ravel()))
        chosen.append(order[:count])
    return np.stack(chosen)
