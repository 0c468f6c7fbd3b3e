import io
import itertools

import numpy as np
import pandas as pd
import pytest
from figure_tables import by_method, error_bars, models, points, words

from crosseyed.errors import InputError
from crosseyed.report.figures import intervals


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


def title_of(figure):
    return " ".join(figure.get_suptitle().split())


def compared(**changes):
    """Return a table as of evaluation.compare: kind, oracle, center and off-center change of each candidate."""
    rows = [("none", "none", False, 0, 0)] + [(name, *values) for name, values in changes.items()]
    table = pd.DataFrame(rows, columns=["family", "kind", "oracle", "center_change", "off_center_change"])
    for side in ("center_change", "off_center_change"):
        table[f"{side}_low"], table[f"{side}_high"] = table[side] - 3, table[side] + 4
    return table.assign(passes=9.0, confidence=0.95, validation_rank=[float("nan"), *range(1, len(rows))])


def test_trade_off_names_what_gains_most_and_counts_what_it_leaves_out():
    table = compared(
        average=("pooling", False, -90, -20),
        crop=("mitigation", True, 0, 50),
        shifts=("mitigation", False, -1, 40),
        lucky=("mitigation", False, 0, 0.5),
        circle=("mitigation", True, 0, -10),
    )
    figure = intervals.trade_off(table)
    assert title_of(figure) == (
        "Picked by other objects, shifts: 40 points off-center (37 to 44), −1 at the center"
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


def test_numbers_of_candidates_that_are_near_each_other_do_not_touch():
    near = {f"c{number}": ("mitigation", False, -1 - 0.2 * number, 30 + 0.3 * number) for number in range(8)}
    figure = intervals.trade_off(compared(far_down=("mitigation", False, -30, -30), **near))
    figure.canvas.draw()
    ax, unit = figure.axes[0], figure.dpi / 72
    numbers = [text for text in ax.texts if text.get_text().isdigit()]
    assert len(numbers) == 8
    middles = [ax.transData.transform(text.xy) / unit + text.get_position() for text in numbers]
    for one, other in itertools.combinations(middles, 2):
        assert np.linalg.norm(one - other) >= 12  # points, more than a digit is high


def test_trade_off_of_oracles_alone_names_none_as_picked():
    figure = intervals.trade_off(compared(told=("mitigation", True, 0, 40)))
    assert title_of(figure) == "What is gained off-center, and lost at the center"


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
    assert "90 % interval" in words(figure)


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
