"""Phrases of the verdicts."""

from crosseyed.report.verdicts.words import named_span, span
from crosseyed.settings import settings

ROW = {"low": -0.123, "high": 4.0, "gap_low": 1.26, "gap_high": 2.0}


def test_an_interval_is_written_with_its_digits():
    assert span(ROW) == "-0.1 to 4.0"
    assert span(ROW, digits=2) == "-0.12 to 4.00"
    assert span(ROW, "gap", 0) == "1 to 2"


def test_an_interval_is_named_by_the_setting():
    with settings.overridden(confidence=0.99):
        assert named_span(ROW, "gap") == "99 % interval 1.3 to 2.0"
