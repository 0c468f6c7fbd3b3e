import io
import urllib.request

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from figure_tables import (
    by_depth,
    by_source,
    depths,
    effects,
    gaps,
    grid,
    profile,
    rings,
    shares,
    sources,
    two,
    words,
)
from matplotlib.figure import Figure

from crosseyed.errors import InputError
from crosseyed.report.figures import bars, curves, galleries, style

DRAWN = {
    "accuracy_grid": (galleries.accuracy_grid, grid),
    "accuracy_by_eccentricity": (curves.accuracy_by_eccentricity, rings),
    "choice_bars": (bars.choice_bars, shares),
    "gap_bars": (bars.gap_bars, gaps),
    "accuracy_by_eccentricity, in panels": (by_source, sources),
    "lines, in two styles": (by_depth, depths),
    "lines": (profile, effects),
}


every_plot = pytest.mark.parametrize(("draw", "table"), DRAWN.values(), ids=DRAWN)


@every_plot
def test_figure_is_returned_and_nothing_else_changes(draw, table):
    table = two(table)
    before, settings = table.copy(deep=True), dict(plt.rcParams)
    figure = draw(table)
    assert isinstance(figure, Figure)
    pd.testing.assert_frame_equal(table, before)
    assert dict(plt.rcParams) == settings
    assert plt.get_fignums() == []  # or a notebook would show it twice


@every_plot
def test_models_interval_and_axes_are_named(draw, table):
    figure = draw(two(table))
    text = words(figure)
    assert "first-model" in text and "second-model" in text
    assert f"{100 * table()['confidence'][0]:g} % interval" in text
    for ax in figure.axes:
        assert ax.get_xlabel() or ax.get_ylabel()


@every_plot
def test_table_without_a_model_makes_one_plain_figure(draw, table):
    figure = draw(table().drop(columns="model"))
    assert "None" not in words(figure)


@every_plot
def test_given_title_is_used(draw, table):
    assert "Corners are lost" in words(draw(table(), title="Corners are lost"))


@every_plot
def test_nothing_leaves_the_page(draw, table):
    long = "ViT-B-32--laion2b_s34b_b79k-and-more"
    figure = draw(pd.concat([table(f"{long}-{number}") for number in range(3)]))
    figure.savefig(io.BytesIO())
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert drawn.x0 > -0.02 and drawn.y0 > -0.02
    assert drawn.x1 < page.x1 + 0.02 and drawn.y1 < page.y1 + 0.02


@every_plot
def test_empty_table_is_refused(draw, table):
    with pytest.raises(InputError, match="table to draw has no rows"):
        draw(table().iloc[:0])


@every_plot
def test_missing_column_is_named(draw, table):
    for column in (
        set(table().columns)
        - {"model", "n_objects"}
        - ({"n"} if draw is not galleries.accuracy_grid else set())
    ):
        with pytest.raises(InputError, match=rf"columns \['{column}'\] are missing"):
            draw(table().drop(columns=column))


@every_plot
def test_two_rows_for_one_mark_are_refused(draw, table):
    with pytest.raises(InputError, match="too many for a: more than one"):
        draw(pd.concat([table(), table().iloc[:1]]))


@every_plot
def test_mixed_confidences_are_refused(draw, table):
    mixed = pd.concat([table("first"), table("second").assign(confidence=0.5)])
    with pytest.raises(InputError, match="more than one confidence"):
        draw(mixed)


@pytest.mark.parametrize("content", [b"", b"<svg/>", bytes(range(256))])
def test_an_address_holds_its_content(content):
    with urllib.request.urlopen(style.data_uri(style.SVG, content)) as opened:
        assert opened.read() == content
        assert opened.headers.get_content_type() == "image/svg+xml"
