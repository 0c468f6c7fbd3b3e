"""Sparse sums of concepts."""

import numpy as np
import pandas as pd

from crosseyed.data.cutouts import read_catalogue
from crosseyed.data.layouts import scattered
from crosseyed.internals import splice
from crosseyed.internals.splice import name_share, reference_mean


def test_the_share_of_the_name_by_hand():
    about = pd.DataFrame({"object": ["cup", "dog", "cup", "owl"]})
    sparse = pd.DataFrame(
        {
            "image": [0, 0, 1, 3, 3],
            "concept": ["cup", "sky", "cup", "owl", "sky"],
            "weight": [0.3, 0.1, 0.5, 0.2, 0.2],
        }
    )
    # of the second image the name is not in the sum, and the third has no sum
    np.testing.assert_allclose(name_share(sparse, about), [75, 0, 0, 50])


class Counted:
    """An encoder whose embedding of an image is its mean color."""

    def encode_images(self, images, *, progress=True):
        return np.array([image().mean(axis=(0, 1)) for image in images])


def test_the_reference_is_every_cutout_once_whatever_is_analysed(monkeypatch):
    few = read_catalogue(["noto"])[:5]
    monkeypatch.setattr(splice, "read_catalogue", lambda: few)
    expected = np.mean([scene.render().mean(axis=(0, 1)) for scene in scattered(few, seed=0)], axis=0)
    np.testing.assert_allclose(reference_mean(Counted()), expected)
