"""Read a table of one's own photographs with a caption and a place for each."""

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from crosseyed.data.coco_lookup import ImageFinder, first_spellings
from crosseyed.data.images import UnreadableImage, read_size
from crosseyed.data.left_out import (
    FaultError,
    NothingUsableError,
    first_faults,
    left_out_table,
    share_used,
    warn_of,
)
from crosseyed.data.scenes import eccentricity, is_central
from crosseyed.documents import read_text
from crosseyed.errors import InputError, shorten, suggest
from crosseyed.files import expand, require_folder

_COLUMNS = ("image", "caption", "x", "y")


@dataclass(frozen=True, eq=False)
class CaptionSet:
    """Photographs with a caption and a place each, and what had to be left out.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per image, in the order of the file: `row` (1 for the first below the header), `image`, `path`, `object`
        (the caption), `x`, `y`, `eccentricity` and `center` (whether that is at most `settings.center_limit`); then the
        further columns of the file as text.
    left_out : pandas.DataFrame
        One row per row that cannot be used: `row`, `image`, `reason`, `detail`.
    n_rows : int
        Rows in the file.
    """

    table: pd.DataFrame
    left_out: pd.DataFrame
    n_rows: int

    @property
    def summary(self) -> str:
        """How much of the data is used and why not the rest, in a sentence."""
        return share_used(len(self.table), self.n_rows, "rows", self.left_out)


def read_captions(file: str | os.PathLike, folder: str | os.PathLike | None = None) -> CaptionSet:
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
    CaptionSet
        Captions that differ in case or blanks alone are one. An image with two captions or two places is left out:
        either may be its own.

    Raises
    ------
    InputError
        The file is missing or not such a table, or its places are in other units.
    NothingUsableError
        No row can be used.

    Warns
    -----
    LeftOutWarning
        Once, if rows are faulty: how many for which reason, and the first of each.
    """
    shown = repr(os.fspath(file))
    rows = _rows(read_text(file, "a CSV file with the columns image, caption, x, y"), shown)
    _check_units(rows, shown)
    folder = require_folder(
        expand(file).parent if folder is None else folder, "the folder that has the images"
    )
    spellings = first_spellings(row["caption"] for row in rows)
    rows = [{**row, "caption": caption or ""} for row, caption in zip(rows, spellings, strict=True)]
    finder, checked = ImageFinder(folder), []
    for number, row in enumerate(rows, start=1):
        try:
            checked.append({"row": number, **_describe(row, finder)})
        except FaultError as fault:
            checked.append(fault)
    checked = _without_repeats(checked)
    usable = [row for row in checked if isinstance(row, dict)]
    left_out = left_out_table(
        [
            (number, row["image"].strip() or None, fault.reason, fault.detail)
            for number, (row, fault) in enumerate(zip(rows, checked, strict=True), start=1)
            if isinstance(fault, FaultError)
        ],
        "row",
    )
    if not usable:
        first = f": {first_faults(left_out)}" if len(left_out) else ""
        raise NothingUsableError(f"None of the {len(rows)} rows of {shown} can be used{first}.", left_out)
    warn_of(left_out, f"rows of {shown}")
    return CaptionSet(pd.DataFrame(usable), left_out, len(rows))


def _rows(text: str, shown: str) -> list[dict[str, str]]:
    """Take a table apart by the separator with which its header has the columns."""
    text = text.lstrip("\ufeff")
    if hint := re.match(r"\s*\"?sep=(.)\"?[\r\n]+", text, re.IGNORECASE):  # which Excel takes and writes
        text = text[hint.end() :]
    header = re.split(r"[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0].lower()
    separator = max((hint[1] if hint else "") + ",;\t", key=lambda mark: _columns_by(mark, header))
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    try:
        names, *lines = [
            line for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if line
        ]
    except (ValueError, csv.Error) as error:
        raise InputError(
            f"{shown} is not a table; save it as CSV with the columns {', '.join(_COLUMNS)}."
        ) from error
    names = [name.strip() for name in names]
    names = [name.lower() if name.lower() in _COLUMNS else name for name in names]
    for column in _COLUMNS:
        if names.count(column) != 1:
            fault, near = (
                ("more than one column", ".") if column in names else ("no column", suggest(column, names))
            )
            raise InputError(f"{shown} has {fault} {column!r}; expected {', '.join(_COLUMNS)}{near or '.'}")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(names):
            advice = (
                "put quotes around a text with a separator in it"
                if len(line) > len(names)
                else "it is cut off, or a quotation mark is not closed"
            )
            raise InputError(
                f"Row {number} of {shown} has {len(line)} fields and the header {len(names)}: {advice}."
            )
    return [dict(zip(names, line, strict=True)) for line in lines]


def _columns_by(separator: str, header: str) -> int:
    """Count the columns that a header has if its fields are separated so."""
    return len({field.strip(' "') for field in header.split(separator)} & set(_COLUMNS))


def _check_units(rows: Sequence[dict[str, str]], shown: str) -> None:
    """Raise InputError where most places are not fractions."""
    places = [(_number(row["x"]), _number(row["y"])) for row in rows]
    places = [place for place in places if not any(map(math.isnan, place))]
    above, below = (sum(max(place) > 1 for place in places), sum(min(place) < 0 for place in places))
    if 2 * above > len(rows):
        raise InputError(
            f"x or y of {above} of {len(rows)} rows of {shown} is above 1: they are most likely pixels or percent. "
            "Give fractions of width and height."
        )
    if 2 * below > len(rows):
        raise InputError(
            f"x or y of {below} of {len(rows)} rows of {shown} is below 0: they are most likely distances from the "
            "center. Give fractions of width and height from the top left corner."
        )


def _describe(row: dict[str, str], finder: ImageFinder) -> dict:
    """Check a row, and say where its object is."""
    row = dict(row)
    image, caption = row.pop("image").strip(), row.pop("caption")
    if not image or not caption:
        missing = "caption" if image else "image"
        raise FaultError(f"{missing} not given", f"the {missing} is empty")
    x, y = (_fraction(row.pop(axis)) for axis in ("x", "y"))
    path = finder.find(image)
    if path is None:
        raise FaultError(
            "image file missing", f"there is no image {shorten(image)} in {str(finder.folder)!r}"
        )
    try:
        width, height = read_size(path)
    except UnreadableImage as error:
        raise FaultError("image file unreadable", str(error)) from error
    distance = eccentricity(x, y, height, width)
    described = {
        "image": image,
        "path": str(path),
        "object": caption,
        "x": x,
        "y": y,
        "eccentricity": distance,
        "center": is_central(x, y, height, width),
    }
    return described | {column: text for column, text in row.items() if column not in (*described, "row")}


def _without_repeats(checked: Sequence[dict | FaultError]) -> list[dict | FaultError]:
    """Put faults in place of rows that say something again, and of all rows of an image that say different things."""
    said: dict[str, list[tuple]] = {}
    for row in checked:
        if isinstance(row, dict):
            said.setdefault(row["path"], []).append((row["object"], row["x"], row["y"]))
    seen, result = set(), []
    for row in checked:
        if isinstance(row, dict):
            image = row["image"]
            if len(set(said[row["path"]])) > 1:
                row = FaultError(
                    "image with several captions or places",
                    f"{image!r} has {len(set(said[row['path']]))} of them",
                )
            elif row["path"] in seen:
                row = FaultError("row repeated", f"{image!r} is listed above")
            else:
                seen.add(row["path"])
        result.append(row)
    return result


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))  # a decimal comma, as office programs write it in many languages
    except ValueError:
        return math.nan


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise FaultError(
            "place is no fraction of the image",
            f"{shorten(text)} is not between 0 and 1; give x and y as fractions of width and height",
        )
    return value
