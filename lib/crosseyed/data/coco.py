"""Read one's own photographs with annotations in the COCO format, and name every annotation that cannot be used.

The format is that of Lin et al., *Microsoft COCO: Common Objects in Context* (arXiv 1405.0312): a JSON file with the
lists ``images``, ``annotations`` and ``categories``, to which most annotation tools export. Only names, sizes and
boxes are read; outlines and key points are dropped while the file is parsed, and only the headers of images are
opened.
"""

import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from crosseyed.data.images import UnreadableImage, read_size
from crosseyed.data.scenes import Scene, eccentricity
from crosseyed.errors import InputError
from crosseyed.files import atomic_write
from crosseyed.settings import settings

BORDER_TOLERANCE = 0.005
"""Part of the image's side within which a box counts as touching its border, and by which it may exceed it."""

CROWD = "crowd of objects"
"""The `reason` of an annotation with ``iscrowd``: no fault, but its box is not that of an object."""

_LISTS = ("images", "annotations", "categories")
_NAMED_AT_MOST = 8


class LeftOutWarning(UserWarning):
    """Some annotations are faulty and were left out."""


@dataclass(frozen=True, eq=False)
class CocoSet:
    """Photographs, the objects annotated in them, and what had to be left out.

    Attributes
    ----------
    images : pandas.DataFrame
        One row per usable image, with objects or without: `image` (file name as annotated), `path`.
    objects : pandas.DataFrame
        One row per usable annotation:

        - `image`, `annotation` (its id), `object` (name of its category);
        - `x`, `y`: center of the box as fractions of width and height; `eccentricity` in [0, 1]; `center`: whether
          that is at most `settings.center_limit`;
        - `area`: share of the image that the box covers, in (0, 1];
        - `truncated`: whether the box touches the border (`BORDER_TOLERANCE`);
        - `in_crop`: share in [0, 1] of the box inside the image's central square, which a model that crops sees;
        - `n_objects`: annotations in this image; `instances`: those of the same category.
    presence : pandas.DataFrame
        The distinct pairs `image`, `object` of all annotations of usable images, also of crowds and faulty boxes: the
        category is in the image all the same.
    categories : list of str
        Names of all categories, in the order of the file.
    left_out : pandas.DataFrame
        One row per annotation that is not in `objects`: `annotation` (its id), `image`, `reason`, `detail`. An
        unusable image without annotations has a row too, without annotation.
    """

    images: pd.DataFrame
    objects: pd.DataFrame
    presence: pd.DataFrame
    categories: list[str]
    left_out: pd.DataFrame


class _FaultError(Exception):
    """Why an entry of the file cannot be used: a reason to count by, and what exactly is wrong."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class _Picture:
    name: str
    path: Path
    width: int
    height: int


def read_coco(annotations: str | os.PathLike, folder: str | os.PathLike) -> CocoSet:
    """Read annotations and look for their images.

    Parameters
    ----------
    annotations : path
        JSON file in the COCO format.
    folder : path
        Where the images are; the ``file_name`` of an image is a path below it.

    Returns
    -------
    CocoSet
        Boxes refer to the upright image, after the orientation noted by the camera.

    Raises
    ------
    InputError
        The file or folder is missing, the file is not JSON or not of this format, or nothing in it can be used.

    Warns
    -----
    LeftOutWarning
        Once, if annotations are faulty: how many for which reason, and the first ids of each; crowds are not counted.
    """
    file, folder = Path(annotations), Path(folder)
    document = _load(file)
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r}; give the folder that has the images.")
    names = {key: _category(entry) for key, entry in _by_id(document["categories"]).items()}
    pictures = _pictures(_by_id(document["images"]), folder)
    rows, pairs, left_out = _objects(document["annotations"], pictures, names)
    left_out += _lone_faults(document, pictures)
    table = pd.DataFrame(left_out, columns=["annotation", "image", "reason", "detail"], dtype=object)
    files = {_key(entry.get("id")): entry.get("file_name") for entry in document["images"]} | {None: None}
    table["image"] = pd.Series([files.get(_key(number)) for number in table["image"]], dtype=object)
    if not rows:
        raise InputError(
            f"None of the {len(document['annotations'])} annotations in {str(file)!r} can be used"
            f"{': ' if len(table) else ''}{_summary(table)}. Give a COCO-format file of objects with boxes, and the "
            "folder that has its images."
        )
    faulty = table[table["reason"] != CROWD]
    if len(faulty):
        warnings.warn(
            f"{len(faulty)} faulty entries of {str(file)!r} were left out: {_summary(faulty)}.",
            LeftOutWarning,
            stacklevel=2,
        )
    usable = [picture for picture in pictures.values() if isinstance(picture, _Picture)]
    return CocoSet(
        images=pd.DataFrame({"image": [p.name for p in usable], "path": [str(p.path) for p in usable]}),
        objects=_with_counts(pd.DataFrame(rows), pairs),
        presence=pd.DataFrame(pairs, columns=["image", "object"]).drop_duplicates(ignore_index=True),
        categories=list(dict.fromkeys(name for name in names.values() if isinstance(name, str))),
        left_out=table,
    )


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


def _load(file: Path) -> dict[str, list[dict]]:
    """Parse the file and give its three lists, with an empty entry in place of what is not an entry."""
    try:
        with file.open(encoding="utf-8-sig") as text:
            document = json.load(text, object_hook=_without_outlines)
    except OSError as error:
        raise InputError(
            f"Cannot read {str(file)!r}: {error.strerror or error}. Give the JSON file with the annotations."
        ) from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise InputError(f"{str(file)!r} is not JSON ({error}); export the annotations again.") from error
    lacking = [
        name for name in _LISTS if not isinstance(document, dict) or not isinstance(document.get(name), list)
    ]
    if lacking:
        raise InputError(
            f"{str(file)!r} is no COCO-format file: it has no list {lacking[0]!r}. Expected an object with the lists "
            f"{', '.join(_LISTS)}."
        )
    return {name: [entry if isinstance(entry, dict) else {} for entry in document[name]] for name in _LISTS}


def _without_outlines(entry: dict) -> dict:
    """Drop the largest part of a file, and put ? for half a character, which no table can hold."""
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in entry.items()
        if name not in ("segmentation", "keypoints")
    }


def _key(value: object) -> float | str | None:
    """Give an id that can be looked up; None for what cannot be one."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _by_id(entries: Iterable[dict]) -> dict[float | str, dict | _FaultError]:
    """Give the entries by id; a fault in place of several with the same."""
    found: dict[float | str, dict | _FaultError] = {}
    for entry in entries:
        key = _key(entry.get("id"))
        if key is not None:
            twice = _FaultError("id of an image or category given twice", f"id {key!r}")
            found[key] = twice if key in found else entry
    return found


def _usable(found: object, reason: str, detail: str) -> object:
    """Give what was found; raise its fault, or one for the given reason if nothing was."""
    if found is None:
        raise _FaultError(reason, detail)
    if isinstance(found, _FaultError):
        raise found
    return found


def _category(entry: dict | _FaultError) -> str | _FaultError:
    """Give the name of a category, or the fault for which it cannot be used."""
    if isinstance(entry, _FaultError):
        return entry
    name = entry.get("name")
    return name.strip() if isinstance(name, str) and name.strip() else _FaultError("category without a name")


def _objects(
    annotations: Iterable[dict], pictures: Mapping[float | str, object], names: Mapping[float | str, object]
) -> tuple[list[dict], list[tuple[str, str]], list[tuple]]:
    """Go through the annotations."""
    rows, pairs, left_out, seen = [], [], [], set()
    for entry in annotations:
        number, image, category = entry.get("id"), entry.get("image_id"), entry.get("category_id")
        try:
            picture = _usable(
                pictures.get(_key(image)), "image not in the list of images", f"image_id {image!r}"
            )
            name = _usable(names.get(_key(category)), "unknown category", f"category_id {category!r}")
            _check_id(number, seen)
            pairs.append((picture.name, name))
            if entry.get("iscrowd") not in (None, 0):
                raise _FaultError(CROWD)
            place = _place(entry, picture)
            rows.append({"image": picture.name, "annotation": number, "object": name, **place})
        except _FaultError as fault:
            left_out.append((number, image, fault.reason, fault.detail))
    return rows, pairs, left_out


def _lone_faults(document: dict[str, list[dict]], pictures: Mapping[float | str, object]) -> list[tuple]:
    """Give the faults of images that no annotation reports, in the form of `_objects`."""
    used = {_key(entry.get("image_id")) for entry in document["annotations"]}
    faults = [
        (None, key, picture.reason, picture.detail)
        for key, picture in pictures.items()
        if isinstance(picture, _FaultError) and key not in used
    ]
    nameless = [entry for entry in document["images"] if _key(entry.get("id")) is None]
    return faults + [
        (None, None, "image without an id", f"file_name {entry.get('file_name')!r}") for entry in nameless
    ]


def _pictures(entries: dict[float | str, dict | _FaultError], folder: Path) -> dict[float | str, object]:
    """Look for the file of each image: a `_Picture`, or the fault for which it cannot be used."""
    pictures: dict[float | str, object] = {}
    names = Counter(str(entry.get("file_name")) for entry in entries.values() if isinstance(entry, dict))
    for key, entry in entries.items():
        try:
            entry = _usable(entry, "", "")
            if names[str(entry.get("file_name"))] > 1:
                raise _FaultError("image file listed twice", f"file_name {entry.get('file_name')!r}")
            pictures[key] = _find_picture(entry, folder)
        except _FaultError as fault:
            pictures[key] = fault
    return pictures


def _find_picture(entry: dict, folder: Path) -> _Picture:
    name = entry.get("file_name")
    if not isinstance(name, str) or not name:
        raise _FaultError("image without a file name", f"file_name {name!r}")
    path = folder / name
    if not os.path.isfile(path):  # unlike Path.is_file, also for a name that no file can have
        raise _FaultError("image file missing", str(path))
    try:
        size = read_size(path)
    except UnreadableImage as error:
        raise _FaultError("image file unreadable", str(error)) from None
    noted = (entry.get("width"), entry.get("height"))
    if noted not in ((None, None), size):
        raise _FaultError(
            "image size differs from the file",
            f"noted {noted[0]} × {noted[1]}, upright the file has {size[0]} × {size[1]} pixels",
        )
    return _Picture(name, path, *size)


def _check_id(number: object, seen: set) -> None:
    """Check that an annotation has an id of its own, and remember it."""
    if _key(number) is None:
        raise _FaultError("annotation without an id", f"id {number!r}")
    if number in seen:
        raise _FaultError("annotation id given twice", "the first one is kept")
    seen.add(number)


def _place(entry: dict, picture: _Picture) -> dict[str, float | bool]:
    """Give the place of an annotation's box, in fractions of the image."""
    left, top, width, height = _box(entry)
    detail = f"bbox {entry['bbox']} in {picture.width} × {picture.height} pixels"
    if width <= 0 or height <= 0:
        raise _FaultError("box without area", detail)
    spans = []
    for start, length, side in ((left, width, picture.width), (top, height, picture.height)):
        tolerance = max(1, BORDER_TOLERANCE * side)  # boxes are rounded to pixels
        if start < -tolerance or start + length > side + tolerance:
            raise _FaultError("box outside the image", detail)
        spans.append((max(start, 0) / side, min(start + length, side) / side))
    if any(stop <= start for start, stop in spans):
        raise _FaultError("box outside the image", detail)
    (x0, x1), (y0, y1) = spans
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    distance = eccentricity(x, y, picture.height, picture.width)
    return {
        "x": x,
        "y": y,
        "eccentricity": distance,
        "area": (x1 - x0) * (y1 - y0),
        "center": distance <= settings.center_limit,
        "truncated": min(x0, y0, 1 - x1, 1 - y1) <= BORDER_TOLERANCE,
        "in_crop": _share_in_square(spans, picture),
    }


def _box(entry: dict) -> list[float]:
    box = entry.get("bbox")
    detail = f"bbox {box!r}"[:200]
    if not isinstance(box, list) or len(box) != 4:
        raise _FaultError("box is not four numbers", detail)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in box):
        raise _FaultError("box is not four numbers", detail)
    try:
        numbers = [float(value) for value in box]
    except OverflowError:
        numbers = [math.inf]
    if not all(map(math.isfinite, numbers)):
        raise _FaultError("box is not four finite numbers", detail)
    return numbers


def _share_in_square(spans: Sequence[tuple[float, float]], picture: _Picture) -> float:
    """Give the share of a box, as fractions of the image, that lies in the image's central square."""
    share = 1.0
    for (start, stop), side in zip(spans, (picture.width, picture.height), strict=True):
        half = min(picture.width, picture.height) / side / 2
        share *= max(0.0, min(stop, 0.5 + half) - max(start, 0.5 - half)) / (stop - start)
    return share


def _with_counts(objects: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Add the number of annotations in the image of each object, and of those of the same category."""
    in_image, of_category = Counter(image for image, _ in pairs), Counter(pairs)
    return objects.assign(
        n_objects=[in_image[image] for image in objects["image"]],
        instances=[of_category[pair] for pair in zip(objects["image"], objects["object"], strict=True)],
    )


def _summary(left_out: pd.DataFrame) -> str:
    """Count the reasons and name the first annotations, or else images, of each."""
    parts = []
    for reason, rows in left_out.groupby("reason", sort=False):
        named = [
            f"annotation {number!r}" if number is not None else f"image {image or 'without a name'}"
            for number, image in zip(rows["annotation"], rows["image"], strict=True)
        ]
        more = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
        parts.append(f"{len(named)} × {reason} ({', '.join(named[:_NAMED_AT_MOST])}{more})")
    return "; ".join(parts)


def _box_of(mask: np.ndarray) -> list[int]:
    """Give left, top, width and height of the pixels of a mask (height, width)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    (left, right), (top, bottom) = columns[[0, -1]].tolist(), rows[[0, -1]].tolist()
    return [left, top, right - left + 1, bottom - top + 1]
