import io
import itertools

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from crosseyed.errors import InputError
from crosseyed.report.figures import bars, curves, galleries, intervals


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
            "center": [True] * 5 + [False] * 5,
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


def two(table):
    return pd.concat([table("first-model"), table("second-model")], ignore_index=True)


def words(figure):
    """Return all visible text of a figure, legends and titles included."""
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


# What every figure does


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
    assert f"{100 * table()['confidence'][0]:g} %" in text and "bootstrap interval" in text
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


# The heat map


def test_heat_map_shows_accuracy_and_half_width_of_every_cell():
    table = grid(k=3)
    ax = galleries.accuracy_grid(table).axes[0]
    shown = {}
    for text in ax.texts:
        x, y = text.get_position()
        shown.setdefault((int(y), int(x)), []).append(text.get_text())
    for _, cell in table.iterrows():
        half = (cell["high"] - cell["low"]) / 2
        assert shown[cell["row"], cell["col"]] == [f"{cell['accuracy']:.0f}", f"±{half:.0f}"]


def test_heat_map_colors_are_the_accuracies_on_one_scale():
    figure = galleries.accuracy_grid(pd.concat([grid("a"), grid("b", center=50)]))
    for ax, center in zip(figure.axes[:2], (90, 50), strict=True):
        mesh = ax.collections[0]
        assert mesh.get_clim() == (0, 100)
        assert mesh.get_array().reshape(3, 3)[1, 1] == center + 1
        assert ax.yaxis_inverted()


def test_heat_map_titles_tell_center_and_border():
    titles = [ax.get_title(loc="left") for ax in galleries.accuracy_grid(two(grid)).axes[:2]]
    # The border's eight cells hold 10, 11 and 12 percent, row by row.
    assert titles == ["first-model\ncenter 91 %, border 11 %", "second-model\ncenter 91 %, border 11 %"]


def test_heat_map_of_an_even_grid_has_four_cells_in_the_middle():
    table = grid(k=4).assign(
        accuracy=lambda cells: np.where(cells[["row", "col"]].isin([1, 2]).all(axis=1), 80, 20)
    )
    assert "center 80 %, border 20 %" in words(galleries.accuracy_grid(table))


def test_heat_map_leaves_cells_without_rows_blank():
    table = grid(k=3).query("not (row == 0 and col == 2)")
    ax = galleries.accuracy_grid(table).axes[0]
    assert len(ax.texts) == 2 * 8


def test_heat_map_says_how_many_images_a_cell_has():
    assert "50 images a cell" in words(galleries.accuracy_grid(grid()))
    table = grid().assign(n=np.arange(41, 50))
    assert "41 to 49 images a cell" in words(galleries.accuracy_grid(table))


# Accuracy by eccentricity


def test_line_and_band_are_those_of_the_table():
    table = rings()
    ax = curves.accuracy_by_eccentricity(table).axes[0]
    line = ax.lines[0]
    assert line.get_xdata().tolist() == table["eccentricity"].tolist()
    assert line.get_ydata().tolist() == table["accuracy"].tolist()
    band = ax.collections[0].get_paths()[0].vertices
    for x, low, high in table[["eccentricity", "low", "high"]].itertuples(index=False):
        at = band[np.isclose(band[:, 0], x), 1]
        assert (at.min(), at.max()) == (low, high)


def test_rings_are_joined_from_the_inside_outwards():
    ax = curves.accuracy_by_eccentricity(rings().iloc[::-1]).axes[0]
    assert ax.lines[0].get_xdata().tolist() == [0.0, 0.5, 0.9]


def test_lines_differ_by_more_than_color():
    figure = curves.accuracy_by_eccentricity(pd.concat([rings(name) for name in "abcd"]))
    lines = figure.axes[0].lines[:4]
    for look in (
        lambda line: line.get_color(),
        lambda line: line.get_marker(),
        lambda line: line.get_linestyle(),
    ):
        assert len({look(line) for line in lines}) == 4


def test_title_and_legend_state_the_change():
    figure = curves.accuracy_by_eccentricity(pd.concat([rings("a"), rings("b", last=85.0)]))
    text = words(figure)
    assert "a: 80 → 10 %" in text and "b: 80 → 85 %" in text
    assert "−70 points (a), +5 points (b)" in text.replace("\n", " ")


def test_chance_is_drawn_where_it_is():
    figure = curves.accuracy_by_eccentricity(rings(), chance=12.5)
    assert any(line.get_ydata()[0] == line.get_ydata()[-1] == 12.5 for line in figure.axes[0].lines)
    assert "chance (12 %)" in words(figure)
    with pytest.raises(InputError, match="chance is 120"):
        curves.accuracy_by_eccentricity(rings(), chance=120)


# Bars


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


def test_choice_bars_are_the_shares_with_their_intervals():
    table = shares()
    ax = bars.choice_bars(table).axes[0]
    for container, center in zip((ax.containers[0], ax.containers[2]), (True, False), strict=True):
        side = table[(table["center"] == center) & (table["choice"] != "unreadable")]
        assert [bar.get_height() for bar in container] == side["share"].tolist()
        assert container.get_label() == ("at the center" if center else "off-center")
        middles = [(bar.get_x() + bar.get_width() / 2) for bar in container]
        for place, low, high in zip(middles, side["low"], side["high"], strict=True):
            assert any(np.allclose(drawn, (place, low, high)) for drawn in error_bars(ax, axis=1))
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert [label.split()[0] for label in labels] == ["both", "first", "second", "neither"]


def test_choice_bars_count_unreadable_images_and_tell_both():
    text = words(bars.choice_bars(shares()))
    assert "3 unreadable images left out" in text
    assert "both: 60 % center, 20 % off-center" in text
    clean = shares().query("choice != 'unreadable'")
    assert "unreadable images" not in words(bars.choice_bars(clean))


def test_gap_bars_are_the_gaps_with_their_intervals_in_the_order_of_the_table():
    table = gaps()
    ax = bars.gap_bars(table).axes[0]
    drawn = ax.containers[0]
    assert [bar.get_width() for bar in drawn] == [60, -5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["plain", "noise"]
    assert ax.yaxis_inverted()  # the first row is the topmost
    assert error_bars(ax, axis=0) == [(0, 57, 66), (1, -8, 1)]
    assert any(list(line.get_xdata()) == [0, 0] for line in ax.lines)


def test_numbers_of_bars_stand_beyond_the_error_bars():
    ax = bars.gap_bars(gaps()).axes[0]
    notes = {note.get_text(): note.xy for note in ax.texts}
    assert notes == {"60": (66, 0), "−5": (-8, 1)}


def test_gap_title_counts_the_intervals_above_zero():
    text = words(bars.gap_bars(pd.concat([gaps("a"), gaps("b", gap=(20.0, 1.0))])))
    assert "Gap of −5 to 60 points; interval above zero in 2 of 4 cases" in text.replace("\n", " ")


def test_gap_without_an_interval_is_still_a_bar():
    table = gaps().assign(gap_low=np.nan, gap_high=np.nan)
    ax = bars.gap_bars(table).axes[0]
    assert [bar.get_width() for bar in ax.containers[0]] == [60, -5]
    assert {note.get_text() for note in ax.texts} == {"60", "−5"}


# Inside a tower


def test_sources_have_a_line_each_and_the_panel_tells_their_change():
    figure = by_source(sources())
    ax = figure.axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines[:2]] == [[80.0, 40.0, 10.0], [80.0, 40.0, 50.0]]
    assert "object 80 → 10 %, mean 80 → 50 %" in ax.get_title(loc="left").replace("\n", " ")


def test_layers_have_solid_lines_for_the_center_and_dashed_ones_for_off_center():
    ax = by_depth(depths().iloc[::-1]).axes[0]
    drawn = {line.get_label(): line for line in ax.lines}
    assert drawn["mean, at the center"].get_ydata().tolist() == [45.0, 65.0, 85.0]
    assert drawn["mean, off-center"].get_ydata().tolist() == [5.0, 25.0, 45.0]
    assert {drawn[f"{source}, at the center"].get_linestyle() for source in ("object", "mean")} == {"-"}
    assert drawn["mean, off-center"].get_linestyle() == "--"
    assert drawn["mean, at the center"].get_color() == drawn["mean, off-center"].get_color()


def test_effects_are_drawn_with_their_intervals_on_one_scale():
    figure = profile(pd.concat([effects("a"), effects("b")]))
    first, second = figure.axes
    assert first.lines[0].get_ydata().tolist() == pytest.approx([-0.3, 0.1])
    assert first.lines[1].get_ydata().tolist() == pytest.approx([0.2, 0.6])
    low, high = first.get_ylim()
    assert low < -0.4 and high > 0.8 and second.get_ylim() == (low, high)


def test_maps_share_one_scale_that_is_even_around_zero():
    maps = [np.array([[0.1, -0.2]]), np.array([[0.4, 0.0], [0.1, 0.2]])]
    figure = galleries.effect_maps(maps, ["first", "second"])
    for ax, one, title in zip(figure.axes, maps, ["first", "second"], strict=False):
        assert (ax.images[0].get_array() == one).all()
        assert ax.images[0].get_clim() == (-0.4, 0.4)
        assert ax.get_title(loc="left") == title


@pytest.mark.parametrize(
    "arguments", [([], []), ([np.zeros((2, 2))], ["one", "two"]), ([np.zeros(4)], ["one"])]
)
def test_maps_that_cannot_be_shown_are_refused(arguments):
    with pytest.raises(InputError, match="map"):
        galleries.effect_maps(*arguments)


# Maps and means


def by_layer(model="a"):
    """Return a table as of metrics.mean, by layer and place."""
    table = pd.DataFrame({"model": model, "layer": [1, 2] * 2, "place": ["center"] * 2 + ["edge"] * 2})
    values = np.array([3.0, 4.0, 1.0, 2.0])
    return table.assign(mean=values, low=values - 0.5, high=values + 1, confidence=0.95)


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


def test_overlays_put_each_map_beside_its_image():
    images = [np.full((8, 8, 3), value, dtype=np.uint8) for value in (0, 200)]
    maps = {"one": [np.eye(2), 1 - np.eye(2)], "two": [np.zeros((4, 4)), np.arange(16).reshape(4, 4)]}
    masks = np.zeros((2, 8, 8), dtype=bool)
    masks[:, 2:5, 2:5] = True
    axes = np.reshape(galleries.overlays(images, maps, ["center", "edge"], masks=masks).axes, (2, 3))
    for number, line in enumerate(axes):
        assert (line[0].images[0].get_array() == images[number]).all()
        for ax, column in zip(line[1:], maps.values(), strict=True):
            assert (ax.images[0].get_array() == column[number]).all()
            assert ax.images[0].get_extent() == [0, 8, 8, 0]  # over the whole image
            assert len(ax.collections) == 2  # the outline
    assert [ax.get_title() for ax in axes[0]] == ["image", "one", "two"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["center", "edge"]


def test_overlays_need_a_map_for_every_image():
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="2 images, 2 names of rows and 1 columns of maps with 1"):
        galleries.overlays([image] * 2, {"one": [np.eye(2)]}, ["a", "b"])


def test_means_are_lines_in_their_bands():
    figure = curves.lines(
        by_layer(), "layer", xlabel="layer", ylabel="attention", hue="place", reference=1, title="It rises"
    )
    (ax,) = figure.axes
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["center"].get_ydata().tolist() == [3, 4]
    assert lines["edge"].get_ydata().tolist() == [1, 2]
    assert list(lines["1"].get_ydata()) == [1, 1]
    band = ax.collections[1].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0.5, 3)
    assert {"It rises", "95 % bootstrap interval", "attention"} <= set(words(figure).split("\n"))


def test_means_name_layers_that_are_colors():
    figure = curves.lines(by_layer(), "place", xlabel="place", ylabel="attention", hue="layer")
    assert "layer 1" in words(figure) and "layer 2" in words(figure)


def test_method_scores_have_a_point_and_an_interval_each():
    table = by_method()
    figure = intervals.method_scores(table, references={"auroc": 0.5})
    assert [ax.get_xlabel() for ax in figure.axes] == ["auroc", "iou"]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["second", "first"]
    for ax, (_, part) in zip(figure.axes, table.groupby("score"), strict=True):
        for place in ("center", "edge"):
            (middle, ends), rows = points(ax)[place], part[part["place"] == place]
            assert middle[:, 0].tolist() == rows["mean"].tolist()
            np.testing.assert_allclose(ends, rows[["low", "high"]])
    assert "no preference" in words(figure)


def test_two_means_for_one_point_are_refused():
    with pytest.raises(InputError, match="too many"):
        intervals.method_scores(pd.concat([by_method(), by_method()]))
    with pytest.raises(InputError, match="too many"):
        curves.lines(pd.concat([by_layer(), by_layer()]), "layer", xlabel="", ylabel="", hue="place")


# Pictures


def slopes():
    """Return the two tables of mixed.mixed_slope."""
    odds = {"odds_ratio": [0.5, 2.0], "low": [0.25, 1.0], "high": [1.0, 4.0]}
    effects = pd.DataFrame({"effect": ["eccentricity", "area"], "unit": ["0.1 further out", "twice"], **odds})
    categories = pd.DataFrame({"object": ["cat", "dog"], "n": [30, 40], "accuracy": [50.0, 60.0], **odds})
    return effects.assign(confidence=0.9), categories


def test_odds_ratios_have_a_point_and_an_interval_each_and_the_title_tells_the_first():
    effects, categories = slopes()
    figure = intervals.odds_ratios(effects, categories)
    for ax, table in zip(figure.axes, (effects, categories), strict=True):
        points = ax.lines[0]
        assert ax.get_xscale() == "log"
        assert ax.yaxis_inverted()
        np.testing.assert_allclose(points.get_xdata(), table["odds_ratio"])
        expected = [(0, *table.loc[0, ["low", "high"]]), (1, *table.loc[1, ["low", "high"]])]
        np.testing.assert_allclose(error_bars(ax, 0), expected)
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["cat (30)", "dog (40)"]
    assert figure.axes[1].lines[-1].get_xdata()[0] == 0.5
    assert "by 0.50 (0.25 to 1.00)" in words(figure)
    assert "90 % interval" in words(figure)
    only_worst = intervals.odds_ratios(effects, categories, n_worst=1, title="mine")
    assert [label.get_text() for label in only_worst.axes[1].get_yticklabels()] == ["cat (30)"]
    assert "mine" in words(only_worst)


@pytest.mark.parametrize("width", [0.02, 1.0, 20.0])
def test_odds_ratios_have_numbers_on_the_axis_however_narrow_the_intervals(width):
    effects, categories = slopes()
    bounds = {"odds_ratio": 0.9, "low": 0.9 / (1 + width), "high": 0.9 * (1 + width)}
    figure = intervals.odds_ratios(effects.assign(**bounds), categories)
    figure.draw_without_rendering()
    ax = figure.axes[0]
    low, high = ax.get_xlim()
    shown = [label for label in ax.get_xticklabels() if low <= label.get_position()[0] <= high]
    assert len([label for label in shown if label.get_text()]) >= 2


def test_odds_ratios_need_an_estimate():
    effects, categories = slopes()
    with pytest.raises(InputError, match="0 categories"):
        intervals.odds_ratios(effects, categories.head(0))
    with pytest.raises(InputError, match=r"columns \['unit'\] are missing"):
        intervals.odds_ratios(effects.drop(columns="unit"), categories)


def by_pooling(names=("own", "max")):
    """Return a table as of metrics.accuracy_by_eccentricity, by pooling."""
    return pd.concat(
        [rings().drop(columns="model").assign(pooling=name) for name in names], ignore_index=True
    )


def test_every_pooling_has_a_panel_with_the_reference_beside_it():
    table = by_pooling(("own", "max", "average"))
    table.loc[table["pooling"] == "max", "accuracy"] += 1
    figure = curves.accuracy_panels(table, reference="own")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["max", "average"]
    for ax, shift in zip(figure.axes, (1, 0), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in ax.lines}
        expected = rings().sort_values("eccentricity")["accuracy"].to_numpy()
        np.testing.assert_allclose(lines["own"], expected)
        np.testing.assert_allclose(lines["this pooling"], expected + shift)


@pytest.mark.parametrize(("names", "reference"), [(("own",), "own"), (("own", "max"), "class token")])
def test_panels_need_the_reference_and_something_beside_it(names, reference):
    with pytest.raises(InputError, match="expected the reference"):
        curves.accuracy_panels(by_pooling(names), reference=reference)


def changed():
    """Return a table as of evaluation.compare: the baseline, a gain off-center and a loss that may be chance."""
    table = pd.DataFrame({"protocol": "grid", "candidate": ["none", "better", "worse"], "confidence": 0.95})
    for side, changes in {"center": [0.0, -2.0, -3.0], "off_center": [0.0, 10.0, -5.0]}.items():
        table[f"{side}_change"] = changes
        table[f"{side}_change_low"] = table[f"{side}_change"] - 2
        table[f"{side}_change_high"] = table[f"{side}_change"] + 1
        table[f"{side}_p"] = [np.nan, 0.01, 0.5]
    return table


def test_changes_have_a_point_and_an_interval_each_and_are_filled_where_they_are_sure():
    figure = intervals.changes(changed(), against="the plain model")
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["better", "worse"]
    hollow = {
        line.get_xdata()[0]
        for line in ax.lines
        if line.get_markerfacecolor() == "white" and len(line.get_xdata())
    }
    filled = {
        line.get_xdata()[0]
        for line in ax.lines
        if line.get_marker() in "os" and line.get_markerfacecolor() != "white" and len(line.get_xdata())
    }
    assert hollow == {-3.0, -5.0}
    assert filled == {-2.0, 10.0}
    assert {(low, high) for _, low, high in error_bars(ax, axis=0)} == {
        (-4.0, -1.0),
        (8.0, 11.0),
        (-5.0, -2.0),
        (-7.0, -4.0),
    }
    assert "1 of 2 are better, 0 worse" in words(figure)


def test_changes_of_several_questions_share_one_scale():
    table = pd.concat([changed(), changed().assign(protocol="pair", center_change_low=-60.0)])
    first, second = intervals.changes(table).axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_xlim()[0] < -60


def test_changes_need_a_candidate():
    with pytest.raises(InputError, match="no row beside 'none'"):
        intervals.changes(changed().head(1))


def levels():
    """Return a table as of metrics.center_bias, by positions and pooling."""
    table = pd.DataFrame({"positions": ["centered"] * 2 + ["uniform"] * 2, "pooling": ["max", "average"] * 2})
    for side, values in {
        "center_accuracy": [90.0, 80.0, 85.0, 75.0],
        "off_center_accuracy": [40.0, 50.0, 85.0, 76.0],
    }.items():
        table[side] = values
        table[f"{side}_low"], table[f"{side}_high"] = table[side] - 3, table[side] + 2
    return table.assign(gap=table["center_accuracy"] - table["off_center_accuracy"], confidence=0.95)


def test_center_bars_are_the_accuracies_and_the_titles_tell_the_gaps():
    figure = bars.center_bars(levels())
    heights = [sorted(bar.get_height() for bar in ax.patches) for ax in figure.axes]
    assert heights == [[40, 50, 80, 90], [75, 76, 85, 85]]
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "centered\ngap 30 to 50 points",
        "uniform\ngap −1 to 0 points",
    ]


def test_center_bars_refuse_two_rows_for_one_bar():
    with pytest.raises(InputError, match="too many for centered"):
        bars.center_bars(pd.concat([levels(), levels().head(1)]))


def test_scenes_are_shown_as_they_are():
    images = [np.full((4, 6, 3), value, dtype=np.uint8) for value in (0, 100, 200)]
    figure = galleries.images(images, ["one", "two", "three"], columns=2)
    for ax, image, title in zip(figure.axes, images, ["one", "two", "three"], strict=False):
        assert (ax.images[0].get_array() == image).all()
        assert ax.get_title() == title
    assert [len(ax.images) for ax in figure.axes] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "images is empty"),
        (([np.zeros((4, 4, 4))],), r"image 0 has shape \(4, 4, 4\)"),
        (([np.zeros((4, 4)), np.zeros(4)],), "image 1 has shape"),
        (([np.zeros((0, 4, 3))],), "image 0 has shape"),
        (([np.zeros((4, 4))], ["one", "two"]), "2 titles for 1 images"),
    ],
)
def test_images_that_cannot_be_shown_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        galleries.images(*arguments)


def test_columns_must_be_positive():
    with pytest.raises(InputError, match="columns is 0"):
        galleries.images([np.zeros((4, 4))], columns=0)


# --- mitigations ---


def title_of(figure):
    return " ".join(figure.get_suptitle().split())


def compared(**changes):
    """Return a table as of evaluation.compare: kind, oracle, center and off-center change of each candidate."""
    rows = [("none", "none", False, 0, 0)] + [(name, *values) for name, values in changes.items()]
    table = pd.DataFrame(rows, columns=["family", "kind", "oracle", "center_change", "off_center_change"])
    for side in ("center_change", "off_center_change"):
        table[f"{side}_low"], table[f"{side}_high"] = table[side] - 3, table[side] + 4
    return table.assign(passes=9.0, confidence=0.95)


def test_trade_off_names_what_gains_most_and_counts_what_it_leaves_out():
    table = compared(
        shifts=("mitigation", False, -1, 40),
        crop=("mitigation", True, 0, 50),
        circle=("mitigation", True, 0, -10),
        average=("pooling", False, -90, -20),
    )
    figure = intervals.trade_off(table)
    assert title_of(figure) == (
        "Best without an oracle, shifts: 40 points off-center (37 to 44), −1 at the center"
    )
    words = "\n".join(text.get_text() for text in figure.axes[0].texts)
    assert "1  crop (9 passes)" in words
    assert "2  shifts (9 passes)" in words
    assert "circle" not in words
    assert "more than 40 points at the center: 1." in " ".join(words.split())
    drawn = [
        tuple(map(float, point)) for marks in figure.axes[0].collections for point in marks.get_offsets()
    ]
    assert {(-1.0, 40.0), (0.0, 50.0), (0.0, -10.0)} <= set(drawn)
    assert (-90.0, -20.0) not in drawn


def test_trade_off_says_if_everything_does_harm():
    figure = intervals.trade_off(
        compared(shifts=("mitigation", False, -20, 40), told=("mitigation", True, 0, 40))
    )
    assert "everything costs the center more than 2 points" in title_of(figure)


def test_shares_stack_to_the_whole():
    table = pd.DataFrame(
        {
            "place": ["center", "center", "off-center", "off-center"],
            "fate": ["seen", "lost", "seen", "lost"],
            "share": [90.0, 10.0, 30.0, 70.0],
        }
    )
    ax = bars.shares(table, bar="place", part="fate").axes[0]
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[90, 30], [10, 70]]
    assert [bar.get_x() for bar in ax.containers[1]] == [90, 30]
    assert sorted(text.get_text() for text in ax.texts) == ["10", "30", "70", "90"]
    with pytest.raises(InputError, match=r"columns \['share'\] are missing"):
        bars.shares(table.drop(columns="share"), bar="place", part="fate")


# Doses, forests and families


def dosed(seeds=(0,), shift=0.0):
    """Return a table as of metrics.center_bias, by habit, dose and seed."""
    rows = [
        {"habit": habit, "dose": dose, "seed": seed, "gap": 10.0 * number + seed + shift}
        for habit in ("placement", "selective naming")
        for number, dose in enumerate(("uniform", "0.1", "0.03"))
        for seed in seeds
    ]
    table = pd.DataFrame(rows)
    return table.assign(gap_low=table["gap"] - 2, gap_high=table["gap"] + 4, confidence=0.95)


def drawn_points(ax):
    """Return the points of every line with a marker, by its label."""
    return {
        container.get_label(): container.lines[0].get_xydata()
        for container in ax.containers
        if container.lines[0] is not None
    }


def test_doses_stand_in_the_order_of_the_table_with_their_intervals():
    ax = curves.dose_response(dosed(), {"gap": "gap"}, ylabel="points").axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["uniform", "0.1", "0.03"]
    (points,) = drawn_points(ax).values()
    assert points.tolist() == [[0, 0], [1, 10], [2, 20]]
    assert error_bars(ax, axis=1) == [(0, -2, 4), (1, 8, 14), (2, 18, 24)]


def test_a_second_seed_has_open_points_beside_the_first_and_no_line():
    table = pd.concat([dosed(), dosed(seeds=(1,)).query("dose != '0.1'")])
    figure = curves.dose_response(table, {"gap": "gap"}, ylabel="points")
    points = drawn_points(figure.axes[0])
    assert set(points) == {"gap, seed 0", "gap, seed 1"}
    later = points["gap, seed 1"]
    assert later[:, 0][~np.isnan(later[:, 1])].round(6).tolist() == [0.2, 2.2]
    line = figure.axes[0].containers[1].lines[0]
    assert line.get_linestyle() == "None" and line.get_markerfacecolor() == "white"


def test_dose_panels_share_a_scale_that_respects_its_limits():
    table = dosed()
    table.loc[0, "gap_low"] = -500.0
    names = {"placement": "spread", "selective naming": "what captions name"}
    figure = curves.dose_response(
        table, {"gap": "gap"}, ylabel="points", xlabels=names, reference=(0, "no bias"), limits=(-50, 50)
    )
    assert [ax.get_xlabel() for ax in figure.axes] == list(names.values())
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    low, high = figure.axes[0].get_ylim()
    assert -60 < low < -50 and 24 < high < 35
    assert "no bias" in words(figure) and "95 % bootstrap interval" in words(figure)


def test_a_dose_of_a_seed_stands_there_once():
    with pytest.raises(InputError, match="more than one"):
        curves.dose_response(pd.concat([dosed(), dosed()]), {"gap": "gap"}, ylabel="points")
    with pytest.raises(InputError, match=r"columns \['gap_low'\] are missing"):
        curves.dose_response(dosed().drop(columns="gap_low"), {"gap": "gap"}, ylabel="points")


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


BOTH = {"gap": "gap (points)", "bias_index": "index"}


def test_a_forest_has_a_line_for_each_model_in_the_order_of_the_table():
    figure = intervals.forest(models().iloc[::-1], BOTH)
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["model 2", "model 1", "model 0"]
    assert left.yaxis_inverted()
    assert [left.get_xlabel(), right.get_xlabel()] == list(BOTH.values())
    marks = {label: middle for label, (middle, _) in points(left).items()}
    assert marks["grid"][:, 0].tolist() == marks["pair"][:, 0].tolist() == [20, 10, 0]
    assert set(marks["grid"][:, 1]).isdisjoint(marks["pair"][:, 1])
    segments = [segment[:, 0].tolist() for segment in left.collections[0].get_segments()]
    assert segments == [[19.5, 20.25], [9.5, 10.25], [-0.5, 0.25]]
    assert "90 % bootstrap interval" in words(figure)


def test_a_forest_says_where_an_interval_goes_on_beyond_its_limits():
    table = models(2).query("protocol == 'grid'")
    table.loc[0, "bias_index_low"] = -7.0
    right = intervals.forest(table, BOTH, limits={"bias_index": (-1, 1)}).axes[1]
    arrows = [line for line in right.lines if line.get_marker() == "<" and len(line.get_xdata())]
    assert [line.get_xydata().tolist() for line in arrows] == [[[-1, 0]]]
    assert min(segment[:, 0].min() for segment in right.collections[0].get_segments()) == -1
    assert not [line for line in right.lines if line.get_marker() == ">" and len(line.get_xdata())]


def test_a_forest_of_forty_models_stays_on_its_page():
    long = models(40).assign(name=lambda table: "convnext_base_w--laion2b_s13b_b82k " + table["name"])
    figure = intervals.forest(long, BOTH)
    figure.savefig(io.BytesIO())
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    assert drawn.x0 > -0.02 and drawn.x1 < page.x1 + 0.02
    labels = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(low.y1 <= high.y0 + 1 for high, low in itertools.pairwise(labels))


def test_a_model_stands_in_a_forest_once():
    with pytest.raises(InputError, match="too many for grid: more than one"):
        intervals.forest(pd.concat([models(), models()]), BOTH)
    with pytest.raises(InputError, match="no rows"):
        intervals.forest(models().iloc[:0], BOTH)


def family():
    table = models(9).query("protocol == 'grid'").reset_index(drop=True)
    patches = pd.array([14, 14, 14, 16, 16, 32, 32, 32, None], dtype="Int64")
    return table.assign(patch_size=patches, millions=[float(3**number) for number in range(9)])


def test_few_values_are_evenly_spaced_and_many_on_a_logarithmic_axis():
    figure = curves.by_number(family(), {"patch_size": "patch", "millions": "size"}, ylabel="gap (points)")
    left, right = figure.axes
    assert [label.get_text() for label in left.get_xticklabels()] == ["14", "16", "32"]
    assert (left.get_xlabel(), right.get_xlabel()) == ("patch; 8 models", "size; 9 models")
    assert right.get_xscale() == "log" and left.get_xscale() == "linear"
    x, y = left.containers[0].lines[0].get_xydata().T
    assert np.round(x).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert len(set(x)) == 8  # none hides another
    assert sorted(y) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert dict(right.containers[0].lines[0].get_xydata()) == {3.0**n: 10.0 * n for n in range(9)}


def test_groups_show_each_model_and_means_with_intervals():
    table = pd.DataFrame({"data": ["b", "b", "b", "a", "a"], "gap": [10.0, 20, 60, 4, 6]})
    means = pd.DataFrame({"data": ["a", "b"], "mean": [5.0, 30], "low": [np.nan, -35], "high": [np.nan, 95]})
    means = means.assign(n=[2, 3], confidence=0.95)
    figure = intervals.by_group(table, means, "data", xlabel="gap (points)")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a (2)", "b (3)"]
    dots = ax.lines[0].get_xydata()
    assert sorted(map(tuple, dots.round(2))) == [(4, 0.14), (6, 0.14), (10, 1.14), (20, 1.14), (60, 1.14)]
    ((middle, ends),) = points(ax).values()
    assert middle[~np.isnan(middle).any(1)].tolist() == [[30, 0.86]]  # the other mean has no interval
    assert ends.tolist() == [[-35, 95]]
    with pytest.raises(InputError, match=r"columns \['data'\] are missing"):
        intervals.by_group(table.drop(columns="data"), means, "data", xlabel="gap")


def test_positions_tell_named_objects_from_others():
    table = pd.DataFrame({"dose": ["0", "0", "1"], "x": [0.2, 0.8, 0.5], "y": [0.1, 0.9, 0.5]})
    figure = galleries.positions(table.assign(named=[True, False, True]))
    first, second = figure.axes
    dots = {line.get_label(): line.get_xydata().tolist() for line in first.lines}
    assert dots["named"] == [[0.2, 0.1]] and dots["not named by the caption"] == [[0.8, 0.9]]
    assert first.yaxis_inverted()  # y counts from the top
    assert "not named by the caption" not in {line.get_label() for line in second.lines}
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("0", "1")
    with pytest.raises(InputError, match="'named'"):
        galleries.positions(table)
