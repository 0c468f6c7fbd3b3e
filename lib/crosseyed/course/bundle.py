"""The whole course as one folder: what students get, what teachers get, and what grades."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosseyed.course import archives, gradescope, instructor, source, student
from crosseyed.course.labs import Lab
from crosseyed.editions import BUILD
from crosseyed.errors import InputError, suggest
from crosseyed.files import exchange
from crosseyed.workflow import processes

LABS = Path("notebooks") / "labs"
"""Folder of the labs in the repository."""

PROJECT = student.PROJECT
"""Folder of the project among the labs."""

FOLDER = BUILD / "course"
"""Where the course is made, relative to the repository."""

KEPT = BUILD / "solutions"
"""Where executed solutions are kept."""

_LOCK = ".course"  # no edition has such a name


@dataclass(frozen=True)
class Built:
    """A course as it was made."""

    folder: Path
    labs: tuple[Lab, ...]
    archive: Path
    """The zip for students."""

    def __str__(self) -> str:
        """Say where everything is."""
        size = self.archive.stat().st_size / 1e6
        questions = sum(len(lab.questions) for lab in self.labs)
        return (
            f"the course is {self.folder}: {len(self.labs)} labs, {questions} questions\n"
            f"  for students: student/, or all in one: {self.archive.relative_to(self.folder)} ({size:.1f} MB)\n"
            "  for teachers: instructor/index.html\n"
            "  for Gradescope: the zips in autograder/"
        )


def read_labs(folder: Path, names: Sequence[str] = (), data: Path | None = None) -> tuple[Lab, ...]:
    """Read labs from the folder of all.

    Parameters
    ----------
    folder : path
        Holds a folder for each lab.
    names : sequence of str
        Names of labs or of their folders; all labs, if not given.
    data : path, optional
        As for `crosseyed.course.source.read`.

    Raises
    ------
    InputError
        There is no lab, or none of such a name, or one is faulty.
    """
    labs = tuple(source.read(path.parent, data) for path in sorted(folder.glob("[!.]*/lab.py")))
    if not labs:
        raise InputError(f"{str(folder)!r} has no lab; a lab is a folder with a file lab.py in it.")
    if len({lab.name for lab in labs}) < len(labs):
        raise InputError(f"Two labs in {str(folder)!r} have one name; rename one in its header.")
    known = {name: lab for lab in labs for name in (lab.name, lab.folder.name)}
    for name in names:
        if name not in known:
            near = suggest(name, known) or "."
            raise InputError(
                f"There is no lab {name!r}{near} Choose from {', '.join(lab.name for lab in labs)}."
            )
    return tuple(lab for lab in labs if not names or {lab.name, lab.folder.name} & set(names))


def build(
    labs: Sequence[Lab],
    folder: Path = FOLDER,
    *,
    repository: Path = Path(),
    project: Path | None = None,
    kept: Path = KEPT,
    say: Callable[[str], None] = print,
) -> Built:
    """Make the course, whole or not at all.

    Parameters
    ----------
    labs : sequence of Lab
        Which.
    folder : path
        Where it goes; an older one is replaced when the new one is whole.
    repository : path
        From which the library's wheel is built.
    project : path, optional
        The project's folder.
    kept : path
        Where executed solutions are kept for the next time.
    say : callable
        Takes a line about what is being done.

    Raises
    ------
    InputError
        A lab is faulty, the folder cannot be written to, or another process makes the course.
    CrosseyedError
        A solution does not run, or the wheel cannot be built.
    """
    with processes.only_run(_LOCK, "Another run is making the course; wait for it.", wait=0):
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        say("what students get")
        archive = student.write(_made(new / "student"), labs, repository, project)
        wheel = archives.build_wheel(repository, new)
        for lab in labs:
            say(f"what grades {lab.folder.name}")
            gradescope.write(new / "autograder" / lab.folder.name, lab, wheel)
        wheel.unlink()
        for lab in labs:
            say(f"the solutions of {lab.folder.name}")
            instructor.execute(lab, kept)
        instructor.write(new / "instructor", labs, kept)
        exchange(new, folder)
    return Built(folder, tuple(labs), folder / archive.relative_to(new))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
