"""From where in an image the embedding is decided: the effective receptive field of the pooled vector.

A tower may read every pixel and yet give some places little weight. Luo et al. (NeurIPS 2016, arXiv 1701.04128,
section 2) read this weight off the gradient of an output with respect to the pixels, averaged over images. Here the
output is the unit embedding f, and the weight of a pixel p is the sum of squares of its Jacobian, over the numbers of
the embedding and the color channels: how much the embedding moves if the pixel changes at random. It is estimated from
random directions v: the mean of the squared gradient of v · f, over v of independent standard normal numbers, is that
sum::

    w(p) = Σ_e Σ_c (∂f_e / ∂p_c)²  =  E_v Σ_c (∂(v · f) / ∂p_c)²
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import normalize

from crosseyed.data.geometry import rings
from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.internals.attention import patch_eccentricities
from crosseyed.models.clip import ClipModel

_IMAGES_AT_ONCE = 16


def influence(
    model: ClipModel, images: Iterable[ImageSource], *, n_directions: int = 8, seed: int = 0
) -> np.ndarray:
    """Estimate the weight of each pixel of the model's input in each image.

    Parameters
    ----------
    model : ClipModel
        Any tower.
    images : iterable of ImageSource
        At least one image that can be read; others are left out with a warning.
    n_directions : int
        Random directions, at least 1.
    seed : int
        Seed of the directions.

    Returns
    -------
    numpy.ndarray, shape (n_images, height, width)
        Not negative; float32, in units of the normalised input.

    Raises
    ------
    InputError
        There is no direction, or no image that can be read.
    """
    if n_directions < 1:
        raise InputError(f"n_directions is {n_directions}; expected at least 1 random direction")
    generator = torch.Generator().manual_seed(seed)
    maps = []
    for pixels, _ in model.read_batches(images, batch_size=_IMAGES_AT_ONCE):
        if pixels:
            maps.append(_squared_gradients(model, pixels, n_directions, generator))
    if not maps:
        raise InputError("There is no image that can be read; give at least one.")
    return np.concatenate(maps)


def _squared_gradients(
    model: ClipModel, pixels: Sequence[np.ndarray], n_directions: int, generator: torch.Generator
) -> np.ndarray:
    inputs = model.to_input(pixels).requires_grad_()
    with torch.enable_grad():
        embeddings = normalize(model.clip.encode_image(inputs).float(), dim=-1)
        total = torch.zeros_like(inputs[:, 0], dtype=torch.float32)
        for _ in range(n_directions):
            direction = torch.randn(embeddings.shape, generator=generator).to(embeddings.device)
            (gradient,) = torch.autograd.grad((embeddings * direction).sum(), inputs, retain_graph=True)
            total += gradient.float().square().sum(1)
    return (total / n_directions).cpu().numpy()


def radial_profile(maps: np.ndarray, *, bins: int | Sequence[float] = 6) -> pd.DataFrame:
    """Summarise maps in rings around the image center.

    Parameters
    ----------
    maps : numpy.ndarray, shape (n_images, height, width)
        From `influence`.
    bins : int or sequence of float
        Rings, as in `crosseyed.measure.bootstrap.accuracy_by_eccentricity`.

    Returns
    -------
    pandas.DataFrame
        One row for each image and ring with pixels: `image` (its number), `eccentricity` (mean of the ring's pixels),
        `eccentricity_low`, `eccentricity_high` (its edges) and `influence`, the mean of its pixels over that of the
        whole image: 1 everywhere if all places count alike. NaN in an image of which no pixel has influence.
    """
    places = patch_eccentricities(maps.shape[1:])  # of patches of one pixel
    edges, ring = rings(places, bins, "the pixels")
    kept, codes, sizes = np.unique(ring, return_inverse=True, return_counts=True)
    flat = maps.reshape(len(maps), -1)
    average = flat.mean(axis=1, keepdims=True)
    relative = np.divide(flat, average, out=np.full(flat.shape, np.nan), where=average > 0)
    parts = [
        pd.DataFrame(
            {
                "image": number,
                "eccentricity": np.bincount(codes, places) / sizes,
                "eccentricity_low": edges[kept],
                "eccentricity_high": edges[kept + 1],
                "influence": np.bincount(codes, row) / sizes,
            }
        )
        for number, row in enumerate(relative)
    ]
    return pd.concat(parts, ignore_index=True)
