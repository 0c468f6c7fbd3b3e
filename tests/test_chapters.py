"""Every chapter, executed from its first cell to its last: those about a model on a small random tower of every family.

The others read tables that are kept: they are given models of any name, none, and tables that are not whole.
"""

import dataclasses
import json

import pytest
import torch
from open_clip.model import convert_weights_to_lp
from small_chapters import CHAPTERS, execute
from small_models import build_open_clip, build_timm
from small_results import bias, collected, write_results

from crosseyed import files
from crosseyed.errors import InputError
from crosseyed.models import loading
from crosseyed.report.tables import check_complete
from crosseyed.settings import settings
from crosseyed.tables import write_table
from crosseyed.training.experiments import results_of

FAMILIES = {
    "class token": build_open_clip,
    "ResNet": build_open_clip,
    "SigLIP": build_timm,
    "SigLIP, register": build_timm,
    "EVA-02": build_timm,
    "ConvNeXt": build_timm,
    "Swin": build_timm,
    "FastViT": build_timm,
}
QUICK = (
    "class token",
    "ConvNeXt",
)  # the most and the least of what a tower supports; the others are slow tests
NAMES = ("null", "007", "1e5", "$x$", "{{x}}", "[b](c)", "a|b", "<b>", "_x_", "猫 قطة")


@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")  # of so few objects
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::crosseyed.measure.checks.EstimateWarning")  # of so few objects
@pytest.mark.parametrize("family", (*QUICK, "EVA-02"))
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_in_half_precision(chapter, family, tiny_clip, tmp_path, monkeypatch):
    rounded = dataclasses.replace(
        FAMILIES[family](tiny_clip, family), model=family, name=family, precision="bf16"
    )
    # as open_clip does
    convert = convert_weights_to_lp if FAMILIES[family] is build_open_clip else torch.nn.Module.to
    convert(rounded.clip, torch.bfloat16)
    load = loading.load
    monkeypatch.setattr(loading, "load", lambda name, **given: rounded if name == family else load(name))
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    names, folder = {"__name__": "__main__"}, tmp_path / "results"
    with settings.overridden():
        execute(chapter, names, {"model": family, "precision": "bf16", "output": str(folder)})
    check_complete(folder, chapter)


def keep(folder, names):
    """Write results of models that differ in gap and patch size, one table each."""
    whole = collected(write_results(folder.with_name("made")))
    for number, name in enumerate(names):
        patch = {
            "edition": name,
            "tower": name,
            "patch_size": 14 + 2 * (number % 2),
            "weights": f"{number:08x}",
        }
        write_table(whole.assign(**bias(name, 100, 25 + number), **patch), folder / f"{number}.csv")


@pytest.mark.parametrize("models", [NAMES, ()], ids=["ten models", "none"])
def test_the_chapter_on_the_family_runs(models, tmp_path):
    keep(tmp_path / "kept", models)
    (tmp_path / "kept").mkdir(exist_ok=True)
    listed = [{"model": name, "data": name} for name in ("007", "[b](c)", "{{x}}", "not measured $y$")]
    (tmp_path / "models.yml").write_text(json.dumps({"models": listed}))
    names, folder = {"__name__": "__main__"}, tmp_path / "results"
    given = {"results_folder": str(tmp_path / "kept"), "models_file": str(tmp_path / "models.yml")}
    with settings.overridden():
        execute("06_model_family", names, {"output": str(folder), **given})
    check_complete(folder, "06_model_family")
    assert set(names["found"]["model"]) == set(models)
    measured = {"007"} & set(models)  # the names of the others' editions differ from theirs
    assert set(names["awaiting"]["model"]) == {each["model"] for each in listed} - measured
    assert len(names["correlations"]) == (1 if models else 0)


def test_the_chapter_on_origins_runs(tmp_path):
    names, folder = {"__name__": "__main__"}, tmp_path / "results"
    with settings.overridden():
        execute("07_origins", names, {"output": str(folder), "model": "$x$ {{y}} [b](c)"})
    check_complete(folder, "07_origins")


@pytest.mark.parametrize(
    ("chapter", "parameter"), [("06_model_family", "results_folder"), ("07_origins", "origins_table")]
)
def test_a_chapter_refuses_a_kept_table_that_is_cut_in_half_by_name(chapter, parameter, tmp_path):
    if chapter == "06_model_family":
        keep(tmp_path / "kept", NAMES[:1])
        table, given = tmp_path / "kept" / "0.csv", tmp_path / "kept"
    else:
        table = given = tmp_path / "0.csv.gz"
        table.write_bytes(results_of("origins").read_bytes())
    table.write_bytes(table.read_bytes()[: table.stat().st_size // 2])
    with settings.overridden(), pytest.raises(InputError, match=r"0\.csv.* Make it anew"):
        execute(
            chapter, {"__name__": "__main__"}, {"output": str(tmp_path / "results"), parameter: str(given)}
        )
