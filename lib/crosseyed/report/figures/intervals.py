"""Point estimates with their intervals."""

import math
import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosseyed.errors import InputError
from crosseyed.report.figures.style import (
    COLORS,
    MARKERS,
    MAX_WIDTH,
    add_footnote,
    add_legend,
    interval_name,
    make_panels,
    number_text,
    panel_title,
    parts_of,
    require_columns,
    require_once,
    set_headline,
    styled,
)


@styled
def odds_ratios(
    effects: pd.DataFrame, categories: pd.DataFrame, *, n_worst: int = 12, title: str | None = None
) -> Figure:
    """Show what changes the odds of recognition, and the categories that lose most with eccentricity.

    Parameters
    ----------
    effects, categories : pandas.DataFrame
        The tables of `crosseyed.measure.mixed_logit.mixed_slope`.
    n_worst : int
        How many categories to show, at least 1.
    title : str, optional
        Title; by default the effect of eccentricity with its interval.

    Returns
    -------
    matplotlib.figure.Figure
        Points on a logarithmic axis with bars from `low` to `high`, and a line at 1, no change. The dashed line beside
        the categories is the average category.

    Raises
    ------
    InputError
        If a table is empty (there was no estimate) or lacks a column, or `n_worst` is below 1.
    """
    require_columns(effects, ["effect", "unit", "odds_ratio", "low", "high", "confidence"], "mixed_slope")
    if categories.empty or n_worst < 1:
        raise InputError(
            f"there are {len(categories)} categories, of which {n_worst} are to be shown; give at least 1"
        )
    worst = categories.head(n_worst)
    height = 1.3 + 0.38 * max(len(effects), len(worst))
    figure, axes = plt.subplots(1, 2, figsize=(MAX_WIDTH, height))
    labels = [textwrap.fill(f"{row.effect}: {row.unit}", 26) for row in effects.itertuples()]
    worst_labels = [textwrap.fill(f"{row.object} ({row.n})", 26) for row in worst.itertuples()]
    confidence = f"{100 * effects['confidence'].iloc[0]:g} % interval"
    panels = [(axes[0], effects, labels), (axes[1], worst, worst_labels)]
    for number, (ax, table, names) in enumerate(panels):
        middle = table["odds_ratio"].to_numpy()
        reach = np.array([middle - table["low"], table["high"] - middle])
        ax.errorbar(
            middle,
            np.arange(len(table)),
            xerr=reach,
            fmt=MARKERS[number],
            color=COLORS[number],
            elinewidth=1.2,
            capsize=3,
        )
        ax.axvline(1, color="0.2", linewidth=1.2)
        ax.set_xscale("log", base=2)
        limits = ax.get_xlim()
        if limits[1] < 4 * limits[0]:  # too narrow for more than one power of two
            ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_yticks(range(len(table)), names, fontsize="small")
        ax.set_ylim(len(table) - 0.5, -0.5)
        ax.grid(False, axis="y")
        ax.set_xlabel(f"factor on the odds of recognition (bars: {confidence})", fontsize="small")
    axes[0].set_title("Other things being equal")
    axes[1].set_title("Eccentricity: worst categories")
    axes[1].axvline(effects["odds_ratio"].iloc[0], color=COLORS[0], linestyle="--", linewidth=1.2)
    add_footnote(figure, "In brackets: objects of the category. Dashed: the average category.")
    first = effects.iloc[0]
    finding = (
        f"Each 0.1 of eccentricity multiplies the odds of recognition by {first['odds_ratio']:.2f} "
        f"({first['low']:.2f} to {first['high']:.2f})"
    )
    set_headline(figure, title or finding)
    return figure


@styled
def changes(
    table: pd.DataFrame,
    *,
    label: str = "candidate",
    panel: str = "protocol",
    baseline: str = "none",
    against: str = "the plain model",
    level: float = 0.05,
    title: str | None = None,
) -> Figure:
    """Show what candidates change at the center and off-center, on the same images.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.mitigations.evaluation.compare`; candidates appear from top to bottom in the order of its rows.
    label : str
        Column that names the candidates.
    panel : str
        Column with a panel for each of its values; without that column there is one.
    baseline : str
        The candidate that is not shown, because the others are compared with it.
    against : str
        What it is called on the axis.
    level : float
        Changes with a corrected p-value below it have filled markers.
    title : str, optional
        Title; by default how many candidates gain and lose off-center.

    Returns
    -------
    matplotlib.figure.Figure
        Points in percentage points with their intervals, and a line at zero.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, has no candidate beside the baseline, or several rows for one.
    """
    sides = {"center_change": "at the center", "off_center_change": "off-center"}
    columns = [f"{side}{end}" for side in sides for end in ("", "_low", "_high")]
    require_columns(table, [label, *columns, "center_p", "off_center_p", "confidence"], "evaluation.compare")
    shown = table[table[label] != baseline]
    if shown.empty:
        raise InputError(f"table has no row beside {baseline!r}; compare it with something")
    parts = parts_of(shown, panel)
    order = list(dict.fromkeys(shown[label]))
    ends = shown[[column for column in columns if column.endswith(("low", "high"))]].to_numpy(dtype=float)
    limits = (min(0, np.nanmin(ends)) - 3, max(0, np.nanmax(ends)) + 3)
    figure, axes = make_panels(len(parts), (4.9 if len(parts) > 1 else 7.6, 1.3 + 0.4 * len(order)))
    for number, (ax, (name, part)) in enumerate(zip(axes, parts, strict=True)):
        require_once(part, label, "panel", name)
        part = part.set_index(label).reindex(order)
        for mark, (side, words) in enumerate(sides.items()):
            middle = part[side].to_numpy(dtype=float)
            reach = np.array([middle - part[f"{side}_low"], part[f"{side}_high"] - middle], dtype=float)
            places = np.arange(len(order)) + 0.24 * (mark - 0.5)
            color, marker = COLORS[mark], MARKERS[mark]
            ax.errorbar(
                middle,
                places,
                xerr=np.maximum(reach, 0),
                fmt="none",
                ecolor=color,
                elinewidth=1.3,
                capsize=2.5,
            )
            sure = (part[side.replace("_change", "_p")] < level).to_numpy()
            for rows, face in ((sure, color), (~sure, "white")):
                ax.plot(middle[rows], places[rows], marker, color=color, markerfacecolor=face, markersize=6)
            ax.plot([], [], marker, color=color, label=words)
        ax.axvline(0, color="0.2", linewidth=1.2)
        first = number % max(1, int(MAX_WIDTH // 4.9)) == 0
        ax.set_yticks(range(len(order)), order if first else [""] * len(order))
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.grid(False, axis="y")
        ax.set(xlim=limits)
        ax.set_xlabel(f"change against {against} (percentage points)", fontsize="small")
        if len(parts) > 1:
            ax.set_title(panel_title(name, None, 4.2))
    axes[0].plot([], [], "o", color="0.4", label=f"differs from 0 (corrected p < {level:g})")
    axes[0].plot([], [], "o", color="0.4", markerfacecolor="white", label="does not")
    add_legend(figure, axes[0], interval_name(table))
    certain = shown[shown["off_center_p"] < level]["off_center_change"]
    finding = (
        f"Off-center {np.count_nonzero(certain > 0)} of {len(shown)} are better, {np.count_nonzero(certain < 0)} worse "
        f"than {against}"
    )
    set_headline(figure, title or finding)
    return figure


@styled
def trade_off(
    table: pd.DataFrame,
    *,
    label: str = "family",
    baseline: str = "none",
    most_named: int = 8,
    most_loss: float = 2.0,
    far: float = -40.0,
    title: str | None = None,
) -> Figure:
    """Show what candidates gain off-center against what they cost at the center.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.mitigations.evaluation.evaluate`, of one protocol.
    label : str
        Column that names the candidates.
    baseline : str
        The candidate that the others are compared with, drawn as a cross at 0.
    most_named : int
        Candidates with a number and a name: those that gain most off-center, and at least a point.
    most_loss : float
        Percentage points of loss at the center up to which the ground is shaded.
    far : float
        Candidates that cost the center more points than this are counted below the figure and not drawn.
    title : str, optional
        Title; by default the best gain within `most_loss`.

    Returns
    -------
    matplotlib.figure.Figure
        A point for each candidate, whose area grows with its passes of the tower, and for those with names the
        intervals of both changes.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a candidate.
    """
    sides = ("center_change", "off_center_change")
    columns = [f"{side}{end}" for side in sides for end in ("", "_low", "_high")]
    require_columns(table, [label, "kind", "oracle", "passes", *columns, "confidence"], "evaluation.compare")
    require_once(table, label, "label", None)
    others = table[table[label] != baseline]
    drawn = others[others["center_change"] >= far].sort_values("off_center_change", ascending=False)
    figure, ax = plt.subplots(figsize=(MAX_WIDTH, 5.6))
    ax.axvspan(-most_loss, 200, color="0.95", zorder=0)
    ax.axhline(0, color="0.35", linewidth=1)
    ax.axvline(0, color="0.35", linewidth=1)
    groups = {
        "not told where the object is": (drawn["kind"] == "mitigation") & ~drawn["oracle"].astype(bool),
        "told (oracle)": drawn["oracle"].astype(bool),
        "another pooling": drawn["kind"] == "pooling",
    }
    named = drawn[drawn["off_center_change"] >= 1].head(most_named)
    for row in named.itertuples():
        middle = (row.center_change, row.off_center_change)
        reach = [
            [[max(at - low, 0)], [max(high - at, 0)]]
            for at, low, high in (
                (middle[0], row.center_change_low, row.center_change_high),
                (middle[1], row.off_center_change_low, row.off_center_change_high),
            )
        ]
        ax.errorbar(*middle, xerr=reach[0], yerr=reach[1], fmt="none", ecolor="0.75", elinewidth=1, zorder=1)
    for number, (name, rows) in enumerate(groups.items()):
        points = drawn[rows]
        area = 30 + 14 * points["passes"]
        ax.scatter(
            points["center_change"],
            points["off_center_change"],
            area,
            color=COLORS[number],
            marker=MARKERS[number],
            edgecolor="white",
            linewidth=0.8,
            zorder=3,
        )
        ax.plot([], [], MARKERS[number], color=COLORS[number], label=name)
    ax.plot(0, 0, "x", color="0.1", markersize=9, markeredgewidth=2, label="the plain model", zorder=4)
    for place, row in enumerate(named.itertuples()):
        ax.annotate(
            str(place + 1),
            (row.center_change, row.off_center_change),
            xytext=_around(place),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize="small",
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6},
            zorder=5,
        )
    lines = [
        textwrap.fill(
            f"{place + 1}  {getattr(row, label)} ({_passes(row.passes)})", 38, subsequent_indent="    "
        )
        for place, row in enumerate(named.itertuples())
    ]
    ax.text(1.02, 1, "\n".join(lines), transform=ax.transAxes, va="top", fontsize="small", linespacing=1.5)
    low, high = min(drawn["center_change"].min(), -most_loss), max(drawn["center_change"].max(), 0)
    ax.set_xlim(low - 2.5, high + 2.5)
    ax.set_xlabel("change at the center (percentage points; left: harm)")
    ax.set_ylabel("change off-center (percentage points; up: gain)")
    ax.fill_between([], [], color="0.95", label=f"center loses at most {most_loss:g} points")
    add_legend(figure, ax)
    missing = len(others) - len(drawn)
    left_out = (
        f" Not drawn, as they lose more than {-far:g} points at the center: {missing}." if missing else ""
    )
    note = f"Larger marks: more passes of the tower. Lines: {interval_name(table)}.{left_out}"
    ax.text(
        1.02, 0, textwrap.fill(note, 40), transform=ax.transAxes, va="bottom", fontsize="small", color="0.35"
    )
    set_headline(figure, title or _best_gain(others, label, most_loss))
    return figure


@styled
def forest(
    table: pd.DataFrame,
    quantities: Mapping[str, str],
    *,
    label: str = "name",
    hue: str = "protocol",
    limits: Mapping[str, tuple[float, float]] | None = None,
    title: str | None = None,
) -> Figure:
    """Show quantities of many models or comparisons with their intervals, one to a line.

    Parameters
    ----------
    table : pandas.DataFrame
        For each quantity a column and the ends of its interval in columns ending in ``_low`` and ``_high``;
        `confidence`. Lines appear from top to bottom in the order of the rows.
    quantities : mapping of str to str
        Columns, each with a panel of its own, and the names of their axes.
    label : str
        Column with the names of the lines.
    hue : str
        Column with a mark for each of its values on a line; without that column there is one.
    limits : mapping of str to tuple of float, optional
        For some quantities the ends of the axis. An arrow says where a point or an interval goes on beyond them.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Points with bars, and a line at zero.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a point.
    """
    columns = [f"{name}{end}" for name in quantities for end in ("", "_low", "_high")]
    require_columns(table, [label, *columns, "confidence"], "center_bias")
    parts = parts_of(table, hue)
    for name, part in parts:
        require_once(part, label, "hue", name)
    order = list(dict.fromkeys(table[label]))
    line = 0.2 + 0.09 * len(parts)
    figure, axes = plt.subplots(
        1, len(quantities), figsize=(MAX_WIDTH, 1.7 + line * len(order)), squeeze=False, sharey=True
    )
    for ax, (column, xlabel) in zip(axes.flat, quantities.items(), strict=True):
        low_end, high_end = (limits or {}).get(column, (-np.inf, np.inf))
        for number, (name, part) in enumerate(parts):
            rows = part.set_index(label).reindex(order)
            middle, low, high = (rows[f"{column}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
            places = np.arange(len(order)) + 0.26 * (number - (len(parts) - 1) / 2)
            color = COLORS[number % len(COLORS)]
            ax.hlines(places, np.clip(low, low_end, high_end), np.clip(high, low_end, high_end), color=color)
            inside = (middle >= low_end) & (middle <= high_end)
            marker = MARKERS[number % len(MARKERS)]
            ax.plot(
                middle[inside], places[inside], marker, color=color, label="" if name is None else str(name)
            )
            for beyond, end, arrow in ((low < low_end, low_end, "<"), (high > high_end, high_end, ">")):
                ax.plot(np.full(beyond.sum(), end), places[beyond], arrow, color=color, markersize=5)
        ax.axvline(0, color="0.2", linewidth=1.2)
        if column in (limits or {}):
            margin = 0.04 * (high_end - low_end)
            ax.set_xlim(low_end - margin, high_end + margin)
        ax.set_xlabel(textwrap.fill(xlabel, 46), fontsize="small")
        ax.grid(False, axis="y")
    first = axes.flat[0]
    first.set_yticks(range(len(order)), [textwrap.fill(str(name), 36) for name in order], fontsize="small")
    first.set_ylim(len(order) - 0.5, -0.5)
    first.hlines([], [], [], color="0.4", label=f"line: {interval_name(table)}")
    add_legend(figure, first)
    set_headline(figure, title)
    return figure


@styled
def by_group(
    table: pd.DataFrame,
    means: pd.DataFrame,
    group: str,
    *,
    value: str = "gap",
    xlabel: str,
    title: str | None = None,
) -> Figure:
    """Show a quantity of models by what they share, with the mean of each group.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per model, with the columns `group` and `value`.
    means : pandas.DataFrame
        From `crosseyed.report.comparison.group_means`; groups appear from top to bottom in the order of its rows.
    group, value : str
        Columns: what the models share, and the quantity.
    xlabel : str
        Name of the horizontal axis, with its unit.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A dot for each model, a diamond with a bar for each mean that has an interval, and a line at zero.

    Raises
    ------
    InputError
        If a table is empty, lacks a column, or there are several means for a group.
    """
    require_columns(means, [group, "mean", "low", "high", "n", "confidence"], "group_means")
    require_once(means, group, "group", None)
    if not {group, value} <= set(table):
        raise InputError(f"table needs the columns {group!r} and {value!r}; it has {list(table)}")
    order = list(means[group])
    place = {name: number for number, name in enumerate(order)}
    rows = table[table[group].isin(order)]
    figure, ax = plt.subplots(figsize=(7.6, 1.5 + 0.36 * len(order)))
    ax.plot(rows[value], rows[group].map(place) + 0.14, "o", color=COLORS[0], alpha=0.7, label="one model")
    several = means.dropna(subset=["low"])
    reach = [several["mean"] - several["low"], several["high"] - several["mean"]]
    ax.errorbar(
        several["mean"],
        several[group].map(place) - 0.14,
        xerr=reach,
        fmt="D",
        color=COLORS[1],
        elinewidth=1.4,
        capsize=3,
        label=f"mean, with a {100 * means['confidence'].iloc[0]:g} % interval over models",
    )
    ax.axvline(0, color="0.2", linewidth=1.2)
    ax.set_yticks(range(len(order)), [f"{row[0]} ({row[1]})" for row in means[[group, "n"]].to_numpy()])
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.grid(False, axis="y")
    ax.set_xlabel(xlabel)
    add_legend(figure, ax)
    set_headline(figure, title)
    return figure


def _around(place: int) -> tuple[float, float]:
    """Return an offset in points; those of successive places point in different directions."""
    angle = math.pi * (3 - math.sqrt(5)) * place  # the golden angle
    return 20 * math.cos(angle), 20 * math.sin(angle)


def _passes(passes: float) -> str:
    number = f"{passes:.3g}"
    return f"{number} pass" if number == "1" else f"{number} passes"


def _best_gain(others: pd.DataFrame, label: str, most_loss: float) -> str:
    """Return the best gain off-center that costs the center little, with its interval, in words."""
    harmless = others[(others["center_change"] >= -most_loss) & ~others["oracle"].astype(bool)]
    if harmless.empty:
        return f"Without an oracle everything costs the center more than {most_loss:g} points"
    best = harmless.loc[harmless["off_center_change"].idxmax()]
    return (
        f"Best without an oracle, {best[label]}: {number_text(best['off_center_change'])} points off-center "
        f"({number_text(best['off_center_change_low'])} to {number_text(best['off_center_change_high'])}), "
        f"{number_text(best['center_change'])} at the center"
    )
