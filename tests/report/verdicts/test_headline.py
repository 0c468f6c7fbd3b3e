"""The study of an edition in three sentences."""

import pandas as pd
import pytest

from crosseyed.report.verdicts.headline import best, how_large, what_helps


def bias(gap, low, high):
    levels = {"center_accuracy": 90.0, "off_center_accuracy": 90.0 - gap}
    ends = {
        f"{name}_{end}": value + by
        for name, value in levels.items()
        for end, by in (("low", -2), ("high", 3))
    }
    return pd.Series(
        {**levels, **ends, "gap": gap, "gap_low": low, "gap_high": high, "n_objects": 20}, dtype=object
    )


@pytest.mark.parametrize(
    ("gap", "low", "high", "verdict"),
    [
        (50.0, 40.4, 60.0, "<b> is cross-eyed"),
        (-50.0, -60.0, -40.0, "<b> recognises objects better off-center than at the center"),
        (1.0, -3.0, 5.0, "<b> has no center bias that its interval tells from chance"),
    ],
)
def test_the_verdict_follows_the_interval_of_the_gap(gap, low, high, verdict):
    assert how_large("<b>", bias(gap, low, high)).subject == verdict


def test_every_number_has_its_interval():
    told = how_large("a", bias(50.0, 40.4, 60.0)).rest
    assert told == (
        ": of 20 objects it names 90 % [88,\xa093] correctly at the center and 40 % [38,\xa043] off-center, "
        "a gap of 50 points [40,\xa060]."
    )


def evaluated(*rows):
    columns = ["protocol", "candidate", "family", "oracle", "acts", "validation_rank", "off_center_change"]
    table = pd.DataFrame(rows, columns=columns).assign(center_change=-1.2, n_objects=40)
    for side in ("center", "off_center"):
        table[f"{side}_change_low"] = table[f"{side}_change"] - 2
        table[f"{side}_change_high"] = table[f"{side}_change"] + 2
    return table


PLAIN = ("grid", "none", "none", False, 0.0, None, 0.0)
ORACLE = ("grid", "crop", "crop", True, 100.0, 1.0, 60.0)
IDLE = ("grid", "sinks", "sinks", False, 0.0, 2.0, 0.0)
RADIAL = ("grid", "radial(2)", "radial attention", False, 100.0, 3.0, 20.4)
LUCKY = ("grid", "shifts(9)", "shifts", False, 100.0, 4.0, 30.0)
PAIR = ("pair", "radial(2)", "radial attention", False, 100.0, 3.0, -7.0)


def test_what_helps_is_what_other_objects_picked_among_what_is_not_told_the_place():
    told = what_helps(evaluated(PAIR, PLAIN, LUCKY, ORACLE, IDLE, RADIAL))
    assert told.subject == "Radial attention helps"
    assert told.rest == (
        " most among 2 mitigations: +20 points [+18,\xa0+22] off-center and −1 [−3,\xa0+1] at the center "
        "(40 other objects)."
    )


def test_what_certainly_costs_the_center_is_said_to_trade():
    table = evaluated(PLAIN, RADIAL).assign(
        center_change=-8.0, center_change_low=-15.0, center_change_high=-1.0
    )
    told = what_helps(table)
    assert told.subject == "Radial attention trades the center for the border"
    assert told.rest == (
        ", the best of 1 mitigations: +20 points [+18,\xa0+22] off-center and −8 [−15,\xa0−1] at the center "
        "(40 other objects)."
    )


def test_nothing_certain_and_nothing_tried_are_said():
    unsure = ("grid", "radial(2)", "radial attention", False, 100.0, 1.0, 1.5)
    assert what_helps(evaluated(PLAIN, unsure)).subject == "None of 1 mitigations certainly helps"
    assert what_helps(evaluated(PLAIN, IDLE)).subject == "Nothing helps"
    assert best(evaluated(PLAIN, IDLE, ORACLE)) is None
