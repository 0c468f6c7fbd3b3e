import numpy as np
import pandas as pd
import pytest
from figure_tables import error_bars, gaps, shares, words

from crosseyed.errors import InputError
from crosseyed.report.figures import bars


def test_choice_bars_are_the_shares_with_their_intervals():
    table = shares()
    ax = bars.choice_bars(table).axes[0]
    for container, together in zip((ax.containers[0], ax.containers[2]), (True, False), strict=True):
        side = table[(table["together"] == together) & (table["choice"] != "unreadable")]
        assert [bar.get_height() for bar in container] == side["share"].tolist()
        assert container.get_label() == ("together at the center" if together else "apart, one at the border")
        middles = [(bar.get_x() + bar.get_width() / 2) for bar in container]
        for place, low, high in zip(middles, side["low"], side["high"], strict=True):
            assert any(np.allclose(drawn, (place, low, high)) for drawn in error_bars(ax, axis=1))
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert [label.split()[0] for label in labels] == ["both", "first", "second", "neither"]


def test_choice_bars_count_unreadable_images_and_tell_both():
    text = words(bars.choice_bars(shares()))
    assert "3 unreadable images left out" in text
    assert "both: 60 % together, 20 % apart" in text
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
    named = bars.center_bars(levels(), ylabel="recall (%)").axes[0]
    assert (figure.axes[0].get_ylabel(), named.get_ylabel()) == ("accuracy (%)", "recall (%)")


def test_a_floor_is_a_line_that_is_named():
    figure = bars.center_bars(levels(), floor=20)
    for ax in figure.axes:
        assert any(list(line.get_ydata()) == [20, 20] for line in ax.lines)
    assert "floor (20 % at the center)" in words(figure)
    assert "floor" not in words(bars.center_bars(levels()))


def test_center_bars_refuse_two_rows_for_one_bar():
    with pytest.raises(InputError, match="too many for centered"):
        bars.center_bars(pd.concat([levels(), levels().head(1)]))


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
