"""What confidence knows: whether it is as high as the share of right answers, and whether it tells them apart.

The confidence in an answer is the softmax probability of the label chosen, at the scale that the model has learned: the
column `probability` of a table of answers. It is *calibrated* where, of answers given with probability p, a share of p
is right. It *discriminates* where right answers have more of it than wrong ones, which is all that a gate needs.

Throughout, `table` has one row per image with `correct`, `probability` (NaN for an unreadable image) and `object`;
`confidence`, `resamples` and `seed` are as in `crosseyed.measure.bootstrap`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit, logit, softmax

from crosseyed.data.geometry import rings
from crosseyed.errors import InputError
from crosseyed.measure import recovery
from crosseyed.measure.checks import clusters_of, correct_of, eccentricity_of, is_center, recode, values_of
from crosseyed.measure.proportions import clustered_wilson
from crosseyed.measure.resampling import Resampling

_RANGES = {
    "accuracy": (0, 100),
    "probability": (0, 100),
    "overconfidence": (-100, 100),
    "calibration_error": (0, 100),
}
"""Smallest and largest possible value of each quantity."""


def probability_of(logits: np.ndarray) -> np.ndarray:
    """Return the softmax probability of the best of the labels, (n,) in (0, 1], from logits (n, n_labels)."""
    return softmax(logits, axis=1).max(axis=1)


def by_eccentricity(
    table: pd.DataFrame,
    *,
    bins: int | Sequence[float] = 6,
    n_bins: int = 10,
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare confidence with accuracy in rings around the image center.

    Parameters
    ----------
    table, confidence, resamples, seed
        See the module; with a column `eccentricity`.
    bins : int or sequence of float
        Rings, as in `crosseyed.measure.bootstrap.accuracy_by_eccentricity`.
    n_bins : int
        Bins of equal width into which probabilities are sorted for the calibration error, at least 1.

    Returns
    -------
    pandas.DataFrame
        One row per ring with images, from the inside out: `eccentricity` (mean of the images), `eccentricity_low`,
        `eccentricity_high`; then, in percent and with intervals, `accuracy`, `probability` (its mean), `overconfidence`
        (mean probability minus accuracy, points) and `calibration_error`; `n`, `n_objects`, `unreadable`, `confidence`.

    Notes
    -----
    The expected calibration error is the mean over bins b of the absolute difference of accuracy and mean probability,
    weighted by their images (Guo et al., ICML 2017, arXiv 1706.04599, eq. 3)::

        Σ_b (n_b / n) |accuracy_b - probability_b|  =  Σ_b |Σ_{i in b} (correct_i - probability_i)| / n

    It is never negative and too large in small samples; its interval is about its expectation in samples of this size.
    Whether a model is calibrated is read off the overconfidence, which has no such bias.
    """
    if n_bins < 1:
        raise InputError(f"n_bins is {n_bins}; expected at least 1 bin of probabilities")
    correct, probability = _columns(table)
    eccentricity = eccentricity_of(table)
    edges, ring = rings(eccentricity, bins, "the table's eccentricities")
    codes = recode(ring)
    within = np.minimum((np.nan_to_num(probability) * n_bins).astype(int), n_bins - 1)
    surplus = np.where(within[:, None] == np.arange(n_bins), (probability - correct)[:, None], 0.0)
    surplus[np.isnan(probability - correct)] = np.nan
    sampling = Resampling("object", confidence, resamples, seed)
    values = np.column_stack([correct, probability, surplus])
    means, draws, counts = sampling.means(table, values, codes, codes.max() + 1)
    kept = np.unique(ring)
    result = pd.DataFrame(
        {
            "eccentricity": np.bincount(codes, eccentricity) / np.bincount(codes),
            "eccentricity_low": edges[kept],
            "eccentricity_high": edges[kept + 1],
        }
    )
    drawn = _quantities(draws)
    for name, observed in _quantities(means).items():
        ends = sampling.interval(observed, drawn[name], counts["n_objects"].to_numpy(), _RANGES[name])
        result = result.assign(**recovery.with_ends(name, (observed, *ends)))
    readable = ~np.isnan(correct + probability)
    objects = clusters_of(table, "object")[readable]
    _, low, high, _ = clustered_wilson(
        correct[readable], objects, codes[readable], len(result), sampling.confidence
    )
    result = result.assign(accuracy_low=100 * low, accuracy_high=100 * high)
    return result.join(counts).assign(confidence=sampling.confidence)


def discrimination(
    table: pd.DataFrame,
    *,
    confidence: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute how well confidence tells right answers from wrong ones, at the center and off-center.

    Parameters
    ----------
    table, confidence, resamples, seed
        See the module; with a column `center` or `eccentricity`.

    Returns
    -------
    pandas.DataFrame
        One row. With intervals: `center_auroc`, `off_center_auroc` and their `difference`. An AUROC is the probability
        that a right answer has the higher confidence of a right and a wrong one, ties counting half (0.5: none); NaN on
        a side where all answers are right or all wrong. Then `right_center`, `wrong_center`, `right_off_center`,
        `wrong_off_center` (numbers of answers), `n_objects`, `unreadable`, `confidence`.

    Notes
    -----
    The interval of an AUROC is a t interval of its logit, so that it stays within 0 and 1 (Pepe, *The Statistical
    Evaluation of Medical Tests for Classification and Prediction*, 2003, section 5.2); one that is 0 or 1 has no width.
    That of the difference follows from both (`crosseyed.measure.recovery`).
    """
    correct, probability = _columns(table)
    readable = ~np.isnan(correct + probability)
    if not readable.any():
        raise InputError("all rows of the table are unreadable images; there is nothing to measure")
    sampling = Resampling("object", confidence, resamples, seed)
    objects = recode(clusters_of(table, "object")[readable])
    center = is_center(table).to_numpy()[readable]
    right, probability = correct[readable] == 1, probability[readable]
    n_objects = objects.max() + 1
    result, drawn, measured = {}, {}, {}
    for name, side in {"center": center, "off_center": ~center}.items():
        wins = _wins(probability, right & side, ~right & side, objects, n_objects)
        n_right, n_wrong = (
            np.bincount(objects[rows & side], minlength=n_objects) for rows in (right, ~right)
        )
        drawn[name] = np.concatenate(
            [_auroc(weights, wins, n_right, n_wrong) for weights in sampling.weights(n_objects)]
        )
        area = _auroc(np.ones((1, n_objects)), wins, n_right, n_wrong)[0]
        measured[name] = (area, *_ends_on_logits(area, sampling, drawn[name], n_objects))
        result |= recovery.with_ends(f"{name}_auroc", measured[name])
        result |= {f"right_{name}": n_right.sum(), f"wrong_{name}": n_wrong.sum()}
    related = recovery.correlation(drawn["center"], drawn["off_center"])
    ends = recovery.difference(measured["center"], measured["off_center"], related)
    difference = measured["center"][0] - measured["off_center"][0]
    result |= recovery.with_ends("difference", (difference, *ends))
    counts = {"n_objects": n_objects, "unreadable": np.count_nonzero(~readable)}
    return pd.DataFrame([result | counts | {"confidence": sampling.confidence}])


def _columns(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return `correct` and `probability` (n,), after checking them."""
    correct, probability = correct_of(table, ["object"]), values_of(table, "probability", [])
    beyond = (probability < 0) | (probability > 1)
    if beyond.any():
        raise InputError(f"column 'probability' holds {probability[beyond][0]}; expected 0 to 1")
    return correct, probability


def _quantities(means: np.ndarray) -> dict[str, np.ndarray]:
    """Return percentages from means (..., 2 + n_bins) of correctness, probability and surplus by bin."""
    return {
        "accuracy": 100 * means[..., 0],
        "probability": 100 * means[..., 1],
        "overconfidence": 100 * (means[..., 1] - means[..., 0]),
        "calibration_error": 100 * np.abs(means[..., 2:]).sum(axis=-1),
    }


def _wins(
    probability: np.ndarray, right: np.ndarray, wrong: np.ndarray, objects: np.ndarray, n_objects: int
) -> np.ndarray:
    """Count by objects of the right and the wrong answer (n_objects, n_objects) how often the right one is surer."""
    ahead, behind = probability[right][:, None], probability[wrong]
    of_wrong = np.zeros((len(behind), n_objects))
    of_wrong[np.arange(len(behind)), objects[wrong]] = 1
    wins = np.zeros((n_objects, n_objects))
    np.add.at(wins, objects[right], ((ahead > behind) + 0.5 * (ahead == behind)) @ of_wrong)
    return wins


def _auroc(weights: np.ndarray, wins: np.ndarray, n_right: np.ndarray, n_wrong: np.ndarray) -> np.ndarray:
    """Return the AUROC (n_draws,) with each object taken as often as the weights (n_draws, n_objects) say."""
    pairs = (weights @ n_right) * (weights @ n_wrong)
    won = ((weights @ wins) * weights).sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def _ends_on_logits(
    area: float, sampling: Resampling, draws: np.ndarray, n_objects: int
) -> tuple[float, float]:
    """Return the ends of the interval of an AUROC, a t interval on the logit scale; NaN where the AUROC is."""
    if not 0 < area < 1:
        return area, area
    spread = area * (1 - area)
    reach = sampling.t_reach((draws - area) / spread, n_objects)
    return float(expit(logit(area) - reach)), float(expit(logit(area) + reach))
