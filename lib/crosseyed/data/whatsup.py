"""Read published images, and one's own in the same naming, into the tables that protocols take."""

import math
import os
import re
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from huggingface_hub import snapshot_download

from crosseyed.data.images import UnreadableImage, read_size
from crosseyed.data.scenes import eccentricity
from crosseyed.errors import DownloadError, InputError, suggest
from crosseyed.files import DATA, expand, require_folder, visible_files
from crosseyed.hub import from_hub
from crosseyed.settings import settings

WHATSUP_REPOSITORY = "oscarchew/clip-cross-eyed-data"
"""Data set on the Hugging Face Hub, by the authors of arXiv 2604.05971."""

RELATIONS = ("on", "under", "left_of", "right_of", "in-front_of", "behind")
"""The relations of What'sUp as its file names spell them; `on` counts as center, the others as off-center."""

_CAPTION_COLUMNS = "image, caption, x, y"
_FOLDER_IN_REPOSITORY = "whatsup_images"
_IMAGE_SUFFIXES = {".jpeg", ".jpg", ".png"}
_NAMING = "<object1>_<relation>_<object2>.jpeg"

# An underscore separates, so only the relation may contain one.
_NAME = re.compile(r"(?P<object>[^_]+)_(?P<relation>[a-z]+(?:[-_][a-z]+)*)_(?P<object2>[^_]+)")
_PART_OF_RELATION = re.compile(rf"_({'|'.join(RELATIONS)})_")


class SkippedFilesWarning(UserWarning):
    """Some files of a folder are no images of the data set and were left out."""


class SkippedRowsWarning(UserWarning):
    """Some rows of a table of captions cannot be used and were left out."""


def read_whatsup(folder: str | os.PathLike) -> pd.DataFrame:
    """Describe a folder of images in What'sUp's naming, without opening them.

    A file is named ``<object1>_<relation>_<object2>.jpeg`` (or ``.jpg``, ``.png``), for example
    ``wine-glass_left_of_plate.jpeg``; hyphens in the names of objects stand for spaces. The naming is that of Kamath
    et al., *What's "up" with vision-language models?* (arXiv 2310.19785). That `on` is center and every other relation
    off-center is the rule of Chew et al. (arXiv 2604.05971).

    Parameters
    ----------
    folder : path
        Read without its subfolders and hidden files.

    Returns
    -------
    pandas.DataFrame
        One row per image, sorted by `image` (file name): `path`; `object`, `object2` as a caption names them;
        `relation` of the first to the second, spelt as in the file name (one of `RELATIONS`, or one's own); `center`.

    Raises
    ------
    InputError
        The folder is missing or empty, or no file in it is an image in this naming.

    Warns
    -----
    SkippedFilesWarning
        Once, at the end, with the number and the names of the files that are left out.
    """
    advice = "Fetch the data set with 'crosseyed download whatsup', or give the folder that has the images."
    folder = require_folder(folder, "the folder of What'sUp, which 'crosseyed download whatsup' fetches")
    files = visible_files(folder)
    if not files:
        raise InputError(f"The folder {str(folder)!r} has no file in it. {advice}")
    found = {file: _parse(file) for file in files}
    skipped = [file.name for file, row in found.items() if row is None]
    if len(skipped) == len(files):
        raise InputError(
            f"Of the {len(files)} files in {str(folder)!r}, the first being {skipped[0]!r}, none is an image "
            f"named {_NAMING}. Name them so, with hyphens for the spaces in an object's name. {advice}"
        )
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {len(files)} files in {str(folder)!r} are no images named {_NAMING} and were "
            f"left out: {', '.join(skipped)}.",
            SkippedFilesWarning,
            stacklevel=2,
        )
    return pd.DataFrame([row for row in found.values() if row is not None])


def read_captions(file: str | os.PathLike, folder: str | os.PathLike | None = None) -> pd.DataFrame:
    """Read a table that says for each of one's own images what it shows and where.

    With the captions as labels this is the question of `crosseyed.measure.protocols.zero_shot`, whose template is then
    ``"{}"``: does the image's own caption fit it better than those of all the other images?

    Parameters
    ----------
    file : path
        CSV file (UTF-8) with the columns `image` (a path below `folder`), `caption`, and `x`, `y`: the place of what
        the caption names, as fractions of width and height from the top left corner. Further columns are carried
        along, unless named like one that is returned.
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
        The file is missing or not such a table, or none of its rows can be used.

    Warns
    -----
    SkippedRowsWarning
        Once, with the number of rows left out, and for each its number (1 for the first below the header) and fault.
    """
    file = Path(file)
    folder = file.parent if folder is None else Path(folder)
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {str(file)!r}: {error.strerror or error}.") from error
    except ValueError as error:  # not UTF-8, or no table
        raise InputError(
            f"{str(file)!r} is no table ({error}); save it as CSV in UTF-8 with the columns {_CAPTION_COLUMNS}."
        ) from error
    for column in ("image", "caption", "x", "y"):
        if column not in table:
            raise InputError(
                f"{str(file)!r} has no column {column!r}; expected {_CAPTION_COLUMNS}"
                f"{suggest(column, map(str, table.columns))}"
            )
    rows, skipped, seen = [], [], set()
    for number, row in enumerate(table.to_dict("records"), start=1):
        try:
            rows.append(_captioned(row, folder, seen))
        except InputError as error:
            skipped.append(f"{number} ({error})")
    if not rows:
        first = f" Row {skipped[0]}" if skipped else ""
        raise InputError(f"None of the {len(table)} rows of {str(file)!r} can be used.{first}")
    if skipped:
        warnings.warn(
            f"{len(skipped)} of {len(table)} rows of {str(file)!r} were left out: {'; '.join(skipped)}.",
            SkippedRowsWarning,
            stacklevel=2,
        )
    return pd.DataFrame(rows)


def download_whatsup(folder: str | os.PathLike = DATA / "whatsup") -> Path:
    """Fetch What'sUp as the authors of arXiv 2604.05971 publish it, unless it is on disk; return the folder.

    Files already in the folder are taken to be the images. A new folder appears only when everything is there.

    Raises
    ------
    DownloadError
        The Hugging Face Hub cannot be reached, or does not have the data set.
    InputError
        The folder cannot be written.
    """
    folder = expand(folder)
    try:
        if folder.exists() and visible_files(require_folder(folder, "a folder for the images of What'sUp")):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the folder, so that the last step is a rename
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            _fetch_whatsup(Path(temporary), folder).replace(folder)
    except DownloadError:
        raise
    except OSError as error:
        raise InputError(
            f"Cannot write the folder {str(folder)!r}: {error.strerror or error}. "
            "Choose a new or empty folder that you may write to, on a disk with free space."
        ) from error
    return folder


def _parse(file: Path) -> dict | None:
    """Take a file name apart into a row of the table; None if it is not an image in What'sUp's naming."""
    match = _NAME.fullmatch(file.stem)
    if match is None or file.suffix.lower() not in _IMAGE_SUFFIXES:
        return None
    relation = match["relation"]
    if relation not in RELATIONS and _PART_OF_RELATION.search(f"_{relation}_"):
        return None  # the object has an underscore, as in palm_tree_on_table, and would be cut in two
    return {
        "image": file.name,
        "path": str(file),
        "object": match["object"].replace("-", " "),
        "object2": match["object2"].replace("-", " "),
        "relation": relation,
        "center": relation == "on",
    }


def _captioned(row: dict[str, str], folder: Path, seen: set[str]) -> dict:
    """Check a row of a table of captions, say where its object is, and remember its image."""
    row = dict(row)
    image, caption = row.pop("image").strip(), row.pop("caption").strip()
    if not image or not caption:
        raise InputError(f"the {'caption' if image else 'image'} is empty")
    if image in seen:
        raise InputError(f"{image!r} is listed above; give every picture one caption")
    place = [_fraction(row.pop(axis)) for axis in ("x", "y")]
    try:
        width, height = read_size(folder / image)
    except UnreadableImage as error:
        raise InputError(str(error).removesuffix(".")) from error
    seen.add(image)
    distance = eccentricity(*place, height, width)
    described = {
        "image": image,
        "path": str(folder / image),
        "object": caption,
        "x": place[0],
        "y": place[1],
        "eccentricity": distance,
        "center": distance <= settings.center_limit,
    }
    return described | {column: text for column, text in row.items() if column not in described}


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise InputError(f"{text!r} is not between 0 and 1; give x and y as fractions of width and height")
    return value


def _fetch_whatsup(temporary: Path, folder: Path) -> Path:
    """Download the data set below a temporary folder and give the folder with the images."""
    what = f"the images of What'sUp (folder {_FOLDER_IN_REPOSITORY!r} of the data set {WHATSUP_REPOSITORY})"
    instead = (
        f"Without network, get that folder elsewhere and put its files into {str(folder)!r}, "
        "or give the folder where they are."
    )
    images = temporary / "images"

    def fetch() -> Path:
        patterns = f"{_FOLDER_IN_REPOSITORY}/*"
        found = snapshot_download(
            WHATSUP_REPOSITORY, repo_type="dataset", allow_patterns=patterns, cache_dir=temporary
        )
        if not Path(found, _FOLDER_IN_REPOSITORY).is_dir():
            raise FileNotFoundError(f"there is no folder {_FOLDER_IN_REPOSITORY!r} in the data set")
        shutil.copytree(Path(found, _FOLDER_IN_REPOSITORY), images)  # a cache has links in place of files
        return images

    source = {"repository": WHATSUP_REPOSITORY, "kind": "dataset", "file": "README.md", "cache": temporary}
    return from_hub(fetch, what, instead, **source)
