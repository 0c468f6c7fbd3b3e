"""Rings around the image center."""

from collections.abc import Sequence

import numpy as np

from crosseyed.errors import InputError

ROUNDING = 1e-9  # a place on the edge of two rings stays on its side


def rings(
    eccentricities: np.ndarray, bins: int | Sequence[float], what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges (n_rings + 1,) of rings around the image center and the ring (n,) of each place, from 0.

    A ring contains its outer edge, the first also its inner one.

    Parameters
    ----------
    eccentricities : numpy.ndarray, shape (n,)
        Of the places, in [0, 1].
    bins : int or sequence of float
        Number of rings of equal width from eccentricity 0 to 1, or their increasing edges.
    what : str
        What the message calls the places, for example "the patches".

    Raises
    ------
    InputError
        `bins` is not valid or leaves places out.
    """
    if isinstance(bins, int | np.integer):
        if bins < 1:
            raise InputError(f"bins is {bins}; expected at least 1 ring, or the edges of the rings")
        edges = np.linspace(0, 1, bins + 1)
    else:
        edges = np.asarray(bins, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise InputError(f"bins are {bins!r}; expected a number of rings or at least two increasing edges")
    least, most = np.min(eccentricities), np.max(eccentricities)
    if least < edges[0] - ROUNDING or most > edges[-1] + ROUNDING:
        raise InputError(
            f"bins reach from {edges[0]:g} to {edges[-1]:g}, but {what} from {least:g} to {most:g}; widen the bins"
        )
    return edges, np.maximum(np.searchsorted(edges + ROUNDING, eccentricities), 1) - 1
