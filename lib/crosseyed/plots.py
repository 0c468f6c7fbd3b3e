"""Every figure of the book, in one style: tables of `crosseyed.metrics` in, matplotlib figures out.

The functions neither save nor show a figure: in a notebook it appears as the value of the cell, in a script
``figure.savefig`` writes it. They leave the table and matplotlib's settings as they were.

Colors are those of seaborn's ``colorblind`` palette, and what a color tells is told a second time, by a
marker, a line style, a hatching or a number. Each figure says what its error bars are; unless given, titles
state the finding in numbers from the table.
"""

import functools
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from crosseyed.errors import InputError
from crosseyed.metrics import CENTER_LIMIT

STYLE = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("notebook", font_scale=0.85),
    # Fonts are looked up when a figure is drawn, perhaps after this style is gone: keep matplotlib's own.
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "0.9",
    "hatch.linewidth": 0.6,
}
"""The settings of matplotlib that make the book's figures look alike."""

_COLORS = sns.color_palette("colorblind")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", "--", "-.", ":")
_HATCHES = (None, "///", "...", "xxx", "\\\\\\", "+++")
_CHOICE_LABELS = {
    "both": "both\nobjects",
    "object": "first\nobject only",
    "object2": "second\nobject only",
    "other": "neither (cat,\nrefrigerator)",
}
_ERROR_BAR = {"fmt": "none", "ecolor": "0.15", "elinewidth": 1.2, "capsize": 3}
_FEW_VALUES = 6  # up to this many values of a property are shown side by side
_MAX_WIDTH = 10.0  # inches: what a page of the book shows without shrinking the text below reading size


def use_style() -> None:
    """Give the figures that a notebook draws itself the style of this module's figures."""
    plt.rcParams.update(STYLE)


def _styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the book's style, and have pyplot forget the figure, which a notebook would else show twice."""

    @functools.wraps(draw)
    def styled(*args: object, **kwargs: object) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            plt.close(figure)
        return figure

    return styled


@_styled
def scenes(
    images: Sequence[ArrayLike],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 6,
    title: str | None = None,
) -> Figure:
    """Show pictures side by side.

    Parameters
    ----------
    images : sequence of array_like, shape (height, width, 3) or (height, width)
        Colors as uint8 (0 to 255) or float (0 to 1), or gray levels; PIL images are fine.
    titles : sequence of str, optional
        A line or two above each picture.
    columns : int
        Pictures in a row, at least 1.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there are no images, one has another shape, the numbers of images and titles differ, or `columns`
        is below 1.
    """
    pictures = [np.asarray(image) for image in images]
    if not pictures:
        raise InputError("images is empty; expected at least one picture")
    for number, picture in enumerate(pictures):
        if not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)) or 0 in picture.shape:
            raise InputError(
                f"image {number} has shape {picture.shape}; expected (height, width, 3) or (height, width)"
            )
    if titles is not None and len(titles) != len(pictures):
        raise InputError(
            f"there are {len(titles)} titles for {len(pictures)} images; give one for each image"
        )
    if columns < 1:
        raise InputError(f"columns is {columns}; expected at least 1")
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    side = min(2.4, _MAX_WIDTH / columns)
    wrapped = [textwrap.fill(text, width=int(side * 10), break_long_words=False) for text in titles or []]
    title_height = 0.2 * max((text.count("\n") + 1 for text in wrapped), default=0)
    tallest = side * max(picture.shape[0] / picture.shape[1] for picture in pictures)
    height = rows * (tallest + title_height) + (0.4 if title else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * side, height), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for number, (ax, picture) in enumerate(zip(axes.flat, pictures, strict=False)):
        ax.set_axis_on()
        ax.imshow(picture, cmap="gray")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.7")
        if titles is not None:
            ax.set_title(wrapped[number], fontsize="small", fontweight="normal", loc="center")
    _headline(figure, title)
    return figure


@_styled
def overlays(
    pictures: Sequence[ArrayLike],
    maps: Mapping[str, Sequence[ArrayLike]],
    rows: Sequence[str],
    *,
    masks: Sequence[ArrayLike] | None = None,
    title: str | None = None,
) -> Figure:
    """Show pictures, and beside each of them maps of the same picture.

    Parameters
    ----------
    pictures : sequence of array_like, shape (height, width, 3)
        One for each row, as for `scenes`.
    maps : mapping of str to sequence of array_like, shape (any, any)
        By the title of their column: one map for each picture, of any resolution with the picture's proportions.
    rows : sequence of str
        What each row shows.
    masks : sequence of array_like of bool, shape (height, width), optional
        Objects whose outlines are drawn into every map, one for each picture.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Each map in colors from its own minimum (dark) to its own maximum (bright).

    Raises
    ------
    InputError
        If there are no pictures or maps, or their numbers differ.
    """
    counts = [len(pictures), len(rows), *map(len, maps.values()), len(pictures if masks is None else masks)]
    if not pictures or not maps or len(set(counts)) > 1:
        raise InputError(
            f"there are {len(pictures)} pictures, {len(rows)} names of rows and {len(maps)} columns of maps with "
            f"{', '.join(str(len(column)) for column in maps.values()) or 'none'}; give each picture its name, "
            "its mask and a map in each of at least one column"
        )
    side = min(1.7, _MAX_WIDTH / (len(maps) + 1))
    size = (side * (len(maps) + 1), (side + 0.05) * len(rows) + (0.9 if title else 0.5))
    figure, axes = plt.subplots(len(rows), len(maps) + 1, figsize=size, squeeze=False)
    for number, (line, name) in enumerate(zip(axes, rows, strict=True)):
        picture = np.asarray(pictures[number])
        extent = (0, picture.shape[1], picture.shape[0], 0)
        line[0].imshow(picture)
        line[0].set_ylabel(textwrap.fill(name, 16), fontsize="small")
        for ax, column in zip(line[1:], maps.values(), strict=True):
            ax.imshow(np.asarray(column[number], dtype=float), cmap="viridis", extent=extent)
            if masks is not None:
                outline = np.asarray(masks[number], dtype=float)
                ax.contour(outline, levels=[0.5], colors="black", linewidths=2.2)
                ax.contour(outline, levels=[0.5], colors="white", linewidths=1)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    for ax, name in zip(axes[0], ["picture", *maps], strict=True):
        wrapped = textwrap.fill(name, int(10 * side), break_long_words=False)
        ax.set_title(wrapped, fontsize="small", fontweight="normal", loc="center")
    note = "" if masks is None else "; outlined: the object"
    _footnote(figure, f"Each map from its own minimum (dark) to its own maximum (bright){note}.")
    _headline(figure, title)
    return figure


@_styled
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
        From `crosseyed.metrics.mean`, by `x`, `hue` and `panel`.
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
    _require(table, [x, hue, "mean", "low", "high", "confidence"], "mean")
    parts = _parts(table, panel)
    names = list(dict.fromkeys(table[hue]))
    ordered = pd.api.types.is_numeric_dtype(table[hue])
    colors = sns.color_palette("viridis", len(names)) if ordered else _COLORS
    figure, axes = _panels(len(parts), (4.9, 3.9))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, [x, hue], "panel", name)
        for number, value in enumerate(names):
            line = part[part[hue] == value].sort_values(x)
            color = colors[number % len(colors)]
            ax.fill_between(line[x], line["low"], line["high"], color=color, alpha=0.15, linewidth=0)
            marker, style = _MARKERS[number % len(_MARKERS)], _LINES[number % len(_LINES)]
            label = f"{hue} {value}" if ordered else str(value)
            ax.plot(line[x], line["mean"], color=color, marker=marker, linestyle=style, label=label)
        if reference is not None:
            ax.axhline(reference, color="0.35", linestyle=(0, (1, 3)), label=f"{reference:g}")
        margin = 0.05 * (table["high"].max() - table["low"].min())
        ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(table["low"].min() - margin, table["high"].max() + margin))
        ax.set_title(_panel_title(name, None, 4.2))
    axes[0].fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=_interval(table))
    _legend(figure, axes[0])
    _headline(figure, title)
    return figure


@_styled
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
        From `crosseyed.metrics.mean`, by `method`, `hue` and `panel`; methods appear in the order of its rows.
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
    _require(table, ["method", hue, "mean", "low", "high", "confidence"], "mean")
    parts = _parts(table, panel)
    order = list(dict.fromkeys(table["method"]))
    figure, axes = _panels(len(parts), (3.3, 1.2 + 0.42 * len(order)))
    for number, (ax, (name, part)) in enumerate(zip(axes, parts, strict=True)):
        _require_once(part, ["method", hue], "panel", name)
        series = _parts(part, hue)
        for mark, (value, points) in enumerate(series):
            points = points.set_index("method").reindex(order)
            places = np.arange(len(order)) + 0.22 * (mark - (len(series) - 1) / 2)
            reach = np.array([points["mean"] - points["low"], points["high"] - points["mean"]])
            ax.errorbar(
                points["mean"],
                places,
                xerr=np.maximum(reach, 0),
                fmt=_MARKERS[mark % len(_MARKERS)],
                color=_COLORS[mark % len(_COLORS)],
                elinewidth=1.2,
                capsize=2,
                label=str(value),
            )
        if references and name in references:
            ax.axvline(references[name], color="0.35", linestyle=(0, (1, 3)))
        first = number % max(1, int(_MAX_WIDTH // 3.3)) == 0
        ax.set_yticks(range(len(order)), order if first else [""] * len(order))
        ax.invert_yaxis()
        ax.set_xlabel(str(name))
    if references:
        axes[0].plot([], [], color="0.35", linestyle=(0, (1, 3)), label="no preference")
    _legend(figure, axes[0], _interval(table))
    _headline(figure, title)
    return figure


@_styled
def accuracy_grid(table: pd.DataFrame, *, panel: str = "model", title: str | None = None) -> Figure:
    """Show the accuracy in each cell of the grid as a heat map with numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.accuracy_by_cell`.
    panel : str
        Column with a heat map for each of its values; without that column there is one.
    title : str, optional
        Title of the figure. Each panel's own title gives its accuracy in the middle and on the border.

    Returns
    -------
    matplotlib.figure.Figure
        In each cell the accuracy in percent and, smaller, half the width of its interval.

    Raises
    ------
    InputError
        If the table is empty, lacks a column, or has several rows for a cell of a panel.
    """
    _require(table, ["row", "col", "accuracy", "low", "high", "n", "confidence"], "accuracy_by_cell")
    parts = _parts(table, panel)
    for name, part in parts:
        _require_once(part, ["row", "col"], "panel", name)
    widest = max(part["col"].nunique() for _, part in parts)
    tallest = max(part["row"].nunique() for _, part in parts)
    cell = max(0.5, 2.6 / widest)
    figure, axes = _panels(len(parts), (widest * cell + 0.9, tallest * cell + 1.0))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _heat_map(ax, part, small_print=widest <= 12)
        ax.set_title(_panel_title(name, _center_and_border(part), widest * cell))
    bar = figure.colorbar(axes[0].collections[0], ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("accuracy (%)")
    bar.outline.set_visible(False)
    low, high = int(table["n"].min()), int(table["n"].max())
    number = f"{low}" if low == high else f"{low} to {high}"
    _footnote(figure, f"±: half the width of the {_interval(table)}; {number} images a cell.")
    _headline(figure, title)
    return figure


@_styled
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
        From `crosseyed.metrics.accuracy_by_eccentricity`.
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
    _require(table, ["eccentricity", "accuracy", "low", "high", "confidence"], "accuracy_by_eccentricity")
    if chance is not None and not 0 <= chance <= 100:
        raise InputError(f"chance is {chance}; expected a percentage between 0 and 100")
    parts = [(name, part.sort_values("eccentricity")) for name, part in _parts(table, hue)]
    for name, part in parts:
        _require_once(part, "eccentricity", "hue", name)
    figure, ax = plt.subplots(figsize=(7.2, 4.4))
    for number, (name, part) in enumerate(parts):
        color = _COLORS[number % len(_COLORS)]
        ax.fill_between(part["eccentricity"], part["low"], part["high"], color=color, alpha=0.2, linewidth=0)
        ax.plot(
            part["eccentricity"],
            part["accuracy"],
            color=color,
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle=_LINES[number % len(_LINES)],
            label=("" if name is None else f"{name}: ") + _first_to_last(part["accuracy"]),
        )
    if chance is not None:
        ax.axhline(chance, color="0.35", linestyle=(0, (1, 3)), label=f"chance ({chance:.2g} %)")
    ax.axvline(CENTER_LIMIT, color="0.5", linewidth=1)
    for side, text in (("right", "center "), ("left", " off-center")):
        ax.text(CENTER_LIMIT, 101, text, ha=side, va="bottom", color="0.35", fontsize="small")
    ax.set(xlim=(-0.02, 1.02), ylim=(0, 100), ylabel="accuracy (%)")
    ax.set_xlabel("eccentricity (0: image center, 1: corner)")
    ax.fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=_interval(table))
    _legend(figure, ax)
    changes = {name: part["accuracy"].iloc[-1] - part["accuracy"].iloc[0] for name, part in parts}
    _headline(figure, title or f"From center to border accuracy changes by {_changes(changes)}")
    return figure


@_styled
def choice_bars(table: pd.DataFrame, *, panel: str = "model", title: str | None = None) -> Figure:
    """Show which of What'sUp's four captions won, at the center and off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.choices`.
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
    _require(table, ["center", "choice", "count", "share", "low", "high", "confidence"], "choices")
    parts = _parts(table, panel)
    figure, axes = _panels(len(parts), (4.8, 3.9))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, ["center", "choice"], "panel", name)
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
        ax.set_title(_panel_title(name, f"both: {both[0]:.0f} % center, {both[1]:.0f} % off-center", 4.0))
    _legend(figure, axes[0], _interval(table))
    _headline(figure, title)
    return figure


@_styled
def gap_bars(
    table: pd.DataFrame, label: str = "condition", *, hue: str = "model", title: str | None = None
) -> Figure:
    """Show the center-bias gap under several conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.center_bias`; the conditions appear from top to bottom in the order of its
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
    _require(table, [label, "gap", "gap_low", "gap_high", "confidence"], "center_bias")
    parts = _parts(table, hue)
    for name, part in parts:
        _require_once(part, label, "hue", name)
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
    _legend(figure, ax, _interval(table))
    above_zero = np.count_nonzero(table["gap_low"] > 0)
    finding = (
        f"Gap of {_range(table['gap'])} points; interval above zero in {above_zero} of {len(table)} cases"
    )
    _headline(figure, title or finding)
    return figure


@_styled
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
        From `crosseyed.metrics.accuracy_by_eccentricity`, of answers that are correct where the concept is found.
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
    _require(
        table, [hue, "eccentricity", "accuracy", "low", "high", "confidence"], "accuracy_by_eccentricity"
    )
    parts = _parts(table, panel)
    figure, axes = _panels(len(parts), (4.9, 4.2))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, [hue, "eccentricity"], "panel", name)
        lines = [(value, line.sort_values("eccentricity")) for value, line in _parts(part, hue)]
        _lines(ax, lines, "eccentricity", "accuracy")
        changes = ", ".join(f"{value} {_first_to_last(line['accuracy'])}" for value, line in lines)
        ax.set_title(_panel_title(name, changes, 4.2), fontsize="small")
        ax.axvline(CENTER_LIMIT, color="0.5", linewidth=1)
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 100), ylabel="concept found (%)")
        ax.set_xlabel("eccentricity (0: image center, 1: corner)")
    axes[0].plot([], [], color="0.5", linewidth=1, label="edge of the center")
    _band_legend(figure, axes[0], table)
    _headline(figure, title)
    return figure


@_styled
def accuracy_by_layer(
    table: pd.DataFrame, *, hue: str = "source", panel: str = "model", title: str | None = None
) -> Figure:
    """Show how often an object is found at each depth of a tower, at the center and off-center.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.accuracy`, by `layer`, `center`, `hue` and `panel`.
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
    _require(table, ["layer", "center", hue, "accuracy", "low", "high", "confidence"], "accuracy")
    parts = _parts(table, panel)
    figure, axes = _panels(len(parts), (4.9, 3.8))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, ["layer", "center", hue], "panel", name)
        for center, line in ((True, "-"), (False, "--")):
            side = part[part["center"].astype(bool) == center].sort_values("layer")
            suffix = "center" if center else "off-center"
            lines = [(f"{value}, {suffix}", rows) for value, rows in _parts(side, hue)]
            _lines(ax, lines, "layer", "accuracy", line=line)
        ax.set(ylim=(0, 100), xticks=sorted(part["layer"].unique()), ylabel="object found (%)")
        ax.set_xlabel("layer (0: what enters the first block)")
        ax.set_title(_panel_title(name, None, 4.2))
    _band_legend(figure, axes[0], table)
    _headline(figure, title)
    return figure


@_styled
def effect_maps(
    maps: Sequence[ArrayLike], titles: Sequence[str], *, columns: int = 3, title: str | None = None
) -> Figure:
    """Show maps of direct effects on one scale, blue where they speak against the caption, red where for it.

    Parameters
    ----------
    maps : sequence of array_like, shape (rows, columns)
        For instance means of `crosseyed.decompose.effect_maps`.
    titles : sequence of str
        One for each map.
    columns : int
        Maps in a row, at least 1.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there are no maps, one has another number of axes, the numbers of maps and titles differ, or
        `columns` is below 1.
    """
    drawn = [np.asarray(one, dtype=float) for one in maps]
    if not drawn or len(drawn) != len(titles) or columns < 1:
        raise InputError(
            f"there are {len(drawn)} maps, {len(titles)} titles and {columns} columns; give at least one map, a "
            "title for each, and at least 1 column"
        )
    if any(one.ndim != 2 for one in drawn):
        raise InputError("a map is not of the shape (rows, columns)")
    columns = min(columns, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns + 1, 2.7 * rows + 0.4), squeeze=False)
    limit = max(np.nanmax(np.abs(one)) for one in drawn) or 1.0
    for ax in axes.flat[len(drawn) :]:
        ax.remove()
    for ax, one, text in zip(axes.flat, drawn, titles, strict=False):
        image = ax.imshow(one, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_title(textwrap.fill(text, 28), fontsize="small", fontweight="normal")
    bar = figure.colorbar(image, ax=list(axes.flat[: len(drawn)]), shrink=0.8, pad=0.02)
    bar.set_label("direct effect (cosine similarity)")
    bar.outline.set_visible(False)
    _headline(figure, title)
    return figure


@_styled
def effect_profile(
    table: pd.DataFrame, *, x: str, xlabel: str, panel: str = "model", title: str | None = None
) -> Figure:
    """Show direct effects on the object's caption at the center and off-center, over rings or layers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.mean`, by `x`, `center` and `panel`.
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
    _require(table, [x, "center", "mean", "low", "high", "confidence"], "mean")
    parts = _parts(table, panel)
    figure, axes = _panels(len(parts), (4.9, 3.6))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, [x, "center"], "panel", name)
        ordered = part.sort_values(x)
        center = ordered["center"].astype(bool)
        lines = [("object at the center", ordered[center]), ("object off-center", ordered[~center])]
        _lines(ax, lines, x, "mean")
        ax.axhline(0, color="0.35", linewidth=1)
        ax.set(ylim=_with_margin(table), xlabel=xlabel, ylabel="direct effect (cosine similarity)")
        ax.set_title(_panel_title(name, None, 4.2))
    _band_legend(figure, axes[0], table)
    _headline(figure, title)
    return figure


@_styled
def odds_ratios(
    effects: pd.DataFrame, categories: pd.DataFrame, *, n_worst: int = 12, title: str | None = None
) -> Figure:
    """Show what changes the odds of recognition, and the categories that lose most with eccentricity.

    Parameters
    ----------
    effects, categories : pandas.DataFrame
        The tables of `crosseyed.mixed.mixed_slope`.
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
    _require(effects, ["effect", "unit", "odds_ratio", "low", "high", "confidence"], "mixed_slope")
    if categories.empty or n_worst < 1:
        raise InputError(
            f"there are {len(categories)} categories, of which {n_worst} are to be shown; give at least 1"
        )
    worst = categories.head(n_worst)
    height = 1.3 + 0.38 * max(len(effects), len(worst))
    figure, axes = plt.subplots(1, 2, figsize=(_MAX_WIDTH, height))
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
            fmt=_MARKERS[number],
            color=_COLORS[number],
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
    axes[1].axvline(effects["odds_ratio"].iloc[0], color=_COLORS[0], linestyle="--", linewidth=1.2)
    _footnote(figure, "In brackets: objects of the category. Dashed: the average category.")
    first = effects.iloc[0]
    finding = (
        f"Each 0.1 of eccentricity multiplies the odds of recognition by {first['odds_ratio']:.2f} "
        f"({first['low']:.2f} to {first['high']:.2f})"
    )
    _headline(figure, title or finding)
    return figure


@_styled
def accuracy_panels(
    table: pd.DataFrame, *, reference: str, panel: str = "pooling", title: str | None = None
) -> Figure:
    """Show accuracy from the image center to the corners in many small panels, each beside the same reference.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.accuracy_by_eccentricity`, by `panel`.
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
    _require(table, columns, "accuracy_by_eccentricity")
    parts = {name: part.sort_values("eccentricity") for name, part in _parts(table, panel)}
    for name, part in parts.items():
        _require_once(part, "eccentricity", "panel", name)
    if reference not in parts or len(parts) < 2:
        raise InputError(
            f"the table's column {panel!r} has {', '.join(map(str, parts))}; expected the reference {reference!r} and "
            "at least one other"
        )
    common = parts.pop(reference)
    figure, axes = _panels(len(parts), (2.45, 2.25))
    for number, (ax, (name, part)) in enumerate(zip(axes, parts.items(), strict=True)):
        for rows, color, marker, label in (
            (common, "0.5", "s", reference),
            (part, _COLORS[0], "o", "this pooling" if panel == "pooling" else f"this {panel}"),
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
        ax.axvline(CENTER_LIMIT, color="0.7", linewidth=1)
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 100), xticks=[0, 0.5, 1])
        ax.set_title(textwrap.fill(str(name), 26), fontsize="small")
        per_row = int(_MAX_WIDTH // 2.45)
        if number % per_row == 0:
            ax.set_ylabel("accuracy (%)", fontsize="small")
        if number >= len(parts) - per_row:
            ax.set_xlabel("eccentricity", fontsize="small")
    _band_legend(figure, axes[0], table)
    _headline(figure, title)
    return figure


@_styled
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
    """Show what candidates change at the center and off-center, on the same pictures.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.evaluation.compare`; candidates appear from top to bottom in the order of its rows.
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
    _require(table, [label, *columns, "center_p", "off_center_p", "confidence"], "evaluation.compare")
    shown = table[table[label] != baseline]
    if shown.empty:
        raise InputError(f"table has no row beside {baseline!r}; compare it with something")
    parts = _parts(shown, panel)
    order = list(dict.fromkeys(shown[label]))
    ends = shown[[column for column in columns if column.endswith(("low", "high"))]].to_numpy(dtype=float)
    limits = (min(0, np.nanmin(ends)) - 3, max(0, np.nanmax(ends)) + 3)
    figure, axes = _panels(len(parts), (4.9 if len(parts) > 1 else 7.6, 1.3 + 0.4 * len(order)))
    for number, (ax, (name, part)) in enumerate(zip(axes, parts, strict=True)):
        _require_once(part, label, "panel", name)
        part = part.set_index(label).reindex(order)
        for mark, (side, words) in enumerate(sides.items()):
            middle = part[side].to_numpy(dtype=float)
            reach = np.array([middle - part[f"{side}_low"], part[f"{side}_high"] - middle], dtype=float)
            places = np.arange(len(order)) + 0.24 * (mark - 0.5)
            color, marker = _COLORS[mark], _MARKERS[mark]
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
        first = number % max(1, int(_MAX_WIDTH // 4.9)) == 0
        ax.set_yticks(range(len(order)), order if first else [""] * len(order))
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.grid(False, axis="y")
        ax.set(xlim=limits)
        ax.set_xlabel(f"change against {against} (percentage points)", fontsize="small")
        if len(parts) > 1:
            ax.set_title(_panel_title(name, None, 4.2))
    axes[0].plot([], [], "o", color="0.4", label=f"differs from 0 (corrected p < {level:g})")
    axes[0].plot([], [], "o", color="0.4", markerfacecolor="white", label="does not")
    _legend(figure, axes[0], _interval(table))
    certain = shown[shown["off_center_p"] < level]["off_center_change"]
    finding = (
        f"Off-center {np.count_nonzero(certain > 0)} of {len(shown)} are better, {np.count_nonzero(certain < 0)} worse "
        f"than {against}"
    )
    _headline(figure, title or finding)
    return figure


@_styled
def center_bars(
    table: pd.DataFrame, *, label: str = "pooling", panel: str = "positions", title: str | None = None
) -> Figure:
    """Show the accuracy at the center and off-center under several conditions.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.metrics.center_bias`; conditions and panels appear in the order of its rows.
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
    _require(table, [label, *columns, "gap", "confidence"], "center_bias")
    parts = _parts(table, panel)
    order = list(dict.fromkeys(table[label]))
    figure, axes = _panels(len(parts), (4.9, 3.9))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, label, "panel", name)
        series = [
            (words, part.rename(columns={f"{side}{end}": f"value{end}" for end in ("", "_low", "_high")}))
            for side, words in sides.items()
        ]
        _bars(ax, series, label, order, ["value", "value_low", "value_high"])
        ax.set_xticks(range(len(order)), [textwrap.fill(str(each), 12) for each in order])
        ax.set(ylim=(0, 108), yticks=range(0, 101, 20), ylabel="accuracy (%)")
        ax.grid(False, axis="x")
        ax.set_title(_panel_title(name, f"gap {_range(part['gap'])} points", 4.2))
    _legend(figure, axes[0], _interval(table))
    _headline(figure, title)
    return figure


@_styled
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
        From `crosseyed.evaluation.evaluate`, of one protocol.
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
    _require(table, [label, "kind", "oracle", "passes", *columns, "confidence"], "evaluation.compare")
    _require_once(table, label, "label", None)
    others = table[table[label] != baseline]
    drawn = others[others["center_change"] >= far].sort_values("off_center_change", ascending=False)
    figure, ax = plt.subplots(figsize=(_MAX_WIDTH, 5.6))
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
            color=_COLORS[number],
            marker=_MARKERS[number],
            edgecolor="white",
            linewidth=0.8,
            zorder=3,
        )
        ax.plot([], [], _MARKERS[number], color=_COLORS[number], label=name)
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
    _legend(figure, ax)
    missing = len(others) - len(drawn)
    left_out = (
        f" Not drawn, as they lose more than {-far:g} points at the center: {missing}." if missing else ""
    )
    note = f"Larger marks: more passes of the tower. Lines: {_interval(table)}.{left_out}"
    ax.text(
        1.02, 0, textwrap.fill(note, 40), transform=ax.transAxes, va="bottom", fontsize="small", color="0.35"
    )
    _headline(figure, title or _best_gain(others, label, most_loss))
    return figure


@_styled
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
    _require_once(table, [bar, part], "bar", None)
    bars, parts = (list(dict.fromkeys(table[column])) for column in (bar, part))
    figure, ax = plt.subplots(figsize=(_MAX_WIDTH, 1.5 + 0.62 * len(bars)))
    left = np.zeros(len(bars))
    values = table.pivot(index=bar, columns=part, values=share).reindex(index=bars, columns=parts).fillna(0)
    for number, name in enumerate(parts):
        width = values[name].to_numpy()
        color, hatch = _COLORS[number % len(_COLORS)], _HATCHES[number % len(_HATCHES)]
        ax.barh(bars, width, left=left, color=color, hatch=hatch, edgecolor="white", linewidth=0, label=name)
        for place, (start, wide) in enumerate(zip(left, width, strict=True)):
            if wide >= 2.5:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
                ax.text(start + wide / 2, place, _number(wide), ha="center", va="center", bbox=box)
        left += width
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlim=(0, 100), xlabel="share of pictures (%)")
    _legend(figure, ax)
    _headline(figure, title)
    return figure


@_styled
def positions(table: pd.DataFrame, *, panel: str = "dose", title: str | None = None) -> Figure:
    """Show where objects stand in pictures, and which of them captions name.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per object: `panel`, its center `x`, `y` as fractions of width and height, and whether it is `named`.
    panel : str
        Column with a panel for each of its values.
    title : str, optional
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A square for each panel with a dot for each object; the cross is the center of the picture.

    Raises
    ------
    InputError
        If the table is empty or lacks a column.
    """
    missing = {panel, "x", "y", "named"} - set(table)
    if missing or table.empty:
        raise InputError(
            f"table needs rows and the columns {panel!r}, 'x', 'y' and 'named'; it has {list(table)}"
        )
    parts = _parts(table, panel)
    figure, axes = _panels(len(parts), (1.95, 2.2))
    for ax, (name, part) in zip(axes, parts, strict=True):
        for number, (named, label) in enumerate({False: "not named by the caption", True: "named"}.items()):
            dots = part[part["named"] == named]
            color = _COLORS[1 - number]
            marker = _MARKERS[1 - number]
            if len(dots) or not part["named"].all():
                ax.plot(dots["x"], dots["y"], marker, color=color, markersize=3, alpha=0.75, label=label)
        ax.plot(0.5, 0.5, "+", color="0.1", markersize=9)
        ax.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.7")
        ax.set_title(textwrap.fill(str(name), 22), fontsize="small", fontweight="normal")
    _legend(figure, max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1])))
    _headline(figure, title)
    return figure


@_styled
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
        ``_high``, as from `crosseyed.metrics.center_bias`; `confidence`.
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
    _require(table, ["dose", "seed", *quantities, *ends, "confidence"], "center_bias")
    parts = _parts(table, panel)
    figure, axes = _panels(len(parts), (4.9, 4.1))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _require_once(part, ["dose", "seed"], "panel", name)
        order = list(dict.fromkeys(part["dose"]))
        for number, (column, label) in enumerate(quantities.items()):
            look = {"color": _COLORS[number], "marker": _MARKERS[number], "capsize": 2.5, "elinewidth": 1.2}
            for later, (seed, points) in enumerate(_parts(part, "seed")):
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
        ax.set_title(_panel_title(name, None, 4.2))
    shown = table[ends].to_numpy(dtype=float)
    marks = [*np.clip([np.nanmin(shown), np.nanmax(shown)], *limits), *([reference[0]] if reference else [])]
    margin = 0.06 * (max(marks) - min(marks)) or 1.0
    for ax in axes:
        ax.set_ylim(min(marks) - margin, max(marks) + margin)
    axes[0].set_ylabel(ylabel)
    _legend(figure, max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1])), _interval(table))
    _headline(figure, title)
    return figure


@_styled
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
    _require(table, [label, *columns, "confidence"], "center_bias")
    parts = _parts(table, hue)
    for name, part in parts:
        _require_once(part, label, "hue", name)
    order = list(dict.fromkeys(table[label]))
    line = 0.2 + 0.09 * len(parts)
    figure, axes = plt.subplots(
        1, len(quantities), figsize=(_MAX_WIDTH, 1.7 + line * len(order)), squeeze=False, sharey=True
    )
    for ax, (column, xlabel) in zip(axes.flat, quantities.items(), strict=True):
        low_end, high_end = (limits or {}).get(column, (-np.inf, np.inf))
        for number, (name, part) in enumerate(parts):
            rows = part.set_index(label).reindex(order)
            middle, low, high = (rows[f"{column}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
            places = np.arange(len(order)) + 0.26 * (number - (len(parts) - 1) / 2)
            color = _COLORS[number % len(_COLORS)]
            ax.hlines(places, np.clip(low, low_end, high_end), np.clip(high, low_end, high_end), color=color)
            inside = (middle >= low_end) & (middle <= high_end)
            marker = _MARKERS[number % len(_MARKERS)]
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
    first.hlines([], [], [], color="0.4", label=f"line: {_interval(table)}")
    _legend(figure, first)
    _headline(figure, title)
    return figure


@_styled
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
    _require(table, [*numbers, value, f"{value}_low", f"{value}_high", "confidence"], "center_bias")
    figure, axes = _panels(len(numbers), (3.3, 3.4))
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
        ax.errorbar(x, middle, yerr=reach, fmt="o", color=_COLORS[0], markersize=4, elinewidth=0.8)
        ax.axhline(0, color="0.2", linewidth=1.2)
        ax.grid(False, axis="x")
        ax.set_xlabel(f"{xlabel}; {len(rows)} models", fontsize="small")
    axes[0].set_ylabel(ylabel)
    axes[0].plot([], [], color=_COLORS[0], linewidth=0.8, label=f"bar: {_interval(table)}")
    _legend(figure, axes[0])
    _headline(figure, title)
    return figure


@_styled
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
        From `crosseyed.family.group_means`; groups appear from top to bottom in the order of its rows.
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
    _require(means, [group, "mean", "low", "high", "n", "confidence"], "group_means")
    _require_once(means, group, "group", None)
    if not {group, value} <= set(table):
        raise InputError(f"table needs the columns {group!r} and {value!r}; it has {list(table)}")
    order = list(means[group])
    place = {name: number for number, name in enumerate(order)}
    rows = table[table[group].isin(order)]
    figure, ax = plt.subplots(figsize=(7.6, 1.5 + 0.36 * len(order)))
    ax.plot(rows[value], rows[group].map(place) + 0.14, "o", color=_COLORS[0], alpha=0.7, label="one model")
    several = means.dropna(subset=["low"])
    reach = [several["mean"] - several["low"], several["high"] - several["mean"]]
    ax.errorbar(
        several["mean"],
        several[group].map(place) - 0.14,
        xerr=reach,
        fmt="D",
        color=_COLORS[1],
        elinewidth=1.4,
        capsize=3,
        label=f"mean, with a {100 * means['confidence'].iloc[0]:g} % interval over models",
    )
    ax.axvline(0, color="0.2", linewidth=1.2)
    ax.set_yticks(range(len(order)), [f"{row[0]} ({row[1]})" for row in means[[group, "n"]].to_numpy()])
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.grid(False, axis="y")
    ax.set_xlabel(xlabel)
    _legend(figure, ax)
    _headline(figure, title)
    return figure


# --- parts of figures ---


def _lines(
    ax: Axes, lines: list[tuple[object, pd.DataFrame]], x: str, y: str, *, line: str | None = None
) -> None:
    """Draw a line with markers in a band from `low` to `high` for each table; `line` is a style for all."""
    for number, (name, part) in enumerate(lines):
        color = _COLORS[number % len(_COLORS)]
        ax.fill_between(part[x], part["low"], part["high"], color=color, alpha=0.15, linewidth=0)
        ax.plot(
            part[x],
            part[y],
            color=color,
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle=line or _LINES[number % len(_LINES)],
            label=str(name),
        )


def _band_legend(figure: Figure, ax: Axes, table: pd.DataFrame) -> None:
    """Explain the lines of `ax` and what their bands are."""
    ax.fill_between([], [], color="0.5", alpha=0.3, linewidth=0, label=_interval(table))
    _legend(figure, ax)


def _around(place: int) -> tuple[float, float]:
    """Return an offset in points; those of successive places point in different directions."""
    angle = math.pi * (3 - math.sqrt(5)) * place  # the golden angle
    return 20 * math.cos(angle), 20 * math.sin(angle)


def _with_margin(table: pd.DataFrame) -> tuple[float, float]:
    """Return limits of an axis that hold all intervals of the table and 0."""
    low, high = min(0, table["low"].min()), max(0, table["high"].max())
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _panels(number: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Return a figure with this number of panels of a size in inches, as many a row as a page is wide."""
    columns = min(number, max(1, int(_MAX_WIDTH // size[0])))
    rows = math.ceil(number / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * size[0], rows * size[1]), squeeze=False)
    for ax in axes.flat[number:]:
        ax.remove()
    return figure, list(axes.flat[:number])


def _heat_map(ax: Axes, cells: pd.DataFrame, *, small_print: bool) -> None:
    """Draw the accuracies of a grid with numbers, and half the widths of their intervals as small print."""
    accuracy = cells.pivot(index="row", columns="col", values="accuracy")
    half_width = cells.assign(half=(cells["high"] - cells["low"]) / 2).pivot(
        index="row", columns="col", values="half"
    )
    sns.heatmap(
        accuracy,
        ax=ax,
        annot=True,
        fmt=".0f",
        vmin=0,
        vmax=100,
        cmap="viridis",
        square=True,
        cbar=False,
        linewidths=0.5,
    )
    for number in list(ax.texts) if small_print else []:
        x, y = number.get_position()
        half = half_width.iloc[int(y), int(x)]
        if np.isfinite(half):
            number.set_y(y - 0.12)
            ax.text(
                x, y + 0.24, f"±{half:.0f}", ha="center", va="center", color=number.get_color(), fontsize=7
            )
    ax.set(xlabel="column (left to right)", ylabel="row (top to bottom)")
    ax.tick_params(length=0)
    ax.tick_params(axis="y", labelrotation=0)


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
            color=_COLORS[number % len(_COLORS)],
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="white",
            linewidth=0,
            label="" if name is None else str(name),
        )
        error = {"xerr" if horizontal else "yerr": np.maximum([value - low, high - value], 0)}
        ax.errorbar(
            *((value, places) if horizontal else (places, value)),
            **error,
            **_ERROR_BAR,
        )
        for place, middle, start, end in zip(places, value, low, high, strict=True):
            if np.isnan(middle):
                continue
            # Beyond the error bar, on the side to which the bar points.
            tip, side = (np.nanmax([middle, end]), 1) if middle >= 0 else (np.nanmin([middle, start]), -1)
            ax.annotate(
                _number(middle),
                (tip, place) if horizontal else (place, tip),
                xytext=(4 * side, 0) if horizontal else (0, 3 * side),
                textcoords="offset points",
                ha=("left" if side > 0 else "right") if horizontal else "center",
                va="center" if horizontal else ("bottom" if side > 0 else "top"),
                fontsize="small",
            )


def _headline(figure: Figure, title: str | None) -> None:
    if title:
        width = int(figure.get_figwidth() * 8.8)
        text = textwrap.fill(title, width, break_on_hyphens=False)
        figure.suptitle(text, x=0.01, ha="left", fontsize="large", fontweight="bold")


def _legend(figure: Figure, ax: Axes, error_bars: str | None = None) -> None:
    """Explain the lines or bars of `ax`, and what its error bars are, below the panels."""
    handles, labels = ax.get_legend_handles_labels()
    if error_bars:
        handles.append(ax.errorbar([np.nan], [np.nan], yerr=[np.nan], **_ERROR_BAR))
        labels.append(error_bars)
    named = [(handle, label) for handle, label in zip(handles, labels, strict=True) if label]

    def letters(columns: int) -> int:
        # A sample takes about the room of eight letters.
        lengths = np.array([len(label) + 8 for _, label in named])
        return sum(column.max() for column in np.array_split(lengths, columns))

    # Eleven letters fit an inch.
    fitting = (number for number in range(len(named), 1, -1) if letters(number) <= 11 * figure.get_figwidth())
    columns = next(fitting, 1)
    figure.legend(*zip(*named, strict=True), loc="outside lower center", ncols=columns, frameon=False)


def _footnote(figure: Figure, text: str) -> None:
    figure.supxlabel(text, x=0.01, ha="left", fontsize="small", color="0.35")


# --- words and checks ---


def _require(table: pd.DataFrame, columns: Iterable[str], source: str) -> None:
    """Raise InputError unless the table has rows, the columns, and intervals of one confidence."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"table has no column {missing[0]!r}; expected the table of metrics.{source}")
    if table.empty:
        raise InputError(f"table has no rows; expected the table of metrics.{source}")
    if table["confidence"].nunique() > 1:
        raise InputError("table has intervals of more than one confidence; compute them with the same")


def _require_once(part: pd.DataFrame, key: str | list[str], argument: str, name: object) -> None:
    repeated = part.duplicated(key).sum()
    if repeated:
        where = "" if name is None else f" for {name}"
        raise InputError(
            f"table has {repeated} row(s) too many{where}: more than one for the same {key}; select the rows "
            f"of one condition, or name the column that tells them apart in {argument!r}"
        )


def _parts(table: pd.DataFrame, column: str) -> list[tuple[object, pd.DataFrame]]:
    """Return the rows of each value of a column in order of appearance; without it all rows, named None."""
    if column not in table:
        return [(None, table)]
    return [(name, table[table[column] == name]) for name in dict.fromkeys(table[column])]


def _panel_title(name: object, finding: str | None, width: float) -> str:
    """Return the name and under it the finding, each if there is one, wrapped to a width in inches."""
    lines = [str(line) for line in (name, finding) if line is not None]
    return "\n".join(textwrap.fill(line, int(10 * width)) for line in lines)


def _center_and_border(cells: pd.DataFrame) -> str | None:
    """Return the accuracy in the middle cells of a grid and in its outermost ring, in words."""
    cells = cells[cells["n"] > 0]
    distance = np.maximum(
        *((cells[axis] - (cells[axis].min() + cells[axis].max()) / 2).abs() for axis in ("row", "col"))
    )
    if distance.nunique() < 2:
        return None
    rings = {"center": cells[distance == distance.min()], "border": cells[distance == distance.max()]}
    return ", ".join(
        f"{name} {np.average(ring['accuracy'], weights=ring['n']):.0f} %" for name, ring in rings.items()
    )


def _first_to_last(percent: pd.Series) -> str:
    return f"{percent.iloc[0]:.0f} → {percent.iloc[-1]:.0f} %"


def _interval(table: pd.DataFrame) -> str:
    return f"{100 * table['confidence'].iloc[0]:g} % bootstrap interval"


def _number(value: float) -> str:
    """Return a whole number with a typographic minus."""
    return f"{value:.0f}".replace("-0", "0").replace("-", "−")


def _range(values: Iterable[float]) -> str:
    low, high = _number(np.nanmin(values)), _number(np.nanmax(values))
    return low if low == high else f"{low} to {high}"


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
        f"Best without an oracle, {best[label]}: {_number(best['off_center_change'])} points off-center "
        f"({_number(best['off_center_change_low'])} to {_number(best['off_center_change_high'])}), "
        f"{_number(best['center_change'])} at the center"
    )


def _changes(changes: dict[object, float]) -> str:
    """Return signed changes in points, with their names if there are few and short ones."""
    signed = {name: ("+" if change >= 0.5 else "") + _number(change) for name, change in changes.items()}
    if len(signed) == 1:
        return f"{next(iter(signed.values()))} points"
    named = ", ".join(f"{points} points ({name})" for name, points in signed.items())
    return named if len(named) <= 80 else f"{_range(list(changes.values()))} points"
