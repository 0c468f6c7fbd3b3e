"""The project: its rules and rubric, a template for the report, and a worked example, which is executed here."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from crosseyed.course import instructor
from crosseyed.files import require_file, visible_files

MODELS = ("pocketclip-centered", "pocketclip-uniform")
"""Shipped models that the example loads."""

_EXAMPLE = "example.py"


def write(folder: Path, project: Path) -> None:
    """Write what students get for the project: rules, template, and the example with its outputs.

    Parameters
    ----------
    folder : path
        New.
    project : path
        The sources: ``README.md``, and notebooks in jupytext's percent format.

    Raises
    ------
    CrosseyedError
        The example does not run.
    """
    import jupytext

    folder.mkdir(parents=True)
    shutil.copyfile(require_file(project / "README.md", "the project's rules"), folder / "README.md")
    for path in visible_files(project, ".py"):
        notebook = jupytext.read(path, fmt="py:percent")
        notebook.metadata.pop("jupytext", None)
        for number, cell in enumerate(notebook.cells, 1):
            cell.id = f"{path.stem}-{number}"
        if path.name == _EXAMPLE:
            with TemporaryDirectory() as place:
                instructor.run(notebook, Path(place), "the project's example")
        nbformat.write(notebook, folder / f"{path.stem}.ipynb")
