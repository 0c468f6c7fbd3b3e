"""Batches that are halved where memory is short."""

import pytest
import torch

from crosseyed.models.memory import by_halves


def at_most(limit):
    def run(batch, first):
        if len(batch) > limit:
            raise torch.OutOfMemoryError
        return first, list(batch)

    return run


def test_a_batch_that_fits_runs_at_once():
    assert list(by_halves(at_most(4), [5, 6, 7], 10)) == [(10, [5, 6, 7])]


def test_parts_come_in_order_with_the_number_of_their_first_image():
    assert list(by_halves(at_most(2), [0, 1, 2, 3, 4])) == [(0, [0, 1]), (2, [2]), (3, [3, 4])]


def test_a_single_image_that_does_not_fit_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        list(by_halves(at_most(0), [0, 1]))
