import numpy as np
import pytest
import torch
from small_models import build_open_clip, build_timm, sample_images

from crosseyed.errors import InputError
from crosseyed.models.towers.position_embeddings import positions
from crosseyed.models.towers.resolution import at_resolution

SUPPORTED = {
    "class token": build_open_clip,
    "average": build_open_clip,
    "ResNet": build_open_clip,
    "ViT": build_timm,
    "SigLIP": build_timm,
}


@pytest.fixture(params=SUPPORTED)
def tower(request, tiny_clip):
    return SUPPORTED[request.param](tiny_clip, request.param)


def embeddings_of(model):
    spot = positions(model)
    values = getattr(spot.holder, spot.attribute).detach().float()
    return values.flatten(0, -2)[spot.before :].unflatten(0, spot.grid)


def test_the_same_size_changes_nothing(tower):
    images = sample_images()
    same = at_resolution(tower, 1.0)
    np.testing.assert_allclose(same.encode_images(images), tower.encode_images(images), atol=1e-6)


def test_a_larger_input_has_more_patches_of_the_same_size_and_the_model_is_left_alone(tower):
    images, before = sample_images(), tower.encode_images(sample_images())
    larger = at_resolution(tower, 2.0)
    assert larger.image_size == tuple(2 * side for side in tower.image_size)
    assert larger.tower.grid == tuple(2 * cells for cells in tower.tower.grid)
    (pixels, _), *_ = larger.read_batches(images)
    assert pixels[0].shape[:2] == larger.image_size
    assert larger.encode_images(images).shape == before.shape
    assert np.abs(larger.encode_images(images) - before).max() > 1e-3
    np.testing.assert_array_equal(tower.encode_images(images), before)
    np.testing.assert_array_equal(larger.encode_texts(["a dog"]), tower.encode_texts(["a dog"]))


def test_positions_are_interpolated_between_the_old_ones(tower):
    old, new = embeddings_of(tower), embeddings_of(at_resolution(tower, 2.0))
    assert new.shape == (2 * old.shape[0], 2 * old.shape[1], old.shape[2])
    averaged = new.unflatten(1, (-1, 2)).unflatten(0, (-1, 2)).mean((1, 3))
    # the four cells within an old one lie around it; interpolation smooths, so they average to near it
    distance = (averaged - old).norm() / (old - old.mean((0, 1))).norm()
    assert distance < 0.5
    assert torch.isfinite(new).all()


def test_positions_that_rise_evenly_keep_rising_evenly(tiny_clip):
    model = build_open_clip(tiny_clip, "class token")
    spot = positions(model)
    ramp = torch.arange(4.0).repeat(4, 1)[..., None].expand(4, 4, 64)
    spot.holder.positional_embedding.data[1:] = ramp.flatten(0, 1)
    new = embeddings_of(at_resolution(model, 4.0))[8, :, 0]
    expected = (torch.arange(16) + 0.5) / 4 - 0.5
    torch.testing.assert_close(new[5:11], expected[5:11], atol=0.05, rtol=0)
    first = at_resolution(model, 4.0).clip.visual.positional_embedding[0]
    torch.testing.assert_close(first, model.clip.visual.positional_embedding[0])


def test_the_size_is_rounded_to_whole_patches(tiny_clip):
    model = build_open_clip(tiny_clip, "class token")
    assert at_resolution(model, 0.7).image_size == (24, 24)
    assert at_resolution(model, 1.3).image_size == (40, 40)
    with pytest.raises(InputError, match="no whole patch"):
        at_resolution(model, 0.05)


def test_a_tower_without_positional_embeddings_says_so(tiny_clip):
    with pytest.raises(InputError, match="ConvNeXt"):
        at_resolution(build_timm(tiny_clip, "ConvNeXt"), 2.0)
