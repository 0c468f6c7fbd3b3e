"""Paths that a user gives, output folders and their marks, and files that are written whole or not at all."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from crosseyed.errors import InputError, shorten, suggest


def find_data() -> Path:
    """Return the folder with cut-outs and models.

    That is, the first of: what the environment variable CROSSEYED_DATA names; ``data`` of the repository that this
    library lies in; of a library that was installed, the nearest ``data`` with cut-outs in the working folder or above
    it. Where there is none, that of the repository is returned, for messages to name.
    """
    if named := os.environ.get("CROSSEYED_DATA"):
        return Path(named).expanduser()
    beside = Path(__file__).parents[2] / "data"
    with suppress(OSError):  # the working folder may be gone
        here = Path.cwd()
        for data in (beside, *(folder / "data" for folder in (here, *here.parents))):
            if (data / "objects" / "catalogue.csv").is_file():
                return data
    return beside


DATA = find_data()
"""The folder with cut-outs and models, see `find_data`.

:meta hide-value:
"""

CACHE_VARIABLE = "CROSSEYED_CACHE"
"""Environment variable that names the folder in which embeddings are kept; without it nothing is kept."""

MARK = ".crosseyed.json"
"""File in an output folder that says which command made the folder."""

_CACHES = {
    "XDG_CACHE_HOME": "any",  # Snakemake, fontconfig, scikit-image, and all that follow this convention
    "IPYTHONDIR": "ipython",
    "JUPYTER_CONFIG_DIR": "jupyter/config",
    "JUPYTER_DATA_DIR": "jupyter/data",
    "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
}

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, or of a user's share of it, that has no room left."""


def require_file(path: str | os.PathLike, what: str) -> Path:
    """Return the path of a regular file that can be read, with ``~`` expanded; nothing is read.

    Parameters
    ----------
    path : path
        What a user gave.
    what : str
        What is expected there, with its article, such as ``"a CSV file with captions"``.

    Raises
    ------
    InputError
        There is nothing, or a folder, a pipe, a socket or a device (reading one may never end), or it cannot be read.
    """
    found, mode = _look(path, what)
    if stat.S_ISDIR(mode):
        raise InputError(f"{os.fspath(path)!r} is a folder and not a file; give {what}.")
    if not stat.S_ISREG(mode):
        raise InputError(f"{os.fspath(path)!r} is {_kind(mode)} and not a regular file; give {what}.")
    if not os.access(found, os.R_OK):
        raise InputError(f"You may not read {os.fspath(path)!r}; change its permissions or give {what}.")
    return found


def require_folder(path: str | os.PathLike, what: str) -> Path:
    """Return the path of a folder that can be read, with ``~`` expanded; raise InputError as `require_file`."""
    found, mode = _look(path, what)
    if not stat.S_ISDIR(mode):
        kind = "a file" if stat.S_ISREG(mode) else _kind(mode)
        raise InputError(f"{os.fspath(path)!r} is {kind} and not a folder; give {what}.")
    if not os.access(found, os.R_OK | os.X_OK):
        raise InputError(
            f"You may not read the folder {os.fspath(path)!r}; change its permissions or give {what}."
        )
    return found


def expand(path: str | os.PathLike) -> Path:
    """Return a path with ``~`` expanded, unless there is no such home; raise InputError for what is not a path."""
    try:
        path = os.fsdecode(path)
    except TypeError:
        raise InputError(
            f"{shorten(path)} is not a path; give the name of a file or folder, as text or as a pathlib.Path."
        ) from None
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def visible_files(folder: str | os.PathLike, *suffixes: str) -> list[Path]:
    """List the regular files of a folder, sorted by name, without hidden ones (macOS adds ``._name`` to each).

    With suffixes, such as ``".png"``, only files that end so, whatever the case. A missing folder has none.
    """
    found = Path(folder).glob("[!.]*")
    return sorted(
        path for path in found if (not suffixes or path.suffix.lower() in suffixes) and path.is_file()
    )


def content_digest(files: Iterable[Path]) -> str:
    """Return eight hexadecimal digits that stand for the content of files, and for their names if there are several."""
    files = list(files)
    digest = hashlib.sha256()
    for path in files:
        try:
            with open(path, "rb") as file:
                whole = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise InputError(f"{os.fspath(path)!r} cannot be read ({error.strerror or error}).") from error
        digest.update(
            whole.digest() + (path.name.encode("utf-8", "surrogateescape") if len(files) > 1 else b"")
        )
    return digest.hexdigest()[:8]


def claim_folder(folder: str | os.PathLike, maker: str) -> Path:
    """Create an output folder if it is missing, try to write to it, and mark whose it is; return its path.

    Parameters
    ----------
    folder : path
        Where results go; ``~`` is expanded.
    maker : str
        The command that makes them, such as ``"own-data"``.

    Raises
    ------
    InputError
        It holds something and no mark of `maker`: nothing there is overwritten. Or it cannot be written to.
    """
    path = expand(folder)
    mark = path / MARK
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = mark.exists() or any(not entry.name.startswith(".") for entry in path.iterdir())
    except (OSError, ValueError) as error:
        raise _unwritable(mark, error) from error
    marked = _read_mark(mark)
    if occupied and marked.get("made_by") != maker:
        other = path.resolve()
        other = other.with_name(f"{other.name or 'results'}-{maker}")
        raise InputError(
            f"The folder {str(path)!r} holds files that 'crosseyed {maker}' did not make; they are left as they are. "
            f"Give a new or empty folder, such as {str(other)!r}."
        )
    _write_mark(mark, marked | {"made_by": maker})
    return path


def files_made(folder: Path) -> set[str] | None:
    """Return the names that `note_files` noted in the mark of an output folder; None if it never did."""
    names = _read_mark(folder / MARK).get("files")
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else None


def note_files(folder: Path, names: Iterable[str]) -> None:
    """Note in the mark of an output folder which of its files its maker made: no others are its to replace."""
    _write_mark(folder / MARK, _read_mark(folder / MARK) | {"files": sorted(names)})


def require_writable(folder: str | os.PathLike) -> None:
    """Create a folder if it is missing, and try to write to it; raise InputError if that fails."""
    path = expand(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"The folder {str(path)!r} cannot be written to ({error.strerror or error}); change its permissions, free "
            "some space, or move away what is there."
        ) from error


def try_writing(path: str | os.PathLike) -> None:
    """Raise InputError for a file that cannot be written, before anything is computed for it."""
    path = expand(path)
    trial = path.with_name(f".{path.name}.trial")
    with atomic_write(trial):
        pass
    trial.unlink()


def keep_caches(folder: Path) -> None:
    """Let the tools that are used here keep caches and settings below a folder: in this process and its children.

    So a home that is missing or cannot be written to does not matter. A variable that the user has set to a folder
    that can be written to stays, and downloaded models stay where the user has them.
    """
    if not _may_write(folder):
        return
    # IPython takes a temporary folder where this one is missing; where the folder above is, too, nothing is made
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
    # downloaded models may lie where only reading is possible
    usual = Path(os.environ.get("XDG_CACHE_HOME") or expand("~/.cache"), "huggingface")
    models = Path(os.environ.get("HF_HOME") or usual)
    readable = os.access(models, os.R_OK | os.X_OK) or _may_write(models)
    os.environ["HF_HOME"] = str(models if readable else folder.absolute() / "huggingface")
    for variable, name in _CACHES.items():
        if not os.environ.get(variable) or not _may_write(Path(os.environ[variable])):
            os.environ[variable] = str(folder.absolute() / name)


def exchange(new: str | os.PathLike, old: str | os.PathLike) -> None:
    """Put a new file or folder into the place of an old one, if there is one, which lives until the new is there.

    Both must be on one file system. An interruption leaves the old or the new in its place.

    Raises
    ------
    InputError
        The place cannot be written to; the old is as it was.
    """
    new, old = Path(new), Path(old)
    former = old.with_name(f".{old.name}.former")  # one name, so that what a killed run left is found
    try:
        old.parent.mkdir(parents=True, exist_ok=True)
        if new.is_dir() or old.is_dir():
            _remove(former)
            if os.path.lexists(old):
                os.rename(old, former)
        try:
            os.replace(new, old)
        except BaseException:
            if os.path.lexists(former) and not os.path.lexists(old):
                os.rename(former, old)
            raise
    except OSError as error:
        raise _unwritable(old, error) from error
    _remove(former)


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
    path = expand(path)
    temporary = path.with_name(f".{uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.lstat()  # before anything is computed for a name that no file can have
        temporary.touch(exist_ok=False)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error
    try:
        yield temporary
        os.replace(temporary, path)
    except Exception as error:
        # the block may also fail because of what it reads or computes: that error is passed on
        if reason := _why_not_written(error, temporary):
            raise _unwritable(path, error, reason) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(file: str | os.PathLike, busy: str, wait: float = 0) -> Iterator[None]:
    """Hold a lock, which ends with the process, so that a killed run leaves nothing behind.

    Parameters
    ----------
    file : path
        Stands for what is written; made if it is missing.
    busy : str
        What to say if another process holds the lock, and what to do then.
    wait : float
        Seconds to wait for it.

    Raises
    ------
    InputError
        Another process holds the lock, or the file cannot be written to.
    """
    import filelock

    path = Path(file)
    try:
        lock = filelock.FileLock(path).acquire(timeout=wait)
    except filelock.Timeout:
        raise InputError(busy) from None
    except OSError as error:
        raise _unwritable(path, error) from error
    with lock:
        yield


def _look(path: str | os.PathLike, what: str) -> tuple[Path, int]:
    """Return an expanded path and the mode of what is there."""
    found = expand(path)
    try:
        return found, found.stat().st_mode
    except FileNotFoundError:
        link = ", but a link to nothing." if found.is_symlink() else ""
        near = link or suggest(found.name, _names_beside(found)) or "."
        raise InputError(f"There is no {os.fspath(path)!r}{near} Give {what}.") from None
    except (OSError, ValueError) as error:  # a name with NUL is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shorten(os.fspath(path))} cannot be read ({reason}); give {what}.") from error


def _may_write(folder: Path) -> bool:
    """Tell by trying whether a folder, or the nearest above it that exists, can be written to."""
    try:
        there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
        with TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def _names_beside(path: Path) -> list[str]:
    with suppress(OSError), os.scandir(path.parent) as entries:
        return [entry.name for entry in islice(entries, 1000)]
    return []


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _read_mark(mark: Path) -> dict:
    """Return what the mark of a folder says; nothing if it is missing or damaged."""
    try:
        found = json.loads(require_file(mark, "a mark").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_mark(mark: Path, content: dict) -> None:
    with atomic_write(mark) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _why_not_written(error: Exception, temporary: Path) -> str | None:
    """Say why writing a temporary file failed; None if the error is about something else."""
    number = getattr(error, "errno", None)
    words = str(error)
    for full in DISK_FULL:
        # writers in C++ or Rust raise errors of their own, which at best quote the system's words
        if number == full or os.strerror(full) in words:
            return os.strerror(full)
    if getattr(error, "filename", None) == str(temporary):
        return getattr(error, "strerror", None) or words
    # torch's own writer quotes nothing, and fails at a place that depends on when the disk is full
    if str(temporary) in words or "PytorchStreamWriter" in words or "inline_container" in words:
        return "the disk may be full"
    return None


def _unwritable(path: Path, error: Exception, reason: str | None = None) -> InputError:
    reason = reason or getattr(error, "strerror", None) or error
    if getattr(error, "errno", None) == errno.ENAMETOOLONG:
        return InputError(f"Cannot write {shorten(str(path))}: {reason}. Choose a shorter name.")
    return InputError(
        f"Cannot write {path.name!r} in the folder {str(path.parent)!r}: {reason}. "
        "Choose a folder that you may write to, on a disk with free space."
    )
