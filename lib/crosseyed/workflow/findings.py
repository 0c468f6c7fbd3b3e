"""The claim of the introduction, in words and as a figure, computed from the tables of an edition."""

import os
from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from crosseyed.errors import InputError
from crosseyed.measure import bootstrap
from crosseyed.report.figures import curves
from crosseyed.training.model_card import format_accuracy


def read_grid(path: str | os.PathLike, model: str, pretrained: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the table of the grid protocol that the first chapter writes.

    Parameters
    ----------
    path : path
        A CSV file with one row per image and the columns of `crosseyed.measure.protocols.grid`, for the edition's
        model and perhaps for others beside it.
    model, pretrained : str
        The edition's model, as its tables spell it.

    Returns
    -------
    own : pandas.DataFrame
        The rows of the edition's model.
    every : pandas.DataFrame
        The rows of all models.

    Raises
    ------
    InputError
        The table is not there or has no row of the model.
    """
    try:
        every = pd.read_csv(path, dtype={"correct": "boolean"})
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; the claim of the introduction is computed from it.") from error
    own = every[(every["model"] == model) & (every["pretrained"] == pretrained)]
    if own.empty:
        raise InputError(f"{path} has no row of the model {model} ({pretrained}).")
    return own, every


def describe_bias(table: pd.DataFrame) -> str:
    """Say how much better a model recognises objects at the center.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, of one model, as of `crosseyed.measure.protocols.grid`.

    Returns
    -------
    str
        Two sentences of MyST text: the verdict, which depends on the interval of the gap, and the figures.
    """
    bias = bootstrap.center_bias(table).to_dict("records")[0]
    if bias["gap_low"] > 0:
        verdict = "It is cross-eyed"
    elif bias["gap_high"] < 0:
        verdict = "It sees better off-center than at the center"
    else:
        verdict = "No center bias can be told from chance"
    return (
        f"**{verdict}.** Of single objects in the center of the image it names "
        f"{bias['center_accuracy']:.0f} % correctly, of the same objects off-center "
        f"{bias['off_center_accuracy']:.0f} %: a center-bias gap of {bias['gap']:.0f} percentage points "
        f"({100 * bias['confidence']:.0f} % interval {bias['gap_low']:.0f} to {bias['gap_high']:.0f}; "
        f"{bias['n_objects']} objects in {bias['n_center'] + bias['n_off_center']} scenes)."
    )


def draw_bias(table: pd.DataFrame) -> Figure:
    """Draw accuracy against eccentricity for each model of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image, of any number of models, as of `crosseyed.measure.protocols.grid`.

    Returns
    -------
    matplotlib.figure.Figure
        The headline figure.
    """
    return curves.accuracy_by_eccentricity(bootstrap.accuracy_by_eccentricity(table, by="model"))


def tabulate_accuracy(files: Mapping[str, str | os.PathLike]) -> str:
    """Set the accuracies of several models side by side.

    Parameters
    ----------
    files : mapping from str to path
        Name of each model and the ``accuracy.csv`` beside its model card (see `crosseyed.training.model_card`).

    Returns
    -------
    str
        A Markdown table: one row per rendering and position, one column per model, each number with its interval.
    """
    keys = ["rendering", "zone"]
    columns = {
        name: pd.read_csv(path).set_index(keys).apply(format_accuracy, axis=1) for name, path in files.items()
    }
    table = pd.DataFrame(columns).sort_index(level="rendering", ascending=False, sort_remaining=False)
    rows = [
        " | ".join([f"renderings {seen}", zone, *cells])
        for (seen, zone), cells in zip(table.index, table.values, strict=True)
    ]
    return "\n".join(
        f"| {row} |"
        for row in [" | ".join(["", "position", *columns]), "---|---" + "|---" * len(columns), *rows]
    )


def tabulate_families(table: pd.DataFrame) -> str:
    """Write what each family of towers offers.

    Parameters
    ----------
    table : pandas.DataFrame
        What `crosseyed.report.family_table.what_works` returned.

    Returns
    -------
    str
        A Markdown table with one row per kind of tower, and below it a list of its models, of the poolings that can
        take the place of its own, and of what is missing and why.
    """
    examples = table["models"].str.split(",| and ", regex=True).str[0]
    kinds = table["family"] + ", pooling by " + table["pooling"] + ", as " + examples
    columns = [name for name in table if name not in ("family", "pooling", "models", "poolings", "missing")]
    marks = table[columns].replace({"yes": "✓", "no": "–"})
    rows = [["tower", *columns], ["---"] * (1 + len(columns))]
    rows += [[kind, *cells] for kind, cells in zip(kinds, marks.to_numpy(), strict=True)]
    lines = [f"| {' | '.join(row)} |" for row in rows] + [""]
    for kind, row in zip(kinds, table.itertuples(), strict=True):
        missing = f" Missing – {row.missing}." if row.missing else ""
        lines.append(f"- **{kind}**, in all {row.models}. Poolings: {row.poolings}.{missing}")
    return "\n".join(lines)
