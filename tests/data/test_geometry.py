"""Rings around the image center."""

import numpy as np
import pytest

from crosseyed.data.geometry import rings
from crosseyed.errors import InputError


def test_a_ring_contains_its_outer_edge_and_the_first_its_inner_one():
    edges, ring = rings(np.array([0, 0.25, 0.5, 0.5 + 1e-12, 0.75, 1]), 2, "the places")
    np.testing.assert_allclose(edges, [0, 0.5, 1])
    assert ring.tolist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (0, "at least 1 ring"),
        ([0.5], "two increasing edges"),
        ([0.5, 0.2], "two increasing edges"),
        ([0, 0.5], r"reach from 0 to 0\.5, but the places from 0\.1 to 0\.9"),
    ],
)
def test_rings_that_make_no_sense(bins, message):
    with pytest.raises(InputError, match=message):
        rings(np.array([0.1, 0.9]), bins, "the places")
