"""Submissions as teachers get them: a folder or a zip of notebooks, folders and zips, one for each student.

The first level is the student: ``anna.ipynb``, ``anna/`` and ``anna.zip`` are all Anna's. What is taken from one is
copied to a folder of its own, file by file and within limits: no links, nothing outside it, no more than a lab can
need.
"""

import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import BinaryIO

from crosseyed.errors import InputError, shorten
from crosseyed.files import expand, require_file, require_folder

_WHAT = "a folder or zip with submissions, or one notebook"
_MOST_FILES = 300
_LARGEST = 150 * 2**20  # bytes of all files of a submission
_MOST_ENTRIES = 60_000  # of a zip
_MOST_IN_FOLDER = 6_000
_LINK = "is a link; links are not followed."
_MOODLE = re.compile(r"_\d+_assignsubmission_\w*$")
# what browsers and desktops add to a second file
_COPY = re.compile(r"(\s*\(\d+\)|[ _-]+copy)+$", re.IGNORECASE)

_Opener = Callable[[], BinaryIO]
_Left = tuple[tuple[str, ...], str]  # a file that was left out, as parts, and why


@dataclass(frozen=True)
class _File:
    """A file of a submission: its place, as parts, its size, and what writes its content into a file."""

    parts: tuple[str, ...]
    size: int
    copy: Callable[[Path], None]


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    Attributes
    ----------
    student : str
        The student's name, as the file or folder has it.
    place : str
        The file or folder, by its name.
    files : tuple
        What is there, to be copied by `collect`.
    notes : tuple of str
        What was left out, and why.
    problem : str
        Why nothing can be taken from it; ``""`` if something can.
    """

    student: str
    place: str
    files: tuple[_File, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def person(self) -> str:
        """The name by which two submissions of one student are recognised: case and script's forms do not matter."""
        return unicodedata.normalize("NFKC", self.student).casefold()


def find(path: str | os.PathLike) -> list[Submission]:
    """List the submissions in a folder or zip, by name.

    Parameters
    ----------
    path : path
        The folder or zip, or one notebook.

    Raises
    ------
    InputError
        There is nothing of the kind, or it is empty.
    """
    root = expand(path)
    if root.is_dir():
        root = require_folder(root, _WHAT)
        found = [_of_entry(entry) for entry in sorted(root.iterdir()) if not is_ignored((entry.name,))]
    elif root.suffix.lower() == ".zip":
        found = _in_class_zip(require_file(root, _WHAT))
    else:
        found = [_of_entry(require_file(root, _WHAT))]
    if not found:
        raise InputError(f"There is no submission in {os.fspath(path)!r}; give {_WHAT}.")
    return sorted(found, key=lambda each: (each.person, each.place))


def one(path: str | os.PathLike) -> Submission:
    """Return what a file, folder or zip holds as the submission of one student."""
    return _of_entry(expand(path))


def require_apart(path: str | os.PathLike, output: str | os.PathLike) -> None:
    """Raise InputError if what is written would lie among submissions, and be taken for one the next time."""
    given, made = expand(path).resolve(), expand(output).resolve()
    if made.is_relative_to(given):
        raise InputError(
            f"The output folder {str(made)!r} lies among the submissions; give another folder with --output."
        )


def collect(submission: Submission, folder: Path) -> list[str]:
    """Copy the files of a submission into a new folder; return notes on what was left out.

    Raises
    ------
    InputError
        Nothing can be taken; the message says why.
    """
    if submission.problem:
        raise InputError(submission.problem)
    folder.mkdir(parents=True)
    notes, taken = list(submission.notes), 0
    for number, file in enumerate(_unwrapped(submission.files), 1):
        taken += file.size
        if number > _MOST_FILES or taken > _LARGEST:
            notes.append(
                f"It holds more than {_MOST_FILES} files or {_LARGEST / 2**20:.0f} MB; the rest was left out."
            )
            break
        target = folder.joinpath(*file.parts)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            file.copy(target)
        except Exception as error:  # the system's, and of a damaged zip zlib's, lzma's and others
            with suppress(OSError):  # the place may be below a file
                target.unlink(missing_ok=True)
            notes.append(f"{shorten('/'.join(file.parts))} could not be read ({type(error).__name__}).")
    return notes


def _unwrapped(files: tuple[_File, ...]) -> list[_File]:
    """Return files relative to the folder that holds the notebook, largest files last."""
    notebooks = [file for file in files if _is_notebook(file)]
    top = min((file.parts[:-1] for file in notebooks), key=len, default=())
    inside = [_inner(file, len(top)) for file in files if file.parts[: len(top)] == top]
    return sorted(inside, key=lambda file: (not _is_notebook(file), file.size, file.parts))


def _of_entry(entry: Path) -> Submission:
    """Return the submission that a file or folder at the first level is."""
    student, place = _name(entry.name, folder=entry.is_dir()), entry.name
    try:
        if entry.is_symlink():
            return Submission(student, place, problem=f"It {_LINK}")
        if entry.is_dir():
            files, left = _in_folder(entry)
        elif entry.suffix.lower() == ".zip":
            files, left = _in_zip(_opener(entry), entry.name)
        else:
            files, left = [_file(entry, (entry.name,))], []
    except InputError as error:
        return Submission(student, place, problem=str(error))
    except OSError as error:
        return Submission(student, place, problem=f"It cannot be read ({error.strerror or error}).")
    return _submission(student, place, files, left)


def _submission(student: str, place: str, files: list[_File], left: list[_Left]) -> Submission:
    notes = tuple(f"{shorten('/'.join(parts))} {why}" for parts, why in left)
    return Submission(student, place, tuple(files), notes, _problem(files))


def _problem(files: list[_File]) -> str:
    if any(_is_notebook(file) for file in files):
        return ""
    names = ", ".join(shorten("/".join(file.parts), 60) for file in files[:3]) or "nothing"
    return f"It holds no notebook (.ipynb), but {names}."


def _name(name: str, *, folder: bool) -> str:
    """Return a student's name from that of a file or folder."""
    stem = name if folder else Path(name).stem
    stem = _COPY.sub("", _MOODLE.sub("", stem)).strip()
    return unicodedata.normalize("NFC", stem.encode("utf-8", "backslashreplace").decode()) or name


def is_ignored(parts: tuple[str, ...]) -> bool:
    """Tell by the parts of its place whether a file is none of the student's: hidden, or the system's."""
    return any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db", "desktop.ini") for part in parts)


def _file(path: Path, parts: tuple[str, ...]) -> _File:
    return _File(parts, path.lstat().st_size, partial(_copy_file, path))


def _copy_file(path: Path, target: Path) -> None:
    """Copy a regular file; what has become a link in the meantime is refused."""
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(number, "rb") as source, target.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError("no regular file")
        _pour(source, copy)


def _pour(source: BinaryIO, copy: BinaryIO) -> None:
    left = _LARGEST
    while part := source.read(2**20):
        left -= len(part)
        if left < 0:
            raise OSError("too large")
        copy.write(part)


def _in_folder(folder: Path) -> tuple[list[_File], list[_Left]]:
    files, left = [], []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in [*folders, *sorted(names)]:
            path = Path(place, name)
            parts = path.relative_to(folder).parts
            if is_ignored(parts):
                continue
            if path.is_symlink():
                left.append((parts, _LINK))
            elif path.is_file():
                files.append(_file(path, parts))
            elif not path.is_dir():
                left.append((parts, "is not a regular file."))
            if len(files) > _MOST_IN_FOLDER:
                raise InputError(f"It holds more than {_MOST_IN_FOLDER:,} files.")
    if not any(_is_notebook(file) for file in files):  # a zip in a folder, as systems hand it on
        zips = [file for file in files if _is_zip(file)]
        if len(zips) == 1:
            inner, more = _in_zip(_opener(folder.joinpath(*zips[0].parts)), zips[0].parts[-1])
            return inner, left + more
    return files, left


def _is_notebook(file: _File) -> bool:
    return file.parts[-1].lower().endswith(".ipynb")


def _is_zip(file: _File) -> bool:
    return file.parts[-1].lower().endswith(".zip")


def _opener(path: Path) -> _Opener:
    return lambda: path.open("rb")


def _inner_opener(file: _File) -> _Opener:
    """Return what opens a zip inside a zip, by a copy that vanishes when it is closed."""

    def open_copy() -> BinaryIO:
        with TemporaryDirectory() as folder:
            target = Path(folder, "inner.zip")
            file.copy(target)
            return target.open("rb")

    return open_copy


def _in_zip(opener: _Opener, name: str) -> tuple[list[_File], list[_Left]]:
    files, left = [], []
    try:
        with opener() as opened, zipfile.ZipFile(opened) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise InputError(f"The zip {name!r} is damaged, or none ({error}).") from None
    if len(entries) > _MOST_ENTRIES:
        raise InputError(f"The zip {name!r} holds {len(entries):,} entries, more than a class hands in.")
    for entry in entries:
        parts = _parts(entry)
        if not parts or entry.is_dir() or entry.filename.endswith("\\") or is_ignored(parts):
            continue
        if stat.S_ISLNK(entry.external_attr >> 16):
            left.append((parts, _LINK))
        elif entry.flag_bits & 1:
            left.append((parts, "is encrypted; it cannot be read."))
        else:
            files.append(_File(parts, entry.file_size, partial(_extract, opener, entry)))
    return files, left


def _extract(opener: _Opener, entry: zipfile.ZipInfo, target: Path) -> None:
    with (
        opener() as opened,
        zipfile.ZipFile(opened) as archive,
        archive.open(entry) as source,
        target.open("xb") as copy,
    ):
        _pour(source, copy)


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return where a file of a zip belongs, as parts of a path that stays inside; Windows writes backslashes."""
    name = entry.filename
    if not entry.flag_bits & 0x800:  # the name is in an older encoding, or in UTF-8 without saying so
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = entry.filename
    parts = PureWindowsPath(name.replace("/", "\\")).parts
    return tuple(part for part in parts if part not in ("..", ".", "\\") and not part.endswith((":", "\\")))


def _in_class_zip(path: Path) -> list[Submission]:
    """Return the submissions of a zip: what stands at its first level, or the one that the zip is."""
    files, left = _in_zip(_opener(path), path.name)
    places = [*(file.parts for file in files), *(parts for parts, _ in left)]
    tops = {parts[0] for parts in places if len(parts) > 1}
    in_one = len(tops) == 1 and all(len(parts) > 1 for parts in places)
    notebooks = sum(_is_notebook(file) for file in files)
    if notebooks < 2 and not any(map(_is_zip, files)):
        place = tops.pop() if in_one else path.name
        return [_submission(_name(place, folder=in_one), place, files, left)] if places else []
    inside = 1 if in_one else 0
    groups: dict[str, tuple[list[_File], list[_Left]]] = {}
    for file in files:
        groups.setdefault(file.parts[inside], ([], []))[0].append(_inner(file, inside))
    for parts, why in left:
        groups.setdefault(parts[inside], ([], []))[1].append((parts, why))
    return [_of_group(place, *group) for place, group in groups.items()]


def _inner(file: _File, depth: int) -> _File:
    """Return a file relative to the folder so many levels down."""
    return _File(file.parts[depth:], file.size, file.copy)


def _of_group(place: str, files: list[_File], left: list[_Left]) -> Submission:
    single = len(files) == 1 and len(files[0].parts) == 1
    name = _name(place, folder=not single)
    if single and _is_zip(files[0]):
        try:
            files, more = _in_zip(_inner_opener(files[0]), place)
        except InputError as error:
            return Submission(name, place, problem=str(error))
        left = left + more
    elif not single:
        files = [_inner(file, 1) if len(file.parts) > 1 else file for file in files]
    return _submission(name, place, files, left)
