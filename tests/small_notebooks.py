"""Notebooks of a few cells that need no model."""

import nbformat


def write_notebook(path, *cells):
    """Write a notebook with the parameters of a chapter and the given code cells."""
    defaults = 'model = "none"\npretrained = "none"\nseed = 0\noutput = "none"'
    parameters = nbformat.v4.new_code_cell(defaults)
    parameters.metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=[parameters, *map(nbformat.v4.new_code_cell, cells)])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
