import numpy as np
import pandas as pd
import pytest
from figure_tables import (
    by_depth,
    by_method,
    by_source,
    depths,
    effects,
    error_bars,
    models,
    profile,
    rings,
    sources,
    words,
)

from crosseyed.errors import InputError
from crosseyed.report.figures import curves, intervals


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


def by_layer(model="a"):
    """Return a table as of metrics.mean, by layer and place."""
    table = pd.DataFrame({"model": model, "layer": [1, 2] * 2, "place": ["center"] * 2 + ["edge"] * 2})
    values = np.array([3.0, 4.0, 1.0, 2.0])
    return table.assign(mean=values, low=values - 0.5, high=values + 1, confidence=0.95)


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
    assert {"It rises", "95 % interval", "attention"} <= set(words(figure).split("\n"))


def test_means_name_layers_that_are_colors():
    figure = curves.lines(by_layer(), "place", xlabel="place", ylabel="attention", hue="layer")
    assert "layer 1" in words(figure) and "layer 2" in words(figure)


def test_two_means_for_one_point_are_refused():
    with pytest.raises(InputError, match="too many"):
        intervals.method_scores(pd.concat([by_method(), by_method()]))
    with pytest.raises(InputError, match="too many"):
        curves.lines(pd.concat([by_layer(), by_layer()]), "layer", xlabel="", ylabel="", hue="place")


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
    assert "no bias" in words(figure) and "95 % interval" in words(figure)


def test_a_dose_of_a_seed_stands_there_once():
    with pytest.raises(InputError, match="more than one"):
        curves.dose_response(pd.concat([dosed(), dosed()]), {"gap": "gap"}, ylabel="points")
    with pytest.raises(InputError, match=r"columns \['gap_low'\] are missing"):
        curves.dose_response(dosed().drop(columns="gap_low"), {"gap": "gap"}, ylabel="points")


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
