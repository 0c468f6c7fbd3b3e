"""How the odds of recognition change with eccentricity in one's own photographs, where nothing is held constant.

In photographs, objects at the border are also smaller, more often cut off and among more others, and categories differ
in all of this. A mixed logistic regression accounts for it:
``logit P(correct) = intercept of the category + slope of the category * eccentricity + effects of the covariates``,
with normal intercepts and slopes of the categories. The mean slope is the bias.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, sparse, stats
from scipy.special import expit

from crosseyed.errors import InputError, check_choice
from crosseyed.measure.checks import EstimateWarning, resolve
from crosseyed.tables import require_columns

_CATEGORY_COLUMNS = ["object", "n", "accuracy", "odds_ratio", "low", "high"]

_PRIOR_SD = 5.0  # on the logit scale, for one standard deviation of a covariate: wide, but finite

_SMALLEST_VARIANCE = 1e-4

_MAX_LOGIT_STEP = 4.0


@dataclass(frozen=True)
class Covariate:
    """How a column of the table enters the regression.

    Attributes
    ----------
    unit : str
        The change that an odds ratio is given for.
    scale : callable
        From the values of the column (n,) to numbers in which that change is 1.
    """

    unit: str
    scale: Callable[[np.ndarray], np.ndarray]


COVARIATES = {
    "eccentricity": Covariate("0.1 further out", lambda values: 10 * values),
    "area": Covariate("twice the area", np.log2),
    "truncated": Covariate("box touches the border", lambda values: values),
    "n_objects": Covariate("twice as many objects", np.log2),
    "in_crop": Covariate("10 % more of the box in the crop", lambda values: 10 * values),
}

"""What the regression takes into account, by column of `crosseyed.measure.recognition.recognise`; eccentricity
comes first."""


@dataclass(frozen=True, eq=False)
class MixedSlope:
    """The result of `mixed_slope`.

    Attributes
    ----------
    effects : pandas.DataFrame
        One row per covariate that varies, eccentricity first:

        - `effect`, `unit`: the covariate and the change that the odds ratio is for;
        - `odds_ratio`, `low`, `high`: factor on the odds for a category of average slope (below 1: worse);
        - `p_value`: two-sided, of the hypothesis that the factor is 1;
        - `between_sd`: of eccentricity alone, the standard deviation of the categories' log odds ratios;
        - `n`, `n_images`, `n_categories`: rows, images and categories in the regression;
        - `shared`, `unanswered`: rows left out because the image repeats their category, or `correct` is ``<NA>``;
        - `note`: why there is no estimate, otherwise empty; `confidence`: as given.
    categories : pandas.DataFrame
        Worst affected category first: `object`, `n`, `accuracy` (percent), `odds_ratio`, `low`, `high` for 0.1 of
        eccentricity, shrunk towards the mean. Empty without an estimate.
    """

    effects: pd.DataFrame
    categories: pd.DataFrame


def mixed_slope(
    table: pd.DataFrame, covariates: Iterable[str] = tuple(COVARIATES), *, confidence: float | None = None
) -> MixedSlope:
    """Estimate how the odds of recognition change with eccentricity, other things being equal.

    Parameters
    ----------
    table : pandas.DataFrame
        Objects that `crosseyed.measure.recognition.recognise` returned for one model: `image`, `object` (category),
        `instances`, `correct` and the covariates. Rows whose category the image repeats are left out.
    covariates : iterable of str
        Of `COVARIATES`, besides eccentricity; omit ``"in_crop"`` for a model that sees whole images.
    confidence : float, optional
        Coverage of the intervals, in (0, 1); by default that of the settings.

    Returns
    -------
    MixedSlope
        Without an estimate its `note` says why, and an `EstimateWarning` too.

    Raises
    ------
    InputError
        The table lacks a column, a covariate is not one of `COVARIATES` or has missing or impossible values, or
        `confidence` is out of range.

    Notes
    -----
    Intercepts and slopes of the categories are independent and normal. Given their variances, all effects are at the
    maximum of the penalised likelihood, and the variances follow from the effects and their covariance matrix by
    Schall's update (*Biometrika* 78, 1991), in turn until nothing changes: penalised quasi-likelihood (Breslow and
    Clayton, *Journal of the American Statistical Association* 88, 1993). A wide normal prior (standard deviation 5 for
    one standard deviation of a covariate) keeps an effect finite that separates right from wrong rows.

    Intervals come from the joint covariance matrix; the variational posterior of statsmodels
    (``BinomialBayesMixedGLM.fit_vb``) makes them too narrow where categories differ. The data's part of the matrix is
    summed by image (sandwich estimator; Liang and Zeger, *Biometrika* 73, 1986). Effects use Student's t with one
    degree of freedom less than there are categories; single categories use the normal approximation.
    """
    covariates = list(dict.fromkeys(["eccentricity", *covariates]))
    confidence, _ = resolve(confidence)
    _check(table, covariates)
    single, answered = table["instances"] == 1, table["correct"].notna()
    rows = table[single & answered]
    codes, names = pd.factorize(rows["object"])
    images = pd.factorize(rows["image"])[0]
    correct = rows["correct"].to_numpy(dtype=float)
    fixed, scales = _standardise({name: _numbers(rows, name) for name in covariates})
    counts = {
        "n": len(rows),
        "n_images": len(np.unique(images)),
        "n_categories": len(names),
        "shared": np.count_nonzero(~single),
        "unanswered": np.count_nonzero(single & ~answered),
    }
    note = _obstacle(correct, fixed, len(names), "eccentricity" in scales)
    if note:
        warnings.warn(f"no slope: {note}", EstimateWarning, stacklevel=2)
        missing = dict.fromkeys(["odds_ratio", "low", "high", "p_value", "between_sd"], np.nan)
        first = {"effect": "eccentricity", "unit": COVARIATES["eccentricity"].unit, **missing, **counts}
        effects, categories = pd.DataFrame([first]), pd.DataFrame(columns=_CATEGORY_COLUMNS)
    else:
        fit = _fit(correct, fixed, codes, images)
        effects = _effects(fit, scales, len(names), confidence).assign(**counts)
        categories = _categories(fit, scales["eccentricity"], correct, codes, names, confidence)
    return MixedSlope(effects.assign(note=note, confidence=confidence), categories)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Effects (fixed, intercepts, slopes of categories), their covariance and that of the fixed by image, variances."""

    estimate: np.ndarray
    covariance: np.ndarray
    robust: np.ndarray
    variances: np.ndarray


def _fit(correct: np.ndarray, fixed: np.ndarray, categories: np.ndarray, images: np.ndarray) -> _Fit:
    """Fit the model to rows of 0 and 1; `fixed` (n, p) has the intercept, then eccentricity."""
    n_fixed, n_categories = fixed.shape[1], categories.max() + 1
    of_category, of_image = _indicator(categories), _indicator(images)
    slopes = of_category.multiply(fixed[:, [1]])
    design = sparse.hstack([sparse.csr_array(fixed), of_category, slopes], format="csr")
    estimate, variances = np.zeros(design.shape[1]), np.ones(2)
    for _ in range(200):
        prior = np.full(n_fixed, _PRIOR_SD**-2)
        penalty = np.concatenate([prior, np.repeat(1 / variances, n_categories)])
        estimate, covariance = _maximise(correct, design, penalty, estimate)
        squares, undecided = (
            part[n_fixed:].reshape(2, n_categories).sum(axis=1)
            for part in (estimate**2, np.diag(covariance) * penalty)
        )
        previous, variances = variances, np.maximum(squares / (n_categories - undecided), _SMALLEST_VARIANCE)
        if np.allclose(previous, variances, rtol=1e-3):
            break
    scores = of_image.T @ design.multiply((correct - expit(design @ estimate))[:, None])
    n_rows, n_images = len(correct), images.max() + 1
    decided = len(penalty) - np.diag(covariance) @ penalty  # the number of effects that the data pay for
    small_sample = n_rows / max(n_rows - decided, 1) * n_images / max(n_images - 1, 1)
    summed = small_sample * (scores.T @ scores).toarray() + np.diag(penalty)
    robust = covariance[:n_fixed] @ summed @ covariance[:, :n_fixed]
    return _Fit(estimate, covariance, robust, previous)


def _maximise(
    correct: np.ndarray, design: sparse.csr_array, penalty: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of the penalised likelihood by Newton's method, and the inverse Hessian there."""
    estimate = start
    for _ in range(100):
        probability = expit(design @ estimate)
        weighted = design.multiply((probability * (1 - probability))[:, None])
        factor = linalg.cho_factor((design.T @ weighted).toarray() + np.diag(penalty))
        step = linalg.cho_solve(factor, design.T @ (correct - probability) - penalty * estimate)
        longest = np.abs(design @ step).max()
        if longest < 1e-8:
            break
        estimate = estimate + step * min(1, _MAX_LOGIT_STEP / longest)
    return estimate, linalg.cho_solve(factor, np.eye(len(penalty)))


def _indicator(codes: np.ndarray) -> sparse.csr_array:
    """Return a matrix (n, n_codes) with a 1 at the code of each row."""
    return sparse.csr_array((np.ones(len(codes)), (np.arange(len(codes)), codes)))


def _effects(fit: _Fit, scales: dict[str, float], n_categories: int, confidence: float) -> pd.DataFrame:
    """Return the estimates of `MixedSlope.effects`; `scales` are the standard deviations of the covariates."""
    student = stats.t(n_categories - 1)
    rows = []
    for number, (name, scale) in enumerate(scales.items(), start=1):
        slope, error = fit.estimate[number] / scale, np.sqrt(fit.robust[number, number]) / scale
        spread = np.sqrt(fit.variances[1]) / scale if name == "eccentricity" else np.nan
        ratio = _odds_ratio(slope, error, student, confidence)
        p_value = 2 * student.sf(abs(slope) / error)
        unit = COVARIATES[name].unit
        rows.append({"effect": name, "unit": unit, **ratio, "p_value": p_value, "between_sd": spread})
    return pd.DataFrame(rows)


def _categories(
    fit: _Fit, scale: float, correct: np.ndarray, codes: np.ndarray, names: pd.Index, confidence: float
) -> pd.DataFrame:
    """Return `MixedSlope.categories`; `scale` is the standard deviation of eccentricity."""
    by_category = pd.Series(correct).groupby(codes)
    table = pd.DataFrame({"object": names, "n": by_category.size(), "accuracy": 100 * by_category.mean()})
    own = len(fit.estimate) - len(names) + np.arange(len(names))  # the mean slope is effect 1
    slope = fit.estimate[1] + fit.estimate[own]
    variance = fit.covariance[1, 1] + np.diag(fit.covariance)[own] + 2 * fit.covariance[1, own]
    ratio = _odds_ratio(slope / scale, np.sqrt(variance) / scale, stats.norm, confidence)
    return table.assign(**ratio)[_CATEGORY_COLUMNS].sort_values("odds_ratio", ignore_index=True)


def _odds_ratio(
    slope: np.ndarray, error: np.ndarray, distribution: object, confidence: float
) -> dict[str, np.ndarray]:
    """Return the odds ratios of slopes with intervals whose quantiles are those of a scipy distribution."""
    reach = distribution.ppf((1 + confidence) / 2) * error
    return {
        "odds_ratio": np.exp(slope),
        "low": np.exp(slope - reach),
        "high": np.exp(slope + reach),
    }


def _standardise(values: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, float]]:
    """Return a column of ones and the covariates that vary, with mean 0 and variance 1, and what they varied by."""
    varying = {name: column for name, column in values.items() if len(column) and np.ptp(column) > 1e-9}
    scales = {name: float(column.std()) for name, column in varying.items()}
    standard = [(column - column.mean()) / scales[name] for name, column in varying.items()]
    n_rows = len(next(iter(values.values())))
    return np.column_stack([np.ones(n_rows), *standard]), scales


def _obstacle(correct: np.ndarray, fixed: np.ndarray, n_categories: int, has_eccentricity: bool) -> str:
    """Say why there can be no estimate; nothing if there can."""
    if n_categories < 2:
        return f"{n_categories} categories have rows that can be used; two are needed"
    if correct.min() == correct.max():
        return f"all {len(correct)} answers are {'right' if correct[0] else 'wrong'}"
    if not has_eccentricity:
        return "all objects stand at the same eccentricity"
    if np.linalg.matrix_rank(fixed) < fixed.shape[1]:
        return "a covariate changes in step with the others, so that their effects cannot be told apart"
    return ""


def _check(table: pd.DataFrame, covariates: list[str]) -> None:
    for name in covariates:
        check_choice("covariate", name, COVARIATES)
    require_columns(
        table, ["image", "object", "instances", "correct", *covariates], "the table of recognition"
    )


def _numbers(rows: pd.DataFrame, column: str) -> np.ndarray:
    """Return a covariate as it enters the regression (n,)."""
    values = rows[column].to_numpy(dtype=float, na_value=np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = COVARIATES[column].scale(values)
    if not np.isfinite(scaled).all():
        raise InputError(f"Column {column!r} has missing or impossible values; drop those rows.")
    return scaled
