"""Notes of what is whole in the folder of an edition: files in ``done/``, by which Snakemake knows what is due."""

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from crosseyed.files import atomic_write
from crosseyed.report import kept_results, tables


def stamp(folder: Path, name: str) -> None:
    """Note that something of an edition is whole; each time with another content, so that what needs it is due."""
    with atomic_write(folder / "done" / name) as file:
        file.write_text(uuid4().hex)


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


def forget_what_is_gone(folder: Path) -> None:
    """Take back the notes of `stamp` about what is no longer there or, of tables, no longer whole."""
    for note in (folder / "done").glob("[!.]*"):
        if note.name == "book":
            there = (folder / "html" / "index.html").is_file()
        elif note.name == "result":
            there = kept_results.is_whole(folder / "result.csv")
        else:
            results = folder / "results" / note.name
            there = (folder / "notebooks" / f"{note.name}.ipynb").is_file() and results.is_dir()
            there = there and tables.are_whole(results)
        if not there:
            note.unlink()
