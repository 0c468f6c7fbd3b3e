"""The kept table of what chapters cost."""

import pandas as pd
import pytest
from small_chapters import CHAPTERS

from crosseyed.editions import SIZES, Edition
from crosseyed.errors import InputError
from crosseyed.workflow import costs

MEASURED = {
    "seconds": 30.04,
    "bare": 10.0,
    "passes": 500.4,
    "shipped_passes": 200.0,
    "images": 450.0,
    "memory_mb": 901.3,
    "shipped_seconds": 0.004712,
}


@pytest.mark.parametrize("model", ["pocketclip-centered", "pocketclip-uniform", "ViT-L-14"])
def test_every_chapter_on_a_model_has_a_cost_that_grows_with_the_size(model):
    quick, standard, full = (costs.of(Edition(model, size=size)) for size in SIZES)
    assert {*quick} == {*standard} == {*full} == {*CHAPTERS}
    for name in quick:
        assert 0 < quick[name].passes <= standard[name].passes <= full[name].passes
        assert quick[name].images > 0


def test_other_models_have_the_pocketclips_beside_them():
    assert all(each.shipped_passes == 0 for each in costs.of(Edition("pocketclip-uniform")).values())
    assert sum(each.shipped_passes for each in costs.of(Edition("ViT-B-32")).values()) > 0


def test_costs_take_the_place_of_what_was_measured_before(tmp_path):
    path = tmp_path / "costs.csv"
    costs.keep({"01_center_bias": MEASURED, "05_mitigations": MEASURED}, "quick", others=True, path=path)
    costs.keep({"01_center_bias": MEASURED | {"passes": 700}}, "quick", others=True, path=path)
    costs.keep({"01_center_bias": MEASURED}, "quick", others=False, path=path)
    table = pd.read_csv(path).set_index(["model", "notebook"])
    assert len(table) == 3
    assert table.loc[("others", "01_center_bias"), "passes"] == 500
    assert table.loc[("others", "05_mitigations"), "passes"] == 300
    assert table.loc[("others", "05_mitigations"), "shipped_passes"] == 200
    assert table.loc[("pocketclip-centered", "01_center_bias"), "passes"] == 500
    assert (table["other_seconds"] == 20.0).all()


def test_images_are_planned_by_edition_and_notebook():
    editions = [Edition("ViT-B-32", "openai", size="quick"), Edition("pocketclip-uniform", size="quick")]
    planned = costs.planned(editions)
    assert {edition for edition, _ in planned} == {each.name for each in editions}
    assert (
        planned["ViT-B-32--openai--quick", "05_mitigations"] == costs.of(editions[0])["05_mitigations"].images
    )


def test_a_missing_table_plans_nothing_and_a_plan_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "TABLE", tmp_path / "costs.csv")
    costs._read.cache_clear()
    try:
        assert costs.planned([Edition("ViT-B-32", "openai")]) == {}
        with pytest.raises(InputError, match=r"costs\.csv.* Make it anew"):
            costs.of(Edition("ViT-B-32", "openai"))
    finally:
        costs._read.cache_clear()
