import dataclasses

import numpy as np
import pytest
import torch
from small_models import build_open_clip, build_timm, sample_images
from torch.nn.functional import normalize

from crosseyed.errors import InputError
from crosseyed.internals.receptive_field import influence, radial_profile


class OfPatch(torch.nn.Module):
    """Embeds an image as the mean colors of a patch, and a constant."""

    def __init__(self, rows, cols):
        super().__init__()
        self.rows, self.cols = rows, cols

    def encode_image(self, inputs):
        colors = inputs[:, :, self.rows, self.cols].mean((2, 3))
        return torch.cat([colors, torch.ones(len(inputs), 1)], dim=1)


def test_only_the_patch_that_an_embedding_reads_has_influence(tiny_clip):
    model = dataclasses.replace(tiny_clip, clip=OfPatch(slice(4, 8), slice(20, 28)))
    maps = influence(model, sample_images(), n_directions=2)
    assert maps.shape == (3, 32, 32)
    inside = maps[:, 4:8, 20:28]
    assert (inside > 0).all() and np.ptp(inside, axis=(1, 2)).max() < 1e-8
    assert maps.sum() == pytest.approx(inside.sum())


@pytest.mark.parametrize(("build", "kind"), [(build_open_clip, "class token"), (build_timm, "ConvNeXt")])
def test_influence_is_the_sum_of_squares_of_the_jacobian(tiny_clip, build, kind):
    model = build(tiny_clip, kind)
    images = sample_images(1)
    (pixels, _), *_ = model.read_batches(images)
    inputs = model.to_input(pixels).requires_grad_()
    embedding = normalize(model.clip.encode_image(inputs), dim=-1)[0]
    squares = sum(
        torch.autograd.grad(each, inputs, retain_graph=True)[0].square().sum(1) for each in embedding
    )
    found = influence(model, images, n_directions=100)[0]
    expected = squares[0].numpy()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    assert found.sum() == pytest.approx(expected.sum(), rel=0.15)


def test_the_seed_decides_the_directions_and_the_model_keeps_no_gradients(tiny_clip):
    model, images = build_open_clip(tiny_clip, "average"), sample_images(2)
    np.testing.assert_array_equal(influence(model, images, seed=1), influence(model, images, seed=1))
    assert (influence(model, images, seed=1) != influence(model, images, seed=2)).any()
    assert all(each.grad is None and not each.requires_grad for each in model.clip.parameters())


def test_profiles_by_hand():
    maps = np.ones((2, 4, 4))
    maps[1, 1:3, 1:3] = 5.0
    table = radial_profile(maps, bins=[0, 0.5, 1])
    # of the 16 pixels four are in the middle, four in the corners and eight at the edges
    border = (4 * 0.375 * np.sqrt(2) + 8 * 0.125 * np.sqrt(10)) / 12 / np.sqrt(0.5)
    assert table["eccentricity"].tolist() == pytest.approx([0.25, border] * 2)
    assert table["influence"].tolist() == pytest.approx([1, 1, 2.5, 0.5])
    assert table["image"].tolist() == [0, 0, 1, 1]


def test_an_image_without_influence_has_no_profile():
    table = radial_profile(np.stack([np.zeros((4, 4)), np.ones((4, 4))]), bins=1)
    np.testing.assert_array_equal(table["influence"], [np.nan, 1])


def test_there_must_be_an_image_and_a_direction(tiny_clip):
    with pytest.raises(InputError, match="n_directions is 0"):
        influence(tiny_clip, sample_images(1), n_directions=0)
    with pytest.raises(InputError, match="no image"):
        influence(tiny_clip, [])
