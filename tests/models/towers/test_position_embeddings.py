import numpy as np
import pytest
import torch
from small_models import build_open_clip, build_timm, sample_images

from crosseyed.models.towers.position_embeddings import changed_positions, lacking, treatments


@pytest.fixture(scope="module")
def tower(tiny_clip):
    return build_open_clip(tiny_clip, "class token")


def squares(model):
    return [image[:32, :32] for image in sample_images()]


def encoded(model, images, change):
    with changed_positions(model, change):
        return model.encode_images(images)


def test_moved_to_the_right_what_stands_to_the_right_is_taken_for_the_center(tower):
    images = squares(tower)
    moved = encoded(tower, images, treatments(1)["moved to the right"])
    brought_back = tower.encode_images([np.roll(image, -8, axis=1) for image in images])
    np.testing.assert_allclose(moved, brought_back, atol=1e-5)
    assert np.abs(moved - tower.encode_images(images)).max() > 1e-3


def test_averaged_the_places_of_patches_do_not_matter(tower):
    images = squares(tower)
    averaged = treatments(1)["averaged"]
    mixed = [np.roll(image, (8, 16), axis=(0, 1)) for image in images]
    np.testing.assert_allclose(encoded(tower, images, averaged), encoded(tower, mixed, averaged), atol=1e-5)


def test_shuffled_the_same_embeddings_are_at_other_places():
    spatial = torch.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    first, again, other = (treatments(1, seed)["shuffled"](spatial) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first, spatial)
    assert sorted(first.flatten(0, 1).tolist()) == spatial.flatten(0, 1).tolist()


def test_the_first_treatment_is_none(tower):
    name, change = next(iter(treatments(2).items()))
    assert name == "as trained"
    np.testing.assert_array_equal(encoded(tower, squares(tower), change), tower.encode_images(squares(tower)))


def test_what_a_tower_lacks_is_said_in_words(tiny_clip, tower):
    assert lacking(tower) is None
    assert lacking(build_open_clip(tiny_clip, "ResNet")) is None
    assert "ConvNeXt, has no positional embeddings" in lacking(build_timm(tiny_clip, "ConvNeXt"))
