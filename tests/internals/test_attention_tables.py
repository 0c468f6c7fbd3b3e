"""Attention measured on all images of a model."""

import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.internals import attention_tables
from crosseyed.internals.map_scores import fit_masks
from crosseyed.internals.trace import run


def test_attention_is_measured_on_all_images_in_their_order(tiny_clip):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8))
    masks = rng.random((5, 32, 32)) > 0.5
    about = pd.DataFrame({"image": [f"image {n}" for n in range(5)], "object": list("abcde")})
    rings, shares, sinks = attention_tables.measure(tiny_clip, images, masks, about)
    (whole,) = run(tiny_clip, images, batch_size=5, progress=False)
    expected = attention_tables.mask_table(whole, fit_masks(tiny_clip, masks), about)
    pd.testing.assert_frame_equal(
        shares.sort_values(["layer", "image", "head"], ignore_index=True).drop(columns="model"),
        expected.sort_values(["layer", "image", "head"], ignore_index=True),
    )
    for table, made in ((rings, attention_tables.radial_table), (sinks, attention_tables.sink_table)):
        assert list(table["object"]) == list(about["object"].to_numpy()[table["image"]])
        assert len(table) == len(made(whole))
        assert set(table["model"]) == {tiny_clip.model}


def test_several_places_of_an_image_are_those_of_as_many_images(tiny_clip):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8))
    masks = rng.random((3, 2, 32, 32)) > 0.5
    about = pd.DataFrame({"image": [f"{n} {place}" for n in range(3) for place in "ab"], "object": "a"})
    repeated = [image for image in images for _ in range(2)]
    _, apart, _ = attention_tables.measure(tiny_clip, repeated, masks.reshape(6, 32, 32), about)
    together = attention_tables.measure_places(tiny_clip, images, masks, about)
    keys = ["image", "layer", "head"]
    pd.testing.assert_frame_equal(
        *(each.sort_values(keys, ignore_index=True) for each in (together, apart)), rtol=1e-5
    )


def shares(**relative):
    """Attention on the object of each image, in one layer and head of one model."""
    rows = pd.DataFrame({"image": list(relative), "relative": list(relative.values())})
    return rows.assign(model="ViT", layer=1, head=0)


def test_what_an_object_adds_is_the_attention_on_it_less_that_on_its_place():
    table = attention_tables.with_prior(shares(a=5.0, b=2.5), shares(b=0.5, a=5.25)).set_index("image")
    assert table["prior"].to_dict() == {"a": 5.25, "b": 0.5}
    assert table["own"].to_dict() == {"a": -0.25, "b": 2.0}


@pytest.mark.parametrize("without", [{"a": 1.0}, {"a": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}])
def test_attention_on_other_images_is_refused(without):
    with pytest.raises(InputError, match="not about the same images"):
        attention_tables.with_prior(shares(a=5.0, b=2.5), shares(**without))
