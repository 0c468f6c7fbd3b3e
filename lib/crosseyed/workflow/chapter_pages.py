"""Turn executed notebooks into pages for readers: question, figure and numbers first, and the code one click away."""

import ast
import re
import shutil
from itertools import takewhile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from crosseyed.explorer.format import SCRIPT
from crosseyed.workflow.verdict_pages import FOLDER, copy_table

EXTRA = "extra"
"""Folder among the pages whose content goes unchanged to the top of the book (Sphinx's ``html_extra_path``)."""

SOLUTION = "solution"
"""Tag of the cells of a solution. The whole solution is folded (`crosseyed.workflow.exercises`), so its code is not."""

_SETUP = {"parameters", "injected-parameters"}

_TABLE_LINK = re.compile(rf'href="\.\./{FOLDER}/([\w-]+/[\w-]+\.csv)"')


def stage(notebooks: Path, results: Path, pages: Path, code_shown: bool) -> None:
    """Put the executed notebooks of an edition among the pages, with the tables that they link to.

    Parameters
    ----------
    notebooks, results : Path
        The executed notebooks, and the tables of all chapters.
    pages : Path
        Gets ``notebooks`` and ``extra``.
    code_shown : bool
        Whether the pages show all code at once.
    """
    for folder in ("notebooks", EXTRA):
        (pages / folder).mkdir()
    _put_explorer(results, pages)
    for file in sorted(notebooks.glob("*.ipynb")):
        notebook = nbformat.read(file, as_version=4)
        for table in sorted(linked_tables(notebook)):
            copy_table(results, table, pages / EXTRA)
        nbformat.write(for_readers(notebook, code_shown), pages / "notebooks" / file.name)


def _put_explorer(results: Path, pages: Path) -> None:
    """Put the data of the page "Move it yourself" where its scripts look for it, and those where no other page is.

    Jupyter Book loads all scripts and styles among its static files on every page, so what one page loads by itself
    must not be among them. An edition whose chapter wrote no data has none, as the page then says.
    """
    static = pages / EXTRA / "_static"
    for file in sorted((pages / "_static").glob("explorer*")):
        static.mkdir(exist_ok=True)
        file.rename(static / file.name)
    for data in sorted(results.glob(f"*/{SCRIPT}"))[:1]:
        (pages / EXTRA / SCRIPT).parent.mkdir()
        shutil.copyfile(data, pages / EXTRA / SCRIPT)


def for_readers(notebook: NotebookNode, code_shown: bool = False) -> NotebookNode:
    """Join the cells that set a chapter up, fold the code beside what it makes, and describe the figures in words.

    Parameters
    ----------
    notebook : NotebookNode
        Executed; it is changed.
    code_shown : bool
        Whether code is left unfolded.

    Returns
    -------
    NotebookNode
        The same notebook. Its parameters, those that papermill put in and the imports after them are one cell. Where
        code is folded, cells without an output are joined with the next one that has some, so that nothing can be
        unfolded that leads to nothing; cells of solutions stay as they are. An image has the text that the figure gives
        for itself as its alternative text (`crosseyed.report.figures.style`).
    """
    notebook.cells = _with_one_setup(notebook.cells)
    if not code_shown:
        notebook.cells = _with_outputs(notebook.cells)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if not code_shown and SOLUTION not in _tags(cell):
                cell.metadata.setdefault("tags", []).append("hide-input")
            described = [_alternative(output) for output in cell.outputs]
            if any(described):
                text = " ".join(filter(None, described))
                cell.metadata["mystnb"] = {"image": {"alt": text}}
    return notebook


def linked_tables(notebook: NotebookNode) -> set[str]:
    """Return the tables that outputs of a notebook link to, such as ``"01_center_bias/bias.csv"``."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    return {table for page in pages for table in _TABLE_LINK.findall(page)}


def _with_one_setup(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Return the cells, those of the set-up as one; as they are, if one of them is missing or has an output."""
    first = next((number for number, cell in enumerate(cells) if _SETUP & _tags(cell)), None)
    if first is None:
        return cells
    parameters = [*takewhile(lambda cell: _SETUP & _tags(cell), cells[first:])]
    setup = [*parameters, *takewhile(_only_imports, cells[first + len(parameters) :])]
    if any(cell.outputs for cell in setup):
        return cells
    joined = cells[first].copy()
    joined.source = "\n\n".join(cell.source for cell in setup)
    joined.metadata = NotebookNode()
    return [*cells[:first], joined, *cells[first + len(setup) :]]


def _only_imports(cell: NotebookNode) -> bool:
    if cell.cell_type != "code":
        return False
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError:  # it has a command of IPython
        return False
    return all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements)


def _with_outputs(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Return the cells, code without an output at the beginning of the next that has one; a rest stays at the end."""
    joined, waiting = [], []
    for cell in cells:
        if cell.cell_type != "code" or _tags(cell) & {"remove-cell", SOLUTION}:
            joined.append(cell)
        elif not cell.outputs:
            waiting.append(cell)
        else:
            cell.source = "\n\n".join(each.source for each in [*waiting, cell])
            joined.append(cell)
            waiting = []
    if waiting:
        waiting[-1].source = "\n\n".join(each.source for each in waiting)
    return [*joined, *waiting[-1:]]


def _tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def _alternative(output: NotebookNode) -> str:
    """Return what an output says of its image in words; nothing where it has none."""
    data = output.get("data", {})
    if not any(kind.startswith("image/") for kind in data):
        return ""
    return " ".join("".join(data.get("text/plain", "")).split())
