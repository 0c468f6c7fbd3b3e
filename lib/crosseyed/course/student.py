"""What students get: a folder for each lab, and one zip with all of them, the library, cut-outs and models."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pandas as pd

from crosseyed import __version__
from crosseyed.course import archives, handout, projects
from crosseyed.course.labs import DATA_FOLDER, Lab
from crosseyed.files import DATA

ARCHIVE = "crosseyed-course"
"""Name of the zip without its suffix, and of the folder in it."""

PROJECT = "project"
"""Name of the project's folder."""

_ENVIRONMENT = "environment.md"
_MEASURED = DATA / "course" / "setup.csv"
_GB, _MB = 1e9, 1e6


def write(folder: Path, labs: Sequence[Lab], repository: Path, wheel: Path, project: Path | None) -> Path:
    """Write the folders of labs and the zip.

    Parameters
    ----------
    folder : path
        Where they go; new or empty.
    labs : sequence of Lab
        Which.
    repository : path
        It has the license.
    wheel : path
        The library.
    project : path, optional
        The project's folder.

    Returns
    -------
    path
        The zip.
    """
    inside = folder / ".archive"
    for lab in labs:
        write_lab(folder / lab.folder.name, lab)
    if project is not None:
        projects.write(folder / PROJECT, project)
    for place in sorted(path for path in folder.iterdir() if path.name != inside.name):
        shutil.copytree(place, inside / "labs" / place.name)
    (inside / "install").mkdir()
    shutil.copyfile(wheel, inside / "install" / wheel.name)
    of_project = projects.MODELS if project is not None else ()
    archives.copy_data(inside / "data", [*of_project, *(model for lab in labs for model in lab.models)])
    shutil.copyfile(repository / "LICENSE", inside / "LICENSE")
    text = readme(labs, size_of(inside))
    for place in (inside, folder):
        (place / "README.md").write_text(text, encoding="utf-8")
    archive = archives.write_zip(inside, folder / f"{ARCHIVE}.zip", ARCHIVE)
    shutil.rmtree(inside)
    return archive


def write_lab(folder: Path, lab: Lab) -> None:
    """Write what a student needs for one lab into a folder: notebook, data, and a note on the environment."""
    lab.copy_data(folder)
    nbformat.write(handout.student_notebook(lab), folder / handout.file_name(lab))
    (folder / _ENVIRONMENT).write_text(environment_note(lab), encoding="utf-8")


def environment_note(lab: Lab) -> str:
    """Return in Markdown what a lab needs, and how it is handed in."""
    models = ", ".join(lab.models) or "none"
    data = ", ".join(f"`{DATA_FOLDER}/{file.name}`" for file in lab.data) or "none"
    return (
        f"# {lab.title}\n\n"
        f"- Notebook: `{handout.file_name(lab)}`, version {lab.version}, about {lab.minutes} minutes of your time.\n"
        f"- Needs: Python 3.11 or newer with `crosseyed` {__version__} and its extra `course`, installed as the "
        f"`README.md` of `{ARCHIVE}.zip` says. No graphics card, and no network once it is installed.\n"
        f"- Models: {models}. Tables: {data}.\n"
        "- Where to open it: in the unzipped folder, where the library finds cut-outs and models by itself. If you "
        f"move the notebook, let the environment variable `CROSSEYED_DATA` name the folder `data` of the zip.\n"
        f"- Hand in: the saved notebook `{handout.file_name(lab)}`, and nothing else. Keep the cells as they are; add "
        "as many of your own as you like.\n"
    )


def readme(labs: Sequence[Lab], size: int) -> str:
    """Return in Markdown how a student sets up, and how much disk that takes.

    Parameters
    ----------
    labs : sequence of Lab
        What is in the zip.
    size : int
        Bytes of the unzipped content.
    """
    once = pd.read_csv(_MEASURED).iloc[0]
    rows = "\n".join(f"| `labs/{lab.folder.name}` | {lab.title} | {lab.minutes} |" for lab in labs)
    return f"""# Labs of the study of center bias

## Set up, once

You need Python 3.11 or newer and a network for this step only. In the unzipped folder `{ARCHIVE}`:

```
python3 -m venv .venv
.venv/bin/python -m pip install "install/crosseyed-{__version__}-py3-none-any.whl[course]" jupyterlab
```

On Windows write `.venv\\Scripts\\python` for `.venv/bin/python`. Any torch from 2.8 will do. To check that all is in
place:

```
.venv/bin/python -c "from crosseyed.data.cutouts import read_catalogue; print(len(read_catalogue()), 'cut-outs found')"
```

How large it is: this folder takes {size / _MB:.0f} MB. Measured once ({once["date"]}, {once["system"]} with
{once["cores"]} cores, Python {once["python"]}, torch {once["torch"]}), the second command installed
{once["distributions"]} packages: a download of {once["download"] / _GB:.1f} GB and {once["size"] / _GB:.1f} GB on disk,
of which torch and what it brings take {once["torch_size"] / _GB:.1f} GB. It took {once["seconds"] / 60:.0f} minutes
with the packages near by; otherwise the download decides. A torch for processors only is much smaller and enough; if it
is in the environment already, pip keeps it.

## Work

```
.venv/bin/python -m jupyter lab labs
```

| folder | lab | minutes |
|---|---|---|
{rows}

Each folder has a notebook, its tables in `data`, and a note `environment.md`. Open the notebook where it lies: the
library finds the folder `data` of cut-outs and models above it. Write where you see `...`, and run `grader.check` below
each question. Hand in the saved notebook alone.
"""


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
