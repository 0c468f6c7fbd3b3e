"""Figures of a quantity along an axis."""

import math
import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosseyed.errors import InputError
from crosseyed.report.figures.style import (
    COLORS,
    MARKERS,
    MAX_WIDTH,
    add_legend,
    interval_name,
    make_panels,
    number_text,
    panel_title,
    parts_of,
    range_text,
    require_columns,
    require_once,
    set_headline,
    styled,
)
from crosseyed.settings import settings

_LINES = ("-", "--", "-.", ":")

_FEW_VALUES = 6  # up to this many values of a property are shown side by side


@styled
def means(
    table: pd.DataFrame,
    x: str,
    *,
    xlabel: str,
    ylabel: str,
    hue: str,
    panel: str = "model",
    reference: float | None = None,
    title: str | None = None,
) -> Figure:
    """Show how the mean of a quantity changes along an axis.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.mean`, by `x`, `hue` and `panel`.
    x : str
        Column of the horizontal axis.
    xlabel, ylabel : str
        Names of the axes, with units.
    hue : str
        Column with a line for each of its values; numbers get colors in their order.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    reference : float, optional
        A value to compare with, drawn as a dotted line.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers in bands that reach from `low` to `high`; panels have one scale.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a point of a line.
    """
    require_columns(table, [x, hue, "mean", "low", "high", "confidence"], "mean")
    parts = parts_of(table, panel)
    names = list(dict.fromkeys(table[hue]))
    ordered = pd.api.types.is_numeric_dtype(table[hue])
    colors = sns.color_palette("viridis", len(names)) if ordered else COLORS
    figure, axes = make_panels(len(parts), (4.9, 3.9))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, [x, hue], "panel", name)
        for number, value in enumerate(names):
            line = part[part[hue] == value].sort_values(x)
            color = colors[number % len(colors)]
            ax.fill_between(line[x], line["low"], line["high"], color=color, alpha=0.15, linewidth=0)
            marker, style = MARKERS[number % len(MARKERS)], _LINES[number % len(_LINES)]
            label = f"{hue} {value}" if ordered else str(value)
            ax.plot(line[x], line["mean"], color=color, marker=marker, linestyle=style, label=label)
        if reference is not None:
            ax.axhline(reference, color="0.35", linestyle=(0, (1, 3)), label=f"{reference:g}")
        margin = 0.05 * (table["high"].max() - table["low"].min())
        ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(table["low"].min() - margin, table["high"].max() + margin))
        ax.set_title(panel_title(name, None, 4.2))
    axes[0].fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=interval_name(table))
    add_legend(figure, axes[0])
    set_headline(figure, title)
    return figure


@styled
def accuracy_by_eccentricity(
    table: pd.DataFrame,
    *,
    hue: str = "model",
    chance: float | None = None,
    title: str | None = None,
) -> Figure:
    """Show how the accuracy changes from the image center to the corners.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.accuracy_by_eccentricity`.
    hue : str
        Column with a line for each of its values; without that column there is one.
    chance : float, optional
        Accuracy of guessing, in percent, drawn as a line.
    title : str, optional
        Title; by default the change from the innermost to the outermost ring.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers at the mean eccentricity of each ring, in bands that reach from `low` to `high`.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a ring of a line; if `chance` is not a
        percentage.
    """
    require_columns(
        table, ["eccentricity", "accuracy", "low", "high", "confidence"], "accuracy_by_eccentricity"
    )
    if chance is not None and not 0 <= chance <= 100:
        raise InputError(f"chance is {chance}; expected a percentage between 0 and 100")
    parts = [(name, part.sort_values("eccentricity")) for name, part in parts_of(table, hue)]
    for name, part in parts:
        require_once(part, "eccentricity", "hue", name)
    figure, ax = plt.subplots(figsize=(7.2, 4.4))
    for number, (name, part) in enumerate(parts):
        color = COLORS[number % len(COLORS)]
        ax.fill_between(part["eccentricity"], part["low"], part["high"], color=color, alpha=0.2, linewidth=0)
        ax.plot(
            part["eccentricity"],
            part["accuracy"],
            color=color,
            marker=MARKERS[number % len(MARKERS)],
            linestyle=_LINES[number % len(_LINES)],
            label=("" if name is None else f"{name}: ") + _first_to_last(part["accuracy"]),
        )
    if chance is not None:
        ax.axhline(chance, color="0.35", linestyle=(0, (1, 3)), label=f"chance ({chance:.2g} %)")
    ax.axvline(settings.center_limit, color="0.5", linewidth=1)
    for side, text in (("right", "center "), ("left", " off-center")):
        ax.text(settings.center_limit, 101, text, ha=side, va="bottom", color="0.35", fontsize="small")
    ax.set(xlim=(-0.02, 1.02), ylim=(0, 100), ylabel="accuracy (%)")
    ax.set_xlabel("eccentricity (0: image center, 1: corner)")
    ax.fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=interval_name(table))
    add_legend(figure, ax)
    changes = {name: part["accuracy"].iloc[-1] - part["accuracy"].iloc[0] for name, part in parts}
    set_headline(figure, title or f"From center to border accuracy changes by {_changes(changes)}")
    return figure


@styled
def concept_by_eccentricity(
    table: pd.DataFrame,
    *,
    hue: str = "source",
    panel: str = "model",
    title: str | None = None,
) -> Figure:
    """Show how often the concept is found in different parts of a tower, from the image center to the corners.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.accuracy_by_eccentricity`, of answers that are correct where the concept
        is found.
    hue : str
        Column with a line for each of its values.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    title : str, optional
        Title of the figure. Each panel's own title gives the change from the innermost to the outermost ring.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers at the mean eccentricity of each ring, in bands that reach from `low` to `high`.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a ring of a line.
    """
    require_columns(
        table, [hue, "eccentricity", "accuracy", "low", "high", "confidence"], "accuracy_by_eccentricity"
    )
    parts = parts_of(table, panel)
    figure, axes = make_panels(len(parts), (4.9, 4.2))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, [hue, "eccentricity"], "panel", name)
        lines = [(value, line.sort_values("eccentricity")) for value, line in parts_of(part, hue)]
        _lines(ax, lines, "eccentricity", "accuracy")
        changes = ", ".join(f"{value} {_first_to_last(line['accuracy'])}" for value, line in lines)
        ax.set_title(panel_title(name, changes, 4.2), fontsize="small")
        ax.axvline(settings.center_limit, color="0.5", linewidth=1)
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 100), ylabel="concept found (%)")
        ax.set_xlabel("eccentricity (0: image center, 1: corner)")
    axes[0].plot([], [], color="0.5", linewidth=1, label="edge of the center")
    _band_legend(figure, axes[0], table)
    set_headline(figure, title)
    return figure


@styled
def accuracy_by_layer(
    table: pd.DataFrame, *, hue: str = "source", panel: str = "model", title: str | None = None
) -> Figure:
    """Show how often an object is found at each depth of a tower, at the center and off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.accuracy`, by `layer`, `center`, `hue` and `panel`.
    hue : str
        Column with a color for each of its values.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Solid lines for the center, dashed ones for off-center, in bands that reach from `low` to `high`.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a point of a line.
    """
    require_columns(table, ["layer", "center", hue, "accuracy", "low", "high", "confidence"], "accuracy")
    parts = parts_of(table, panel)
    figure, axes = make_panels(len(parts), (4.9, 3.8))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, ["layer", "center", hue], "panel", name)
        for center, line in ((True, "-"), (False, "--")):
            side = part[part["center"].astype(bool) == center].sort_values("layer")
            suffix = "center" if center else "off-center"
            lines = [(f"{value}, {suffix}", rows) for value, rows in parts_of(side, hue)]
            _lines(ax, lines, "layer", "accuracy", line=line)
        ax.set(ylim=(0, 100), xticks=sorted(part["layer"].unique()), ylabel="object found (%)")
        ax.set_xlabel("layer (0: what enters the first block)")
        ax.set_title(panel_title(name, None, 4.2))
    _band_legend(figure, axes[0], table)
    set_headline(figure, title)
    return figure


@styled
def effect_profile(
    table: pd.DataFrame, *, x: str, xlabel: str, panel: str = "model", title: str | None = None
) -> Figure:
    """Show direct effects on the object's caption at the center and off-center, over rings or layers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.mean`, by `x`, `center` and `panel`.
    x : str
        Column of the horizontal axis.
    xlabel : str
        What it is.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Lines in bands that reach from `low` to `high`; panels have one scale.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a point of a line.
    """
    require_columns(table, [x, "center", "mean", "low", "high", "confidence"], "mean")
    parts = parts_of(table, panel)
    figure, axes = make_panels(len(parts), (4.9, 3.6))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, [x, "center"], "panel", name)
        ordered = part.sort_values(x)
        center = ordered["center"].astype(bool)
        lines = [("object at the center", ordered[center]), ("object off-center", ordered[~center])]
        _lines(ax, lines, x, "mean")
        ax.axhline(0, color="0.35", linewidth=1)
        ax.set(ylim=_with_margin(table), xlabel=xlabel, ylabel="direct effect (cosine similarity)")
        ax.set_title(panel_title(name, None, 4.2))
    _band_legend(figure, axes[0], table)
    set_headline(figure, title)
    return figure


@styled
def accuracy_panels(
    table: pd.DataFrame, *, reference: str, panel: str = "pooling", title: str | None = None
) -> Figure:
    """Show accuracy from the image center to the corners in many small panels, each beside the same reference.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.accuracy_by_eccentricity`, by `panel`.
    reference : str
        The value of `panel` that every panel shows in gray.
    panel : str
        Column with a panel for each of its other values.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers in bands that reach from `low` to `high`, all on one scale.

    Raises
    ------
    InputError
        If the table is empty, lacks a column or the reference, has nothing else, or has several rows for a ring of a
        line.
    """
    columns = [panel, "eccentricity", "accuracy", "low", "high", "confidence"]
    require_columns(table, columns, "accuracy_by_eccentricity")
    parts = {name: part.sort_values("eccentricity") for name, part in parts_of(table, panel)}
    for name, part in parts.items():
        require_once(part, "eccentricity", "panel", name)
    if reference not in parts or len(parts) < 2:
        raise InputError(
            f"the table's column {panel!r} has {', '.join(map(str, parts))}; expected the reference {reference!r} and "
            "at least one other"
        )
    common = parts.pop(reference)
    figure, axes = make_panels(len(parts), (2.45, 2.25))
    for number, (ax, (name, part)) in enumerate(zip(axes, parts.items(), strict=True)):
        for rows, color, marker, label in (
            (common, "0.5", "s", reference),
            (part, COLORS[0], "o", "this pooling" if panel == "pooling" else f"this {panel}"),
        ):
            ax.fill_between(
                rows["eccentricity"], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0
            )
            line = "--" if rows is common else "-"
            ax.plot(
                rows["eccentricity"],
                rows["accuracy"],
                color=color,
                marker=marker,
                markersize=4,
                linestyle=line,
                label=label,
            )
        ax.axvline(settings.center_limit, color="0.7", linewidth=1)
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 100), xticks=[0, 0.5, 1])
        ax.set_title(textwrap.fill(str(name), 26), fontsize="small")
        per_row = int(MAX_WIDTH // 2.45)
        if number % per_row == 0:
            ax.set_ylabel("accuracy (%)", fontsize="small")
        if number >= len(parts) - per_row:
            ax.set_xlabel("eccentricity", fontsize="small")
    _band_legend(figure, axes[0], table)
    set_headline(figure, title)
    return figure


@styled
def dose_response(
    table: pd.DataFrame,
    quantities: Mapping[str, str],
    *,
    ylabel: str,
    xlabels: Mapping[object, str] | None = None,
    panel: str = "habit",
    reference: tuple[float, str] | None = None,
    limits: tuple[float, float] = (-math.inf, math.inf),
    title: str | None = None,
) -> Figure:
    """Show how quantities respond to the dose that models were trained with.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each `panel`, `dose` and `seed`; doses appear from left to right, and seeds one after another, in
        the order of the rows. For each quantity a column and the ends of its interval in columns ending in ``_low`` and
        ``_high``, as from `crosseyed.measure.bootstrap.center_bias`; `confidence`.
    quantities : mapping of str to str
        Columns and their names in the legend.
    ylabel : str
        Name of the vertical axis, with its unit.
    xlabels : mapping of str, optional
        For each panel the name of its horizontal axis.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    reference : tuple of float and str, optional
        A value to compare with and its name, drawn as a dotted line.
    limits : tuple of float
        The axis shows nothing beyond these values, where intervals are cut off.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A line for each quantity through the first seed's points, and open points for the others, all with bars that
        reach over their intervals. Panels have one scale.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a point.
    """
    ends = [f"{name}{end}" for name in quantities for end in ("_low", "_high")]
    require_columns(table, ["dose", "seed", *quantities, *ends, "confidence"], "center_bias")
    parts = parts_of(table, panel)
    figure, axes = make_panels(len(parts), (4.9, 4.1))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, ["dose", "seed"], "panel", name)
        order = list(dict.fromkeys(part["dose"]))
        for number, (column, label) in enumerate(quantities.items()):
            look = {"color": COLORS[number], "marker": MARKERS[number], "capsize": 2.5, "elinewidth": 1.2}
            for later, (seed, points) in enumerate(parts_of(part, "seed")):
                points = points.set_index("dose").reindex(order)
                reach = [points[column] - points[f"{column}_low"], points[f"{column}_high"] - points[column]]
                shift = 0.1 * (number - (len(quantities) - 1) / 2) + 0.2 * later
                ax.errorbar(
                    np.arange(len(order)) + shift,
                    points[column],
                    yerr=np.maximum(reach, 0),
                    linestyle="none" if later else _LINES[number],
                    markerfacecolor="white" if later else None,
                    label=f"{label}, seed {seed}" if part["seed"].nunique() > 1 else label,
                    **look,
                )
        if reference:
            ax.axhline(reference[0], color="0.35", linestyle=(0, (1, 3)), label=reference[1])
        ax.set_xticks(range(len(order)), [str(dose) for dose in order])
        ax.set(xlim=(-0.5, len(order) - 0.4), xlabel=(xlabels or {}).get(name, "dose"))
        ax.grid(False, axis="x")
        ax.set_title(panel_title(name, None, 4.2))
    shown = table[ends].to_numpy(dtype=float)
    marks = [*np.clip([np.nanmin(shown), np.nanmax(shown)], *limits), *([reference[0]] if reference else [])]
    margin = 0.06 * (max(marks) - min(marks)) or 1.0
    for ax in axes:
        ax.set_ylim(min(marks) - margin, max(marks) + margin)
    axes[0].set_ylabel(ylabel)
    add_legend(figure, max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1])), interval_name(table))
    set_headline(figure, title)
    return figure


@styled
def by_number(
    table: pd.DataFrame,
    numbers: Mapping[str, str],
    *,
    value: str = "gap",
    ylabel: str,
    title: str | None = None,
) -> Figure:
    """Show a quantity of models against numbers that they differ in.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per model: columns of the numbers (positive), `value`, the ends of its interval in columns ending in
        ``_low`` and ``_high``; `confidence`.
    numbers : mapping of str to str
        Columns, each with a panel of its own, and the names of their axes.
    value : str
        The quantity.
    ylabel : str
        Name of the vertical axis, with its unit.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Points with bars, and a line at zero. Axes with few values show them evenly spaced, with the models of a value
        side by side, in no order; others are logarithmic. Models that lack a number are
        missing in its panel.

    Raises
    ------
    InputError
        If the table is empty or lacks a column.
    """
    require_columns(table, [*numbers, value, f"{value}_low", f"{value}_high", "confidence"], "center_bias")
    figure, axes = make_panels(len(numbers), (3.3, 3.4))
    for ax, (column, xlabel) in zip(axes, numbers.items(), strict=True):
        rows = table.dropna(subset=[column, value]).sort_values([column, value])
        x, middle, low, high = (
            rows[name].to_numpy(dtype=float) for name in (column, value, f"{value}_low", f"{value}_high")
        )
        values = np.unique(x)
        if len(values) <= _FEW_VALUES:
            # evenly spaced, with the models of a value side by side
            ax.set_xticks(range(len(values)), [f"{each:g}" for each in values])
            counts = rows.groupby(column)[value].transform("size").to_numpy()
            rank = rows.groupby(column).cumcount().to_numpy()
            # successive multiples of the golden ratio fall apart, and in no order that could pass for a trend
            golden = (1 + math.sqrt(5)) / 2
            x = np.searchsorted(values, x) + 0.7 * ((rank * golden) % 1 - 0.5) * (counts > 1)
        else:
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter("{x:,.0f}")
        reach = np.maximum([middle - low, high - middle], 0)
        ax.errorbar(x, middle, yerr=reach, fmt="o", color=COLORS[0], markersize=4, elinewidth=0.8)
        ax.axhline(0, color="0.2", linewidth=1.2)
        ax.grid(False, axis="x")
        ax.set_xlabel(f"{xlabel}; {len(rows)} models", fontsize="small")
    axes[0].set_ylabel(ylabel)
    axes[0].plot([], [], color=COLORS[0], linewidth=0.8, label=f"bar: {interval_name(table)}")
    add_legend(figure, axes[0])
    set_headline(figure, title)
    return figure


def _lines(
    ax: Axes, lines: list[tuple[object, pd.DataFrame]], x: str, y: str, *, line: str | None = None
) -> None:
    """Draw a line with markers in a band from `low` to `high` for each table; `line` is a style for all."""
    for number, (name, part) in enumerate(lines):
        color = COLORS[number % len(COLORS)]
        ax.fill_between(part[x], part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
        ax.plot(
            part[x],
            part[y],
            color=color,
            marker=MARKERS[number % len(MARKERS)],
            linestyle=line or _LINES[number % len(_LINES)],
            label=str(name),
        )


def _band_legend(figure: Figure, ax: Axes, table: pd.DataFrame) -> None:
    """Explain the lines of `ax` and what their bands are."""
    ax.fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=interval_name(table))
    add_legend(figure, ax)


def _with_margin(table: pd.DataFrame) -> tuple[float, float]:
    """Return limits of an axis that hold all intervals of the table and 0."""
    low, high = min(0, table["low"].min()), max(0, table["high"].max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _first_to_last(percent: pd.Series) -> str:
    return f"{percent.iloc[0]:.0f} → {percent.iloc[-1]:.0f} %"


def _changes(changes: dict[object, float]) -> str:
    """Return signed changes in points, with their names if there are few and short ones."""
    signed = {name: ("+" if change >= 0.5 else "") + number_text(change) for name, change in changes.items()}
    if len(signed) == 1:
        return f"{next(iter(signed.values()))} points"
    named = ", ".join(f"{points} points ({name})" for name, points in signed.items())
    return named if len(named) <= 80 else f"{range_text(list(changes.values()))} points"
