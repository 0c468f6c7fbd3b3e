"""Compare the results of many models: which have results, which have none yet, and what the bias is related to.

Models differ in many things at once, and only as many exist as were published. What is computed here describes these
models; it cannot say how one of them would change if one of its properties were changed.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from crosseyed.editions import PRECISIONS, SIZES, edition_name
from crosseyed.models.scorer import SHIPPED
from crosseyed.settings import PROTOCOL_VERSION, settings

PROPERTIES = {
    "patch_size": "patch size (pixels)",
    "image_size": "resolution (pixels)",
    "millions": "size (millions of parameters)",
    "pooling": "pooling",
    "data": "training data",
}
"""What models are compared by: column and name for readers."""

LEAST_MODELS = 8
"""A property is compared from this many models on: with fewer, even a rank correlation of 0.7 may be chance."""

LEAST_IN_GROUP = 3
"""A group's mean has an interval from this many models on."""

_DIGEST = "\0"  # stands for any: the list names files, and a result the content of one

_NOT_STATED = "not stated"

RECENT = 2023
"""A model counts as recent if it was first described in this year or later."""


def describe(results: pd.DataFrame, models: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Add to results what the list of models says about them.

    Parameters
    ----------
    results : pandas.DataFrame
        From `crosseyed.report.kept_results.read`.
    models : sequence of mapping
        `models` of `crosseyed.report.model_list.read_list`.

    Returns
    -------
    pandas.DataFrame
        The same rows with further columns: `name`, the edition's name without precision, seed and size; `data`, what
        the model was trained on (``"not stated"`` if the list does not say); `year`, when it was first described (NA if
        the list does not say); `published`, false for the PocketCLIPs, which this project trained itself.
    """
    named = [(_pattern(entry), entry) for entry in models]
    told = results[["edition", "size", "seed", "precision"]].itertuples(index=False)
    names = [
        edition.removesuffix(f"--{size}").removesuffix(f"--seed{seed}").removesuffix(f"--{precision}")
        for edition, size, seed, precision in told
    ]
    return results.assign(
        name=pd.array(names, dtype="string"),
        data=pd.array([_stated(name, named, "data") or _NOT_STATED for name in names], dtype="string"),
        year=pd.array(
            [int(year) if (year := _stated(name, named, "year")) else None for name in names], dtype="Int64"
        ),
        published=(results["pretrained"] != SHIPPED).astype(bool),
    )


def by_version(results: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split results into those of this version of the protocol, and those of others, which are not comparable."""
    own = results["protocol_version"] == PROTOCOL_VERSION
    return results[own].reset_index(drop=True), results[~own].reset_index(drop=True)


def awaiting(results: pd.DataFrame, models: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """List the models that have no result yet.

    Parameters
    ----------
    results : pandas.DataFrame
        From `describe`.
    models : sequence of mapping
        `models` of `crosseyed.report.model_list.read_list`.

    Returns
    -------
    pandas.DataFrame
        In the order of the list: `model`; `weights`, the tag or the file that they come from; `data`; `download`,
        as the list states it; `gigabytes`, the same as a number, NaN where the list does not state it in GB.
    """
    there = set(results["name"])
    rows = [
        {
            "model": entry["model"],
            "weights": entry.get("checkpoint") or entry.get("pretrained") or "",
            "data": entry.get("data") or _NOT_STATED,
            "download": entry.get("download") or "",
        }
        for entry in models
        if not any(map(_pattern(entry).fullmatch, there))
    ]
    table = pd.DataFrame(rows, columns=["model", "weights", "data", "download"], dtype="string")
    size = table["download"].str.extract(r"^\s*([\d.]+)\s*GB\s*$", expand=False)
    return table.assign(gigabytes=pd.to_numeric(size, errors="coerce").astype(float))


def one_row_each(results: pd.DataFrame, protocol: str = "grid") -> pd.DataFrame:
    """Take one row of each published model, sorted by `name`.

    It is that of its largest size, of these of the first precision (`crosseyed.editions.PRECISIONS`), and of these of
    the lowest seed.

    Parameters
    ----------
    results : pandas.DataFrame
        From `describe`.
    protocol : str
        The protocol whose rows are taken.
    """
    rows = results[results["published"] & (results["protocol"] == protocol)]
    ranks = {"smaller": -rows["size"].map(SIZES.index), "rougher": rows["precision"].map(PRECISIONS.index)}
    rows = rows.assign(**ranks).sort_values(["name", *ranks, "seed"])
    return rows.drop(columns=[*ranks]).drop_duplicates("name").reset_index(drop=True)


def recent(models: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of models that were first described in `RECENT` or later."""
    return models[(models["year"] >= RECENT).fillna(False)].reset_index(drop=True)


def can_compare(models: pd.DataFrame, column: str) -> bool:
    """Say whether at least `LEAST_MODELS` have a property and at least two of its values occur more than once.

    Models without the property (a convolutional tower has no patch) do not count.
    """
    values = models[column].dropna()
    return bool(len(values) >= LEAST_MODELS and (values.value_counts() > 1).sum() >= 2)


def rank_correlation(
    models: pd.DataFrame, columns: Sequence[str], value: str = "gap", confidence: float | None = None
) -> pd.DataFrame:
    """Compute whether a quantity rises or falls with numbers that models differ in.

    Parameters
    ----------
    models : pandas.DataFrame
        From `one_row_each`; at least four with each property, whose values are not all the same.
    columns : sequence of str
        The properties, numbers.
    value : str
        The quantity.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        One row per property: `property`; Spearman's rank correlation as `correlation`, `low`, `high`, in [-1, 1]; `n`
        models; `confidence`.

    Notes
    -----
    The interval is symmetric in Fisher's z with the standard error
    ``sqrt((1 + r**2 / 2) / (n - 3))`` of Bonett and Wright (*Psychometrika* 65, 2000). It treats the models as
    independent draws, which related models are not.
    """
    confidence = settings.confidence if confidence is None else confidence
    rows = []
    for column in columns:
        pairs = models[[column, value]].dropna().astype(float)
        correlation = stats.spearmanr(pairs[column], pairs[value]).statistic
        error = np.sqrt((1 + correlation**2 / 2) / (len(pairs) - 3))
        z = np.arctanh(np.clip(correlation, -1 + 1e-12, 1 - 1e-12))
        low, high = np.tanh(z + np.array([-1, 1]) * stats.norm.ppf((1 + confidence) / 2) * error)
        rows.append((column, correlation, low, high, len(pairs), confidence))
    return pd.DataFrame(rows, columns=["property", "correlation", "low", "high", "n", "confidence"])


def group_means(
    models: pd.DataFrame, column: str, value: str = "gap", confidence: float | None = None
) -> pd.DataFrame:
    """Compute the mean of a quantity over the models that share a property.

    Parameters
    ----------
    models : pandas.DataFrame
        From `one_row_each`.
    column : str
        The property.
    value : str
        The quantity.
    confidence : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    pandas.DataFrame
        One row per value of the property, from the smallest mean to the largest: `column`, `mean`, `low`, `high`, `n`
        models, `confidence`. The interval is Student's, over models; fewer than
        `LEAST_IN_GROUP` have none (NaN).
    """
    confidence = settings.confidence if confidence is None else confidence
    rows = []
    for name, part in models.dropna(subset=[column, value]).groupby(column, observed=True):
        values = part[value].to_numpy(dtype=float)
        ends = (np.nan, np.nan)
        if len(values) >= LEAST_IN_GROUP:
            ends = DescrStatsW(values).tconfint_mean(alpha=1 - confidence)
        rows.append((name, values.mean(), *ends, len(values), confidence))
    table = pd.DataFrame(rows, columns=[column, "mean", "low", "high", "n", "confidence"])
    return table.sort_values("mean", ignore_index=True)


def _stated(name: str, named: Sequence[tuple[re.Pattern[str], Mapping[str, str]]], key: str) -> str | None:
    """Return what the list says of a model; None if it says nothing."""
    return next((entry[key] for pattern, entry in named if entry.get(key) and pattern.fullmatch(name)), None)


def _pattern(entry: Mapping[str, str]) -> re.Pattern[str]:
    """Return what the names of the editions of a listed model look like, whatever the content of a user's own file."""
    given = (entry["model"], entry.get("pretrained"), entry.get("checkpoint"))
    plain = re.escape(edition_name(*given))
    if not entry.get("checkpoint") and not entry["model"].startswith("local-dir:"):
        return re.compile(plain)
    own = re.escape(edition_name(*given, digest=_DIGEST)).replace(_DIGEST, "[0-9a-f]{8}")
    return re.compile(f"{plain}|{own}")
