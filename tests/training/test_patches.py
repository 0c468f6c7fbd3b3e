import numpy as np
import pytest
import torch

from crosseyed.training.architecture import SeenPatches
from crosseyed.training.patches import nearest_patches


def chosen(targets, count, seed=0, grid=10):
    return nearest_patches([targets], count, grid, np.random.default_rng(seed))[0]


def test_around_one_object_they_are_a_square_that_moves_with_it():
    corners = set()
    for seed in range(30):
        rows, cols = divmod(chosen([(0.45, 0.65, 0.2)], 9, seed), 10)
        assert rows.max() - rows.min() == cols.max() - cols.min() == 2
        assert abs(rows.mean() - 6) <= 1.5 and abs(cols.mean() - 4) <= 1.5
        corners.add((rows.min(), cols.min()))
    assert len(corners) > 3


def test_of_two_objects_both_are_seen_the_larger_in_more_patches():
    left = right = 0
    for seed in range(20):
        cols = chosen([(0.2, 0.5, 0.4), (0.8, 0.5, 0.2)], 25, seed) % 10
        assert (cols < 5).sum() > 5 and (cols >= 5).sum() > 1
        left, right = left + (cols < 5).sum(), right + (cols >= 5).sum()
    assert left > right


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.0, 0.4), (0.5, 0.97)])
def test_at_the_border_as_many_are_seen(x, y):
    numbers = chosen([(x, y, 0.3)], 25)
    assert len(set(numbers.tolist())) == 25
    assert numbers.min() >= 0 and numbers.max() < 100


def test_all_can_be_chosen():
    assert sorted(chosen([(0.3, 0.3, 0.2)], 64, grid=8).tolist()) == list(range(64))


def test_a_step_sees_the_class_token_and_the_chosen_patches_and_a_test_all():
    tokens = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    layer = SeenPatches()
    assert torch.equal(layer(tokens), tokens)
    layer.seen = torch.tensor([[3, 0], [1, 2]])
    expected = torch.stack([tokens[0, [0, 4, 1]], tokens[1, [0, 2, 3]]])
    assert torch.equal(layer(tokens), expected)
    assert torch.equal(layer.eval()(tokens), tokens)
    assert not list(layer.parameters()) and not layer.state_dict()
