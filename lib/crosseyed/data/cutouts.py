"""Objects cut out of their background, and the catalogue of them."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from crosseyed.data.coco_lookup import same_name
from crosseyed.errors import InputError, suggest
from crosseyed.escapes import printable
from crosseyed.files import DATA, require_folder, visible_files
from crosseyed.tables import read_table

STYLES = ("fluent", "noto", "twemoji")
_KINDS = dict.fromkeys(("object", "category", "codepoint", "style", "file"), "text")

_CUTOUT_SUFFIXES = {".png", ".webp"}


@dataclass(frozen=True)
class Cutout:
    """An object on a transparent ground, as a file.

    Attributes
    ----------
    object : str
        The name a caption would use, such as ``"palm tree"``.
    category : str
        The kind of thing, such as ``"plant"``.
    style : str
        The rendering it belongs to: ``"fluent"``, ``"noto"``, ``"twemoji"``; ``"own"`` for a user's folder.
    path : pathlib.Path
        A PNG or WebP file with an alpha channel.
    """

    object: str
    category: str
    style: str
    path: Path


def read_catalogue(styles: Iterable[str] = STYLES, folder: Path = DATA / "objects") -> list[Cutout]:
    """Read the catalogue of cut-outs that the project ships: all objects of one style, then of the next.

    Parameters
    ----------
    styles : iterable of str
        The renderings to include, out of `STYLES`.
    folder : path
        Folder with ``catalogue.csv`` and the files it names.

    Raises
    ------
    InputError
        A style does not exist, or the catalogue is missing or not whole.
    """
    advice = "Rebuild it with 'python data/objects/build.py', or give the folder with it."
    table = read_table(Path(folder) / "catalogue.csv", _KINDS, advice)
    styles, known = list(styles), list(dict.fromkeys(table["style"]))
    for style in styles:
        if style not in known:
            raise InputError(
                f"Style {style!r} does not exist; the catalogue has {', '.join(known)}{suggest(style, known)}"
            )
    rows = table[table["style"].isin(styles)]
    return [
        Cutout(row.object, row.category, row.style, Path(folder) / row.file)
        for row in rows.itertuples(index=False)
    ]


def read_cutout_folder(folder: str | os.PathLike) -> list[Cutout]:
    """Read a user's own folder of transparent PNG or WebP files in place of the catalogue, sorted by file name.

    Files are named after the objects they show; hyphens and underscores stand for spaces. Category and style are
    ``"own"``.

    Raises
    ------
    InputError
        The folder does not exist or has no such file; a file cannot be read or has nothing transparent, or two files
        show the same object.
    """
    folder = require_folder(folder, "a folder of transparent PNG or WebP files")
    files = visible_files(folder, *_CUTOUT_SUFFIXES)
    if not files:
        raise InputError(f"{folder} has no PNG or WebP file; put one transparent file per object there.")
    names = [" ".join(printable(re.sub("[-_]", " ", file.stem)).split()) for file in files]
    cutouts = [Cutout(name, "own", "own", file) for name, file in zip(names, files, strict=True)]
    paths: dict[str, Path] = {}
    for cutout in cutouts:
        premultiplied(cutout.path)
        key = same_name(cutout.object)
        if not key:
            raise InputError(f"{cutout.path} names no object; name it after what it shows.")
        if key in paths:
            raise InputError(f"{paths[key]} and {cutout.path} both show {cutout.object!r}; keep one of them.")
        paths[key] = cutout.path
    return cutouts


def objects_of(cutouts: Sequence[Cutout]) -> list[str]:
    """List the distinct object names of some cut-outs, in order of first appearance."""
    return list(dict.fromkeys(cutout.object for cutout in cutouts))


def sample_objects(cutouts: Sequence[Cutout], n_objects: int, seed: int) -> list[Cutout]:
    """Keep all cut-outs of `n_objects` objects (at least 1, at most all), drawn at random by `seed`."""
    objects = objects_of(cutouts)
    _check_number(n_objects, objects)
    kept = set(np.random.default_rng(seed).choice(objects, n_objects, replace=False))
    return [cutout for cutout in cutouts if cutout.object in kept]


def some_objects(cutouts: Sequence[Cutout], n_objects: int, seed: int) -> list[Cutout]:
    """Keep all cut-outs of some objects, drawn at random such that those of fewer are among those of more.

    Parameters are as of `sample_objects`.
    """
    objects = objects_of(cutouts)
    _check_number(n_objects, objects)
    kept = set(np.random.default_rng([seed, 8]).permutation(objects)[:n_objects])
    return [cutout for cutout in cutouts if cutout.object in kept]


def deal_objects(
    cutouts: Sequence[Cutout], n_objects: int, most: int, seed: int
) -> tuple[list[Cutout], list[Cutout]]:
    """Draw objects to be shown out of more to which layouts deal places and backgrounds.

    What is dealt to an object depends on all others. So it is dealt to as many whatever is shown, and
    `crosseyed.data.layouts.showing` keeps what is shown: the images of fewer objects are among those of more.

    Parameters
    ----------
    cutouts, n_objects, seed
        As of `sample_objects`.
    most : int
        How many objects are dealt to; `n_objects` if these are more, and all if there are fewer.

    Returns
    -------
    shown, dealt : list of Cutout
        All cut-outs of `n_objects` objects, and of those drawn; in the order of `cutouts`.
    """
    objects = objects_of(cutouts)
    _check_number(n_objects, objects)
    dealt = sample_objects(cutouts, min(max(n_objects, most), len(objects)), seed)
    return some_objects(dealt, n_objects, seed), dealt


def _check_number(n_objects: int, objects: Sequence[str]) -> None:
    if not 1 <= n_objects <= len(objects):
        raise InputError(
            f"n_objects is {n_objects}; it must lie between 1 and {len(objects)}, the number of objects."
        )


def reordered(cutouts: Sequence[Cutout], seed: int) -> list[Cutout]:
    """Put the cut-outs of each rendering in a random order of its own.

    Layouts deal the kinds of background in turn. In the order of the catalogue, all renderings of an object may get the
    same kind, and what learns from one and is tested on another could tell objects by their backgrounds.
    """
    rng, styles = np.random.default_rng(seed), dict.fromkeys(cutout.style for cutout in cutouts)
    own = [[cutout for cutout in cutouts if cutout.style == style] for style in styles]
    return [each[number] for each in own for number in rng.permutation(len(each))]


@lru_cache(maxsize=4096)
def premultiplied(path: Path) -> Image.Image:
    """Read a cut-out and trim it to what is drawn; colors are multiplied by alpha for resizing."""
    try:
        with Image.open(path, formats=("PNG", "WEBP")) as file:
            image = file.convert("RGBA")
    except Exception as error:  # a damaged file can make Pillow's decoders fail in any way
        raise InputError(
            f"{path} cannot be read as an image ({error}); replace it by a transparent PNG or WebP file."
        ) from error
    drawn = image.getchannel("A").point(lambda alpha: 255 * (alpha >= 8)).getbbox()
    if drawn is None:
        raise InputError(f"{path} is wholly transparent; a cut-out must show an object.")
    if image.getchannel("A").getextrema()[0] == 255:
        raise InputError(
            f"{path} has no transparent pixel; a cut-out must be the object alone on a transparent ground."
        )
    return image.crop(drawn).convert("RGBa")
