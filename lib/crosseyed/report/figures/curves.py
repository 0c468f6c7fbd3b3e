"""Figures of a quantity along an axis. `crosseyed.report.figures` explains the parameters that they share."""

import math
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosseyed.errors import InputError
from crosseyed.report.figures.lettering import legend_label
from crosseyed.report.figures.style import (
    CENTER,
    COLORS,
    MARKERS,
    MAX_WIDTH,
    REFERENCE,
    ends_of,
    estimates,
    finish,
    interval_name,
    make_panels,
    number_text,
    panel_title,
    panels_of,
    parts_of,
    range_text,
    require_once,
    require_rows,
    styled,
)
from crosseyed.settings import settings

_LINES = ("-", "--", "-.", ":")

_FEW_VALUES = 6  # up to this many values of a property are shown side by side


@styled
def lines(
    table: pd.DataFrame,
    x: str,
    value: str = "mean",
    *,
    xlabel: str,
    ylabel: str,
    hue: str,
    style: str | None = None,
    panel: str = "model",
    reference: float | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show how a quantity changes along an axis.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.mean` or `accuracy`, by `x`, `hue`, `style` and `panel`.
    x, value : str
        Columns of the horizontal and the vertical axis.
    xlabel, ylabel, hue, panel, title
        See `crosseyed.report.figures`. Numbers of `hue` get colors in their order.
    style : str, optional
        Column with a line style for each of its values.
    reference : float, optional
        A value to compare with, drawn as a dotted line.
    limits : tuple of float, optional
        Ends of the vertical axis; by default it holds all intervals and the reference.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers in bands from `low` to `high`; panels have one scale.
    """
    keys = [x, hue, *([style] if style else [])]
    require_rows(table, [*keys, value, "low", "high", "confidence"])
    if "center" in keys:
        table = table.assign(center=table["center"].astype(bool)).sort_values("center", ascending=False)
        table["center"] = table["center"].map(CENTER)
    names = list(dict.fromkeys(table[hue]))
    numbers = pd.api.types.is_numeric_dtype(table[hue])
    colors = sns.color_palette("viridis", len(names)) if numbers else COLORS
    figure, panels = panels_of(table, panel, keys, (4.9, 3.9))
    for ax, name, part in panels:
        for kind, (suffix, rows) in enumerate(parts_of(part, style)):
            for number, each in enumerate(names):
                words = [f"{hue} {each}" if numbers else str(each), *([str(suffix)] if style else [])]
                look = {"color": colors[number % len(colors)], "line": _LINES[kind] if style else None}
                _line(ax, rows[rows[hue] == each], x, value, number, label=", ".join(words), **look)
        if reference is not None:
            ax.axhline(reference, **REFERENCE, label=f"{reference:g}")
        if pd.api.types.is_integer_dtype(part[x]):
            ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        ax.set(xlabel=xlabel, ylabel=ylabel, ylim=limits or _limits(table, reference))
        ax.set_title(panel_title(name, None, 4.2))
    return _finish(figure, panels[0][0], table, title)


@styled
def accuracy_by_eccentricity(
    table: pd.DataFrame,
    *,
    hue: str = "model",
    panel: str | None = None,
    ylabel: str = "accuracy (%)",
    chance: float | None = None,
    title: str | None = None,
) -> Figure:
    """Show how the accuracy changes from the image center to the corners.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.accuracy_by_eccentricity`, by `hue` and `panel`.
    hue, panel, ylabel, title
        See `crosseyed.report.figures`. The change from the innermost to the outermost ring stands in the title and
        the legend, with several panels in the title of each.
    chance : float, optional
        Accuracy of guessing, in percent, drawn as a line.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers at the mean eccentricity of each ring, in bands from `low` to `high`.

    Raises
    ------
    InputError
        `chance` is not a percentage.
    """
    needed = ["eccentricity", "accuracy", "low", "high", "confidence", *([hue] if panel else [])]
    require_rows(table, needed)
    if chance is not None and not 0 <= chance <= 100:
        raise InputError(f"chance is {chance}; expected a percentage between 0 and 100")
    for name, part in [] if panel else parts_of(table, hue):
        require_once(part, "eccentricity", "hue", name)
    key = [name for name in (hue, "eccentricity") if name in table]
    figure, panels = panels_of(table, panel, key, (4.9, 3.9) if panel else (7.2, 4.4))
    for ax, name, part in panels:
        ends = {}
        for number, (each, rows) in enumerate(parts_of(part, hue)):
            ends[each] = rows.sort_values("eccentricity")["accuracy"].iloc[[0, -1]].to_numpy()
            words = [str(word) for word in (each, None if panel else _arrow(ends[each])) if word is not None]
            _line(ax, rows, "eccentricity", "accuracy", number, label=": ".join(words))
        _ring_axes(ax)
        ax.set(xlabel="eccentricity (0: image center, 1: corner)", ylabel=ylabel)
        if chance is not None:
            ax.axhline(chance, **REFERENCE, label=f"chance ({chance:.2g} %)")
        if panel:
            ax.set_title(panel_title(name, ", ".join(f"{each} {_arrow(ends[each])}" for each in ends), 4.2))
        elif not title:
            changes = _changes({each: last - first for each, (first, last) in ends.items()})
            title = f"From center to border accuracy changes by {changes}"
    panels[0][0].plot([], [], color="0.5", linewidth=1, label="edge of the center")
    return _finish(figure, panels[0][0], table, title)


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
    panel, title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        Lines with markers in bands from `low` to `high`, all on one scale.

    Raises
    ------
    InputError
        The table lacks the reference or has nothing else.
    """
    require_rows(table, [panel, "eccentricity", "accuracy", "low", "high", "confidence"])
    parts = dict(parts_of(table, panel))
    if reference not in parts or len(parts) < 2:
        raise InputError(
            f"the table's column {panel!r} has {', '.join(map(str, parts))}; expected the reference {reference!r} and "
            "at least one other"
        )
    common = parts.pop(reference)
    require_once(common, "eccentricity", "panel", reference)
    size = (2.45, 2.25)
    per_row = int(MAX_WIDTH // size[0])
    figure, panels = panels_of(table[table[panel] != reference], panel, "eccentricity", size)
    for number, (ax, name, part) in enumerate(panels):
        _line(ax, common, "eccentricity", "accuracy", 1, label=reference, color="0.5", size=4)
        _line(ax, part, "eccentricity", "accuracy", 0, label=f"this {panel}", size=4)
        _ring_axes(ax)
        ax.set(xticks=[0, 0.5, 1])
        ax.set_title(textwrap.fill(str(name), 26), fontsize="small")
        if number % per_row == 0:
            ax.set_ylabel("accuracy (%)", fontsize="small")
        if number >= len(panels) - per_row:
            ax.set_xlabel("eccentricity", fontsize="small")
    return _finish(figure, panels[0][0], table, title)


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
        One row for each `panel`, `dose` and `seed`; for each quantity a column and the ends of its interval in columns
        ending in ``_low`` and ``_high``, as from `crosseyed.measure.bootstrap.center_bias`.
    quantities : mapping of str to str
        Columns and their names in the legend.
    ylabel, panel, title
        See `crosseyed.report.figures`.
    xlabels : mapping of str, optional
        For each panel the name of its horizontal axis.
    reference : tuple of float and str, optional
        A value to compare with and its name, drawn as a dotted line.
    limits : tuple of float
        The axis shows nothing beyond these values, where intervals are cut off.

    Returns
    -------
    matplotlib.figure.Figure
        A line for each quantity through the first seed's points, open points for the others, all with bars over their
        intervals. Panels have one scale.
    """
    ends = [name for each in quantities for name in ends_of(each)[1:]]
    require_rows(table, ["dose", "seed", *quantities, *ends, "confidence"])
    figure, panels = panels_of(table, panel, ["dose", "seed"], (4.9, 4.1))
    shown = np.clip(table[ends].to_numpy(dtype=float), *limits)
    marks = [np.nanmin(shown), np.nanmax(shown), *(reference or [])[:1]]
    margin = 0.06 * (max(marks) - min(marks)) or 1.0
    for ax, name, part in panels:
        order = list(dict.fromkeys(part["dose"]))
        for number, (column, label) in enumerate(quantities.items()):
            for later, (seed, points) in enumerate(parts_of(part, "seed")):
                middle, low, high = estimates(points, "dose", order, ends_of(column))
                ax.errorbar(
                    np.arange(len(order)) + 0.1 * (number - (len(quantities) - 1) / 2) + 0.2 * later,
                    middle,
                    yerr=np.maximum([middle - low, high - middle], 0),
                    linestyle="none" if later else _LINES[number],
                    markerfacecolor="white" if later else None,
                    label=f"{label}, seed {seed}" if part["seed"].nunique() > 1 else label,
                    color=COLORS[number],
                    marker=MARKERS[number],
                    capsize=2.5,
                    elinewidth=1.2,
                )
        if reference:
            ax.axhline(reference[0], **REFERENCE, label=reference[1])
        ax.set_xticks(range(len(order)), [str(dose) for dose in order])
        ax.set(xlim=(-0.5, len(order) - 0.4), ylim=(min(marks) - margin, max(marks) + margin))
        ax.set_xlabel((xlabels or {}).get(name, "dose"))
        ax.grid(False, axis="x")
        ax.set_title(panel_title(name, None, 4.2))
    panels[0][0].set_ylabel(ylabel)
    fullest = max((ax for ax, *_ in panels), key=lambda ax: len(ax.get_legend_handles_labels()[1]))
    return finish(figure, title, fullest, interval_name(table))


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
        One row per model: columns of the numbers (positive), `value`, and the ends of its interval in columns ending in
        ``_low`` and ``_high``.
    numbers : mapping of str to str
        Columns, each with a panel of its own, and the names of their axes.
    value : str
        The quantity.
    ylabel, title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        Points with bars, and a line at zero. Axes with few values show them evenly spaced, with the models of a value
        side by side, in no order; others are logarithmic. Models that lack a number are missing in its panel.
    """
    require_rows(table, [*numbers, *ends_of(value), "confidence"])
    figure, axes = make_panels(len(numbers), (3.3, 3.4))
    for ax, (column, xlabel) in zip(axes, numbers.items(), strict=True):
        rows = table.dropna(subset=[column, value]).sort_values([column, value])
        x, middle, low, high = rows[[column, *ends_of(value)]].to_numpy(dtype=float).T
        values = np.unique(x)
        if len(values) <= _FEW_VALUES:
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
    return finish(figure, title, axes[0])


def _line(
    ax: Axes,
    rows: pd.DataFrame,
    x: str,
    y: str,
    number: int,
    *,
    label: str,
    color: object = None,
    line: str | None = None,
    size: float | None = None,
) -> None:
    """Draw a line with markers in a band from `low` to `high`, in the look of its number."""
    # seaborn's line plot estimates its bands itself; these are in the table.
    rows = rows.sort_values(x)
    color = COLORS[number % len(COLORS)] if color is None else color
    marker, line = MARKERS[number % len(MARKERS)], line or _LINES[number % len(_LINES)]
    ax.fill_between(rows[x], rows["low"], rows["high"], color=color, alpha=0.15, linewidth=0)
    ax.plot(
        rows[x],
        rows[y],
        color=color,
        marker=marker,
        linestyle=line,
        markersize=size,
        label=legend_label(label),
    )


def _ring_axes(ax: Axes) -> None:
    ax.axvline(settings.center_limit, color="0.5", linewidth=1)
    ax.set(xlim=(-0.02, 1.02), ylim=(0, 100))


def _finish(figure: Figure, ax: Axes, table: pd.DataFrame, title: str | None) -> Figure:
    """Explain the lines of `ax` and what their bands are."""
    ax.fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=interval_name(table))
    return finish(figure, title, ax)


def _limits(table: pd.DataFrame, reference: float | None) -> tuple[float, float]:
    """Return ends of an axis that holds all intervals of the table and the reference."""
    marks = [table["low"].min(), table["high"].max(), *([] if reference is None else [reference])]
    margin = 0.05 * (max(marks) - min(marks)) or 1.0
    return min(marks) - margin, max(marks) + margin


def _arrow(ends: np.ndarray) -> str:
    return f"{ends[0]:.0f} → {ends[1]:.0f} %"


def _changes(changes: dict[object, float]) -> str:
    """Return signed changes in points, with their names if there are few and short ones."""
    signed = {name: ("+" if change >= 0.5 else "") + number_text(change) for name, change in changes.items()}
    if len(signed) == 1:
        return f"{next(iter(signed.values()))} points"
    named = ", ".join(f"{points} points ({name})" for name, points in signed.items())
    return named if len(named) <= 80 else f"{range_text(list(changes.values()))} points"
