"""Accuracy by eccentricity as a logistic regression."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import optimize, sparse, stats
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.discrete.discrete_model import Logit

from crosseyed.measure.checks import (
    EstimateWarning,
    as_columns,
    clusters_of,
    correct_of,
    eccentricity_of,
    group_label,
    groups_of,
    positive_of,
    recode,
    resolve,
    varies_within,
)

# Up to this many rows an object the exact conditional likelihood takes a second (its cost grows with the
# square of the rows); above it, estimating the object effects overstates the slope by less than 1 / 30.
_MAX_CONDITIONAL_ROWS = 30


def eccentricity_slope(
    table: pd.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    cluster: str = "object",
    confidence: float | None = None,
) -> pd.DataFrame:
    """Estimate how the odds of a right answer change with eccentricity, for a given object.

    A logistic regression of `correct` on eccentricity with one effect per object:
    ``logit P(correct) = object effect + slope * eccentricity + size slope * log(size)``.

    Parameters
    ----------
    table : pandas.DataFrame
        With `correct`, `eccentricity` (in [0, 1]) and `cluster`; log `size` enters if it varies within an object.
    by : str, sequence of str or None
        Columns whose combinations of values are fitted separately.
    cluster : str
        Column of the objects.
    confidence : float, optional
        Coverage of the interval, in (0, 1); by default that of the settings.

    Returns
    -------
    pandas.DataFrame
        One row per group: the columns of `by`;

        - `odds_ratio`, `low`, `high`: factor on the odds for each 0.1 of eccentricity (below 1: worse at the border);
        - `p_value`: two-sided, of the hypothesis that the factor is 1;
        - `n`, `n_objects`, `unreadable`: readable rows, their objects, rows whose `correct` is ``<NA>``;
        - `n_informative`: objects neither always right nor always wrong;
        - `size_covariate`: whether log size is in the regression;
        - `note`: why there is no estimate (NaN, with an `EstimateWarning`), otherwise empty;
        - `confidence`: as given.

    Raises
    ------
    InputError
        The table is empty or lacks a column, or a value is out of range.

    Notes
    -----
    Objects that are always right or always wrong drop out. The rest is fitted by statsmodels' conditional logistic
    regression (Chamberlain, *Review of Economic Studies* 47, 1980) or, above 30 rows per object on average, by `Logit`
    with one dummy per object, which overstates the slope by about one part in the number of rows per object.

    Standard errors are clustered by object (sandwich estimator; Liang and Zeger, *Biometrika* 73, 1986); interval and
    p-value use Student's t with one degree of freedom less than there are informative objects.
    """
    by = as_columns(by)
    confidence, _ = resolve(confidence)
    correct = correct_of(table, [*by, cluster, "eccentricity"])
    covariates = {"eccentricity": 10 * eccentricity_of(table)}
    if "size" in table:
        covariates["size"] = np.log(positive_of(table, "size"))
    groups, codes = groups_of(table, by)
    objects = clusters_of(table, cluster)
    fits = []
    for group in range(len(groups)):
        rows = codes == group
        readable = rows & ~np.isnan(correct)
        fit = _fit_slope(
            correct[readable],
            {name: values[readable] for name, values in covariates.items()},
            objects[readable],
            confidence,
        )
        if fit["note"]:
            message = f"no slope{group_label(groups, group)}: {fit['note']}"
            warnings.warn(message, EstimateWarning, stacklevel=2)
        fits.append({**fit, "unreadable": np.count_nonzero(rows & ~readable)})
    columns = ["odds_ratio", "low", "high", "p_value", "n", "n_objects", "n_informative", "unreadable"]
    result = groups.join(pd.DataFrame(fits)[[*columns, "size_covariate", "note"]])
    result["confidence"] = confidence
    return result


def _fit_slope(
    correct: np.ndarray, covariates: dict[str, np.ndarray], objects: np.ndarray, confidence: float
) -> dict[str, object]:
    """Return the slope on eccentricity of one group as the columns of `eccentricity_slope`."""
    n_objects = len(np.unique(objects))
    informative = varies_within(correct, objects)
    correct, objects = correct[informative], recode(objects[informative])
    covariates = {name: values[informative] for name, values in covariates.items()}
    n_informative = len(np.unique(objects))
    varying = [name for name, values in covariates.items() if varies_within(values, objects).any()]
    fit = dict.fromkeys(["odds_ratio", "low", "high", "p_value"], np.nan)
    fit |= {"n": len(informative), "n_objects": n_objects, "n_informative": n_informative}
    fit |= {"size_covariate": "size" in varying, "note": ""}
    if n_informative < 2:
        note = f"{n_informative} of {n_objects} objects are both right and wrong; two are needed"
        return fit | {"note": note}
    if "eccentricity" not in varying:
        return fit | {"note": "no object that is both right and wrong stood at more than one eccentricity"}
    design = np.column_stack([covariates[name] for name in varying])
    # Object means say nothing beside object effects; without them the numbers stay small and the rank is that
    # of the variation within objects.
    design -= pd.DataFrame(design).groupby(objects).transform("mean").to_numpy()
    if np.linalg.matrix_rank(design) < len(varying):
        return fit | {"note": "size changes in step with eccentricity, so their effects cannot be told apart"}
    if _separated(correct, design, objects):
        return fit | {"note": "position or size separates right from wrong rows without exception"}
    few_rows = len(correct) <= _MAX_CONDITIONAL_ROWS * n_informative
    slope, error = (_conditional_logit if few_rows else _dummy_logit)(correct, design, objects)
    df = n_informative - 1
    half_width = stats.t.ppf((1 + confidence) / 2, df) * error
    return fit | {
        "odds_ratio": np.exp(slope),
        "low": np.exp(slope - half_width),
        "high": np.exp(slope + half_width),
        "p_value": 2 * stats.t.sf(abs(slope) / error, df),
    }


def _separated(correct: np.ndarray, design: np.ndarray, objects: np.ndarray) -> bool:
    """Say whether some direction of `design` (n, k) puts no right row below a wrong row of the same object."""
    # Then the likelihood has no maximum (Albert and Anderson, Biometrika 71, 1984). The direction and one threshold
    # an object are sought by a linear program (Konis, doctoral thesis, University of Oxford, 2007).
    n_rows, n_covariates = design.shape
    thresholds = sparse.csr_array((np.ones(n_rows), (np.arange(n_rows), objects)))
    sides = sparse.diags_array(2 * correct - 1) @ sparse.hstack([sparse.csr_array(design), -thresholds])
    bounds = [(-1, 1)] * n_covariates + [(None, None)] * thresholds.shape[1]
    program = optimize.linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(n_rows), bounds=bounds)
    return -program.fun > 1e-6


def _conditional_logit(correct: np.ndarray, design: np.ndarray, objects: np.ndarray) -> tuple[float, float]:
    """Return the first slope and its clustered standard error, conditional on each object's right rows."""
    model = ConditionalLogit(correct, design, groups=objects)
    fit = model.fit(disp=False)
    scores = np.array([model.score_grp(group, fit.params) for group in range(objects.max() + 1)])
    bread = fit.cov_params()
    covariance = bread @ scores.T @ scores @ bread * len(scores) / (len(scores) - 1)
    return fit.params[0], np.sqrt(covariance[0, 0])


def _dummy_logit(correct: np.ndarray, design: np.ndarray, objects: np.ndarray) -> tuple[float, float]:
    """Return the first slope and its clustered standard error, with one dummy an object."""
    dummies = np.eye(objects.max() + 1)[objects]
    fit = Logit(correct, np.hstack([design, dummies])).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": objects}
    )
    return fit.params[0], fit.bse[0]
