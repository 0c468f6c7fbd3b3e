"""Which family a configuration belongs to, and the table of what each supports."""

import re

import open_clip
import pandas as pd
import pytest
from small_models import build_timm

from crosseyed.errors import InputError
from crosseyed.internals import explain
from crosseyed.models.towers.base import CAPABILITIES, UnsupportedTower
from crosseyed.models.towers.registry import ADAPTERS, able, adapter_of
from crosseyed.report import family_table
from crosseyed.tables import write_table

BY_NAME = {
    r"RN\d+": "ModifiedResNetAdapter",
    r"convnext": "ConvNeXtAdapter",
    r"swin": "SwinAdapter",
    r"MobileCLIP2?-S\d": "FastVitAdapter",
    r"EVA|PE-Core": "EvaAdapter",
    r"ViTamin|MobileCLIP|vit_|.*SigLIP|nllb-clip-\w+-siglip": "PlainTransformerAdapter",
    r"": "VisionTransformerAdapter",
}
ONE_OF_EACH = [
    *("ViT-B-32", "coca_ViT-B-32", "ViT-L-14-CLIPA", "RN50", "ViT-B-16-SigLIP", "ViTamin-S", "MobileCLIP-B"),
    *("MobileCLIP2-S3", "vit_medium_patch16_gap_256", "vit_relpos_medium_patch16_cls_224", "EVA02-B-16"),
    *("PE-Core-T-16-384", "convnext_tiny", "convnext_large_d_320", "swin_base_patch4_window7_224"),
]


def test_every_configuration_of_the_registry_belongs_to_a_family():
    for name in open_clip.list_models():
        expected = next(family for pattern, family in BY_NAME.items() if re.match(pattern, name))
        assert family_table.family_of(open_clip.get_model_config(name)).__name__ == expected, name


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_family_by_configuration_is_that_of_the_tower(name):
    model = family_table._without_weights(name)
    adapter = adapter_of(model)
    assert type(adapter) is family_table.family_of(open_clip.get_model_config(name))
    assert (adapter.grid, adapter.layers[-1]) == (model.tower.grid, model.tower.layers)
    assert adapter.native_pooling == model.tower.pooling


def test_an_architecture_of_no_family_is_named():
    with pytest.raises(UnsupportedTower, match=r"'resnet50' is defined in timm\.models\.resnet"):
        family_table.family_of({"vision_cfg": {"timm_model_name": "resnet50"}})


def test_the_table_of_what_works_names_every_configuration_once_and_gives_reasons(monkeypatch):
    monkeypatch.setattr(open_clip, "list_models", lambda: [*ONE_OF_EACH, "RN101", "RN50x4", "RN50x16"])
    table = family_table.what_works()
    named = ", ".join(table["models"]).split(", ")
    assert sorted(named) == sorted([*ONE_OF_EACH, "RN101", "RN50x4 and 1 more"])
    assert not table.drop(columns="models").duplicated().any()
    siglip = table[table["models"].str.contains("SigLIP")].iloc[0]
    assert (siglip["attention"], siglip["decomposition"]) == ("yes", "no")
    assert "an MLP follows its pooling" in siglip["missing"]
    for row in table.to_dict("records"):
        parts = [part.partition(": ")[0] for part in row["missing"].split("; ") if part]
        explained = {name for part in parts for name in part.split(", ")}
        lacking = {
            name for name in (*CAPABILITIES, "attention change", "position change") if row[name] == "no"
        }
        assert explained == lacking - {"attention change"}
        assert row["attention change"] == row["attention"]


def test_models_are_chosen_and_refused_by_what_their_towers_offer(tiny_clip):
    models = [build_timm(tiny_clip, kind) for kind in ("ViT", "SigLIP", "Swin")]
    assert able(models, "attention") == models[:2]
    assert able(models, "decomposition") == [models[0], models[2]]
    assert able(models, "decomposition", "heads") == models[:1]
    captions = ["a cup", "a dog"]
    left_out = set(explain.methods(captions)) - set(explain.methods(captions, models[1]))
    assert left_out == {"ITSM after pooling"}
    assert explain.methods(captions, models[2]).keys() == explain.methods(captions).keys()


def test_a_table_without_a_family_is_refused(tmp_path):
    labels = [adapter.label for adapter in ADAPTERS]
    table = pd.DataFrame(dict.fromkeys(family_table._COLUMNS, "null"), index=range(len(labels)))
    write_table(table.assign(family=labels, missing=""), tmp_path / "families.csv")
    assert family_table.read(tmp_path / "families.csv").loc[0, ["pooling", "missing"]].tolist() == [
        "null",
        "",
    ]
    lines = (tmp_path / "families.csv").read_text().splitlines(keepends=True)
    (tmp_path / "families.csv").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match=f"lacks {re.escape(labels[-1])}.*make book"):
        family_table.read(tmp_path / "families.csv")
