import numpy as np
import pandas as pd
import pytest
from figure_tables import words

from crosseyed.errors import InputError
from crosseyed.measure.specifications import OWN
from crosseyed.report.figures.specifications import specification_curve

OF_THE_STUDY = {"caption": "a photo of a {}", "grid": "5 × 5"}


def specified():
    """Return a table as of specifications.estimate: the study between a smaller and two larger gaps."""
    table = pd.DataFrame(
        {
            "decision": [OWN, "caption", "caption", "grid"],
            "option": ["a photo of a {}", "{}", "$x_y$", "3 × 3"],
            "gap": [20.0, 30.0, 5.0, 25.0],
            "change_p": [np.nan, 0.01, 0.2, 1.0],
            "center_accuracy": [80.0, 70.0, 40.0, 90.0],
            "off_center_accuracy": [60.0, 40.0, 35.0, 65.0],
        }
    )
    return table.assign(gap_low=table["gap"] - 4, gap_high=table["gap"] + 8, confidence=0.9)


def test_the_gaps_are_sorted_with_their_intervals_and_the_study_stands_out():
    curve, accuracy, _ = specification_curve(specified(), OF_THE_STUDY).axes
    drawn = {line.get_label(): line for line in curve.lines}
    study = drawn["as the study decides"]
    assert study.get_xydata().tolist() == [[1, 20]]
    filled, hollow = [line for line in curve.lines if line.get_color() not in (study.get_color(), "0.2")][:2]
    assert filled.get_xydata().tolist() == [[3, 30]]
    assert hollow.get_xydata().tolist() == [[0, 5], [2, 25]] and hollow.get_markerfacecolor() == "white"
    segments = [segment for lines in curve.collections for segment in lines.get_segments() if len(segment)]
    ends = sorted((segment[0, 0], segment[0, 1], segment[1, 1]) for segment in segments)
    assert ends == [(0, 1, 13), (1, 16, 28), (2, 21, 33), (3, 26, 38)]
    sides = {line.get_label(): line.get_ydata().tolist() for line in accuracy.lines}
    assert sides == {"at the center": [40, 80, 90, 70], "off-center": [35, 60, 65, 40]}


def test_every_column_has_a_mark_for_each_decision_and_one_that_differs():
    marks = specification_curve(specified(), OF_THE_STUDY).axes[2]
    rows = [label.get_text() for label in marks.get_yticklabels()]
    assert rows == ["a photo of a {}", "$x_y$", "{}", "5 × 5", "3 × 3"]
    squares = {
        tuple(point) for line in marks.lines if line.get_marker() == "s" for point in line.get_xydata()
    }
    assert squares == {(0, 1), (3, 2), (2, 4)}
    points = {tuple(point) for line in marks.lines if line.get_marker() == "." for point in line.get_xydata()}
    assert points == {(1, 0), (2, 0), (0, 3), (1, 3), (3, 3)}


def test_what_a_stranger_needs_is_written_on_it():
    text = words(specification_curve(specified(), OF_THE_STUDY))
    for phrase in (
        *("5 to 30 points", "center-bias gap", "percentage points", "90 % interval", "accuracy (%)"),
        *("4 specifications, sorted by their gap", "corrected p < 0.05", "caption", "grid"),
    ):
        assert phrase in text
    assert "mine" in words(specification_curve(specified(), OF_THE_STUDY, title="mine"))


def test_a_decision_without_the_option_of_the_study_is_refused():
    with pytest.raises(InputError, match="decisions grid have no option"):
        specification_curve(specified(), {"caption": "a photo of a {}"})
    with pytest.raises(InputError, match="no row of the decision"):
        specification_curve(specified().iloc[1:], OF_THE_STUDY)
