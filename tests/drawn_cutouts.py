"""Cut-outs of known shape, and a background on which their coverage can be read off."""

import numpy as np
from PIL import Image

from crosseyed.data.backgrounds import Background, draw_background
from crosseyed.data.cutouts import (
    Cutout,
)


def dark_background():
    """Find a plain background so dark that a white object's alpha can be read off the image."""
    seeds = (seed for seed in range(10_000) if draw_background(Background("plain", seed), 1, 1).max() < 20)
    return Background("plain", next(seeds))


def coverage(x, y, size, side, inside, samples=16):
    """Find, the slow way, how much of each pixel an object covers: the mean of `inside` over its points.

    `inside` takes points relative to the object's center, in units of half its longer side.
    """
    points = (np.arange(side * samples) + 0.5) / samples
    radius = size * side / 2
    u, v = (points[None, :] - x * side) / radius, (points[:, None] - y * side) / radius
    return inside(u, v).reshape(side, samples, side, samples).mean(axis=(1, 3))


def disc(u, v):
    return u**2 + v**2 <= 1


def flag(u, v):
    """A pole at the left and a cloth at the top right: no symmetry."""
    return (np.maximum(abs(u), abs(v)) <= 1) & ((u < -0.6) | ((v < 0) & (u > -1)))


def cloud(u, v):
    """A soft object, brighter at its right: without edges, at which a resampling filter would overshoot."""
    return np.maximum(0, 1 - u**2 - v**2) * (0.6 + 0.4 * u)


def write_cutout(path, inside, side=200, color=(255, 255, 255)):
    """Write an object that fills its image but for a transparent margin of a tenth on each side."""
    alpha = np.rint(255 * coverage(0.5, 0.5, 0.8, side, inside)).astype(np.uint8)
    pixels = np.dstack([np.broadcast_to(np.array(color, dtype=np.uint8), (side, side, 3)), alpha])
    Image.fromarray(pixels, "RGBA").save(path)
    return Cutout(path.stem, "shape", "own", path)
