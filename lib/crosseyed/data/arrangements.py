"""Scenes for single questions about robustness, beside the layouts of the protocols (`crosseyed.data.layouts`)."""

from collections.abc import Sequence

import numpy as np

from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError


def thinned(scenes: Sequence[Scene], n_off_center: int, seed: int = 0) -> list[Scene]:
    """Keep of every object the scene at the center and some that are off-center.

    The gap of what is kept has the expectation of the whole grid's, at a fraction of its images: cells are dealt to
    the cut-outs in turn, in one random order, so that each is kept about equally often. Grids of the same objects and
    number of cells keep the same cells, and what is kept for a smaller number is kept for a larger one, too.

    Parameters
    ----------
    scenes : sequence of Scene
        From `crosseyed.data.layouts.grid`.
    n_off_center : int
        How many off-center scenes of each cut-out are kept, at least 1; of fewer all.
    seed : int
        Decides which.

    Raises
    ------
    InputError
        The number is below 1.
    """
    if n_off_center < 1:
        raise InputError(f"n_off_center is {n_off_center}; keep at least 1 off-center scene of each object.")
    places: dict[Cutout, list[int]] = {}
    for number, scene in enumerate(scenes):
        if not scene.center:
            places.setdefault(scene.placements[0].cutout, []).append(number)
    dropped: set[int] = set()
    for turn, numbers in enumerate(places.values()):
        order = np.random.default_rng([seed, 3]).permutation(numbers)
        dropped.update(np.roll(order, -turn)[n_off_center:].tolist())
    return [scene for number, scene in enumerate(scenes) if number not in dropped]
