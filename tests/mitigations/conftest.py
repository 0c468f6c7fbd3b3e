"""Fixtures of the tests of heads."""

import pytest
from small_mitigations import train

from crosseyed.data.cutouts import objects_of, read_catalogue


@pytest.fixture(scope="module")
def world():
    catalogue = read_catalogue(("fluent",))
    names = objects_of(catalogue)
    return [
        [cutout for cutout in catalogue if cutout.object in kept] for kept in (names[:6], names[6:9])
    ], names[:12]


@pytest.fixture(scope="module")
def trained(tiny_clip, world):
    return train(tiny_clip, world)
