"""Notes of what is whole in the folder of an edition: files in ``done/``, by which Snakemake knows what is due."""

import functools
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from crosseyed.files import atomic_write
from crosseyed.report import kept_results, tables


def stamp(folder: Path, name: str, made_from: str = "") -> None:
    """Note that something of an edition is whole, and the digest of `contents` that it was made from.

    The note is another each time, so that what needs it is due.
    """
    with atomic_write(folder / "done" / name) as file:
        file.write_text(f"{made_from}\n{uuid4().hex}\n")


def contents(files: Iterable[str | os.PathLike]) -> str:
    """Return a digest of the names and contents of files, which tells that one has changed whatever its date says."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file) + b"\0" + _content(Path(file)))
    return digest.hexdigest()[:16]


@functools.cache
def _content(file: Path) -> bytes:
    try:
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError:
        return b""  # whoever needs it says so


def forget_what_is_gone(folder: Path, now: Mapping[str, str] | None = None) -> None:
    """Take back the notes of `stamp` about what is no longer there, no longer whole, or made from something else.

    Parameters
    ----------
    folder : path
        Folder of the edition.
    now : mapping from str to str
        For the name of each note, the digest of what would be made from now.
    """
    for note in (folder / "done").glob("[!.]*"):
        if note.name == "book":
            there = (folder / "html" / "index.html").is_file()
        elif note.name == "result":
            there = kept_results.is_whole(folder / "result.csv")
        else:
            results = folder / "results" / note.name
            there = (folder / "notebooks" / f"{note.name}.ipynb").is_file() and results.is_dir()
            there = there and tables.are_whole(results)
        if not there or (now and made_from(note) != now.get(note.name)):
            _remove(note)


def bring_to_the_present(files: Iterable[str | os.PathLike]) -> None:
    """Give files whose date is in the future that of now: Snakemake takes nothing that is older than its input."""
    for file in files:
        with suppress(OSError):
            if os.stat(file).st_mtime > time.time():
                os.utime(file)


def made_from(note: Path) -> str | None:
    """Return the digest that `stamp` noted; None without a note."""
    try:
        return note.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return None


def _remove(note: Path) -> None:
    if note.is_dir():
        shutil.rmtree(note)
    else:
        note.unlink()
