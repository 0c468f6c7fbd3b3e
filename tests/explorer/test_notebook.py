"""What stands in the place of the explorer is text and a figure, and its scripts come in their order."""

import ast
from pathlib import Path

import nbformat
import pandas as pd
from matplotlib import pyplot as plt

from crosseyed.explorer import notebook
from crosseyed.report.figures import galleries, style
from crosseyed.settings import settings
from crosseyed.workflow.notebooks import reads

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "09_move_it_yourself.ipynb"


def test_names_are_text_and_scripts_follow_the_place_that_they_fill():
    figure = galleries.images([[[0.0, 1.0]]], title='A "<b>" model')
    html = notebook.container(figure, "<i> & others see less.").data
    assert f'<img src="{style.data_uri(*style.smaller(figure))}"' in html
    plt.close("all")
    assert "<b>" not in html
    assert "<i>" not in html
    assert "A &quot;&lt;b&gt;&quot; model" in html
    assert "&lt;i&gt; &amp; others see less." in html
    order = [
        html.index(each)
        for each in (
            '<div id="explorer"',
            "../explorer/data.js",
            "../_static/explorer-view.js",
            "../_static/explorer-lookup.js",
            "../_static/explorer.js",
        )
    ]
    assert order == sorted(order)


def test_the_sentence_has_its_numbers_and_their_n():
    bias = pd.Series(
        {
            "background": "photo",
            "center_accuracy": 75.2,
            "off_center_accuracy": 50.4,
            "gap": 24.8,
            "gap_low": 10.0,
            "gap_high": 31.23,
            "n_objects": 24,
            "n_center": 96,
            "n_off_center": 7680,
        },
        dtype=object,
    )
    assert notebook.finding("a", bias) == (
        "On the photo background a names 75 % of 24 objects correctly at the center of the image (96 images) and 50 % "
        f"at all other places (7,680 images): a gap of 25 percentage points ({settings.interval} 10.0 to 31.2)."
    )


def test_the_notebook_states_all_modules_of_the_package_that_it_imports():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    waiting = ["\n".join(cell.source for cell in cells if cell.cell_type == "code")]
    found = set()
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("crosseyed.explorer"):
                for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                    path = f"lib/{name.replace('.', '/')}.py"
                    if path not in found and (ROOT / path).is_file():
                        found.add(path)
                        waiting.append((ROOT / path).read_text(encoding="utf-8"))
    assert sorted(found) == reads(NOTEBOOK)
