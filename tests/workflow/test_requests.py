"""What a job asks for: more than it is planned to take, more than was too little, and no more than there is."""

import json
from dataclasses import replace

import pytest

from crosseyed.workflow.requests import (
    GROWTH,
    LEAST,
    SAFETY,
    UNPLANNED,
    Limits,
    Request,
    exceeding,
    from_configuration,
    needed,
    request,
    to_configuration,
)

PLANNED = {"mem_mb": 5_100.0, "runtime": 61.0}


def test_a_job_asks_for_more_than_is_planned():
    asked = request(PLANNED, threads=4, gpu=1)
    assert asked == Request(
        threads=4, mem_mb=8_000, runtime=125, gpu=1
    )  # 7,650 MB and 122 minutes, rounded up
    assert SAFETY == {"mem_mb": 1.5, "runtime": 2.0}


def test_a_job_that_takes_next_to_nothing_asks_for_a_floor():
    asked = request({"mem_mb": 0, "runtime": 0.1})
    assert asked == Request(threads=1, **LEAST)


@pytest.mark.parametrize("name", ["mem_mb", "runtime"])
def test_what_was_too_little_grows_until_it_is_enough_and_the_rest_stays(name):
    asked = request(PLANNED)
    for _ in range(3):
        had = getattr(asked, name)
        grown = request(PLANNED, {name: had})
        assert getattr(grown, name) == GROWTH * had
        (other,) = PLANNED.keys() - {name}
        assert getattr(grown, other) == getattr(asked, other)
        asked = grown
    # less than what is planned anyway changes nothing
    assert request(PLANNED, {name: 1}) == request(PLANNED)


def test_a_limit_lowers_what_is_above_it_and_nothing_else():
    lowered = request(PLANNED, limits=Limits(threads=2, mem_mb=9_000, runtime=90), threads=4)
    assert lowered == Request(threads=2, mem_mb=8_000, runtime=90)
    assert request(PLANNED, limits=Limits()) == request(PLANNED)


def test_a_limit_is_too_low_if_it_is_below_what_is_planned_without_the_safety():
    assert exceeding(needed(PLANNED), Limits(mem_mb=5_100, runtime=61)) == {}
    assert exceeding(needed(PLANNED), Limits(mem_mb=5_099, runtime=60)) == {"mem_mb": 5_099, "runtime": 60}
    assert exceeding(needed(PLANNED), Limits()) == {}


def test_a_limit_is_too_low_if_as_much_was_too_little_before():
    assert exceeding(needed(PLANNED, {"runtime": 90}), Limits(runtime=90)) == {"runtime": 90}
    assert exceeding(needed(PLANNED, {"runtime": 90}), Limits(runtime=91)) == {}


def test_requests_survive_the_configuration_file():
    planned = request(PLANNED, threads=4)
    asked = {("a", "01_x"): planned, ("a", "02_y"): UNPLANNED, ("b", "01_x"): replace(planned, gpu=1)}
    assert from_configuration(json.loads(json.dumps(to_configuration(asked)))) == asked
