"""Cells of notebooks are short: what takes more lines is a function of the library, and tested."""

import ast
import json

import pytest
from small_notebooks import NOTEBOOKS

MOST_LINES = 10


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[!.]*.ipynb")), ids=lambda path: path.stem)
def test_a_cell_has_at_most_ten_lines_and_that_of_parameters_a_line_for_each(path):
    for cell in code_cells(path):
        lines = [line for line in cell["source"].splitlines() if line.strip()]
        if "parameters" in cell["metadata"].get("tags", []):
            stated = ast.parse(cell["source"]).body
            assert all(isinstance(each, ast.Assign) and each.lineno == each.end_lineno for each in stated)
        else:
            assert len(lines) <= MOST_LINES, f"{path.name}, cell {cell['id']}: {len(lines)} lines"
