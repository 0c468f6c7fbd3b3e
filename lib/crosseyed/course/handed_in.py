"""A notebook as a student handed it in: found in its folder and read, whatever was done to it; nothing is executed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosseyed.course.labs import KEY, Lab
from crosseyed.course.submissions import is_ignored
from crosseyed.errors import InputError, shorten

_LARGEST = 100 * 2**20  # bytes of a notebook
_MOST_CODE = 4 * 2**20  # characters
_LONG = "# long:"  # the first words of a cell that grading skips


@dataclass(frozen=True)
class Notebook:
    """What is taken from a notebook.

    Attributes
    ----------
    cells : tuple of (int, str)
        Code cells that are run: number among all cells, from 1, and code.
    texts : mapping
        By question, what is written in its Markdown cells for an answer.
    notes : tuple of str
        What is unusual about it.
    """

    cells: tuple[tuple[int, str], ...]
    texts: Mapping[str, str]
    notes: tuple[str, ...]

    def text(self, question: str) -> str:
        """Return what is written below a question; ``""`` if nothing."""
        return self.texts.get(question, "")


def read(folder: Path, lab: Lab) -> Notebook:
    """Return the notebook of a lab in a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Holds what was handed in, the notebook as `choose` finds it.
    lab : Lab
        The lab that is graded.

    Raises
    ------
    InputError
        There is no notebook, it cannot be read, or it is of another lab; the message is for teacher and student.
    """
    path, notes = choose(folder, lab)
    tree = _parse(path)
    metadata = _mapping(tree.get("metadata")).get(KEY)
    notes += _compare(_mapping(metadata), lab)
    cells: list[tuple[int, str]] = []
    texts: dict[str, str] = {}
    for number, cell in enumerate(_cells(tree), 1):
        source = _source(cell)
        if cell.get("cell_type") == "code" and source.strip() and not _is_long(cell, source):
            cells.append((number, source))
        elif cell.get("cell_type") == "markdown" and (question := _answered(cell, lab)):
            texts[question] = f"{texts[question]}\n\n{source}" if question in texts else source
    if not cells:
        raise InputError(f"The notebook {path.name!r} has no code.")
    if sum(len(code) for _, code in cells) > _MOST_CODE:
        raise InputError(
            f"The notebook {path.name!r} has more code than the {_MOST_CODE:,} characters that are run."
        )
    return Notebook(tuple(cells), texts, tuple(notes))


def choose(folder: Path, lab: Lab) -> tuple[Path, list[str]]:
    """Return the notebook in a folder that is graded, and notes if there are several; raise InputError for none."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() == ".ipynb"
        and path.is_file()
        and not path.is_symlink()
        and not is_ignored(path.relative_to(folder).parts)
    )
    if not found:
        raise InputError("There is no notebook (.ipynb) in what was handed in.")
    if len(found) == 1:
        return found[0], []
    own = [path for path in found if _is_of(path, lab)] or found
    named = [path for path in own if path.stem == lab.name] or own
    best = min(named, key=lambda path: (len(path.parts), path))
    return best, [
        f"{len(found)} notebooks were handed in; {best.relative_to(folder).as_posix()!r} is graded."
    ]


def _is_of(path: Path, lab: Lab) -> bool:
    try:
        metadata = _mapping(_parse(path).get("metadata"))
    except InputError:
        return False
    return _mapping(metadata.get(KEY)).get("lab") == lab.name


def _parse(path: Path) -> dict[str, Any]:
    """Return the tree of a notebook, in format 4."""
    import nbformat

    size = os.path.getsize(path)
    if size > _LARGEST:
        raise InputError(f"The notebook {path.name!r} has {size / 2**20:,.0f} MB; clear its outputs.")
    if not size:
        raise InputError(f"The notebook {path.name!r} is empty.")
    try:
        tree = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
    except (OSError, MemoryError) as error:
        raise InputError(f"The notebook {path.name!r} cannot be read ({type(error).__name__}).") from None
    except Exception:  # of whatever in it is not as it should be, nbformat's own errors and others
        raise InputError(f"{path.name!r} is not a notebook, or is damaged.") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("cells"), list):
        raise InputError(f"{path.name!r} is not a notebook: it has no cells.")
    return tree


def _compare(metadata: Mapping[str, Any], lab: Lab) -> list[str]:
    """Return notes on a notebook's own word on which lab it is."""
    name, version = metadata.get("lab"), metadata.get("version")
    if name is None:
        return ["The notebook does not say which lab it is: it was made anew, or its metadata were removed."]
    if name != lab.name:
        raise InputError(f"This is the notebook of the lab {shorten(name, 40)}, and {lab.name!r} is graded.")
    if version != lab.version:
        return [
            f"The notebook is of version {shorten(version, 20)} of the lab, and version {lab.version} is graded."
        ]
    return []


def _cells(tree: dict[str, Any]) -> list[Mapping[str, Any]]:
    return [_mapping(cell) for cell in tree["cells"]]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _source(cell: Mapping[str, Any]) -> str:
    source = cell.get("source")
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def _is_long(cell: Mapping[str, Any], source: str) -> bool:
    tags = _mapping(cell.get("metadata")).get("tags")
    return (isinstance(tags, list) and "long" in tags) or source.lstrip().lower().startswith(_LONG)


def _answered(cell: Mapping[str, Any], lab: Lab) -> str:
    """Return the question that a Markdown cell answers, by its metadata or its identifier; ``""`` for none."""
    ours = _mapping(_mapping(cell.get("metadata")).get(KEY))
    if ours:
        question = ours.get("question")
        return (
            question
            if ours.get("role") == "answer" and question in [each.name for each in lab.questions]
            else ""
        )
    identifier = str(cell.get("id", ""))
    return next((each.name for each in lab.questions if identifier.startswith(f"{each.name}-answer-")), "")
