"""Find the files that hold a model's weights: one file, or the parts that an index lists."""

import os
from pathlib import Path

from crosseyed.documents import read_json
from crosseyed.errors import InputError, shorten
from crosseyed.files import expand, require_file, visible_files

INDEX = ".index.json"
"""How the name of a file ends that lists which tensor lies in which of several files."""

_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
_KNOWN_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    f"model.safetensors{INDEX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX}",
    "pytorch_model.pth",
    "model.pth",
)


def weight_files(path: str | os.PathLike) -> list[Path]:
    """Return the files that make up a checkpoint; the first is the one that it is called by.

    Parameters
    ----------
    path : path
        A file; an index such as ``model.safetensors.index.json``, with its parts beside it; or a folder with either.

    Raises
    ------
    InputError
        It is missing or no regular file, a folder without weights or with several models, or a part is missing.
    """
    file = expand(path)
    if os.path.isdir(file):  # not raising for a name that no file can have
        file = _weights_in(file)
    file = require_file(file, "a checkpoint, a file with weights")
    return [file, *_parts(file)] if file.name.endswith(INDEX) else [file]


def tensor_places(index: Path) -> dict[str, str]:
    """Return the name of the part in which each tensor lies, as an index says."""
    content = read_json(index, "an index of a checkpoint's parts")
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise InputError(f"{str(index)!r} is not an index of a checkpoint's parts: it has no 'weight_map'.")
    return places


def _parts(index: Path) -> list[Path]:
    names = {str(name) for name in tensor_places(index).values()}
    for name in sorted(names):
        # a part lies beside its index: nothing elsewhere is read
        if not name.endswith(_SUFFIXES) or name.startswith(".") or set(name) & set("/\\:\0"):
            raise InputError(
                f"{str(index)!r} names {shorten(name)} as a part; expected names of files beside it."
            )
    missing = sorted(name for name in names if not os.path.isfile(index.parent / name))
    if missing:
        raise InputError(
            f"{len(missing)} of {len(names)} parts of the checkpoint {str(index)!r} are missing: "
            f"{', '.join(shorten(name)[1:-1] for name in missing[:3])}. Put them beside it."
        )
    return [index.parent / name for name in sorted(names)]


def _weights_in(folder: Path) -> Path:
    """Return the file with the weights in a folder, by its name or because there is no other."""
    listed = visible_files(folder, *_SUFFIXES, ".json")
    found = {file.name: file for file in listed if file.suffix != ".json" or file.name.endswith(INDEX)}
    known = [found[name] for name in _KNOWN_NAMES if name in found]
    if known:
        return known[0]
    indices = [file for name, file in found.items() if name.endswith(INDEX)]
    if len(indices) == 1:
        return indices[0]
    if not found:
        raise InputError(f"There are no weights in {str(folder)!r}: give a file as checkpoint=.")
    if len(found) > 1:
        raise InputError(
            f"The folder {str(folder)!r} holds several files with weights: {', '.join(list(found)[:5])}. "
            "Give one of them, or the index of its parts, as checkpoint=."
        )
    return next(iter(found.values()))
