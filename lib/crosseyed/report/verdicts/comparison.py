"""The verdict of the chapter on the model family.

Throughout, `published` is the table of `crosseyed.report.comparison.one_row_each`.
"""

from collections.abc import Sequence

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.models.scorer import RANDOM
from crosseyed.report.comparison import LEAST_MODELS, PROPERTIES
from crosseyed.report.verdicts.words import span
from crosseyed.settings import PROTOCOL_VERSION


def models(found: pd.DataFrame, published: pd.DataFrame, edition: str, pretrained: str | None) -> str:
    """Say how many models have results, and whether the model of the edition is among them.

    Parameters
    ----------
    found : pandas.DataFrame
        Of `crosseyed.report.comparison.describe`.
    published : pandas.DataFrame
        See the module.
    edition : str
        Name of the edition, of whatever size.
    pretrained : str or None
        The pretrained tag of its model.
    """
    if pretrained == RANDOM:
        here = "has random weights and does not count"
    elif edition in {
        name.removesuffix(f"--{size}") for name, size in zip(found["edition"], found["size"], strict=True)
    }:
        here = "is among them"
    else:
        here = "is not among them: run `make sweep` with a list that names it"
    own = found.loc[~found["published"], "name"].nunique()
    return (
        f"There are results of **{len(published)} published models** and of {own} that this project trained itself "
        f"(PocketCLIP). The model of this edition, {markdown(edition)}, {here}."
    )


def apart(others: pd.DataFrame) -> str:
    """Name the editions whose results are of another version of the protocol; empty if there are none.

    Parameters
    ----------
    others : pandas.DataFrame
        The second of `crosseyed.report.comparison.by_version`.
    """
    if others.empty:
        return ""
    named = others.drop_duplicates("edition")
    listed = [f"{markdown(row.edition)} (version {row.protocol_version})" for row in named.itertuples()]
    return (
        f"Listed apart, because they were measured under another version of the protocol than {PROTOCOL_VERSION}, and "
        f"compared with nothing on this page: {', '.join(listed)}. `make sweep` measures them anew."
    )


def not_compared(able: Sequence[str], n_published: int) -> str:
    """Name the properties by which there are too few models to compare; empty if there are none."""
    unable = [name for column, name in PROPERTIES.items() if column not in able]
    if not unable:
        return ""
    return (
        f"Not compared: {', '.join(unable)}. A comparison needs at least {LEAST_MODELS} published models with the "
        f"property, and two of its values must occur more than once; {n_published} have results. A machine with a "
        "network can download and measure the others."
    )


def awaiting(missing: pd.DataFrame, n_listed: int) -> str:
    """Say how many models of the list have no result yet, and how to measure them.

    Parameters
    ----------
    missing : pandas.DataFrame
        Of `crosseyed.report.comparison.awaiting`.
    n_listed : int
        Models of the list.
    """
    if missing.empty:
        return "Every model of the list has a result."
    return (
        f"Of the {n_listed} models of the list, **{len(missing)} have no result yet**. Their weights are "
        f"{missing['gigabytes'].sum():.1f} GB in all. On a machine with a network, `make sweep MODELS=models.yml` runs "
        "them; it can be stopped and started again at any time. To run only some, copy the list and delete the other "
        "lines. A file in the column *weights* must be put there by hand."
    )


def gaps(published: pd.DataFrame) -> str:
    """Say for how many published models the interval of the gap lies above zero."""
    if published.empty:
        return (
            "No published model has been measured yet, so whether center bias persists in recent variants is **open**: "
            "PocketCLIPs are not members of the family."
        )
    biased, free = (published["gap_low"] > 0).sum(), (published["gap_high"] < 0).sum()
    without = published["gap_low"].isna().sum()  # measured on one object
    unknown = f" There is no interval for {without}." if without else ""
    around = len(published) - biased - free - without
    low, high = published.loc[published["gap"].idxmin()], published.loc[published["gap"].idxmax()]
    return (
        f"Of {len(published)} published models, the interval of the gap (one object) lies **above zero in {biased}**, "
        f"contains zero in {around} and lies below it in {free}.{unknown} Gaps range from "
        f"{low['gap']:.1f} points ({markdown(low['name'])}) to {high['gap']:.1f} ({markdown(high['name'])})."
    )


def related(correlations: pd.DataFrame) -> str:
    """Name the numbers that the gap is related to; empty if none was compared.

    Parameters
    ----------
    correlations : pandas.DataFrame
        Of `crosseyed.report.comparison.rank_correlation`.
    """
    if correlations.empty:
        return ""
    sure = correlations[(correlations["low"] > 0) | (correlations["high"] < 0)]
    named = [
        f"{PROPERTIES[row['property']]} ({row['correlation']:+.2f}, {span(row, digits=2)})"
        for row in sure.to_dict("records")
    ]
    return (
        f"Of {len(correlations)} numeric properties, the gap is related to: "
        f"{', '.join(named) or 'none with certainty'}."
    )
