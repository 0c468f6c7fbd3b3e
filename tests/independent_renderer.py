"""Ask a model about objects that another renderer composes: nothing of `crosseyed.data`, open_clip's own transform.

Objects are pasted in whole pixels, upright, as they are drawn. Backgrounds are white, two-colored stripes and soft
blobs; and, of kinds that the models were not trained on, checks and rings.
"""

import csv
from functools import lru_cache
from itertools import product

import numpy as np
import open_clip
import pandas as pd
import torch
from PIL import Image

BACKGROUNDS = ("white", "stripes", "blobs")
HELD_OUT_BACKGROUNDS = ("checks", "rings")
SIZE = 0.3
CENTER = ((0.5, 0.5),)
OFF_CENTER = (*product((0.17, 0.83), repeat=2), (0.17, 0.5), (0.83, 0.5), (0.5, 0.17), (0.5, 0.83))
TEMPLATE = "a photo of a {}"


def read_files(folder, style):
    """Map the objects of a style to their files, by the catalogue in a folder."""
    with (folder / "catalogue.csv").open(newline="", encoding="utf-8") as file:
        return {row["object"]: folder / row["file"] for row in csv.DictReader(file) if row["style"] == style}


def background(kind, side, seed):
    """Draw a background pixel by pixel: (side, side, 3), from 0 to 255."""
    rng = np.random.default_rng(seed)
    if kind == "white":
        return np.full((side, side, 3), 255.0)
    if kind in ("checks", "rings"):
        one, other = rng.integers(0, 256, (2, 3))
        width, (top, left) = rng.integers(4, 15), rng.integers(0, side, 2)
        row, col = np.indices((side, side))
        steps = row // width + col // width if kind == "checks" else np.hypot(row - top, col - left) // width
        return np.where((steps % 2 == 0)[..., None], one, other).astype(float)
    if kind == "stripes":
        one, other = rng.integers(0, 256, (2, 3))
        width, slope = rng.integers(4, 15), rng.integers(-2, 3)
        row, col = np.indices((side, side))
        return np.where((((col + slope * row) // width) % 2 == 0)[..., None], one, other).astype(float)
    row, col = np.indices((side, side)) / side
    canvas, weight = np.zeros((side, side, 3)), np.full((side, side, 1), 1e-9)
    for _ in range(6):
        y, x, color = *rng.random(2), rng.integers(0, 256, 3)
        near = np.exp(-((row - y) ** 2 + (col - x) ** 2) / 0.04)[..., None]
        canvas, weight = canvas + near * color, weight + near
    return canvas / weight


@lru_cache(maxsize=1024)  # the places of an object have the same one
def _canvas(kind, side, seed):
    return Image.fromarray(np.rint(background(kind, side, seed)).astype(np.uint8)).convert("RGBA")


def compose(file, kind, x, y, side, seed, shift=(0, 0), size=SIZE):
    """Paste a file onto a background; its center is as near to `x`, `y` as whole pixels allow, then shifted by some."""
    object_ = Image.open(file).convert("RGBA")
    scale = size * side / max(object_.size)
    object_ = object_.resize([max(1, round(length * scale)) for length in object_.size], Image.LANCZOS)
    canvas = _canvas(kind, side, tuple(np.atleast_1d(seed))).copy()
    left, top = round(x * side - object_.width / 2), round(y * side - object_.height / 2)
    layer = Image.new("RGBA", canvas.size)
    layer.paste(object_, (left + shift[0], top + shift[1]))
    return Image.alpha_composite(canvas, layer).convert("RGB")


def answers(model, files, places, kinds=BACKGROUNDS, shifts=((0, 0),)):
    """Ask a model of open_clip which object is shown, one row an image: object, background, x, y, dx, dy, correct.

    A shift is one of whole pixels of the model's input.
    """
    clip, _, transform = open_clip.create_model_and_transforms(f"local-dir:{model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model}")
    clip.eval()
    side, names = clip.visual.image_size[0], list(files)
    rows, parts = [], []
    with torch.no_grad():
        texts = clip.encode_text(tokenizer([TEMPLATE.format(name) for name in names]), normalize=True)
        for kind, (x, y), (dx, dy) in product(kinds, places, shifts):
            images = [
                transform(compose(file, kind, x, y, side, [number, len(kind)], (dx, dy)))
                for number, file in enumerate(files.values())
            ]
            choices = (clip.encode_image(torch.stack(images), normalize=True) @ texts.T).argmax(1)
            parts.append(choices == torch.arange(len(names)))
            rows += [(name, kind, x, y, dx, dy) for name in names]
    table = pd.DataFrame(rows, columns=["object", "background", "x", "y", "dx", "dy"])
    return table.assign(correct=torch.cat(parts).numpy())
