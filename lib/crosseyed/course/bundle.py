"""The whole course as one folder: what students get, what teachers get, and what grades."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosseyed.course import archives, gradescope, instructor, student
from crosseyed.course.labs import Lab
from crosseyed.editions import BUILD
from crosseyed.files import claim_folder, exchange
from crosseyed.workflow import processes

FOLDER = BUILD / "course"
"""Where the course is made, relative to the repository."""

KEPT = BUILD / "solutions"
"""Where executed solutions are kept."""

MAKER = "course"
"""The command that makes such folders."""

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
            f"the course is {self.folder}: {len(self.labs)} lab{'s' * (len(self.labs) != 1)}, {questions} questions\n"
            f"  for students: student/, or all in one: {self.archive.relative_to(self.folder)} ({size:.1f} MB)\n"
            "  for teachers: instructor/index.html\n"
            "  for Gradescope: the zips in autograder/"
        )


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
        Where it goes: new, empty, or with an older course, which is replaced when the new one is whole.
    repository : path
        From which the library's wheel is built, and the license taken.
    project : path, optional
        The project's folder.
    kept : path
        Where executed solutions are kept for the next time.
    say : callable
        Takes a line about what is being done.

    Raises
    ------
    InputError
        A lab is faulty, the folder holds something else or cannot be written to, or another process makes the course.
    CrosseyedError
        A solution does not run, or the wheel cannot be built.
    """
    folder = claim_folder(folder, MAKER)
    with processes.only_run(_LOCK, "Another run is making the course; wait for it.", wait=0):
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        claim_folder(new, MAKER)
        wheel = archives.build_wheel(repository, new)
        say("what students get")
        archive = student.write(new / "student", labs, repository, wheel, project)
        for lab in labs:
            say(f"what grades {lab.folder.name}")
            gradescope.write(new / "autograder" / lab.folder.name, lab, wheel)
        wheel.unlink()
        instructor.write(new / "instructor", labs, kept, say=say)
        exchange(new, folder)
    return Built(folder, tuple(labs), folder / archive.relative_to(new))
