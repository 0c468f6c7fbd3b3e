"""Read one's own photographs with annotations in the COCO format, and name every annotation that cannot be used.

The format is that of Lin et al., *Microsoft COCO: Common Objects in Context* (arXiv 1405.0312): a JSON file with the
lists ``images``, ``annotations`` and ``categories``, to which most annotation tools export. Only names, sizes and
boxes are read; outlines and key points are dropped while the file is parsed, and only the headers of images are
opened.
"""

import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from crosseyed.data.coco_lookup import ImageFinder, Lookup, same_name
from crosseyed.data.images import UnreadableImage, read_size
from crosseyed.data.scenes import eccentricity
from crosseyed.documents import read_json
from crosseyed.errors import InputError, shorten
from crosseyed.files import require_folder
from crosseyed.settings import settings

BORDER_TOLERANCE = 0.005
"""Part of the image's side within which a box counts as touching its border, and by which it may exceed it."""

CROWD = "crowd of objects"
"""The `reason` of an annotation with ``iscrowd``: no fault, but its box is not that of an object."""

_LISTS = ("images", "annotations", "categories")
_LARGEST = 2**32  # bytes; the annotations of COCO's training images have 450 MB
_NAMED_AT_MOST = 8
_SHOWN_AT_MOST = 3
_BOXES_THAT_TELL = 20  # so many boxes in one corner of all images are no chance
_CORNER = 0.4


class LeftOutWarning(UserWarning):
    """Some annotations are faulty and were left out."""


class NothingUsableError(InputError):
    """No annotation of a file can be used; `left_out` is the table of `CocoSet`."""

    def __init__(self, message: str, left_out: pd.DataFrame) -> None:
        super().__init__(message)
        self.left_out = left_out


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
        The distinct pairs `image`, `object` of all annotations of usable images, whatever else is wrong with them: the
        category is in the image all the same.
    categories : list of str
        Names of the annotated categories, in the order of the file: what an answer is chosen from.
    unused : list of str
        Names of categories that no annotation refers to, such as the root of an export: no candidates for an answer.
    left_out : pandas.DataFrame
        One row per annotation that is not in `objects`: `annotation` (its id), `image`, `reason`, `detail`. An
        unusable image without annotations has a row too, without annotation.
    """

    images: pd.DataFrame
    objects: pd.DataFrame
    presence: pd.DataFrame
    categories: list[str]
    unused: list[str]
    left_out: pd.DataFrame

    @property
    def summary(self) -> str:
        """How much of the data is used and why not the rest, in a sentence or two."""
        left_out = self.left_out
        n_left_out = int(left_out["annotation"].notna().sum())
        used = f"{len(self.objects)} of {len(self.objects) + n_left_out} annotations are used"
        reasons = ", ".join(
            f"{n} × {reason}" for reason, n in left_out["reason"].value_counts(sort=False).items()
        )
        unused = f" Categories without annotations: {', '.join(self.unused)}." if self.unused else ""
        return f"{used}{f' (left out: {reasons})' if reasons else ''}.{unused}"


class _FaultError(Exception):
    """Why an entry of the file cannot be used: a reason to count by, and what exactly is wrong."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class _Image:
    """An image of the file: `fault` is why it cannot be used."""

    name: str
    path: Path | None = None
    width: int = 0
    height: int = 0
    fault: _FaultError | None = field(default=None, compare=False)


def read_coco(annotations: str | os.PathLike, folder: str | os.PathLike) -> CocoSet:
    """Read annotations and look for their images.

    Parameters
    ----------
    annotations : path
        JSON file in the COCO format.
    folder : path
        Where the images are; the ``file_name`` of an image is a path below it. Paths written on Windows, with the
        folder's own name in front or in another Unicode form are found too.

    Returns
    -------
    CocoSet
        Boxes refer to the upright image, after the orientation noted by the camera. Ids are compared as text where
        that is unambiguous. An annotation id that comes again with another content is another annotation.

    Raises
    ------
    InputError
        The file or folder is missing, the file is not JSON or not of this format, or its boxes are in other units.
    NothingUsableError
        No annotation can be used.

    Warns
    -----
    LeftOutWarning
        Once, if annotations are faulty: how many for which reason, and the first ids of each; crowds are not counted.
    """
    document = _load(annotations)
    folder = require_folder(folder, "the folder that has the images")
    images = _images(document["images"], ImageFinder(folder))
    categories = Lookup(document["categories"])
    names = _category_names(categories.entries)
    rows, pairs, left_out, annotated = _objects(document["annotations"], images, categories, names)
    left_out += _lone_faults(document, images)
    table = pd.DataFrame(left_out, columns=["annotation", "image", "reason", "detail"], dtype=object)
    shown = repr(os.fspath(annotations))
    if not rows:
        raise NothingUsableError(_nothing_usable(shown, len(document["annotations"]), table), table)
    faulty = table[table["reason"] != CROWD]
    if len(faulty):
        warnings.warn(
            f"{len(faulty)} faulty entries of {shown} were left out: {_summary(faulty)}.",
            LeftOutWarning,
            stacklevel=2,
        )
    usable = [image for image in images.entries if image.fault is None]
    known = list(dict.fromkeys(name for name in names if name is not None))
    return CocoSet(
        images=pd.DataFrame({"image": [i.name for i in usable], "path": [str(i.path) for i in usable]}),
        objects=_with_counts(pd.DataFrame(rows), pairs),
        presence=pd.DataFrame(pairs, columns=["image", "object"]).drop_duplicates(ignore_index=True),
        categories=[name for name in known if name in annotated],
        unused=[name for name in known if name not in annotated],
        left_out=table,
    )


def _load(file: str | os.PathLike) -> dict[str, list[dict]]:
    """Parse the file and give its three lists, with an empty entry in place of what is not an entry."""
    what = "a COCO-format JSON file with images, annotations and categories"
    document = read_json(file, what, largest=_LARGEST, keep=_without_outlines)
    for name in _LISTS:
        if isinstance(document, dict) and document.get(name) and isinstance(document[name], dict):
            document[name] = [document[name]]  # a list of one, written without brackets
        if not isinstance(document, dict) or not isinstance(document.get(name), list):
            raise InputError(
                f"{os.fspath(file)!r} is no COCO-format file: it has no list {name!r}. Expected an object with the "
                f"lists {', '.join(_LISTS)}."
            )
    return {name: [entry if isinstance(entry, dict) else {} for entry in document[name]] for name in _LISTS}


def _without_outlines(entry: dict) -> dict:
    """Drop the largest part of a file, and put ? for half a character, which no table can hold."""
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in entry.items()
        if name not in ("segmentation", "keypoints")
    }


def _category_names(entries: Iterable[dict]) -> list[str | None]:
    """Give the name of each category; of names that differ in case or blanks alone, the first spelling."""
    spellings: dict[str, str] = {}
    names = []
    for entry in entries:
        name = entry.get("name")
        text = (
            " ".join(str(name).split()) if isinstance(name, str | int) and not isinstance(name, bool) else ""
        )
        names.append(spellings.setdefault(same_name(text), text) if text else None)
    return names


def _images(entries: Sequence[dict], finder: ImageFinder) -> Lookup:
    """Look for the file of each image, and give the images by id."""
    lookup = Lookup(entries)
    found = [_find_image(entry, finder) for entry in lookup.entries]
    files = Counter(image.path for image in found if image.path is not None)
    lookup.entries = [
        _Image(image.name, fault=_FaultError("image file listed twice", f"file_name {image.name!r}"))
        if files[image.path] > 1
        else image
        for image in found
    ]
    return lookup


def _find_image(entry: dict, finder: ImageFinder) -> _Image:
    name = entry.get("file_name")
    try:
        if not isinstance(name, str) or not name:
            raise _FaultError("image without a file name", f"file_name {shorten(name)}")
        path = finder.find(name)
        if path is None:
            raise _FaultError("image file missing", str(finder.folder / name[:200]))
        size = read_size(path)
        noted = _side(entry.get("width")), _side(entry.get("height"))
        if any(side not in (None, whole) for side, whole in zip(noted, size, strict=True)):
            raise _FaultError(
                "image size differs from the file",
                f"noted {noted[0]} × {noted[1]}, upright the file has {size[0]} × {size[1]} pixels",
            )
        return _Image(name, path, *size)
    except UnreadableImage as error:
        return _Image(str(name), fault=_FaultError("image file unreadable", str(error)))
    except _FaultError as fault:
        return _Image(name if isinstance(name, str) else "", fault=fault)


def _side(value: object) -> float | str | None:
    """Give a noted width or height as a number; None where it is unknown."""
    number = _number(value)
    if number == 0 or value in (None, ""):
        return None
    return shorten(value) if number is None or not number.is_integer() else int(number)


def _number(value: object) -> float | None:
    """Give a number, perhaps written as text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.inf if isinstance(value, int) else None


def _objects(
    annotations: Sequence[dict], images: Lookup, categories: Lookup, names: Sequence[str | None]
) -> tuple[list[dict], list[tuple[str, str]], list[tuple], set[str]]:
    """Go through the annotations: rows of objects, pairs of presence, rows left out, and names that are annotated."""
    rows, pairs, left_out, annotated, seen, boxes = [], [], [], set(), set(), []
    for entry in annotations:
        number = entry.get("id")
        found = images.find(entry.get("image_id"))
        image = images.entries[found[0]] if len(found) == 1 else None
        here = [
            names[place] for place in categories.find(entry.get("category_id")) if names[place] is not None
        ]
        annotated.update(here)
        try:
            content = repr(sorted(entry.items()))
            if content in seen:
                raise _FaultError("annotation repeated", "every field is the same as of an earlier one")
            seen.add(content)
            if image is not None and image.fault is None:
                # whatever else is wrong: each category that may be meant is in the image
                pairs.extend((image.name, name) for name in here)
            _check_image(image, entry, found)
            name = _only(here, entry, categories)
            box = _box(entry)
            if box is not None and image is not None:
                boxes.append((box, image.width, image.height))
            if _is_crowd(entry.get("iscrowd")):
                raise _FaultError(CROWD)
            place = _place(box, entry, image)
            rows.append({"image": image.name, "annotation": number, "object": name, **place})
        except _FaultError as fault:
            left_out.append((number, image.name if image else None, fault.reason, fault.detail))
    _check_units(boxes)
    return rows, pairs, left_out, annotated


def _check_image(image: _Image | None, entry: dict, found: Sequence[int]) -> None:
    detail = f"image_id {shorten(entry.get('image_id'))}"
    if len(found) > 1:
        raise _FaultError("id of an image or category given twice", detail)
    if image is None:
        raise _FaultError("image not in the list of images", detail)
    if image.fault is not None:
        raise image.fault


def _only(names: Sequence[str], entry: dict, categories: Lookup) -> str:
    """Give the one name that the category of an annotation has."""
    detail = f"category_id {shorten(entry.get('category_id'))}"
    if len(set(names)) == 1:
        return names[0]
    if len(names) > 1:
        raise _FaultError("id of an image or category given twice", detail)
    known = categories.find(entry.get("category_id"))
    raise _FaultError("category without a name" if known else "unknown category", detail)


def _is_crowd(value: object) -> bool:
    text = str(value).strip().lower()
    if text in ("none", "", "0", "0.0", "false", "no"):
        return False
    if text in ("1", "1.0", "true", "yes"):
        return True
    raise _FaultError("iscrowd is neither 0 nor 1", f"iscrowd {shorten(value)}")


def _check_units(boxes: Sequence[tuple[list[float], int, int]]) -> None:
    """Raise InputError for boxes that cannot be left, top, width and height in pixels of the image."""
    if not boxes:
        return
    advice = "Write each as [left, top, width, height] in pixels."
    if all(max(map(abs, box)) <= 1 for box, _, _ in boxes):
        raise InputError(
            f"The numbers of all {len(boxes)} boxes lie between 0 and 1: they are most likely fractions of the image. "
            f"{advice}"
        )
    beyond = sum(_exceeds(x + w, width) or _exceeds(y + h, height) for (x, y, w, h), width, height in boxes)
    corners = sum(
        w > x >= 0 and h > y >= 0 and not _exceeds(w, width) and not _exceeds(h, height)
        for (x, y, w, h), width, height in boxes
    )
    if len(boxes) >= _SHOWN_AT_MOST and 10 * beyond >= len(boxes) and 20 * corners >= 19 * len(boxes):
        raise InputError(
            f"The right or lower edge of {beyond} of {len(boxes)} boxes lies beyond the image: they are most likely "
            f"corners [left, top, right, bottom]. {advice}"
        )
    reach = max(max((x + w) / width, (y + h) / height) for (x, y, w, h), width, height in boxes)
    if len(boxes) >= _BOXES_THAT_TELL and reach < _CORNER:
        raise InputError(
            f"All {len(boxes)} boxes lie in the upper left corner of their images: they are most likely percent, or "
            f"pixels of smaller copies. {advice}"
        )


def _exceeds(end: float, side: int) -> bool:
    return end > side + max(1, BORDER_TOLERANCE * side)  # boxes are rounded to pixels


def _place(box: list[float], entry: dict, image: _Image) -> dict[str, float | bool]:
    """Give the place of an annotation's box, in fractions of the image."""
    left, top, width, height = box
    detail = f"bbox {shorten(entry['bbox'])} in {image.width} × {image.height} pixels"
    if width <= 0 or height <= 0:
        raise _FaultError("box without area", detail)
    if max(map(abs, box)) <= 1:
        raise _FaultError("box within one pixel", f"{detail}; fractions of the image?")
    spans = []
    for start, length, side in ((left, width, image.width), (top, height, image.height)):
        if start < -max(1, BORDER_TOLERANCE * side) or _exceeds(start + length, side):
            raise _FaultError("box outside the image", detail)
        spans.append((max(start, 0) / side, min(start + length, side) / side))
    if any(stop <= start for start, stop in spans):
        raise _FaultError("box outside the image", detail)
    (x0, x1), (y0, y1) = spans
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    distance = eccentricity(x, y, image.height, image.width)
    return {
        "x": x,
        "y": y,
        "eccentricity": distance,
        "area": (x1 - x0) * (y1 - y0),
        "center": distance <= settings.center_limit,
        "truncated": min(x0, y0, 1 - x1, 1 - y1) <= BORDER_TOLERANCE,
        "in_crop": _share_in_square(spans, image),
    }


def _box(entry: dict) -> list[float]:
    box = entry.get("bbox")
    detail = f"bbox {shorten(box, 200)}"
    numbers = [_number(value) for value in box] if isinstance(box, list) else []
    if len(numbers) != 4 or None in numbers:
        raise _FaultError("box is not four numbers", detail)
    if not all(map(math.isfinite, numbers)):
        raise _FaultError("box is not four finite numbers", detail)
    return numbers


def _share_in_square(spans: Sequence[tuple[float, float]], image: _Image) -> float:
    """Give the share of a box, as fractions of the image, that lies in the image's central square."""
    share = 1.0
    for (start, stop), side in zip(spans, (image.width, image.height), strict=True):
        half = min(image.width, image.height) / side / 2
        share *= max(0.0, min(stop, 0.5 + half) - max(start, 0.5 - half)) / (stop - start)
    return share


def _with_counts(objects: pd.DataFrame, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Add the number of annotations in the image of each object, and of those of the same category."""
    in_image, of_category = Counter(image for image, _ in pairs), Counter(pairs)
    return objects.assign(
        n_objects=[in_image[image] for image in objects["image"]],
        instances=[of_category[pair] for pair in zip(objects["image"], objects["object"], strict=True)],
    )


def _lone_faults(document: Mapping[str, list[dict]], images: Lookup) -> list[tuple]:
    """Give the faults of images that no annotation reports, in the form of `_objects`."""
    used = {place for entry in document["annotations"] for place in images.find(entry.get("image_id"))}
    faults = [
        (None, image.name or None, image.fault.reason, image.fault.detail)
        for place, image in enumerate(images.entries)
        if image.fault is not None and place not in used and not images.nameless[place]
    ]
    return faults + [
        (None, None, "image without an id", f"file_name {shorten(image.name)}")
        for place, image in enumerate(images.entries)
        if images.nameless[place]
    ]


def _nothing_usable(shown: str, n_annotations: int, left_out: pd.DataFrame) -> str:
    first = [
        f"{f'annotation {row.annotation!r}' if row.annotation is not None else f'image {row.image!r}'}: {row.reason}"
        f"{f' ({row.detail})' if row.detail else ''}"
        for row in left_out.head(_SHOWN_AT_MOST).itertuples()
    ]
    return (
        f"None of the {n_annotations} annotations in {shown} can be used{': ' if first else ''}{'; '.join(first)}. "
        "Give a COCO-format file of objects with boxes, and the folder that has its images."
    )


def _summary(left_out: pd.DataFrame) -> str:
    """Count the reasons and name the first annotations, or else images, of each."""
    parts = []
    for reason, rows in left_out.groupby("reason", sort=False):
        named = [
            f"annotation {shorten(number)}" if number is not None else f"image {image or 'without a name'}"
            for number, image in zip(rows["annotation"], rows["image"], strict=True)
        ]
        more = f" and {len(named) - _NAMED_AT_MOST} more" if len(named) > _NAMED_AT_MOST else ""
        parts.append(f"{len(named)} × {reason} ({', '.join(named[:_NAMED_AT_MOST])}{more})")
    return "; ".join(parts)
