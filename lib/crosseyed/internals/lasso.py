"""The non-negative lasso for many targets over one large dictionary, solved to a proven accuracy.

For every target z and the dictionary C (one atom a row) it minimises

    P(w) = ‖z − w C‖² / 2 + penalty · Σ w        over w ≥ 0.

Of thousands of atoms a solution uses a few dozen, so each target has a working set of its own: the atoms in use
and those that correlate most with the residual. The problem is solved on the working sets alone, for many targets
at once; then one matrix product with the whole dictionary shows whether an atom was missed (working sets as in
Johnson and Guestrin, *Blitz*, ICML 2015). It ends when the duality gap says that no weights could do better.
"""

import warnings

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from crosseyed.errors import InputError
from crosseyed.progress import bar

_ROWS_AT_ONCE = 256
_SMALLEST_WORKING_SET = 64
_LARGEST_BLOCK = 2**26  # numbers (256 MB) that the working sets of one block of targets may take
_ROUNDS = 60
_STEPS = 50
_SWEEPS = 3  # of coordinate descent before each Newton step: enough to find out which atoms are of use
_RIDGE = 1e-5  # keeps the Newton step defined where atoms repeat, at the price of some more steps
_ROUNDING = 2e-7  # slopes of unit vectors in float32 are no more exact than this


class LassoWarning(UserWarning):
    """Some targets have not reached the tolerance; the message says how many and how far they are."""


def nonnegative_lasso(
    targets: np.ndarray, dictionary: np.ndarray, penalty: float, *, tolerance: float = 2e-5
) -> sparse.csr_array:
    """Write each target as a sparse sum of atoms with weights that are not negative.

    Parameters
    ----------
    targets : float (n_targets, width), finite
    dictionary : float (n_atoms, width), finite; the weights of atoms that repeat are not unique, the objective is
    penalty : float, positive, price of a unit of weight; from the largest product of target and atom on all are 0
    tolerance : float, bound on the relative distance of the objective from its minimum; in float32 at least about 1e-6

    Returns
    -------
    scipy.sparse.csr_array, shape (n_targets, n_atoms)
        The weights, float32, positive where stored.

    Raises
    ------
    InputError
        An array has the wrong shape, no rows or numbers that are not finite; penalty or tolerance is not positive.

    Warns
    -----
    LassoWarning
        Targets for which the tolerance was not reached.

    Notes
    -----
    scikit-learn's ``Lasso(alpha=penalty / width, positive=True, fit_intercept=False)`` has the same solution and an
    objective that is smaller by the factor `width`.

    With the residual r = z − w C, a multiple s·r with s ≤ penalty / max(C r) is feasible for the dual problem, whose
    value there, s·zᵀr − s²‖r‖² / 2, is a lower bound of the minimum. Their difference is the duality gap
    (Boyd and Vandenberghe, *Convex Optimization*, 2004, section 5.5.1).

    Beyond its input and result it takes memory for about 1,000 × n_atoms + 3 · 2²⁶ numbers of 4 bytes.
    """
    _check(targets, dictionary, penalty, tolerance)
    atoms = torch.from_numpy(np.ascontiguousarray(dictionary, dtype=np.float32))
    blocks, gaps = [], []
    with torch.inference_mode():
        parts = torch.from_numpy(np.ascontiguousarray(targets, dtype=np.float32)).split(_ROWS_AT_ONCE)
        for rows in bar(parts, unit="block"):
            weights, gap = _solve(rows, atoms, penalty, tolerance)
            blocks.append(sparse.csr_array(weights.numpy()))
            gaps.append(gap)
    missed = torch.cat(gaps)
    missed = missed[missed > tolerance]
    if len(missed):
        warnings.warn(
            f"The objective of {len(missed)} of {len(targets)} targets may be further than {tolerance:g} from its "
            f"minimum, by up to {missed.max():.1g} (relative); raise the penalty ({penalty:g}) or the tolerance.",
            LassoWarning,
            stacklevel=2,
        )
    return sparse.vstack(blocks, format="csr")


def _solve(targets: Tensor, atoms: Tensor, penalty: float, tolerance: float) -> tuple[Tensor, Tensor]:
    """Solve for one block of targets: weights (targets, atoms) and relative duality gaps (targets,)."""
    weights = targets.new_zeros(len(targets), len(atoms))
    gaps = targets.new_full((len(targets),), torch.inf, dtype=torch.float64)
    correlations = products = targets @ atoms.T
    pending = torch.arange(len(targets))
    size = min(_SMALLEST_WORKING_SET, len(atoms))
    for _ in range(_ROUNDS):
        residuals = torch.empty_like(targets[pending])
        at_once = max(1, _LARGEST_BLOCK // (size * (size + targets.shape[1])))
        for part in torch.arange(len(pending)).split(at_once):
            rows = pending[part]
            used = weights[rows]
            # atoms in use come first, then those that promise most
            index = torch.where(used > 0, torch.inf, correlations[part]).topk(size, sorted=False).indices
            working = atoms[index]
            solution = _minimise(
                working @ working.mT,
                products[rows].gather(1, index) - penalty,
                used.gather(1, index),
                max(tolerance * penalty / 2, _ROUNDING),
            )
            weights[rows] = torch.zeros_like(used).scatter_(1, index, solution)
            residuals[part] = targets[rows] - _times(working.mT, solution)
        correlations = residuals @ atoms.T
        gaps[pending] = _relative_gap(targets[pending], residuals, weights[pending], correlations, penalty)
        missed = gaps[pending] > tolerance
        pending, correlations = pending[missed], correlations[missed]
        if not len(pending):
            break
        size = min(max(size, int(1.5 * (weights[pending] > 0).sum(dim=1).max())), len(atoms))
    return weights, gaps


def _minimise(gram: Tensor, linear: Tensor, weights: Tensor, tolerance: float) -> Tensor:
    """Minimise w G w / 2 − linear · w over w ≥ 0 for every row of (rows, size), starting from `weights`.

    It ends when no slope exceeds the tolerance. Coordinate descent finds the atoms of use but is slow where they are
    alike; a Newton step, shortened where a weight would become negative, solves for those in use exactly.
    """
    diagonal = gram.diagonal(dim1=1, dim2=2).clamp_min(1e-12)  # an atom of length 0 stays unused
    columns = gram.transpose(0, 1).contiguous()
    weights = weights.clone()
    for _ in range(_STEPS):
        slopes = linear - _times(gram, weights)
        if torch.where(weights > 0, slopes.abs(), slopes).max() <= tolerance:
            break
        for number, column in [*enumerate(columns)] * _SWEEPS:
            before = weights[:, number]
            change = (before + slopes[:, number] / diagonal[:, number]).clamp_min_(0) - before
            weights[:, number] += change
            slopes.addcmul_(column, change[:, None], value=-1)
        used = (weights > 0).float()
        system = gram * used[:, None] * used[:, :, None]
        system.diagonal(dim1=1, dim2=2).add_(torch.where(used > 0, _RIDGE * diagonal, 1))
        factor, failed = torch.linalg.cholesky_ex(system)
        step = torch.cholesky_solve((slopes * used)[..., None], factor)[..., 0]
        step[failed > 0] = 0  # so many atoms alike that rounding exceeds the ridge: descent alone goes on
        length = torch.where(step < 0, -weights / step, torch.inf).amin(dim=1, keepdim=True)
        weights = (weights + length.clamp_max(1) * step).clamp_min_(0)
    return weights


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[..., None])[..., 0]


def _relative_gap(
    targets: Tensor, residuals: Tensor, weights: Tensor, correlations: Tensor, penalty: float
) -> Tensor:
    """Bound how much smaller the objective could be, as a fraction of it."""
    targets, residuals = targets.double(), residuals.double()
    squares = residuals.square().sum(dim=1)
    primal = squares / 2 + penalty * weights.sum(dim=1, dtype=torch.float64)
    products = (targets * residuals).sum(dim=1)
    tiny = torch.finfo(torch.float64).tiny
    largest = penalty / correlations.amax(dim=1).double().clamp_min(tiny)
    scale = (products / squares.clamp_min(tiny)).clamp_min(0).minimum(largest)
    dual = scale * products - scale.square() * squares / 2
    return (primal - dual) / primal.clamp_min(tiny)


def _check(targets: np.ndarray, dictionary: np.ndarray, penalty: float, tolerance: float) -> None:
    for name, array in (("targets", targets), ("dictionary", dictionary)):
        if array.ndim != 2 or not len(array):
            raise InputError(
                f"{name} has the shape {array.shape}; give at least one row, as in (number of rows, width)."
            )
        if not np.isfinite(array).all():
            raise InputError(f"{name} has numbers that are not finite; leave those rows out.")
    if targets.shape[1] != dictionary.shape[1]:
        raise InputError(
            f"targets are {targets.shape[1]} wide but the dictionary is {dictionary.shape[1]}; give both from the "
            "same model."
        )
    for name, value in (("penalty", penalty), ("tolerance", tolerance)):
        if not 0 < value < np.inf:
            raise InputError(f"{name} is {value}; give a positive number.")
