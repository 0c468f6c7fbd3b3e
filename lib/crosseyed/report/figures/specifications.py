"""The specification curve. `crosseyed.report.figures` explains the parameters that figures share."""

import textwrap
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosseyed.errors import InputError
from crosseyed.measure.specifications import KEYS, OWN
from crosseyed.report.figures.style import (
    CENTER,
    COLORS,
    MARKERS,
    MAX_WIDTH,
    ends_of,
    finish,
    interval_name,
    range_text,
    require_once,
    require_rows,
    styled,
)
from crosseyed.settings import SIGNIFICANCE

_OTHER, _OWN = COLORS[0], COLORS[3]
_INCH_A_ROW = 0.185


@styled
def specification_curve(
    table: pd.DataFrame, own: Mapping[str, str], *, level: float = SIGNIFICANCE, title: str | None = None
) -> Figure:
    """Show the gap under every specification, sorted, above the decisions that each is made of.

    Parameters
    ----------
    table : pandas.DataFrame
        From `crosseyed.measure.specifications.estimate`.
    own : mapping of str to str
        For every decision the option of the study, in the order in which they are shown.
    level : float
        Gaps that differ from the study's own with a corrected p-value below it have filled markers.
    title
        See `crosseyed.report.figures`. The default title tells the range of the gaps.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels with one column for each specification: gaps in percentage points with their intervals, accuracies
        in percent, and a mark for the option of every decision.

    Raises
    ------
    InputError
        A decision of the table is not in `own`, or the study's own specification is not in the table.
    """
    sides = {True: "center_accuracy", False: "off_center_accuracy"}
    require_rows(table, [*KEYS, *ends_of("gap"), *sides.values(), "change_p", "confidence"])
    require_once(table, KEYS, "hue", None)
    unknown = sorted(set(table["decision"]) - {*own, OWN})
    if unknown or OWN not in set(table["decision"]):
        raise InputError(
            f"the decisions {', '.join(unknown)} have no option of the study in 'own'"
            if unknown
            else f"table has no row of the decision {OWN!r}"
        )
    table = table.sort_values("gap", kind="stable").reset_index(drop=True)
    rows = _rows(table, own)
    heights = [2.6, 1.3, _INCH_A_ROW * len(rows)]
    figure, (curve, accuracy, marks) = plt.subplots(
        3, 1, sharex=True, figsize=(MAX_WIDTH, 1.9 + sum(heights)), height_ratios=heights
    )
    place = int(np.flatnonzero(table["decision"] == OWN)[0])
    for ax in (curve, accuracy, marks):
        ax.axvspan(place - 0.5, place + 0.5, color=_OWN, alpha=0.12, linewidth=0)
        ax.grid(False, axis="x")
    _draw_gaps(curve, table, place, level)
    for number, (side, column) in enumerate(sides.items()):
        look = {"color": "0.25", "markerfacecolor": "0.25" if side else "white", "markersize": 4}
        accuracy.plot(table.index, table[column], MARKERS[1 + number], label=CENTER[side], **look)
    accuracy.set(ylim=(-4, 104), yticks=[0, 50, 100], ylabel="accuracy (%)")
    accuracy.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    _draw_marks(marks, table, own, rows, place)
    marks.set(xlim=(-0.7, len(table) - 0.3), xticks=[])
    marks.set_xlabel(
        f"{len(table)} specifications, sorted by their gap; each differs from the study in one decision"
    )
    curve.plot([], [], MARKERS[0], color=_OTHER, label=f"differs from the study (corrected p < {level:g})")
    curve.plot([], [], MARKERS[0], color=_OTHER, markerfacecolor="white", label="does not")
    curve.plot([], [], color="0.4", linewidth=1.3, label=f"line: {interval_name(table)}")
    finding = (
        f"The gap is {range_text(table['gap'])} points, depending on decisions that could be made otherwise"
    )
    return finish(figure, title or finding, curve)


def _rows(table: pd.DataFrame, own: Mapping[str, str]) -> list[tuple[str, str]]:
    """List every option of every decision, the study's own first and the others by their gap."""
    return [
        (decision, option)
        for decision, first in own.items()
        for option in dict.fromkeys([first, *table.loc[table["decision"] == decision, "option"]])
    ]


def _draw_gaps(ax: Axes, table: pd.DataFrame, place: int, level: float) -> None:
    middle, low, high = table[ends_of("gap")].to_numpy(dtype=float).T
    others = np.arange(len(table)) != place
    sure = (table["change_p"] < level).to_numpy()
    ax.vlines(np.flatnonzero(others), low[others], high[others], color=_OTHER, linewidth=1.3)
    for rows, face in ((others & sure, _OTHER), (others & ~sure, "white")):
        ax.plot(np.flatnonzero(rows), middle[rows], MARKERS[0], color=_OTHER, markerfacecolor=face)
    ax.vlines(place, low[place], high[place], color=_OWN, linewidth=2)
    ax.plot(place, middle[place], MARKERS[3], color=_OWN, markersize=8, label="as the study decides")
    ax.axhline(middle[place], color=_OWN, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.axhline(0, color="0.2", linewidth=1.2)
    ax.set_ylabel("center-bias gap\n(percentage points)")


def _draw_marks(
    ax: Axes, table: pd.DataFrame, own: Mapping[str, str], rows: list[tuple[str, str]], place: int
) -> None:
    """Mark in each column the option of every decision, large where it is not that of the study."""
    line = {row: number for number, row in enumerate(rows)}
    for decision, option in own.items():
        other = table["decision"] == decision
        same = np.flatnonzero(~other)
        ax.plot(same, np.full(len(same), line[decision, option]), ".", color="0.78", markersize=4)
        ax.plot(
            np.flatnonzero(other),
            [line[decision, each] for each in table.loc[other, "option"]],
            MARKERS[1],
            color=_OTHER,
            markersize=6,
        )
        ax.plot(place, line[decision, option], MARKERS[3], color=_OWN, markersize=5)
    names = list(own)
    for number, decision in enumerate(names):
        lines = [line[row] for row in rows if row[0] == decision]
        if number % 2 == 0:
            ax.axhspan(min(lines) - 0.5, max(lines) + 0.5, color="0.95", linewidth=0, zorder=0)
        words = textwrap.fill(decision, 18) if len(lines) > 1 else decision
        ax.text(
            1.01,
            (min(lines) + max(lines)) / 2,
            words,
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize="small",
            fontweight="bold",
        )
    labels = [textwrap.shorten(option, 48, placeholder=" …") for _, option in rows]
    ax.set_yticks(range(len(rows)), labels, fontsize="small")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(False, axis="y")
