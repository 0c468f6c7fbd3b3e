"""Each size of an edition is what its name says, and smaller ones are part of larger ones."""

import ast
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
from small_notebooks import NOTEBOOKS, defaults

from crosseyed.data import arrangements, layouts
from crosseyed.data.backgrounds import BACKGROUNDS
from crosseyed.data.cutouts import Cutout
from crosseyed.data.scenes import Scene
from crosseyed.editions import SIZES
from crosseyed.errors import InputError
from crosseyed.mitigations.tasks import Task
from crosseyed.report.parameters import CHAPTERS, check
from crosseyed.report.sizes import PRESETS, preset
from crosseyed.settings import settings


@pytest.mark.parametrize("chapter", PRESETS)
def test_the_defaults_of_a_notebook_are_its_full_size(chapter):
    given = defaults(chapter)
    assert {name: given[name] for name in PRESETS[chapter]["full"]} == PRESETS[chapter]["full"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_a_size_gives_a_notebook_are_parameters_of_it(chapter, size):
    check(chapter, defaults(chapter) | preset(chapter, size))


@pytest.mark.parametrize("chapter", PRESETS)
def test_a_larger_size_takes_at_least_as_much_of_everything(chapter):
    sizes = [PRESETS[chapter][size] for size in SIZES]
    assert list(PRESETS[chapter]) == list(SIZES)
    for smaller, larger in pairwise(sizes):
        assert smaller.keys() == larger.keys()
        for name, amount in smaller.items():
            if name == "n_places":
                assert all(few <= many for few, many in zip(amount, larger[name], strict=True))
            elif isinstance(amount, list):
                assert set(amount) <= set(larger[name])
            else:
                assert amount <= larger[name]


def test_a_size_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Unknown size 'qick'; did you mean 'quick'"):
        preset("01_center_bias", "qick")


def test_a_notebook_of_ones_own_has_no_presets():
    assert preset("09_mine", "quick") == {}


SHOWN = {
    "01_center_bias": ["grid_scenes", "slide_scenes", "pair_scenes", "both_places", "control_cutouts"],
    "02_embedding_decomposition": ["scenes", "moving"],
    "03_attention_maps": ["scenes", "explained"],
    "04_pooling_ablation": ["test_task", "validation_task", "sets"],
    "05_mitigations": ["validation", "test", "new"],
    "08_robustness": ["scenes", "side_scenes", "crowd_scenes", "sample", "shown_few", "thin", "around"],
    "09_move_it_yourself": ["scenes", "pair_scenes", "mitigated_scenes"],
}
"""By chapter the variables that hold what is shown: scenes, cut-outs, tasks, or collections of them."""


@pytest.mark.parametrize("chapter", SHOWN)
def test_what_a_smaller_size_shows_is_part_of_what_a_larger_one_shows(chapter, monkeypatch):
    monkeypatch.setattr(Scene, "render", lambda scene: None)
    sizes = [run_assignments(chapter, size) for size in SIZES]
    for name in SHOWN[chapter]:
        shown = [{*recipes(size[name])} for size in sizes]
        assert shown[0] and shown[0] <= shown[1] <= shown[2], name
        assert len(shown[0]) < len(shown[2]), name


def test_at_full_a_caption_searches_as_many_images_as_the_chapter_on_robustness_says(monkeypatch):
    """Without one more image than the curve of specifications shows anyway: the grid alone has 775 of other objects."""
    monkeypatch.setattr(Scene, "render", lambda scene: None)
    names = run_assignments("08_robustness", "full", ["scenes", "sample", "of_style", "cells"])
    layout = {"size": names["object_size"], "seed": names["seed"]}
    shown = names["scenes"]
    for kind in BACKGROUNDS:
        grid = layouts.grid(names["of_style"][names["style"]], names["cells"], backgrounds=[kind], **layout)
        thin = arrangements.thinned(grid, names["n_off_center"], names["seed"])
        shown = [*shown, *arrangements.unlike(layouts.showing(names["sample"], thin), shown)]
    of_objects = Counter(scene.placements[0].cutout.object for scene in shown)
    assert 1 + len(shown) - max(of_objects.values()) >= names["n_searched"] == 1000


def run_assignments(chapter, size, wanted=None):
    """Run the lines of a notebook that decide what is shown, and return its variables."""
    names = defaults(chapter) | preset(chapter, size)
    names["chapter"] = SimpleNamespace(full=PRESETS[chapter]["full"], settings=settings)
    cells = json.loads((NOTEBOOKS / f"{chapter}.ipynb").read_text())["cells"]
    nodes = [
        node
        for cell in cells
        if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])
        for node in ast.parse("".join(cell["source"])).body
    ]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in [*imports, *needed(nodes, wanted or SHOWN[chapter])]:
        exec(compile(ast.Module([node], []), chapter, "exec"), names)
    return names


def needed(nodes, names):
    """Return the assignments that the last values of some variables depend on, in their order."""
    wanted, kept = {*names}, []
    for node in reversed(nodes):
        inside = node.body + node.orelse if isinstance(node, ast.If) else [node]
        targets = [each for one in inside if isinstance(one, ast.Assign) for each in one.targets]
        named = [each for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        if wanted & {each.id for each in named}:
            kept.append(node)
            wanted -= {each.id for each in named}
            wanted |= {
                each.id
                for each in ast.walk(node)
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
            }
    return kept[::-1]


def recipes(shown):
    """Yield what decides how each image looks."""
    if isinstance(shown, Task):
        if shown.protocol != "grid":  # one rendering of each object, of those that the size has
            return
        kept = ["object", "style", "x", "y", "size", "background", "seed", "relation"]
        yield from shown.table[kept].fillna("").itertuples(index=False, name=None)
    elif isinstance(shown, Scene):
        placements = [
            replace(each, x=round(each.x, 9), y=round(each.y, 9), row=None, col=None)
            for each in shown.placements
        ]
        yield shown.background, tuple(placements), shown.height, shown.width
    elif isinstance(shown, Cutout):
        yield shown
    else:
        for each in shown.values() if isinstance(shown, dict) else shown:
            yield from recipes(each)
