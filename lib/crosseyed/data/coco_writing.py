"""Write scenes as images with annotations in the COCO format, as `crosseyed.data.coco` reads them."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError
from crosseyed.files import atomic_write


def write_coco(scenes: Sequence[Scene], folder: str | os.PathLike) -> Path:
    """Write scenes as JPEG files in ``images`` and COCO annotations in ``annotations.json``; return the latter.

    The box of an object holds its visible pixels; an object that is wholly hidden or outside the image is not
    annotated.

    Raises
    ------
    InputError
        There is no scene, two have the same name, or the folder cannot be written to.
    """
    names = Counter(scene.name for scene in scenes)
    if not names or len(names) < len(scenes):
        raise InputError(
            f"There are {len(scenes)} scenes with {len(names)} names; give at least one, each with its own name."
        )
    folder = Path(folder)
    objects = dict.fromkeys(placement.cutout.object for scene in scenes for placement in scene.placements)
    numbers = {name: number for number, name in enumerate(objects, start=1)}
    images, annotations = [], []
    for number, scene in enumerate(scenes, start=1):
        file = f"{scene.name}.jpg"
        with atomic_write(folder / "images" / file) as temporary:
            Image.fromarray(scene.render()).save(temporary, quality=95)
        images.append({"id": number, "file_name": file, "width": scene.width, "height": scene.height})
        for placement, mask in zip(scene.placements, scene.masks(), strict=True):
            if mask.any():
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": numbers[placement.cutout.object],
                        "bbox": _box_of(mask),
                        "area": int(mask.sum()),
                        "iscrowd": 0,
                    }
                )
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    with atomic_write(folder / "annotations.json") as temporary:
        document = {"images": images, "annotations": annotations, "categories": categories}
        temporary.write_text(json.dumps(document), encoding="utf-8")
    return folder / "annotations.json"


def _box_of(mask: np.ndarray) -> list[int]:
    """Give left, top, width and height of the pixels of a mask (height, width)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    (left, right), (top, bottom) = columns[[0, -1]].tolist(), rows[[0, -1]].tolist()
    return [left, top, right - left + 1, bottom - top + 1]
