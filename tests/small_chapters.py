"""The notebooks about a model, with so few samples that a test can execute them in its own process."""

import ast
import json

import matplotlib as mpl
from matplotlib import pyplot as plt
from small_notebooks import NOTEBOOKS

mpl.use("Agg")

CHAPTERS = (
    "01_center_bias",
    "02_embedding_decomposition",
    "03_attention_maps",
    "04_pooling_ablation",
    "05_mitigations",
    "08_robustness",
    "09_move_it_yourself",
)
SMALL = {
    "n_objects": 4,
    "n_control_objects": 3,
    "n_explained": 1,
    "settings": {"grid_size": 3, "resamples": 100},
    "n_concepts": 60,
    "n_exchanged": 3,
    "n_test": 4,
    "n_validation": 4,
    "n_training": 4,
    "scenes_per_object": 4,
    "n_maps": 2,
    "references": [],
    "top": 5,
    "n_images": 1,
    "n_off_center": 1,
    "n_names": [2],
    "object_sizes": [0.2],
    "grid_sizes": [5],
    "n_crowd": [1, 3],
    "resolutions": [1.5],
    "n_places": [5, 3],
    "n_mitigated": 1,
}


def execute(chapter, names, given, small=SMALL):
    """Execute the cells of a notebook in `names`, its parameters those of `small` that it has, and those given."""
    for cell in json.loads((NOTEBOOKS / f"{chapter}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            _run("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names |= {key: value for key, value in small.items() if key in names} | given


def _run(source, names):
    """Execute a cell and show its last expression, as Jupyter does."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
        getattr(value, "_repr_html_", lambda: repr(value))()
    plt.close("all")
