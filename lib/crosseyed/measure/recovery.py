"""Intervals of differences and ratios, from the intervals of the two quantities that they are made of.

A difference of two accuracies near 100 % has a skewed distribution, and no variance where all answers are right. The
intervals of both accuracies know this (`crosseyed.measure.proportions`), and how far they reach to either side takes
the place of standard errors. Of quantities a and b with the ends l and u, and estimates whose correlation is r, the
difference lies between ::

    a − b − √((a − l_a)² + (u_b − b)² − 2 r (a − l_a) (u_b − b))
    a − b + √((u_a − a)² + (b − l_b)² − 2 r (u_a − a) (b − l_b))

(Newcombe, *Statistics in Medicine* 17, 1998, for proportions; Zou and Donner, *Statistics in Medicine* 27, 2008, for
anything: the method of variance estimates recovery). The ratio a / b lies between those θ for which the interval of
a − θ b ends at zero (Donner and Zou, *Statistical Methods in Medical Research* 21, 2012); of two t intervals this is
the interval of Fieller (*Journal of the Royal Statistical Society* B 16, 1954).
"""

import numpy as np

Measured = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A quantity and the ends of its interval, low and high: arrays of one shape."""


ENDS = ("", "_low", "_high")
"""What follows the name of a quantity in the names of the columns with it and with the ends of its interval."""


def with_ends(name: str, measured: Measured) -> dict[str, np.ndarray]:
    """Return a quantity and the ends of its interval by the names of their columns."""
    return dict(zip((f"{name}{end}" for end in ENDS), measured, strict=True))


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation (...,) of two estimates from their draws (resamples, ...); 0 where one does not vary."""
    there = ~np.isnan(first + second)
    n = np.maximum(there.sum(axis=0), 1)
    first, second = (
        np.where(there, draws - np.where(there, draws, 0).sum(axis=0) / n, 0) for draws in (first, second)
    )
    spread = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.divide((first * second).sum(axis=0), spread, out=np.zeros(spread.shape), where=spread > 0)


def difference(first: Measured, second: Measured, correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of the first quantity minus the second.

    Parameters
    ----------
    first, second : tuple of three arrays (...,)
        Value, low and high, of the same unit; NaN gives NaN.
    correlation : float (...,)
        Of the two estimates, in [-1, 1].
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    down = _reach(a - a_low, b_high - b, correlation)
    up = _reach(a_high - a, b - b_low, correlation)
    return a - b - down, a - b + up


def ratio(part: Measured, whole: Measured, correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of the first quantity divided by the second.

    Parameters
    ----------
    part : tuple of three arrays (...,)
        Value, low and high. Where it may be negative, both intervals must be symmetric.
    whole : tuple of three arrays (...,)
        The same, of positive values; where its interval contains zero the ratio has none (NaN).
    correlation : float (...,)
        Of the two estimates, in [-1, 1].
    """
    (a, a_low, a_high), (b, b_low, b_high) = part, whole
    with np.errstate(divide="ignore", invalid="ignore"):
        least = _root(a, b, a - a_low, b_high - b, correlation, -1)
        most = _root(a, b, a_high - a, b - b_low, correlation, 1)
    bounded = np.asarray(b_low) > 0
    return np.where(bounded, least, np.nan)[()], np.where(bounded, most, np.nan)[()]


def _reach(first: np.ndarray, second: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(first**2 + second**2 - 2 * correlation * first * second, 0))


def _root(
    a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray, correlation: np.ndarray, sign: int
) -> np.ndarray:
    """Return the smaller (-1) or larger (1) θ with (a − θ b)² = of_a² + θ² of_b² − 2 correlation θ of_a of_b."""
    square, mixed, free = b**2 - of_b**2, a * b - correlation * of_a * of_b, a**2 - of_a**2
    root = np.sqrt(np.maximum(mixed**2 - square * free, 0))
    # where the whole is small `square` can be zero or less, and the smaller θ is still there
    stable = np.where(mixed > 0, free / (mixed + root), (mixed - root) / square)
    return stable if sign < 0 else (mixed + root) / square
