"""Tables as the figures take them, and what a test reads off a figure."""

import matplotlib
import numpy as np
import pandas as pd

from crosseyed.report.figures import curves


def grid(model="a", k=3, center=90.0, border=10.0):
    """Return a table as of metrics.accuracy_by_cell."""
    rows, cols = (axis.ravel() for axis in np.mgrid[:k, :k])
    accuracy = np.where((rows == k // 2) & (cols == k // 2), center, border) + rows
    table = pd.DataFrame({"model": model, "row": rows, "col": cols, "accuracy": accuracy})
    return table.assign(
        low=accuracy - 4 - cols, high=accuracy + 4 + cols, n=50, n_objects=50, confidence=0.95
    )


def rings(model="a", last=10.0):
    """Return a table as of metrics.accuracy_by_eccentricity."""
    accuracy = np.array([80.0, 40.0, last])
    table = pd.DataFrame({"model": model, "eccentricity": [0.0, 0.5, 0.9], "accuracy": accuracy})
    return table.assign(low=accuracy - 3, high=accuracy + 7, n=50, confidence=0.95)


def shares(model="a"):
    """Return a table as of metrics.choices."""
    table = pd.DataFrame(
        {
            "model": model,
            "together": [True] * 5 + [False] * 5,
            "choice": ["both", "object", "object2", "other", "unreadable"] * 2,
            "count": [60, 20, 15, 5, 1, 20, 30, 40, 10, 2],
            "share": [60, 20, 15, 5, np.nan, 20, 30, 40, 10, np.nan],
            "confidence": 0.95,
        }
    )
    return table.assign(low=table["share"] - 2, high=table["share"] + 4)


def gaps(model="a", gap=(60.0, -5.0)):
    """Return a table as of metrics.center_bias."""
    table = pd.DataFrame({"model": model, "condition": ["plain", "noise"], "gap": gap, "confidence": 0.9})
    return table.assign(gap_low=table["gap"] - 3, gap_high=table["gap"] + 6)


def sources(model="a", last=10.0):
    """Return a table as of metrics.accuracy_by_eccentricity, by source."""
    return pd.concat(
        [rings(model, last).assign(source="object"), rings(model, 50.0).assign(source="mean")],
        ignore_index=True,
    )


def depths(model="a"):
    """Return a table as of metrics.accuracy, by source, layer and center."""
    index = pd.MultiIndex.from_product([["object", "mean"], [0, 1, 2], [True, False]])
    table = index.to_frame(index=False, name=["source", "layer", "center"])
    accuracy = 20 * table["layer"] + 40 * table["center"] + 5.0
    return table.assign(model=model, accuracy=accuracy, low=accuracy - 3, high=accuracy + 7, confidence=0.95)


def effects(model="a"):
    """Return a table as of metrics.mean, by ring and center."""
    index = pd.MultiIndex.from_product([[0.2, 0.6], [True, False]])
    table = index.to_frame(index=False, name=["ring", "center"])
    mean = table["ring"] - 0.5 * table["center"]
    return table.assign(model=model, mean=mean, low=mean - 0.1, high=mean + 0.2, confidence=0.95)


def profile(table, **options):
    names = {"xlabel": "eccentricity of the token", "ylabel": "direct effect", "hue": "center"}
    return curves.lines(table, "ring", reference=0, **names, **options)


def by_depth(table, **options):
    names = {"xlabel": "layer", "ylabel": "object found (%)", "hue": "source", "style": "center"}
    return curves.lines(table, "layer", "accuracy", limits=(0, 100), **names, **options)


def by_source(table, **options):
    names = {"hue": "source", "panel": "model", "ylabel": "concept found (%)"}
    return curves.accuracy_by_eccentricity(table, **names, **options)


def two(table):
    return pd.concat([table("first-model"), table("second-model")], ignore_index=True)


def words(figure):
    """Return all visible text of a figure, legends and titles included."""
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


def error_bars(ax, axis):
    """Return the ends of the error bars as (place, low, high), from the line segments drawn."""
    segments = [segment for lines in ax.collections for segment in lines.get_segments() if len(segment)]
    return sorted(
        (segment[0, 1 - axis], segment[0, axis], segment[1, axis])
        for segment in segments
        if not np.isnan(segment).any()
    )


def points(ax):
    """Return by label the points drawn (n, 2) and the ends of their lines (n, 2), of figures of estimates."""
    labelled = [number for number, line in enumerate(ax.lines) if len(line.get_xdata()) == 0]
    labelled = [number for number in labelled if not ax.lines[number].get_label().startswith("_")]
    drawn = zip(labelled, ax.collections, strict=False)
    return {
        ax.lines[number].get_label(): (
            ax.lines[number - 1].get_xydata(),
            np.array([segment[:, 0] for segment in lines.get_segments() if len(segment)]),
        )
        for number, lines in drawn
    }


def by_method():
    """Return a table as of metrics.mean, by score, method and place."""
    rows = [
        (score, method, place)
        for score in ("auroc", "iou")
        for method in ("second", "first")
        for place in ("center", "edge")
    ]
    values = np.linspace(0.1, 0.8, 8)
    table = pd.DataFrame(rows, columns=["score", "method", "place"])
    return table.assign(mean=values, low=values - 0.05, high=values + 0.1, confidence=0.95)


def models(n=3):
    """Return a table of results, two protocols for each model."""
    table = pd.DataFrame(
        [
            {
                "name": f"model {number}",
                "protocol": protocol,
                "gap": 10.0 * number,
                "bias_index": 0.1 * number,
            }
            for number in range(n)
            for protocol in ("grid", "pair")
        ]
    )
    for quantity in ("gap", "bias_index"):
        table[f"{quantity}_low"], table[f"{quantity}_high"] = table[quantity] - 0.5, table[quantity] + 0.25
    return table.assign(confidence=0.9)
