"""Estimates with their intervals, one below another. `crosseyed.report.figures` explains shared parameters."""

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosseyed.errors import InputError
from crosseyed.mitigations.evaluation import picked
from crosseyed.report.figures.lettering import legend_label
from crosseyed.report.figures.style import (
    CENTER,
    COLORS,
    MARKERS,
    MAX_WIDTH,
    REFERENCE,
    add_footnote,
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
from crosseyed.settings import SIGNIFICANCE


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
        From `crosseyed.measure.bootstrap.mean`, by `method`, `hue` and `panel`.
    hue, panel, title
        See `crosseyed.report.figures`.
    references : mapping of str to float, optional
        For some scores a value to compare with, drawn as a dotted line.

    Returns
    -------
    matplotlib.figure.Figure
        Points with their intervals.
    """
    require_rows(table, ["method", hue, "mean", "low", "high", "confidence"])
    order = list(dict.fromkeys(table["method"]))
    width = 3.3
    figure, panels = panels_of(table, panel, ["method", hue], (width, 1.2 + 0.42 * len(order)))
    for number, (ax, name, part) in enumerate(panels):
        series = parts_of(part, hue)
        for mark, (value, rows) in enumerate(series):
            shift = 0.22 * (mark - (len(series) - 1) / 2)
            _points(ax, *estimates(rows, "method", order, ["mean", "low", "high"]), mark, shift, str(value))
        if references and name in references:
            ax.axvline(references[name], **REFERENCE)
        _name_rows(ax, order if number % int(MAX_WIDTH // width) == 0 else [""] * len(order))
        ax.set_xlabel(str(name))
    if references:
        panels[0][0].plot([], [], **REFERENCE, label="no preference")
    return _finish(figure, panels[0][0], title, interval_name(table))


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
    title
        See `crosseyed.report.figures`. The default title tells the effect of eccentricity with its interval.

    Returns
    -------
    matplotlib.figure.Figure
        Points on a logarithmic axis with their intervals, and a line at 1, no change. The dashed line beside the
        categories is the average category.

    Raises
    ------
    InputError
        A table is empty (there was no estimate), or `n_worst` is below 1.
    """
    require_rows(effects, ["effect", "unit", "odds_ratio", "low", "high", "confidence"])
    if categories.empty or n_worst < 1:
        raise InputError(
            f"there are {len(categories)} categories, of which {n_worst} are to be shown; give at least 1"
        )
    worst = categories.head(n_worst)
    figure, axes = plt.subplots(1, 2, figsize=(MAX_WIDTH, 1.3 + 0.38 * max(len(effects), len(worst))))
    labels = [f"{row.effect}: {row.unit}" for row in effects.itertuples()]
    worst_labels = [f"{row.object} ({row.n})" for row in worst.itertuples()]
    confidence = f"{100 * effects['confidence'].iloc[0]:g} % interval"
    for number, (ax, table, names) in enumerate([(axes[0], effects, labels), (axes[1], worst, worst_labels)]):
        _points(ax, *table[["odds_ratio", "low", "high"]].to_numpy(dtype=float).T, number)
        ax.set_xscale("log", base=2)
        limits = ax.get_xlim()
        if limits[1] < 4 * limits[0]:  # too narrow for more than one power of two
            ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter("{x:g}")
        _name_rows(ax, [textwrap.fill(name, 26) for name in names], zero=1, fontsize="small")
        ax.set_xlabel(f"factor on the odds of recognition (lines: {confidence})", fontsize="small")
    axes[0].set_title("Other things being equal")
    axes[1].set_title("Eccentricity: worst categories")
    axes[1].axvline(effects["odds_ratio"].iloc[0], color=COLORS[0], linestyle="--", linewidth=1.2)
    add_footnote(figure, "In brackets: objects of the category. Dashed: the average category.")
    first = effects.iloc[0]
    finding = (
        f"Each 0.1 of eccentricity multiplies the odds of recognition by {first['odds_ratio']:.2f} "
        f"({first['low']:.2f} to {first['high']:.2f})"
    )
    return finish(figure, title or finding)


@styled
def changes(
    table: pd.DataFrame,
    *,
    label: str = "candidate",
    panel: str = "protocol",
    baseline: str = "none",
    against: str = "the plain model",
    level: float = SIGNIFICANCE,
    title: str | None = None,
) -> Figure:
    """Show what candidates change at the center and off-center, on the same images.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.mitigations.evaluation.compare`.
    label, panel, title
        See `crosseyed.report.figures`. The default title counts the candidates that gain and lose off-center.
    baseline : str
        The candidate that is not shown, because the others are compared with it.
    against : str
        What it is called on the axis.
    level : float
        Changes with a corrected p-value below it have filled markers.

    Returns
    -------
    matplotlib.figure.Figure
        Points in percentage points with their intervals, and a line at zero.

    Raises
    ------
    InputError
        The table has no candidate beside the baseline.
    """
    sides = {"center_change": CENTER[True], "off_center_change": CENTER[False]}
    ends = [name for side in sides for name in ends_of(side)[1:]]
    require_rows(table, [label, *sides, *ends, "center_p", "off_center_p", "confidence"])
    shown = table[table[label] != baseline]
    if shown.empty:
        raise InputError(f"table has no row beside {baseline!r}; compare it with something")
    order = list(dict.fromkeys(shown[label]))
    reach = shown[ends].to_numpy(dtype=float)
    width = 4.9 if len(parts_of(shown, panel)) > 1 else 7.6
    figure, panels = panels_of(shown, panel, label, (width, 1.3 + 0.4 * len(order)))
    for number, (ax, name, part) in enumerate(panels):
        for mark, (side, words) in enumerate(sides.items()):
            (p,) = estimates(part, label, order, [side.replace("_change", "_p")])
            where = estimates(part, label, order, ends_of(side))
            _points(ax, *where, mark, 0.24 * (mark - 0.5), words, filled=p < level)
        _name_rows(ax, order if number % int(MAX_WIDTH // width) == 0 else [""] * len(order), zero=0)
        ax.set_xlim(min(0, np.nanmin(reach)) - 3, max(0, np.nanmax(reach)) + 3)
        ax.set_xlabel(f"change against {against} (percentage points)", fontsize="small")
        if len(panels) > 1:
            ax.set_title(panel_title(name, None, 4.2))
    first = panels[0][0]
    first.plot([], [], "o", color="0.4", label=f"differs from 0 (corrected p < {level:g})")
    first.plot([], [], "o", color="0.4", markerfacecolor="white", label="does not")
    certain = shown[shown["off_center_p"] < level]["off_center_change"]
    finding = (
        f"Off-center {np.count_nonzero(certain > 0)} of {len(shown)} are better, {np.count_nonzero(certain < 0)} worse "
        f"than {against}"
    )
    return _finish(figure, first, title or finding, interval_name(table))


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
        For each quantity a column and the ends of its interval in columns ending in ``_low`` and ``_high``.
    quantities : mapping of str to str
        Columns, each with a panel of its own, and the names of their axes.
    label, hue, title
        See `crosseyed.report.figures`.
    limits : mapping of str to tuple of float, optional
        For some quantities the ends of the axis. An arrow says where a point or an interval goes on beyond them.

    Returns
    -------
    matplotlib.figure.Figure
        Points with their intervals, and a line at zero.
    """
    require_rows(table, [label, *(name for each in quantities for name in ends_of(each)), "confidence"])
    parts = parts_of(table, hue)
    for name, part in parts:
        require_once(part, label, "hue", name)
    order = list(dict.fromkeys(table[label]))
    size = (MAX_WIDTH, 1.7 + (0.2 + 0.09 * len(parts)) * len(order))
    figure, axes = plt.subplots(1, len(quantities), figsize=size, squeeze=False, sharey=True)
    for ax, (column, xlabel) in zip(axes.flat, quantities.items(), strict=True):
        ends = (limits or {}).get(column, (-np.inf, np.inf))
        for number, (name, part) in enumerate(parts):
            shift = min(0.26, 0.8 / len(parts)) * (number - (len(parts) - 1) / 2)
            words = "" if name is None else str(name)
            _points(ax, *estimates(part, label, order, ends_of(column)), number, shift, words, limits=ends)
        if column in (limits or {}):
            margin = 0.04 * (ends[1] - ends[0])
            ax.set_xlim(ends[0] - margin, ends[1] + margin)
        ax.set_xlabel(textwrap.fill(xlabel, 46), fontsize="small")
        _name_rows(ax, [textwrap.fill(str(name), 36) for name in order], zero=0, fontsize="small")
    return _finish(figure, axes.flat[0], title, interval_name(table))


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
        From `crosseyed.workflow.comparison.group_means`; groups appear in the order of its rows.
    group, value : str
        Columns: what the models share, and the quantity.
    xlabel, title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        A dot for each model, a diamond with a line for each mean that has an interval, and a line at zero.
    """
    require_rows(means, [group, "mean", "low", "high", "n", "confidence"])
    require_once(means, group, "group", None)
    require_rows(table, [group, value])
    order = list(means[group])
    rows = table[table[group].isin(order)]
    places = rows[group].map({name: number for number, name in enumerate(order)})
    figure, ax = plt.subplots(figsize=(7.6, 1.5 + 0.36 * len(order)))
    ax.plot(rows[value], places + 0.14, "o", color=COLORS[0], alpha=0.7, label="one model")
    several = means.where(means["low"].notna())[["mean", "low", "high"]].to_numpy(dtype=float).T
    label = f"mean, with a {100 * means['confidence'].iloc[0]:g} % interval over models"
    _points(ax, *several, 3, -0.14, label)
    _name_rows(ax, [f"{row[0]} ({row[1]})" for row in means[[group, "n"]].to_numpy()], zero=0)
    ax.set_xlabel(xlabel)
    return finish(figure, title, ax)


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
        From `crosseyed.mitigations.evaluation.with_validation_rank`, of one protocol.
    label, title
        See `crosseyed.report.figures`. The default title tells what the candidate gains that validation picked.
    baseline : str
        The candidate that the others are compared with, drawn as a cross at 0.
    most_named : int
        Candidates with a number and a name: those that gain most off-center, and at least a point.
    most_loss : float
        Percentage points of loss at the center up to which the ground is shaded.
    far : float
        Candidates that cost the center more points than this are counted below the figure and not drawn.

    Returns
    -------
    matplotlib.figure.Figure
        A point for each candidate, whose area grows with its passes of the tower, and for those with names the
        intervals of both changes.
    """
    sides = ("center_change", "off_center_change")
    columns = [name for side in sides for name in ends_of(side)]
    require_rows(table, [label, "kind", "oracle", "passes", *columns, "confidence", "validation_rank"])
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
    x, y = (named[ends_of(side)].to_numpy(dtype=float).T for side in sides)
    reach = {
        f"{axis}err": np.maximum([m - low, high - m], 0)
        for axis, (m, low, high) in zip("xy", (x, y), strict=True)
    }
    ax.errorbar(x[0], y[0], **reach, fmt="none", ecolor="0.75", elinewidth=1, zorder=1)
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
        ax.plot([], [], MARKERS[number], color=COLORS[number], label=legend_label(name))
    ax.plot(0, 0, "x", color="0.1", markersize=9, markeredgewidth=2, label="the plain model", zorder=4)
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
    points = drawn[["center_change", "off_center_change"]].to_numpy(dtype=float)
    in_points = ax.transData.transform(points) * 72 / figure.dpi
    offsets = _apart(in_points[: len(named)], in_points)
    for place, (row, offset) in enumerate(zip(named.itertuples(), offsets, strict=True)):
        ax.annotate(
            str(place + 1),
            (row.center_change, row.off_center_change),
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize="small",
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6},
            zorder=5,
        )
    ax.fill_between([], [], color="0.95", label=f"center loses at most {most_loss:g} points")
    missing = len(others) - len(drawn)
    left_out = (
        f" Not drawn, as they lose more than {-far:g} points at the center: {missing}." if missing else ""
    )
    note = f"Larger marks: more passes of the tower. Lines: {interval_name(table)}.{left_out}"
    ax.text(
        1.02, 0, textwrap.fill(note, 40), transform=ax.transAxes, va="bottom", fontsize="small", color="0.35"
    )
    return finish(figure, title or _picked_gain(others, label), ax)


def _points(
    ax: Axes,
    middle: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    number: int,
    shift: float = 0.0,
    label: str = "",
    *,
    filled: np.ndarray | None = None,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Draw estimates below another with their intervals, hollow unless filled, cut off by arrows at the limits."""
    places = np.arange(len(middle)) + shift
    color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
    ax.hlines(places, np.clip(low, *limits), np.clip(high, *limits), color=color, linewidth=1.3)
    inside = (middle >= limits[0]) & (middle <= limits[1])
    sure = inside if filled is None else inside & filled
    for rows, face in ((sure, color), (inside & ~sure, "white")):
        if rows.any():
            ax.plot(middle[rows], places[rows], marker, color=color, markerfacecolor=face)
    for beyond, end, arrow in ((low < limits[0], limits[0], "<"), (high > limits[1], limits[1], ">")):
        if beyond.any():
            ax.plot(np.full(beyond.sum(), end), places[beyond], arrow, color=color, markersize=5)
    ax.plot([], [], marker, color=color, label=legend_label(label))


def _name_rows(ax: Axes, names: list[str], zero: float | None = None, **font: str) -> None:
    """Write the names of the rows from top to bottom, and draw a line where there is no effect."""
    ax.set_yticks(range(len(names)), names, **font)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(False, axis="y")
    if zero is not None:
        ax.axvline(zero, color="0.2", linewidth=1.2)


def _finish(figure: Figure, ax: Axes, title: str | None, interval: str) -> Figure:
    ax.hlines([], [], [], color="0.4", label=f"line: {interval}")
    return finish(figure, title, ax)


def _apart(labelled: np.ndarray, marks: np.ndarray) -> list[tuple[float, float]]:
    """Return an offset for the label of each place (n, 2) that keeps it from marks and from labels before it.

    All are in points. A label stands in one of 12 directions around its place, none of which is that of an interval,
    and further out where there is no room near by.
    """
    angles = np.pi / 12 + np.linspace(0, 2 * np.pi, 12, endpoint=False)
    around = np.stack([np.cos(angles), np.sin(angles)], 1)
    taken, chosen = marks, []
    for place in labelled:
        for distance in (20, 34, 48):
            room = np.linalg.norm((place + distance * around)[:, None] - taken, axis=2).min(1)
            if room.max() >= 14:  # more than a digit is high
                break
        offset = distance * around[np.argmax(room.round(3))]  # of equals the first
        taken = np.vstack([taken, place + offset])
        chosen.append(tuple(offset))
    return chosen


def _passes(passes: float) -> str:
    number = f"{passes:.3g}"
    return f"{number} pass" if number == "1" else f"{number} passes"


def _picked_gain(others: pd.DataFrame, label: str) -> str:
    """Say what the candidate gains that other objects picked among those that are not told where the object is."""
    found = picked(others[(others["kind"] == "mitigation") & ~others["oracle"].astype(bool)])
    if found.empty:
        return "What is gained off-center, and lost at the center"
    row = found.iloc[0]
    return (
        f"Picked by other objects, {row[label]}: {number_text(row['off_center_change'])} points off-center "
        f"({range_text(row[ends_of('off_center_change')[1:]])}), {number_text(row['center_change'])} at the center"
    )
