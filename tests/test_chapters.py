"""Every chapter about a model, executed from its first cell to its last on a small random tower of every family."""

import ast
import dataclasses
import json
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from small_models import build_open_clip, build_timm

from crosseyed import files
from crosseyed.models import loading
from crosseyed.report.tables import check_complete
from crosseyed.settings import settings

mpl.use("Agg")

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CHAPTERS = (
    "01_center_bias",
    "02_embedding_decomposition",
    "03_attention_maps",
    "04_pooling_ablation",
    "05_mitigations",
)
FAMILIES = {
    "class token": build_open_clip,
    "ResNet": build_open_clip,
    "SigLIP": build_timm,
    "EVA-02": build_timm,
    "ConvNeXt": build_timm,
    "Swin": build_timm,
    "FastViT": build_timm,
}
QUICK = (
    "class token",
    "ConvNeXt",
)  # the most and the least of what a tower supports; the others are slow tests
SMALL = {
    "n_objects": 4,
    "n_control_objects": 3,
    "n_explained": 1,
    "settings": {"grid_size": 3, "resamples": 1000},
    "n_concepts": 60,
    "n_test": 4,
    "n_validation": 4,
    "n_training": 4,
    "scenes_per_object": 4,
    "n_maps": 2,
    "references": [],
    "top": 5,
}


@pytest.mark.parametrize(
    "family", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in FAMILIES]
)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_for_a_family(chapter, family, tiny_clip, tmp_path, monkeypatch):
    tower = dataclasses.replace(FAMILIES[family](tiny_clip, family), model=family, name=family)
    load = loading.load
    monkeypatch.setattr(loading, "load", lambda name, **given: tower if name == family else load(name))
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    names, folder = {"__name__": "__main__"}, tmp_path / "results"
    with settings.overridden():
        execute(chapter, names, {"model": family, "output": str(folder)})
    check_complete(folder, chapter)


def execute(chapter, names, given):
    """Execute the cells of a notebook, its parameters those of `SMALL` and of the case."""
    for cell in json.loads((NOTEBOOKS / f"{chapter}.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            run("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                small = {key: value for key, value in SMALL.items() if key in names}
                names |= small | given


def run(source, names):
    """Execute a cell and show its last expression, as Jupyter does."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is not None:
        repr(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    plt.close("all")
