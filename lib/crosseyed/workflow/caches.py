"""Where the notebooks of all editions keep the embeddings that they share, and whether that is possible."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress

from crosseyed.editions import BUILD
from crosseyed.errors import InputError
from crosseyed.files import CACHE_VARIABLE, expand, require_writable

LEAST_FREE = 20e6
"""Bytes: with less space, a cache is taken for full."""


def folder() -> str:
    """Return the folder: what the environment variable `CACHE_VARIABLE` says, or one below ``_build``.

    The text is empty where the variable is, which stands for no cache.
    """
    return os.environ.get(CACHE_VARIABLE, str((BUILD / "cache").resolve()))


def complaint() -> str:
    """Say why embeddings cannot be kept, and what follows; an empty text if they can, or shall not be."""
    if not (named := folder()):
        return ""
    try:
        require_writable(named)
    except (InputError, ValueError) as error:
        return f"Embeddings are not kept, and each notebook computes its own: {error}"
    with suppress(OSError):
        free = shutil.disk_usage(expand(named)).free
        if free < LEAST_FREE:
            return (
                f"Embeddings are hardly kept, and each notebook computes its own: the disk of {named!r} has "
                f"{free / 1e6:.0f} MB free; free some space, or name another folder in {CACHE_VARIABLE}."
            )
    return ""


def announce(say: Callable[[str], object]) -> None:
    """Say it, if there is something to complain of."""
    if said := complaint():
        say(f"warning: {said}")
