"""The figures that stand for a whole edition: on the first screen, in the summary, and on the card for sharing."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosseyed.report.figures.style import (
    CENTER,
    COLORS,
    MARKERS,
    interval_name,
    require_once,
    require_rows,
    styled,
)

CARD = (1200, 630)
"""Width and height of the card in pixels, as sites that show links expect it."""

_DPI = 100

_SIDES = ("center", "off_center")


@styled
def both_sides(table: pd.DataFrame, *, title: str | None = None) -> Figure:
    """Show the accuracy at the center and off-center, one model or mitigation to a line; small enough for a phone.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per line from top to bottom: `label`; `center` and `off_center`, in percent, with the ends of their
        intervals in columns ending in ``_low`` and ``_high``; `confidence`.
    title : str, optional
        What the table shows; without it nothing stands above the lines.

    Returns
    -------
    matplotlib.figure.Figure
        Two points with their intervals on each line, and the gap between them.
    """
    _require(table)
    figure, ax = plt.subplots(figsize=(4.4, 1.0 + 0.52 * len(table) + (0.25 if title else 0)))
    _draw_sides(ax, table, letters=52)
    ax.set_xlabel(f"named correctly (%), with {interval_name(table)}", fontsize="small")
    if title:
        figure.suptitle(textwrap.fill(title, 46), x=0.01, ha="left", fontsize="medium", fontweight="bold")
    return figure


@styled
def card(table: pd.DataFrame, heading: str, sentences: Sequence[str], footer: str) -> Figure:
    """Draw what is shown beside a link to an edition, `CARD` pixels in size when it is saved as it is.

    Parameters
    ----------
    table : pandas.DataFrame
        As for `both_sides`.
    heading, footer : str
        Above and below; one line each, cut where it is too long.
    sentences : sequence of str
        What is found, wrapped beside the lines.

    Returns
    -------
    matplotlib.figure.Figure
        Text at the left, the lines of `both_sides` at the right.
    """
    _require(table)
    figure = plt.figure(figsize=(CARD[0] / _DPI, CARD[1] / _DPI), dpi=_DPI, layout="none")
    figure.text(0.05, 0.86, textwrap.shorten(heading, 44, placeholder=" …"), fontsize=34, fontweight="bold")
    text = "\n\n".join(textwrap.fill(each, 44, break_on_hyphens=False) for each in sentences)
    figure.text(0.05, 0.77, text, fontsize=16, va="top", linespacing=1.35)
    figure.text(0.05, 0.05, textwrap.shorten(footer, 110, placeholder=" …"), fontsize=13, color="0.35")
    ax = figure.add_axes((0.56, 0.2, 0.39, 0.55))
    _draw_sides(ax, table, letters=44, scale=1.3)
    ax.set_xlabel(f"named correctly (%), with {interval_name(table)}", fontsize=13)
    ax.tick_params(labelsize=13)
    return figure


def _require(table: pd.DataFrame) -> None:
    ends = [f"{side}{end}" for side in _SIDES for end in ("", "_low", "_high")]
    require_rows(table, ["label", *ends, "confidence"])
    require_once(table, "label", "label", None)


def _draw_sides(ax: Axes, table: pd.DataFrame, letters: int, scale: float = 1.0) -> None:
    for place, row in enumerate(table.to_dict("records")):
        ax.plot([row["off_center"], row["center"]], [place] * 2, color="0.75", linewidth=4 * scale, zorder=1)
        for number, side in enumerate(_SIDES):
            color, ends = COLORS[number], [row[f"{side}_low"], row[f"{side}_high"]]
            beside = place + (0.08 if number else -0.08)  # where intervals overlap, both are seen
            ax.plot(ends, [beside] * 2, color=color, linewidth=1.6 * scale, marker="|", markersize=7 * scale)
            ax.plot(
                row[side],
                beside,
                MARKERS[number],
                color=color,
                markersize=7 * scale,
                label=CENTER[side == "center"] if place == 0 else None,
            )
        name = textwrap.shorten(row["label"], letters, placeholder=" …")
        ax.text(0, place - 0.3, name, fontsize=9.5 * scale, va="bottom")
    ax.set(xlim=(-2, 102), ylim=(len(table) - 0.6, -1.0), yticks=[])
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        fontsize=9.5 * scale,
        borderaxespad=0,
        handletextpad=0.3,
    )
