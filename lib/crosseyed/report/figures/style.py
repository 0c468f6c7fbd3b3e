"""What the figures of the book have in common: style, panels, legends, and the check of their tables.

Colors are those of seaborn's ``colorblind`` palette. What a color tells is told a second time, by a marker, a line
style, a hatching or a number. Each figure says what its bars or bands are.
"""

import base64
import functools
import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from crosseyed.errors import InputError
from crosseyed.files import atomic_write
from crosseyed.report.figures.lettering import FAMILY, letter
from crosseyed.tables import require_columns

STYLE = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("notebook", font_scale=0.85),
    # Fonts are looked up when a figure is drawn, perhaps after this style is gone: keep matplotlib's own.
    "font.family": ["sans-serif"],
    "font.sans-serif": [FAMILY],
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "0.9",
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",  # letters look alike on all machines
    "svg.hashsalt": "crosseyed",  # and the file is the same each time
}
"""The settings of matplotlib that make the book's figures look alike."""

COLORS = sns.color_palette("colorblind")

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

ERROR_BAR = {"fmt": "none", "ecolor": "0.15", "elinewidth": 1.2, "capsize": 3}

REFERENCE = {"color": "0.35", "linestyle": (0, (1, 3))}

CENTER = {True: "at the center", False: "off-center"}
TOGETHER = {True: "together at the center", False: "apart, one at the border"}

MAX_WIDTH = 10.0  # inches: what a page of the book shows without shrinking the text below reading size


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the book's style and with every name as it is.

    Pyplot forgets the figure, which a notebook would else show twice.
    """

    @functools.wraps(draw)
    def styled(*args: object, **kwargs: object) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            letter(figure)
            plt.close(figure)
        figure._ipython_display_ = functools.partial(_display, figure)
        return figure

    return styled


PNG, SVG = "image/png", "image/svg+xml"

_SUFFIXES = {PNG: "png", SVG: "svg"}


def _display(figure: Figure) -> None:
    """Give a notebook a figure in its smaller form, and its text, for who cannot see it."""
    kind, content = smaller(figure)
    shown = content.decode("utf-8") if kind == SVG else content
    display({"text/plain": describe(figure), kind: shown}, raw=True)


def smaller(figure: Figure) -> tuple[str, bytes]:
    """Return the kind (`PNG` or `SVG`) and the content of a figure in that of both forms that takes fewer bytes.

    Drawings are smaller as SVG, and sharp at any size; many points or photographs are smaller as PNG. The same figure
    gives the same bytes.
    """
    contents = {}
    with plt.rc_context(STYLE):
        for kind, metadata in ((SVG, {"Date": None, "Creator": None}), (PNG, {"Software": None})):
            with io.BytesIO() as file:
                figure.savefig(file, format=_SUFFIXES[kind], bbox_inches="tight", metadata=metadata)
                contents[kind] = file.getvalue()
    kind = min(contents, key=lambda kind: len(contents[kind]))
    return kind, contents[kind]


def data_uri(kind: str, content: bytes) -> str:
    """Return a content as an address that holds it; `kind` is its media type, such as `PNG`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def save(figure: Figure, path: Path) -> Path:
    """Write a figure in the form of `smaller` to a path without suffix; return the path of the file."""
    kind, content = smaller(figure)
    path = path.with_name(f"{path.name}.{_SUFFIXES[kind]}")
    with atomic_write(path) as file:
        file.write_bytes(content)
    return path


def save_card(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of exactly its own size, with nothing cut off around it."""
    with atomic_write(path) as file, plt.rc_context(STYLE):
        figure.savefig(file, format="png", metadata={"Software": None})


def size_of(image: bytes) -> tuple[int, int]:
    """Return width and height of an image in pixels of a page, from its content: a raster image or an SVG.

    An SVG has the size that it states in points, or that of its ``viewBox``.

    Raises
    ------
    InputError
        It is neither.
    """
    if root := re.search(rb"<svg\b[^>]*>", image[:4096]):
        sides = [re.search(rb'\b%s="([\d.]+)pt"' % side, root[0]) for side in (b"width", b"height")]
        if all(sides):
            return tuple(round(float(side[1]) * 96 / 72) for side in sides)
        if box := re.search(rb'\bviewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', root[0]):
            return round(float(box[1])), round(float(box[2]))
    try:
        with Image.open(io.BytesIO(image)) as opened:
            return opened.size
    except OSError as error:
        raise InputError(
            "An image of a page is neither a raster image nor an SVG that states its size."
        ) from error


def describe(figure: Figure) -> str:
    """Return in words what a figure is about: its title, and what its panels and axes are called."""
    title = figure.get_suptitle()
    panels = [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]
    names = list(dict.fromkeys(ax.get_title("left") or ax.get_title() for ax in figure.axes))
    axes = [
        f"{words}: {', '.join(labels)}"
        for words, labels in {
            "panels": [name for name in names if name],
            "horizontal axis": dict.fromkeys(ax.get_xlabel() for ax in panels if ax.get_xlabel()),
            "vertical axis": dict.fromkeys(ax.get_ylabel() for ax in panels if ax.get_ylabel()),
        }.items()
        if labels
    ]
    sentences = [" ".join(text.split()).rstrip(".") for text in (title, *axes) if text]
    return ". ".join(sentences) + "." if sentences else "A figure without words."


def make_panels(number: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """Return a figure with this number of panels of a size in inches, as many a row as a page is wide."""
    columns = min(number, max(1, int(MAX_WIDTH // size[0])))
    rows = math.ceil(number / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(columns * size[0], rows * size[1]), squeeze=False)
    for ax in axes.flat[number:]:
        ax.remove()
    return figure, list(axes.flat[:number])


def panels_of(
    table: pd.DataFrame, column: str | None, key: str | list[str], size: tuple[float, float]
) -> tuple[Figure, list[tuple[Axes, object, pd.DataFrame]]]:
    """Return a figure and its panels: one for each value of a column, with the value and its rows."""
    parts = parts_of(table, column)
    for name, part in parts:
        require_once(part, key, "panel", name)
    figure, axes = make_panels(len(parts), size)
    return figure, [(ax, name, part) for ax, (name, part) in zip(axes, parts, strict=True)]


def finish(
    figure: Figure, title: str | None, ax: Axes | None = None, error_bars: str | None = None
) -> Figure:
    """Put a wrapped title over the figure, and under it the legend of `ax` and what its error bars are."""
    if ax is not None:
        _add_legend(figure, ax, error_bars)
    if title:
        text = textwrap.fill(title, int(figure.get_figwidth() * 8.8), break_on_hyphens=False)
        figure.suptitle(text, x=0.01, ha="left", fontsize="large", fontweight="bold")
    return figure


def _add_legend(figure: Figure, ax: Axes, error_bars: str | None) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if error_bars:
        handles.append(ax.errorbar([np.nan], [np.nan], yerr=[np.nan], **ERROR_BAR))
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


def add_footnote(figure: Figure, text: str) -> None:
    """Put a note below the whole figure."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize="small", color="0.35")


def require_rows(table: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise InputError unless the table has rows, the columns, and intervals of one confidence."""
    require_columns(table, columns, "the table to draw")
    if table.empty:
        raise InputError("The table to draw has no rows. Compute it from answers, or leave the figure out.")
    if "confidence" in table and table["confidence"].nunique() > 1:
        raise InputError("table has intervals of more than one confidence; compute them with the same")


def ends_of(value: str) -> list[str]:
    """Return the columns of a quantity and of the ends of its interval."""
    return [value, f"{value}_low", f"{value}_high"]


def estimates(rows: pd.DataFrame, key: str, order: list[object], columns: list[str]) -> np.ndarray:
    """Return each column as an array of floats in the order of a key, NaN where a row is missing."""
    return rows.set_index(key)[columns].reindex(order).to_numpy(dtype=float).T


def require_once(part: pd.DataFrame, key: str | list[str], argument: str, name: object) -> None:
    """Raise InputError if the rows of a panel repeat a key."""
    repeated = part.duplicated(key).sum()
    if repeated:
        where = "" if name is None else f" for {name}"
        raise InputError(
            f"table has {repeated} row(s) too many{where}: more than one for the same {key}; select the rows "
            f"of one condition, or name the column that tells them apart in {argument!r}"
        )


def parts_of(table: pd.DataFrame, column: str | None) -> list[tuple[object, pd.DataFrame]]:
    """Return the rows of each value of a column in order of appearance; without it all rows, named None."""
    if column not in table:
        return [(None, table)]
    return [(name, table[table[column] == name]) for name in dict.fromkeys(table[column])]


def panel_title(name: object, finding: str | None, width: float) -> str:
    """Return the name and under it the finding, each if there is one, wrapped to a width in inches."""
    lines = [str(line) for line in (name, finding) if line is not None]
    return "\n".join(textwrap.fill(line, int(10 * width)) for line in lines)


def interval_name(table: pd.DataFrame) -> str:
    """Name the interval of the table, such as "95 % interval"."""
    return f"{100 * table['confidence'].iloc[0]:g} % interval"


def number_text(value: float) -> str:
    """Return a whole number with a typographic minus."""
    return f"{value:.0f}".replace("-0", "0").replace("-", "−")


def range_text(values: Iterable[float]) -> str:
    """Return "low to high" in whole numbers."""
    low, high = number_text(np.nanmin(values)), number_text(np.nanmax(values))
    return low if low == high else f"{low} to {high}"
