"""Notebooks of a few cells that need no model, and what the repository's notebooks are given."""

import ast
from pathlib import Path

import nbformat

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def defaults(chapter):
    """Return what the parameters cell of a notebook of the repository says."""
    cells = nbformat.read(NOTEBOOKS / f"{chapter}.ipynb", as_version=4).cells
    (cell,) = (each for each in cells if "parameters" in each.metadata.get("tags", []))
    return {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}


def write_notebook(path, *cells):
    """Write a notebook with the parameters of a chapter and the given code cells."""
    defaults = 'model = "none"\npretrained = "none"\nseed = 0\noutput = "none"'
    parameters = nbformat.v4.new_code_cell(defaults)
    parameters.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, cells)])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
