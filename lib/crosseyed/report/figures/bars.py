"""Bar figures."""

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosseyed.errors import InputError
from crosseyed.report.figures.style import (
    COLORS,
    ERROR_BAR,
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

_HATCHES = (None, "///", "...", "xxx", "\\\\\\", "+++")

_CHOICE_LABELS = {
    "both": "both\nobjects",
    "object": "first\nobject only",
    "object2": "second\nobject only",
    "other": "neither (cat,\nrefrigerator)",
}


@styled
def method_scores(
    table: pd.DataFrame,
    *,
    hue: str = "place",
    panel: str = "score",
    references: Mapping[str, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show the scores of methods side by side.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.mean`, by `method`, `hue` and `panel`; methods appear in the order of
        its rows.
    hue : str
        Column with a marker for each of its values.
    panel : str
        Column with a panel for each of its values: the scores.
    references : mapping of str to float, optional
        For some scores a value to compare with, drawn as a dotted line.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Points with bars that reach from `low` to `high`.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a point.
    """
    require_columns(table, ["method", hue, "mean", "low", "high", "confidence"], "mean")
    parts = parts_of(table, panel)
    order = list(dict.fromkeys(table["method"]))
    figure, axes = make_panels(len(parts), (3.3, 1.2 + 0.42 * len(order)))
    for number, (ax, (name, part)) in enumerate(zip(axes, parts, strict=True)):
        require_once(part, ["method", hue], "panel", name)
        series = parts_of(part, hue)
        for mark, (value, points) in enumerate(series):
            points = points.set_index("method").reindex(order)
            places = np.arange(len(order)) + 0.22 * (mark - (len(series) - 1) / 2)
            reach = np.array([points["mean"] - points["low"], points["high"] - points["mean"]])
            ax.errorbar(
                points["mean"],
                places,
                xerr=np.maximum(reach, 0),
                fmt=MARKERS[mark % len(MARKERS)],
                color=COLORS[mark % len(COLORS)],
                elinewidth=1.2,
                capsize=2,
                label=str(value),
            )
        if references and name in references:
            ax.axvline(references[name], color="0.35", linestyle=(0, (1, 3)))
        first = number % max(1, int(MAX_WIDTH // 3.3)) == 0
        ax.set_yticks(range(len(order)), order if first else [""] * len(order))
        ax.invert_yaxis()
        ax.set_xlabel(str(name))
    if references:
        axes[0].plot([], [], color="0.35", linestyle=(0, (1, 3)), label="no preference")
    add_legend(figure, axes[0], interval_name(table))
    set_headline(figure, title)
    return figure


@styled
def choice_bars(table: pd.DataFrame, *, panel: str = "model", title: str | None = None) -> Figure:
    """Show which of What'sUp's four captions won, at the center and off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.choices`.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    title : str, optional
        Title of the figure. Each panel's own title gives how often both objects were named.

    Returns
    -------
    matplotlib.figure.Figure
        Bars of the shares among readable images, in percent, with their intervals.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a bar.
    """
    require_columns(table, ["center", "choice", "count", "share", "low", "high", "confidence"], "choices")
    parts = parts_of(table, panel)
    figure, axes = make_panels(len(parts), (4.8, 3.9))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, ["center", "choice"], "panel", name)
        unreadable = int(part.loc[part["choice"] == "unreadable", "count"].sum())
        sides = [
            ("center", part[part["center"].astype(bool)]),
            ("off-center", part[~part["center"].astype(bool)]),
        ]
        _bars(ax, sides, "choice", list(_CHOICE_LABELS), ["share", "low", "high"])
        ax.set_xticks(range(len(_CHOICE_LABELS)), list(_CHOICE_LABELS.values()))
        ax.set(ylim=(0, 108), yticks=range(0, 101, 20), ylabel="share of readable images (%)")
        ax.set_xlabel(
            "caption chosen" + (f" ({unreadable} unreadable images left out)" if unreadable else "")
        )
        ax.grid(False, axis="x")
        both = [side.loc[side["choice"] == "both", "share"].mean() for _, side in sides]
        ax.set_title(panel_title(name, f"both: {both[0]:.0f} % center, {both[1]:.0f} % off-center", 4.0))
    add_legend(figure, axes[0], interval_name(table))
    set_headline(figure, title)
    return figure


@styled
def gap_bars(
    table: pd.DataFrame, label: str = "condition", *, hue: str = "model", title: str | None = None
) -> Figure:
    """Show the center-bias gap under several conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.center_bias`; the conditions appear from top to bottom in the order of its
        rows.
    label : str
        Column that names the conditions.
    hue : str
        Column with a bar for each of its values in every condition; without that column there is one.
    title : str, optional
        Title; by default the range of the gaps and whether their intervals exclude zero.

    Returns
    -------
    matplotlib.figure.Figure
        Horizontal bars in percentage points with their intervals, and a line at zero.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a bar.
    """
    require_columns(table, [label, "gap", "gap_low", "gap_high", "confidence"], "center_bias")
    parts = parts_of(table, hue)
    for name, part in parts:
        require_once(part, label, "hue", name)
    conditions = list(dict.fromkeys(table[label]))
    height = 1.4 + max(0.5, 0.34 * len(parts)) * len(conditions)
    figure, ax = plt.subplots(figsize=(7.2, height))
    _bars(ax, parts, label, conditions, ["gap", "gap_low", "gap_high"], horizontal=True)
    ax.axvline(0, color="0.2", linewidth=1.2)
    ax.set_yticks(range(len(conditions)), [textwrap.fill(str(condition), 24) for condition in conditions])
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set_xlabel("center-bias gap: accuracy at the center minus off-center (percentage points)")
    ax.margins(x=0.08)
    add_legend(figure, ax, interval_name(table))
    above_zero = np.count_nonzero(table["gap_low"] > 0)
    finding = (
        f"Gap of {range_text(table['gap'])} points; interval above zero in {above_zero} of {len(table)} cases"
    )
    set_headline(figure, title or finding)
    return figure


@styled
def center_bars(
    table: pd.DataFrame, *, label: str = "pooling", panel: str = "positions", title: str | None = None
) -> Figure:
    """Show the accuracy at the center and off-center under several conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.center_bias`; conditions and panels appear in the order of its rows.
    label : str
        Column that names the conditions.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    title : str, optional
        Title of the figure. Each panel's own title gives the range of its gaps.

    Returns
    -------
    matplotlib.figure.Figure
        Two bars for each condition, in percent, with their intervals.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a condition of a panel.
    """
    sides = {"center_accuracy": "at the center", "off_center_accuracy": "off-center"}
    columns = [f"{side}{end}" for side in sides for end in ("", "_low", "_high")]
    require_columns(table, [label, *columns, "gap", "confidence"], "center_bias")
    parts = parts_of(table, panel)
    order = list(dict.fromkeys(table[label]))
    figure, axes = make_panels(len(parts), (4.9, 3.9))
    for ax, (name, part) in zip(axes, parts, strict=True):
        require_once(part, label, "panel", name)
        series = [
            (words, part.rename(columns={f"{side}{end}": f"value{end}" for end in ("", "_low", "_high")}))
            for side, words in sides.items()
        ]
        _bars(ax, series, label, order, ["value", "value_low", "value_high"])
        ax.set_xticks(range(len(order)), [textwrap.fill(str(each), 12) for each in order])
        ax.set(ylim=(0, 108), yticks=range(0, 101, 20), ylabel="accuracy (%)")
        ax.grid(False, axis="x")
        ax.set_title(panel_title(name, f"gap {range_text(part['gap'])} points", 4.2))
    add_legend(figure, axes[0], interval_name(table))
    set_headline(figure, title)
    return figure


@styled
def shares(
    table: pd.DataFrame, *, bar: str, part: str, share: str = "share", title: str | None = None
) -> Figure:
    """Show how wholes are made up of parts.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each bar and part; the shares of a bar, in percent, add up to 100. Bars and parts appear in the
        order of the rows.
    bar, part, share : str
        Columns with the names of the bars and of their parts, and with the shares.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Stacked horizontal bars with numbers.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has a part of a bar twice.
    """
    for column in (bar, part, share):
        if column not in table or table.empty:
            raise InputError(
                f"table needs the column {column!r} and a row for each part; it has {list(table)}"
            )
    require_once(table, [bar, part], "bar", None)
    bars, parts = (list(dict.fromkeys(table[column])) for column in (bar, part))
    figure, ax = plt.subplots(figsize=(MAX_WIDTH, 1.5 + 0.62 * len(bars)))
    left = np.zeros(len(bars))
    values = table.pivot(index=bar, columns=part, values=share).reindex(index=bars, columns=parts).fillna(0)
    for number, name in enumerate(parts):
        width = values[name].to_numpy()
        color, hatch = COLORS[number % len(COLORS)], _HATCHES[number % len(_HATCHES)]
        ax.barh(bars, width, left=left, color=color, hatch=hatch, edgecolor="white", linewidth=0, label=name)
        for place, (start, wide) in enumerate(zip(left, width, strict=True)):
            if wide >= 2.5:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
                ax.text(start + wide / 2, place, number_text(wide), ha="center", va="center", bbox=box)
        left += width
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlim=(0, 100), xlabel="share of images (%)")
    add_legend(figure, ax)
    set_headline(figure, title)
    return figure


def _bars(
    ax: Axes,
    series: list[tuple[object, pd.DataFrame]],
    key: str,
    order: list[object],
    columns: list[str],
    *,
    horizontal: bool = False,
) -> None:
    """Draw a bar with error bar and number for each series and each value of `key`, in the given order.

    `columns` name the value and the low and high ends of its interval. Values of `key` are at 0, 1, 2, ...
    """
    thickness = 0.8 / len(series)
    for number, (name, part) in enumerate(series):
        value, low, high = part.set_index(key)[columns].reindex(order).to_numpy(dtype=float).T
        places = np.arange(len(order)) + (number - (len(series) - 1) / 2) * thickness
        (ax.barh if horizontal else ax.bar)(
            places,
            value,
            thickness * 0.94,
            color=COLORS[number % len(COLORS)],
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="white",
            linewidth=0,
            label="" if name is None else str(name),
        )
        error = {"xerr" if horizontal else "yerr": np.maximum([value - low, high - value], 0)}
        ax.errorbar(
            *((value, places) if horizontal else (places, value)),
            **error,
            **ERROR_BAR,
        )
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
