"""What jobs ask for, and that no job asks for more than there is."""

from dataclasses import asdict

import pytest

from crosseyed.workflow.requests import Limits, Request, from_configuration, requests


@pytest.mark.parametrize("gpus", [False, True])
def test_only_notebooks_ask_for_gpus_and_only_where_there_are_some(gpus):
    assert {kind: each.gpu for kind, each in requests(gpus=gpus).items()} == {
        "notebook": int(gpus),
        "families": 0,
        "book": 0,
    }
    # without one they need longer
    assert requests()["notebook"].runtime > requests(gpus=True)["notebook"].runtime


def test_a_limit_lowers_what_is_above_it_and_nothing_else():
    free = requests()["notebook"]
    lowered = requests(limits=Limits(threads=2, mem_mb=free.mem_mb + 1, runtime=60))["notebook"]
    assert lowered == Request(threads=2, mem_mb=free.mem_mb, runtime=60)
    assert requests(limits=Limits()) == requests()


def test_requests_survive_the_configuration_file():
    asked = requests(gpus=True)
    assert from_configuration({kind: asdict(each) for kind, each in asked.items()}) == asked
