"""Make one edition of the book: describe its model, copy the pages and notebooks together, render them.

The pages in ``book/`` are the same for every edition. What differs is filled in as MyST substitutions, such
as ``{{ model }}`` or ``{{ finding }}``, and as the banner above each page.
"""

import ast
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from crosseyed.editions import Edition
from crosseyed.errors import CrosseyedError
from crosseyed.files import atomic_write

PAGES = Path("book")
CONFIGURATION = Path("_config.yml")
PACKAGE = Path("lib/crosseyed")


class BookError(CrosseyedError):
    """The pages of a book could not be rendered without a warning."""


def render_book(edition: Edition, folder: str | os.PathLike) -> None:
    """Render an edition whose notebooks are executed as HTML, whole or not at all.

    Parameters
    ----------
    edition : Edition
        The model that the notebooks were executed for.
    folder : path
        Folder of the edition, with executed notebooks in ``notebooks`` and their tables in ``results``. The
        pages are put together in ``source``; the book goes to ``html``.

    Raises
    ------
    BookError
        Sphinx warned of something; the message holds its warnings.
    """
    folder = Path(folder)
    source, output = folder / "source", folder / "html"
    stage_pages(edition, folder, source)
    run = subprocess.run(
        [*_JUPYTER_BOOK, "build", source, "--config", source / "_config.yml", *_WARNINGS_ARE_ERRORS],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    log = _without_color(run.stdout)
    with atomic_write(folder / "book.log") as file:
        file.write_text(log, encoding="utf-8")
    if run.returncode:
        problems = [line for line in log.splitlines() if re.search("WARNING|ERROR|Error:", line)]
        told = "\n".join(dict.fromkeys(problems)) or log[-2000:]
        raise BookError(
            f"the book of {edition.name} was not rendered; all is in {folder / 'book.log'}:\n{told}"
        )
    shutil.rmtree(output, ignore_errors=True)
    os.replace(source / "_build" / "html", output)


_JUPYTER_BOOK = (sys.executable, "-c", "from jupyter_book.cli.main import main; main()")
_WARNINGS_ARE_ERRORS = ("--warningiserror", "--keep-going", "--all")


def stage_pages(edition: Edition, folder: Path, source: Path) -> None:
    """Copy the pages, the executed notebooks and the configuration of an edition into one folder for Sphinx.

    Parameters
    ----------
    edition : Edition
        What the pages say that they were made for.
    folder : pathlib.Path
        Folder of the edition, with ``notebooks`` and ``results``.
    source : pathlib.Path
        The folder to make; an older one is replaced.
    """
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(PAGES, source)
    shutil.copytree(folder / "notebooks", source / "notebooks")
    write_api_pages(PACKAGE, source / "api")
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    configuration["html"]["announcement"] = banner(edition)
    configuration["sphinx"]["config"]["myst_substitutions"] = {
        "edition": edition.name,
        "model": edition.model,
        "origin": origin(edition),
        "modules": module_table(PACKAGE),
        "finding": finding(folder / "results"),
    }
    (source / "_config.yml").write_text(yaml.safe_dump(configuration, allow_unicode=True), encoding="utf-8")


def origin(edition: Edition) -> str:
    """Say in words which model the numbers of an edition come from.

    Parameters
    ----------
    edition : Edition
        The edition.

    Returns
    -------
    str
        A clause that fits after "computed with".
    """
    if edition.model.startswith("pocketclip-"):
        return f"{edition.model}, a small model of this project's own and not a published CLIP"
    if edition.pretrained == "random" and not edition.checkpoint:
        return f"{edition.model} with random weights, which knows nothing"
    if edition.checkpoint:
        return f"{edition.model} with the weights of {Path(edition.checkpoint).name}"
    return f"{edition.model} with the weights {edition.pretrained}" if edition.pretrained else edition.model


def banner(edition: Edition) -> str:
    """Return the HTML of the banner above each page.

    Parameters
    ----------
    edition : Edition
        The edition.

    Returns
    -------
    str
        HTML that names the edition and its model.
    """
    text = f"numbers computed with {origin(edition)}"
    return f"Edition <b>{html.escape(edition.name)}</b>: {html.escape(text)}"


def module_table(package: Path) -> str:
    """Return a table of the modules of a package, each with the first sentence of its docstring and a link.

    Parameters
    ----------
    package : pathlib.Path
        Folder of the package.

    Returns
    -------
    str
        A MyST table.
    """
    rows = [
        f"| {{doc}}`{name} </api/{name}>` | {_first_sentence(text)} |"
        for name, text in _modules(package).items()
    ]
    return "\n".join(["| module | its one job |", "|---|---|", *rows])


def write_api_pages(package: Path, folder: Path) -> None:
    """Write a page for each module of a package that takes its content from the docstrings.

    Parameters
    ----------
    package : pathlib.Path
        Folder of the package.
    folder : pathlib.Path
        Where the pages go.
    """
    folder.mkdir(parents=True)
    for name in _modules(package):
        title = f"{package.name}.{name}"
        directive = f"```{{eval-rst}}\n.. automodule:: {title}\n   :members:\n```\n"
        (folder / f"{name}.md").write_text(f"# {title}\n\n{directive}", encoding="utf-8")


def finding(results: Path) -> str:
    """Put the finding of an edition into words, computed from its tables.

    Parameters
    ----------
    results : pathlib.Path
        Folder with the tables of each notebook.

    Returns
    -------
    str
        MyST text.
    """
    return ""


def _modules(package: Path) -> dict[str, str]:
    files = sorted(path for path in package.glob("*.py") if not path.stem.startswith("_"))
    return {path.stem: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in files}


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.) ", paragraph)[0].replace("|", r"\|")


def _without_color(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
