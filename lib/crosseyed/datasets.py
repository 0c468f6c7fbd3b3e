"""Read published images, and one's own in the same naming, into the tables that protocols take."""

import os
import re
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from huggingface_hub import snapshot_download

from crosseyed.errors import DownloadError, InputError
from crosseyed.files import DATA
from crosseyed.hub import from_hub

WHATSUP_REPOSITORY = "oscarchew/clip-cross-eyed-data"
"""Data set on the Hugging Face Hub, by the authors of arXiv 2604.05971."""

RELATIONS = ("on", "under", "left_of", "right_of", "in-front_of", "behind")
"""The relations of What'sUp as its file names spell them; `on` counts as center, the others as off-center."""

_FOLDER_IN_REPOSITORY = "whatsup_images"
_IMAGE_SUFFIXES = {".jpeg", ".jpg", ".png"}
_NAMING = "<object1>_<relation>_<object2>.jpeg"
# An underscore separates, so only the relation may contain one.
_NAME = re.compile(r"(?P<object>[^_]+)_(?P<relation>[a-z]+(?:[-_][a-z]+)*)_(?P<object2>[^_]+)")
_PART_OF_RELATION = re.compile(rf"_({'|'.join(RELATIONS)})_")


class SkippedFilesWarning(UserWarning):
    """Some files of a folder are no images of the data set and were left out."""


def read_whatsup(folder: str | os.PathLike) -> pd.DataFrame:
    """Describe a folder of images in What'sUp's naming, without opening them.

    A file is named ``<object1>_<relation>_<object2>.jpeg`` (or ``.jpg``, ``.png``), for example
    ``wine-glass_left_of_plate.jpeg``; hyphens in the names of objects stand for spaces. The naming is that of
    Kamath et al., *What's "up" with vision-language models?* (arXiv 2310.19785). That `on` is center and
    every other relation off-center is the rule of Chew et al. (arXiv 2604.05971).

    Parameters
    ----------
    folder : path
        Read without its subfolders; hidden files are passed over.

    Returns
    -------
    pandas.DataFrame
        One row per image, sorted by `image`:

        - `image`: file name;
        - `path`: where to open it;
        - `object`, `object2`: the two objects as a caption names them;
        - `relation`: how the first stands to the second, spelt as in the file name: one of `RELATIONS`, or of
          one's own;
        - `center`: whether the relation is `on`.

    Raises
    ------
    InputError
        The folder is missing or empty, or no file in it is an image in this naming.

    Warns
    -----
    SkippedFilesWarning
        Once, at the end, with the number and the names of the files that are left out.
    """
    folder = Path(folder)
    advice = "Fetch the data set with 'crosseyed download whatsup', or give the folder that has the images."
    if not folder.is_dir():
        raise InputError(f"There is no folder {str(folder)!r}. {advice}")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
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


def download_whatsup(folder: str | os.PathLike = DATA / "whatsup") -> Path:
    """Fetch What'sUp as the authors of arXiv 2604.05971 publish it, unless it is on disk.

    Parameters
    ----------
    folder : path
        Where the images go. Files that are in it already are taken to be the images.

    Returns
    -------
    pathlib.Path
        The folder, for `read_whatsup`. It appears when everything is there, not before.

    Raises
    ------
    DownloadError
        The Hugging Face Hub cannot be reached, or does not have the data set.
    InputError
        The folder cannot be written.
    """
    folder = Path(folder)
    try:
        if folder.is_dir() and any(folder.iterdir()):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside the folder, so that the last step is a rename
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            _fetch_whatsup(temporary, folder).replace(folder)
    except DownloadError:
        raise
    except OSError as error:
        raise InputError(
            f"Cannot write the folder {str(folder)!r}: {error.strerror or error}. "
            "Choose a folder that you may write to, on a disk with free space."
        ) from error
    return folder


def _parse(file: Path) -> dict | None:
    """Take a file name apart into a row of the table; None if it is no image in What'sUp's naming."""
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


def _fetch_whatsup(temporary: str, folder: Path) -> Path:
    """Download the data set below a temporary folder and give the folder with the images."""
    what = f"the images of What'sUp (folder {_FOLDER_IN_REPOSITORY!r} of the data set {WHATSUP_REPOSITORY})"
    instead = (
        f"Without network, get that folder elsewhere and put its files into {str(folder)!r}, "
        "or give the folder where they are."
    )

    def fetch() -> Path:
        patterns = f"{_FOLDER_IN_REPOSITORY}/*"
        snapshot_download(
            WHATSUP_REPOSITORY, repo_type="dataset", allow_patterns=patterns, local_dir=temporary
        )
        images = Path(temporary) / _FOLDER_IN_REPOSITORY
        if not images.is_dir():
            raise FileNotFoundError(f"there is no folder {_FOLDER_IN_REPOSITORY!r} in the data set")
        return images

    return from_hub(fetch, what, instead)
