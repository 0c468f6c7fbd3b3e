"""Attention measured on all images of a model."""

import numpy as np
import pandas as pd

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
