"""Figures made of images: scenes, overlays and maps. `crosseyed.report.figures` explains shared parameters."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from crosseyed.errors import InputError
from crosseyed.report.figures.lettering import legend_label
from crosseyed.report.figures.style import (
    COLORS,
    MARKERS,
    MAX_WIDTH,
    add_footnote,
    ends_of,
    finish,
    interval_name,
    make_panels,
    number_text,
    panel_title,
    panels_of,
    parts_of,
    require_once,
    require_rows,
    styled,
)


@styled
def images(
    images: Sequence[ArrayLike],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 6,
    title: str | None = None,
) -> Figure:
    """Show images side by side.

    Parameters
    ----------
    images : sequence of array_like, shape (height, width, 3) or (height, width)
        Colors as uint8 (0 to 255) or float (0 to 1), or gray levels; PIL images are fine.
    titles : sequence of str, optional
        A line or two above each image.
    columns : int
        Images in a row, at least 1.
    title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        There are no images, one has another shape, the numbers of images and titles differ, or `columns` is below 1.
    """
    shown = [np.asarray(image) for image in images]
    if not shown:
        raise InputError("images is empty; expected at least one image")
    for number, image in enumerate(shown):
        if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or 0 in image.shape:
            raise InputError(
                f"image {number} has shape {image.shape}; expected (height, width, 3) or (height, width)"
            )
    if titles is not None and len(titles) != len(shown):
        raise InputError(f"there are {len(titles)} titles for {len(shown)} images; give one for each image")
    if columns < 1:
        raise InputError(f"columns is {columns}; expected at least 1")
    columns = min(columns, len(shown))
    rows = math.ceil(len(shown) / columns)
    side = min(2.4, MAX_WIDTH / columns)
    wrapped = [textwrap.fill(text, width=int(side * 10), break_long_words=False) for text in titles or []]
    title_height = 0.2 * max((text.count("\n") + 1 for text in wrapped), default=0)
    tallest = side * max(image.shape[0] / image.shape[1] for image in shown)
    height = rows * (tallest + title_height) + (0.4 if title else 0)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * side, height), squeeze=False)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    for number, (ax, image) in enumerate(zip(axes.flat, shown, strict=False)):
        ax.imshow(image, cmap="gray")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.7")
        if titles is not None:
            ax.set_title(wrapped[number], fontsize="small", fontweight="normal", loc="center")
    return finish(figure, title)


@styled
def overlays(
    images: Sequence[ArrayLike],
    maps: Mapping[str, Sequence[ArrayLike]],
    rows: Sequence[str],
    *,
    masks: Sequence[ArrayLike] | None = None,
    title: str | None = None,
) -> Figure:
    """Show images, and beside each of them maps of the same image.

    Parameters
    ----------
    images : sequence of array_like, shape (height, width, 3)
        One for each row.
    maps : mapping of str to sequence of array_like, shape (any, any)
        By the title of their column: one map for each image, of any resolution with the image's proportions.
    rows : sequence of str
        What each row shows.
    masks : sequence of array_like of bool, shape (height, width), optional
        Objects whose outlines are drawn into every map, one for each image.
    title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        Each map in colors from its own minimum (dark) to its own maximum (bright).

    Raises
    ------
    InputError
        There are no images or maps, or their numbers differ.
    """
    counts = [len(images), len(rows), *map(len, maps.values()), len(images if masks is None else masks)]
    if not images or not maps or len(set(counts)) > 1:
        raise InputError(
            f"there are {len(images)} images, {len(rows)} names of rows and {len(maps)} columns of maps with "
            f"{', '.join(str(len(column)) for column in maps.values()) or 'none'}; give each image its name, "
            "its mask and a map in each of at least one column"
        )
    side = min(1.7, MAX_WIDTH / (len(maps) + 1))
    size = (side * (len(maps) + 1), (side + 0.05) * len(rows) + (0.9 if title else 0.5))
    figure, axes = plt.subplots(len(rows), len(maps) + 1, figsize=size, squeeze=False)
    for number, (line, name) in enumerate(zip(axes, rows, strict=True)):
        image = np.asarray(images[number])
        extent = (0, image.shape[1], image.shape[0], 0)
        line[0].imshow(image)
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
    for ax, name in zip(axes[0], ["image", *maps], strict=True):
        wrapped = textwrap.fill(name, int(10 * side), break_long_words=False)
        ax.set_title(wrapped, fontsize="small", fontweight="normal", loc="center")
    note = "" if masks is None else "; outlined: the object"
    add_footnote(figure, f"Each map from its own minimum (dark) to its own maximum (bright){note}.")
    return finish(figure, title)


@styled
def effect_maps(
    maps: Sequence[ArrayLike], titles: Sequence[str], *, columns: int = 3, title: str | None = None
) -> Figure:
    """Show maps of direct effects on one scale, blue where they speak against the caption, red where for it.

    Parameters
    ----------
    maps : sequence of array_like, shape (rows, columns)
        For instance means of `crosseyed.internals.decompose.effect_maps`.
    titles : sequence of str
        One for each map.
    columns : int
        Maps in a row, at least 1.
    title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        There are no maps, one has another number of axes, numbers of maps and titles differ, or `columns` is below 1.
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
    _color_bar(figure, list(axes.flat[: len(drawn)]), image, "direct effect (cosine similarity)")
    return finish(figure, title)


@styled
def exchanges(
    table: pd.DataFrame, *, rows: str = "part", panel: str = "receiver", title: str | None = None
) -> Figure:
    """Show which share of a difference exchanged parts of a tower move, layer by layer, as heat maps with numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.shares.share` of one quantity of `crosseyed.internals.patching.Exchange`, by `layer` and
        the columns of the next parameters.
    rows : str
        Column with a row for each of its values.
    panel, title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        Shares in percent, or where there are none for want of a difference, thousandths of what is moved. Bold: the
        interval excludes zero.
    """
    require_rows(table, ["layer", rows, *ends_of("moved"), *ends_of("share"), "confidence"])
    name, scale, unit = "share", 100, "share of the difference moved (%)"
    if table["share"].isna().all():
        name, scale, unit = "moved", 1000, "moved (thousandths of the similarity)"
    count = table[rows].nunique(), table["layer"].nunique()
    size = (0.55 * count[1] + 2.0, 0.36 * count[0] + 1.4)
    figure, panels = panels_of(table, panel, ["layer", rows], size)
    limit = scale * np.nanmax(np.abs(table[name])) or 1.0
    for ax, each, part in panels:
        middle, low, high = (
            scale * part.pivot(index=rows, columns="layer", values=end).loc[list(dict.fromkeys(part[rows]))]
            for end in ends_of(name)
        )
        look = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "cbar": False, "linewidths": 0.5}
        sns.heatmap(middle, ax=ax, annot=True, fmt=".0f", **look)
        sure = ((low > 0) | (high < 0)).to_numpy()[middle.notna().to_numpy()]
        for number, certain in zip(ax.texts, sure, strict=True):
            number.set(text=number_text(float(number.get_text())), fontweight="bold" if certain else "normal")
        ax.tick_params(axis="y", labelrotation=0)
        ax.set(xlabel="layer (0: what enters the first block)", ylabel="" if rows == "part" else rows)
        ax.set_title("" if each is None else f"{panel}: {each}", fontsize="small", fontweight="normal")
    _color_bar(figure, [ax for ax, *_ in panels], panels[0][0].collections[0], unit)
    add_footnote(figure, f"Bold: the {interval_name(table)} excludes zero.")
    return finish(figure, title)


@styled
def accuracy_grid(table: pd.DataFrame, *, panel: str = "model", title: str | None = None) -> Figure:
    """Show the accuracy in each cell of the grid as a heat map with numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.bootstrap.accuracy` by `row` and `col`.
    panel, title
        See `crosseyed.report.figures`. The title of each panel tells its accuracy in the middle and on the border.

    Returns
    -------
    matplotlib.figure.Figure
        In each cell the accuracy in percent and, smaller, half the width of its interval.
    """
    require_rows(table, ["row", "col", "accuracy", "low", "high", "n", "confidence"])
    parts = parts_of(table, panel)
    for name, part in parts:
        require_once(part, ["row", "col"], "panel", name)
    widest = max(part["col"].nunique() for _, part in parts)
    tallest = max(part["row"].nunique() for _, part in parts)
    cell = max(0.5, 2.6 / widest)
    figure, axes = make_panels(len(parts), (widest * cell + 0.9, tallest * cell + 1.0))
    for ax, (name, part) in zip(axes, parts, strict=True):
        _heat_map(ax, part, small_print=widest <= 12)
        ax.set_title(panel_title(name, _center_and_border(part), widest * cell))
    _color_bar(figure, axes, axes[0].collections[0], "accuracy (%)")
    low, high = int(table["n"].min()), int(table["n"].max())
    number = f"{low}" if low == high else f"{low} to {high}"
    add_footnote(figure, f"±: half the width of the {interval_name(table)}; {number} images a cell.")
    return finish(figure, title)


@styled
def positions(table: pd.DataFrame, *, panel: str = "dose", title: str | None = None) -> Figure:
    """Show where objects stand in images, and which of them captions name.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per object: `panel`, its center `x`, `y` as fractions of width and height, and whether it is `named`.
    panel, title
        See `crosseyed.report.figures`.

    Returns
    -------
    matplotlib.figure.Figure
        A square for each panel with a dot for each object; the cross is the center of the image.
    """
    require_rows(table, [panel, "x", "y", "named"])
    parts = parts_of(table, panel)
    figure, axes = make_panels(len(parts), (1.95, 2.2))
    for ax, (name, part) in zip(axes, parts, strict=True):
        for number, (named, label) in enumerate({False: "not named by the caption", True: "named"}.items()):
            dots = part[part["named"] == named]
            color, marker = COLORS[1 - number], MARKERS[1 - number]
            if len(dots) or not part["named"].all():
                ax.plot(
                    dots["x"],
                    dots["y"],
                    marker,
                    color=color,
                    markersize=3,
                    alpha=0.75,
                    label=legend_label(label),
                )
        ax.plot(0.5, 0.5, "+", color="0.1", markersize=9)
        ax.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.7")
        ax.set_title(textwrap.fill(str(name), 22), fontsize="small", fontweight="normal")
    return finish(figure, title, max(axes, key=lambda ax: len(ax.get_legend_handles_labels()[1])))


def _color_bar(figure: Figure, axes: list[Axes], drawn: ScalarMappable, label: str) -> None:
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)


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
