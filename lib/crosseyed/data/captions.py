"""Read a table of one's own photographs with a caption and a place for each."""

import csv
import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crosseyed.data.coco_lookup import ImageFinder
from crosseyed.data.images import UnreadableImage, read_size
from crosseyed.data.scenes import eccentricity
from crosseyed.documents import read_text
from crosseyed.errors import InputError, shorten, suggest
from crosseyed.files import expand, require_folder
from crosseyed.settings import settings

_COLUMNS = ("image", "caption", "x", "y")
_NAMED_AT_MOST = 8
_SHOWN_AT_MOST = 3


class SkippedRowsWarning(UserWarning):
    """Some rows of a table of captions cannot be used and were left out."""


def read_captions(file: str | os.PathLike, folder: str | os.PathLike | None = None) -> pd.DataFrame:
    """Read a table of images with a caption and a place each, and check every row.

    What comes back is for `crosseyed.measure.protocols.zero_shot` with the distinct captions as labels and the template
    ``"{}"``: does the image's own caption fit it better than those of all the other images?

    Parameters
    ----------
    file : path
        CSV file (separated by commas, semicolons or tabs) with the columns `image` (a path below `folder`), `caption`,
        and `x`, `y`: the place of what the caption names, as fractions of width and height from the top left corner.
        Further columns are carried along as text, unless named like one that is returned.
    folder : path, optional
        Where the images are; by default the folder of the file.

    Returns
    -------
    pandas.DataFrame
        One row per image, in the order of the file: `image`, `path`, `object` (the caption), `x`, `y`, `eccentricity`
        and `center` (whether that is at most `settings.center_limit`).

    Raises
    ------
    InputError
        The file is missing or not such a table, its places are in other units, or none of its rows can be used.

    Warns
    -----
    SkippedRowsWarning
        Once, with the number of rows left out, and for the first its number (1 for the first below the header) and
        fault.
    """
    shown = repr(os.fspath(file))
    rows = _rows(read_text(file, "a CSV file with the columns image, caption, x, y"), shown)
    _check_units(rows, shown)
    folder = require_folder(
        expand(file).parent if folder is None else folder, "the folder that has the images"
    )
    finder, seen = ImageFinder(folder), set()
    described, skipped = [], []
    for number, row in enumerate(rows, start=1):
        try:
            described.append(_describe(row, finder, seen))
        except InputError as error:
            skipped.append(f"row {number} ({error})")
    if not described:
        first = f" First: {'; '.join(skipped[:_SHOWN_AT_MOST])}." if skipped else ""
        raise InputError(f"None of the {len(rows)} rows of {shown} can be used.{first}")
    if skipped:
        more = f"; and {len(skipped) - _NAMED_AT_MOST} more" if len(skipped) > _NAMED_AT_MOST else ""
        warnings.warn(
            f"{len(skipped)} of {len(rows)} rows of {shown} were left out: "
            f"{'; '.join(skipped[:_NAMED_AT_MOST])}{more}.",
            SkippedRowsWarning,
            stacklevel=2,
        )
    return pd.DataFrame(described)


def _rows(text: str, shown: str) -> list[dict[str, str]]:
    """Take a table apart by the separator with which its header has the columns."""
    header = text.lstrip("\ufeff\r\n").partition("\n")[0]
    separator = max(",;\t", key=header.count)
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    try:
        names, *lines = [
            line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if line
        ]
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{shown} is no table; save it as CSV with the columns {', '.join(_COLUMNS)}."
        ) from error
    names = [name.lstrip("\ufeff").strip() for name in names]
    names = [name.lower() if name.lower() in _COLUMNS else name for name in names]
    for column in _COLUMNS:
        if names.count(column) != 1:
            fault = "no column" if column not in names else "more than one column"
            raise InputError(
                f"{shown} has {fault} {column!r}; expected {', '.join(_COLUMNS)}{suggest(column, names) or '.'}"
            )
    for number, line in enumerate(lines, start=1):
        if len(line) != len(names):
            raise InputError(
                f"Row {number} of {shown} has {len(line)} fields and the header {len(names)}: "
                "put quotes around a text with a separator in it."
            )
    return [dict(zip(names, line, strict=True)) for line in lines]


def _check_units(rows: Sequence[dict[str, str]], shown: str) -> None:
    """Raise InputError where most places are no fractions."""
    places = [(_number(row["x"]), _number(row["y"])) for row in rows]
    beyond = sum(max(place) > 1 for place in places if not any(map(math.isnan, place)))
    if 2 * beyond > len(rows):
        raise InputError(
            f"x or y of {beyond} of {len(rows)} rows of {shown} is above 1: they are most likely pixels or percent. "
            "Give fractions of width and height."
        )


def _describe(row: dict[str, str], finder: ImageFinder, seen: set[Path]) -> dict:
    """Check a row, say where its object is, and remember its image."""
    row = dict(row)
    image, caption = row.pop("image").strip(), row.pop("caption").strip()
    if not image or not caption:
        raise InputError(f"the {'caption' if image else 'image'} is empty")
    place = [_fraction(row.pop(axis)) for axis in ("x", "y")]
    path = finder.find(image)
    if path is None:
        raise InputError(f"there is no image {shorten(image)} in {str(finder.folder)!r}")
    if path in seen:
        raise InputError(f"{image!r} is listed above; give every image one caption")
    try:
        width, height = read_size(path)
    except UnreadableImage as error:
        raise InputError(str(error).removesuffix(".")) from error
    seen.add(path)
    distance = eccentricity(*place, height, width)
    described = {
        "image": image,
        "path": str(path),
        "object": caption,
        "x": place[0],
        "y": place[1],
        "eccentricity": distance,
        "center": distance <= settings.center_limit,
    }
    return described | {column: text for column, text in row.items() if column not in described}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise InputError(
            f"{shorten(text)} is not between 0 and 1; give x and y as fractions of width and height"
        )
    return value
