"""Read published images, and one's own in the same naming, into the tables that protocols take."""

import os
import re
import shutil
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from huggingface_hub import snapshot_download

from crosseyed.errors import DownloadError, InputError
from crosseyed.files import DATA, expand, require_folder, visible_files
from crosseyed.hub import from_hub

WHATSUP_REPOSITORY = "oscarchew/clip-cross-eyed-data"
"""Data set on the Hugging Face Hub, by the authors of arXiv 2604.05971."""

RELATIONS = ("on", "under", "left_of", "right_of", "in-front_of", "behind")
"""The relations of What'sUp as its file names spell them; with `on` the objects are together, with the others apart."""

_FOLDER_IN_REPOSITORY = "whatsup_images"
_IMAGE_SUFFIXES = {".jpeg", ".jpg", ".png"}
_NAMING = "<object1>_<relation>_<object2>.jpeg"

# An underscore separates, so only the relation may contain one.
_NAME = re.compile(r"(?P<object>[^_]+)_(?P<relation>[a-z]+(?:[-_][a-z]+)*)_(?P<object2>[^_]+)")
_PART_OF_RELATION = re.compile(rf"_({'|'.join(RELATIONS)})_")


class SkippedFilesWarning(UserWarning):
    """Some files of a folder are not images of the data set and were left out."""


def read_whatsup(folder: str | os.PathLike) -> pd.DataFrame:
    """Describe a folder of images in What'sUp's naming, without opening them.

    A file is named ``<object1>_<relation>_<object2>.jpeg`` (or ``.jpg``, ``.png``), for example
    ``wine-glass_left_of_plate.jpeg``; hyphens in the names of objects stand for spaces. The naming is that of Kamath
    et al., *What's "up" with vision-language models?* (arXiv 2310.19785). That the objects of `on` are together
    at the center, and of every other relation one is off-center, is the rule of Chew et al. (arXiv 2604.05971).

    Parameters
    ----------
    folder : path
        Read without its subfolders and hidden files.

    Returns
    -------
    pandas.DataFrame
        One row per image, sorted by `image` (file name): `path`; `object`, `object2` as a caption names them;
        `relation` of the first to the second, spelt as in the file name (one of `RELATIONS`, or one's own); `together`.

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
            f"{len(skipped)} of {len(files)} files in {str(folder)!r} are not images named {_NAMING} and were "
            f"left out: {', '.join(skipped)}.",
            SkippedFilesWarning,
            stacklevel=2,
        )
    return pd.DataFrame([row for row in found.values() if row is not None])


def read_if_present(folder: str | os.PathLike | None) -> pd.DataFrame | None:
    """Read a given folder (`read_whatsup`); without one, the data set where `download_whatsup` puts it, if it is there.

    Returns
    -------
    pandas.DataFrame or None
        None if no folder is given and the data set is not on this machine.
    """
    if folder:
        return read_whatsup(folder)
    usual = DATA / "whatsup"
    return read_whatsup(usual) if usual.is_dir() else None


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
        "together": relation == "on",
    }


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
