"""Where the project's data is, and writing files so that a reader finds either the whole file or none."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from crosseyed.errors import InputError

if TYPE_CHECKING:  # the command line imports this module before it knows whether it needs pandas
    import pandas as pd

DATA = Path(os.environ.get("CROSSEYED_DATA", Path(__file__).parents[2] / "data"))
"""The repository's `data` folder; the environment variable CROSSEYED_DATA names another.

:meta hide-value:
"""

CACHE_VARIABLE = "CROSSEYED_CACHE"
"""Environment variable that names the folder in which embeddings are kept; without it nothing is kept."""

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends, or vanishes if the block fails.

    The temporary file lies in the folder of `path` (created if missing), so that the final rename is atomic, and keeps
    the suffix, because many writers choose the format by it. An older file stays untouched until the block succeeds.

    Raises
    ------
    InputError
        The folder cannot be created or written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        # the block may also fail because of a file that it reads: that error is passed on
        if error.errno in _DISK_FULL or error.filename == str(temporary):
            raise _unwritable(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_table(table: "pd.DataFrame", path: str | os.PathLike) -> None:
    """Write a table as CSV (UTF-8, no index column) by `atomic_write`; missing values become empty fields."""
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"Cannot write {path.name!r} in the folder {str(path.parent)!r}: {error.strerror or error}. "
        "Choose a folder that you may write to, on a disk with free space."
    )
