"""Bar figures. `crosseyed.report.figures` explains the parameters that they share."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosseyed.report.figures.lettering import legend_label
from crosseyed.report.figures.style import (
    CENTER,
    COLORS,
    ERROR_BAR,
    MAX_WIDTH,
    TOGETHER,
    ends_of,
    estimates,
    finish,
    interval_name,
    number_text,
    panel_title,
    panels_of,
    parts_of,
    range_text,
    require_once,
    require_rows,
    styled,
)

_HATCHES = (None, "///", "...", "xxx", "\\\\\\", "+++")

_CHOICE_LABELS = {
    "both": "both\nobjects",
    "object": "first\nobject only",
    "object2": "second\nobject only",
    "other": "neither (cat,\nrefrigerator)",
}

_PANEL = (4.9, 3.9)


@styled
def choice_bars(table: pd.DataFrame, *, panel: str = "model", title: str | None = None) -> Figure:
    """Show which of What'sUp's four captions won, where the objects are together and where they are apart.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.dyadic.choices`.
    panel, title
        See `crosseyed.report.figures`. The title of each panel tells how often both objects were named.

    Returns
    -------
    matplotlib.figure.Figure
        Bars of the shares among readable images, in percent, with their intervals.
    """
    require_rows(table, ["together", "choice", "count", "share", "low", "high", "confidence"])
    figure, panels = panels_of(table, panel, ["together", "choice"], _PANEL)
    for ax, name, part in panels:
        sides = {words: part[part["together"].astype(bool) == side] for side, words in TOGETHER.items()}
        series = [
            (words, estimates(side, "choice", list(_CHOICE_LABELS), ["share", "low", "high"]))
            for words, side in sides.items()
        ]
        _percent_bars(ax, series, list(_CHOICE_LABELS.values()), "share of readable images (%)")
        unreadable = int(part.loc[part["choice"] == "unreadable", "count"].sum())
        left_out = f" ({unreadable} unreadable images left out)" if unreadable else ""
        ax.set_xlabel(f"caption chosen{left_out}")
        both = [side.loc[side["choice"] == "both", "share"].mean() for side in sides.values()]
        ax.set_title(panel_title(name, f"both: {both[0]:.0f} % together, {both[1]:.0f} % apart", 4.0))
    return finish(figure, title, panels[0][0], interval_name(table))


@styled
def center_bars(
    table: pd.DataFrame,
    *,
    label: str = "pooling",
    panel: str = "positions",
    ylabel: str = "accuracy (%)",
    floor: float | None = None,
    title: str | None = None,
) -> Figure:
    """Show the accuracy at the center and off-center under several conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.center_bias`.
    label, panel, ylabel, title
        See `crosseyed.report.figures`. The title of each panel tells the range of its gaps.
    floor : float, optional
        Accuracy at the center in percent under which a gap says nothing; drawn as a line.

    Returns
    -------
    matplotlib.figure.Figure
        Two bars for each condition, in percent, with their intervals.
    """
    sides = {"center_accuracy": CENTER[True], "off_center_accuracy": CENTER[False]}
    columns = [name for side in sides for name in ends_of(side)]
    require_rows(table, [label, *columns, "gap", "confidence"])
    order = list(dict.fromkeys(table[label]))
    figure, panels = panels_of(table, panel, label, _PANEL)
    for ax, name, part in panels:
        series = [(words, estimates(part, label, order, ends_of(side))) for side, words in sides.items()]
        _percent_bars(ax, series, [textwrap.fill(str(each), 12) for each in order], ylabel)
        if floor is not None:
            line = {"color": "0.2", "linestyle": ":", "linewidth": 1.5, "zorder": 3}
            ax.axhline(floor, label=f"floor ({floor:g} % at the center)", **line)
        ax.set_title(panel_title(name, f"gap {range_text(part['gap'])} points", 4.2))
    return finish(figure, title, panels[0][0], interval_name(table))


@styled
def gap_bars(
    table: pd.DataFrame, label: str = "condition", *, hue: str = "model", title: str | None = None
) -> Figure:
    """Show the center-bias gap under several conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.center_bias`.
    label, hue, title
        See `crosseyed.report.figures`. The default title tells the gaps and how many intervals are above 0.

    Returns
    -------
    matplotlib.figure.Figure
        Horizontal bars in percentage points with their intervals, and a line at zero.
    """
    require_rows(table, [label, *ends_of("gap"), "confidence"])
    parts = parts_of(table, hue)
    for name, part in parts:
        require_once(part, label, "hue", name)
    order = list(dict.fromkeys(table[label]))
    figure, ax = plt.subplots(figsize=(7.2, 1.4 + max(0.5, 0.34 * len(parts)) * len(order)))
    series = [(name, estimates(part, label, order, ends_of("gap"))) for name, part in parts]
    _bars(ax, series, len(order), horizontal=True)
    ax.axvline(0, color="0.2", linewidth=1.2)
    ax.set_yticks(range(len(order)), [textwrap.fill(str(condition), 24) for condition in order])
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set_xlabel("center-bias gap: accuracy at the center minus off-center (percentage points)")
    ax.margins(x=0.08)
    above_zero = np.count_nonzero(table["gap_low"] > 0)
    finding = (
        f"Gap of {range_text(table['gap'])} points; interval above zero in {above_zero} of {len(table)} cases"
    )
    return finish(figure, title or finding, ax, interval_name(table))


@styled
def shares(
    table: pd.DataFrame, *, bar: str, part: str, share: str = "share", title: str | None = None
) -> Figure:
    """Show how wholes are made up of parts.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each bar and part; the shares of a bar, in percent, add up to 100.
    bar, part, share : str
        Columns with the names of the bars and of their parts, and with the shares.
    title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        Stacked horizontal bars with numbers.
    """
    require_rows(table, [bar, part, share])
    require_once(table, [bar, part], "bar", None)
    bars, parts = (list(dict.fromkeys(table[column])) for column in (bar, part))
    figure, ax = plt.subplots(figsize=(MAX_WIDTH, 1.5 + 0.62 * len(bars)))
    left = np.zeros(len(bars))
    values = table.pivot(index=bar, columns=part, values=share).reindex(index=bars, columns=parts).fillna(0)
    for number, name in enumerate(parts):
        width = values[name].to_numpy()
        color, hatch = COLORS[number % len(COLORS)], _HATCHES[number % len(_HATCHES)]
        ax.barh(
            bars,
            width,
            left=left,
            color=color,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=legend_label(name),
        )
        for place, (start, wide) in enumerate(zip(left, width, strict=True)):
            if wide >= 2.5:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
                ax.text(start + wide / 2, place, number_text(wide), ha="center", va="center", bbox=box)
        left += width
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlim=(0, 100), xlabel="share of images (%)")
    return finish(figure, title, ax)


def _percent_bars(ax: Axes, series: list[tuple[object, np.ndarray]], labels: list[str], ylabel: str) -> None:
    """Draw vertical bars of percentages with their names."""
    _bars(ax, series, len(labels))
    ax.set_xticks(range(len(labels)), labels)
    ax.set(ylim=(0, 108), yticks=range(0, 101, 20), ylabel=ylabel)
    ax.grid(False, axis="x")


def _bars(ax: Axes, series: list[tuple[object, np.ndarray]], count: int, *, horizontal: bool = False) -> None:
    """Draw for each series of `estimates` a bar with error bar and number at each of 0, 1, 2, ..."""
    thickness = 0.8 / len(series)
    for number, (name, (value, low, high)) in enumerate(series):
        places = np.arange(count) + (number - (len(series) - 1) / 2) * thickness
        (ax.barh if horizontal else ax.bar)(
            places,
            value,
            thickness * 0.94,
            color=COLORS[number % len(COLORS)],
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="white",
            linewidth=0,
            label="" if name is None else legend_label(name),
        )
        error = {"xerr" if horizontal else "yerr": np.maximum([value - low, high - value], 0)}
        ax.errorbar(*((value, places) if horizontal else (places, value)), **error, **ERROR_BAR)
        for place, middle, start, end in zip(places, value, low, high, strict=True):
            if np.isnan(middle):
                continue
            # Beyond the error bar, on the side to which the bar points.
            tip, side = (np.nanmax([middle, end]), 1) if middle >= 0 else (np.nanmin([middle, start]), -1)
            ax.annotate(
                number_text(middle),
                (tip, place) if horizontal else (place, tip),
                xytext=(4 * side, 0) if horizontal else (0, 3 * side),
                textcoords="offset points",
                ha=("left" if side > 0 else "right") if horizontal else "center",
                va="center" if horizontal else ("bottom" if side > 0 else "top"),
                fontsize="small",
            )
