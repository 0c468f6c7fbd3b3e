"""Read one's own photographs with annotations in the COCO format, and name every annotation that cannot be used.

The format is that of Lin et al., *Microsoft COCO: Common Objects in Context* (arXiv 1405.0312): a JSON file with the
lists ``images``, ``annotations`` and ``categories``, to which most annotation tools export. Only names, sizes and
boxes are read; outlines and key points are dropped while the file is parsed, and only the headers of images are
opened.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from crosseyed.data.coco_boxes import Placed, check_units, number_of, place_of, read_box
from crosseyed.data.coco_lookup import ImageFinder, Lookup, first_spellings
from crosseyed.data.images import UnreadableImage, read_size
from crosseyed.data.left_out import (
    FaultError,
    NothingUsableError,
    first_faults,
    left_out_table,
    listed,
    share_used,
    warn_of,
)
from crosseyed.documents import read_json
from crosseyed.errors import InputError, shorten
from crosseyed.escapes import printable
from crosseyed.files import require_folder

CROWD = "crowd of objects"
"""The `reason` of an annotation with ``iscrowd``: no fault, but its box is not that of an object."""

_TWICE = "id of an image or category given twice"
_LISTS = ("images", "annotations", "categories")
_LARGEST = 2**32  # bytes; the annotations of COCO's training images have 450 MB


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
        - `truncated`: whether the box touches the border (`crosseyed.data.coco_boxes.BORDER_TOLERANCE`);
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
    n_annotations : int
        Annotations in the file.
    """

    images: pd.DataFrame
    objects: pd.DataFrame
    presence: pd.DataFrame
    categories: list[str]
    unused: list[str]
    left_out: pd.DataFrame
    n_annotations: int

    @property
    def summary(self) -> str:
        """How much of the data is used and why not the rest, in a sentence or two."""
        used = share_used(len(self.objects), self.n_annotations, "annotations", self.left_out)
        unused = f" Categories without annotations: {listed(self.unused)}." if self.unused else ""
        return used + unused


@dataclass(frozen=True)
class _Image:
    """An image of the file: `fault` is why it cannot be used."""

    name: str
    path: Path | None = None
    width: int = 0
    height: int = 0
    fault: FaultError | None = field(default=None, compare=False)


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
    categories = Lookup(document["categories"], ("id", "name"))
    names = _category_names(categories.entries)
    rows, pairs, left_out, annotated = _objects(document["annotations"], images, categories, names)
    left_out += _lone_faults(document, images)
    table = left_out_table(left_out, "annotation")
    shown, n_annotations = repr(os.fspath(annotations)), len(document["annotations"])
    if not rows:
        first = f": {first_faults(table)}" if len(table) else ""
        raise NothingUsableError(
            f"None of the {n_annotations} annotations in {shown} can be used{first}. Give a COCO-format file of "
            "objects with boxes, and the folder that has its images.",
            table,
        )
    warn_of(table[table["reason"] != CROWD], f"entries of {shown}")
    usable = [image for image in images.entries if image.fault is None]
    known = list(dict.fromkeys(name for name in names if name is not None))
    return CocoSet(
        images=pd.DataFrame({"image": [i.name for i in usable], "path": [str(i.path) for i in usable]}),
        objects=_with_counts(pd.DataFrame(rows), pairs),
        presence=pd.DataFrame(pairs, columns=["image", "object"]).drop_duplicates(ignore_index=True),
        categories=[name for name in known if name in annotated],
        unused=[name for name in known if name not in annotated],
        left_out=table,
        n_annotations=n_annotations,
    )


def _load(file: str | os.PathLike) -> dict[str, list[dict]]:
    """Parse the file and give its three lists, with an empty entry in place of what is not an entry."""
    what = "a COCO-format JSON file with images, annotations and categories"
    document = read_json(file, what, largest=_LARGEST, keep=_without_outlines)
    for name in _LISTS:
        if isinstance(document, dict) and isinstance(document.get(name), dict) and "id" in document[name]:
            document[name] = [document[name]]  # a list of one, written without brackets
        if not isinstance(document, dict) or not isinstance(document.get(name), list):
            raise InputError(
                f"{os.fspath(file)!r} is not a COCO-format file: it has no list {name!r}. Expected an object with the "
                f"lists {', '.join(_LISTS)}."
            )
    return {name: [entry if isinstance(entry, dict) else {} for entry in document[name]] for name in _LISTS}


def _without_outlines(entry: dict) -> dict:
    """Drop the largest part of a file, and put ? for half a character except where it may name a file."""
    return {
        name: value.encode("utf-8", "replace").decode()
        if isinstance(value, str) and name != "file_name"
        else value
        for name, value in entry.items()
        if name not in ("segmentation", "keypoints")
    }


def _category_names(entries: Iterable[dict]) -> list[str | None]:
    """Give the name of each category; of names that differ in case or blanks alone, the first spelling."""
    return first_spellings(_name(entry.get("name")) for entry in entries)


def _name(noted: object) -> str:
    number = number_of(noted)
    return str(noted) if isinstance(noted, str) or (number is not None and math.isfinite(number)) else ""


def _images(entries: Sequence[dict], finder: ImageFinder) -> Lookup:
    """Look for the file of each image, and give the images by id."""
    lookup = Lookup(entries, ("id", "file_name", "width", "height"))
    found = [_find_image(entry, finder) for entry in lookup.entries]
    files = Counter(image.path for image in found if image.path is not None)
    shared = {
        place
        for entry in lookup.entries
        if len(places := lookup.find(entry.get("id"))) > 1
        for place in places
    }
    lookup.entries = [
        _alone(image, files[image.path] > 1, place in shared) for place, image in enumerate(found)
    ]
    return lookup


def _alone(image: _Image, file_again: bool, id_again: bool) -> _Image:
    """Give an image, with a fault if it is not known which annotations are its own."""
    if file_again:
        return _Image(
            image.name, fault=FaultError("image file listed twice", f"file_name {shorten(image.name)}")
        )
    if id_again:  # what another annotation says is in it is not all that is in it
        return _Image(image.name, fault=FaultError(_TWICE, f"file_name {shorten(image.name)}"))
    return image


def _find_image(entry: dict, finder: ImageFinder) -> _Image:
    noted = entry.get("file_name")
    name = printable(noted) if isinstance(noted, str) else ""
    try:
        if not name:
            raise FaultError("image without a file name", f"file_name {shorten(noted)}")
        path = finder.find(noted)
        if path is None:
            raise FaultError("image file missing", printable(str(finder.folder / noted[:200])))
        size = read_size(path)
        sides = _side(entry.get("width")), _side(entry.get("height"))
        if any(side not in (None, whole) for side, whole in zip(sides, size, strict=True)):
            raise FaultError(
                "image size differs from the file",
                f"noted {sides[0]} × {sides[1]}, upright the file has {size[0]} × {size[1]} pixels",
            )
        return _Image(name, path, *size)
    except UnreadableImage as error:
        return _Image(name, fault=FaultError("image file unreadable", printable(str(error))))
    except FaultError as fault:
        return _Image(name, fault=fault)


def _side(value: object) -> float | str | None:
    """Give a noted width or height as a number; None where it is unknown."""
    number = number_of(value)
    if value in (None, "") or (number is not None and (number == 0 or math.isnan(number))):
        return None
    return shorten(value) if number is None or not number.is_integer() else int(number)


def _objects(
    annotations: Sequence[dict], images: Lookup, categories: Lookup, names: Sequence[str | None]
) -> tuple[list[dict], list[tuple[str, str]], list[tuple], set[str]]:
    """Go through the annotations: rows of objects, pairs of presence, rows left out, and names that are annotated."""
    rows, pairs, left_out, annotated, seen = [], [], [], set(), set()
    placed: list[Placed] = []
    for entry in annotations:
        number = entry.get("id")
        found = images.find(entry.get("image_id"))
        image = images.entries[found[0]] if len(found) == 1 else None
        here = [
            names[place] for place in categories.find(entry.get("category_id")) if names[place] is not None
        ]
        annotated.update(here)
        try:
            said = _said(entry, found, here)
            if said in seen:
                raise FaultError(
                    "annotation repeated", "image, category and box are the same as of an earlier one"
                )
            seen.add(said)
            if image is not None and image.fault is None:
                # whatever else is wrong: each category that may be meant is in the image
                pairs.extend((image.name, name) for name in here)
            _check_image(image, entry, found)
            name = _only(here, entry, categories)
            box = read_box(entry.get("bbox"))
            placed.append((box, image.width, image.height))
            if _is_crowd(entry.get("iscrowd")):
                raise FaultError(CROWD)
            place = place_of(box, image.width, image.height)
            rows.append({"image": image.name, "annotation": number, "object": name, **place})
        except FaultError as fault:
            left_out.append((number, image.name if image else None, fault.reason, fault.detail))
    check_units(placed)
    return rows, pairs, left_out, annotated


def _said(entry: dict, images: Sequence[int], categories: Sequence[str]) -> str:
    """Give what an annotation says: its image, category and box, or all its fields where one of these is not known."""
    try:
        left, top, across, down = read_box(entry.get("bbox"))
    except FaultError:
        return repr(sorted(entry.items()))
    if across <= 0 or down <= 0 or len(images) != 1 or not categories:
        return repr(sorted(entry.items()))
    return repr([images, categories, left, top, across, down, str(entry.get("iscrowd"))])


def _check_image(image: _Image | None, entry: dict, found: Sequence[int]) -> None:
    if image is None:
        reason = _TWICE if len(found) > 1 else "image not in the list of images"
        raise FaultError(reason, f"image_id {shorten(entry.get('image_id'))}")
    if image.fault is not None:
        raise image.fault


def _only(names: Sequence[str], entry: dict, categories: Lookup) -> str:
    """Give the one name that the category of an annotation has."""
    if len(set(names)) == 1:
        return names[0]
    detail = f"category_id {shorten(entry.get('category_id'))}"
    if len(names) > 1:
        raise FaultError(_TWICE, detail)
    known = categories.find(entry.get("category_id"))
    raise FaultError("category without a name" if known else "unknown category", detail)


def _is_crowd(value: object) -> bool:
    text = str(value).strip().lower()
    if text in ("none", "nan", "", "0", "0.0", "false", "no"):
        return False
    if text in ("1", "1.0", "true", "yes"):
        return True
    raise FaultError("iscrowd is neither 0 nor 1", f"iscrowd {shorten(value)}")


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
        (None, image.name or None, "image without an id", f"file_name {shorten(image.name)}")
        for place, image in enumerate(images.entries)
        if images.nameless[place]
    ]
