"""A chapter loads its models from its parameters, and keeps account of its tables."""

import dataclasses
import gc

import pandas as pd
import pytest
from small_models import build_timm
from small_notebooks import defaults

from crosseyed.errors import InputError
from crosseyed.models import loading
from crosseyed.report.chapter import begin, load_untrained
from crosseyed.report.tables import RECORD, read_record
from crosseyed.settings import settings


@pytest.fixture
def given(tmp_path, tiny_folder):
    """Return what fills the parameters of a chapter, as its notebook has them: the tiny model, without others."""
    small = {
        "model": f"local-dir:{tiny_folder}",
        "references": [],
        "seed": 3,
        "device": "cpu",
        "precision": "bf16",
        "output": str(tmp_path),
    }

    def fill(chapter, **changes):
        known = defaults(chapter)
        return known | {key: small[key] for key in small if key in known} | {"a": object()} | changes

    return fill


@pytest.fixture(autouse=True)
def own_settings():
    """Undo what a chapter overrides."""
    with settings.overridden():
        yield


def test_a_chapter_loads_the_model_of_the_edition_and_others_beside_it(given, monkeypatch, tiny_clip):
    loaded = []

    def load(name, **options):
        loaded.append((name, options))
        return tiny_clip

    monkeypatch.setattr(loading, "load", load)
    chapter = begin("01_center_bias", given("01_center_bias", references=["other", tiny_clip.name]))
    assert chapter.encoders == [tiny_clip, tiny_clip]
    weights = {"pretrained": None, "checkpoint": None, "seed": 3}
    assert loaded == [
        (given("01_center_bias")["model"], {"device": "cpu", "precision": "bf16", **weights}),
        ("other", {"device": "cpu"}),
    ]


def test_random_weights_are_drawn_from_the_seed(given, monkeypatch):
    asked = {}
    load = loading.load
    monkeypatch.setattr(
        loading, "load", lambda name, **options: asked.update(options) or load("pocketclip-centered")
    )
    begin("05_mitigations", given("05_mitigations", pretrained="random"))
    assert asked == {
        "device": "cpu",
        "precision": "bf16",
        "pretrained": "random",
        "checkpoint": None,
        "seed": 3,
    }


@pytest.mark.parametrize("pretrained", [None, "random"])
def test_an_untrained_model_differs_from_that_of_the_edition_also_if_its_weights_are_random(
    given, pretrained
):
    names = given("02_embedding_decomposition", pretrained=pretrained)
    edition, untrained = begin("02_embedding_decomposition", names).encoder, load_untrained(names)
    assert str(untrained.clip) == str(edition.clip)
    assert untrained.digest != edition.digest
    assert untrained.digest == load_untrained(names).digest


def test_a_chapter_that_names_no_device_loads_no_model(given):
    assert begin("07_origins", given("07_origins")).encoder is None


def test_a_chapter_looks_for_garbage_again_where_that_was_put_off(given):
    gc.disable()
    try:
        begin("07_origins", given("07_origins"))
        assert gc.isenabled()
        assert gc.get_freeze_count()
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_chapter_overrides_settings(given):
    begin("07_origins", given("07_origins", settings={"confidence": 0.9}))
    assert settings.interval == "90 % interval"


def test_own_rows_are_those_of_the_model_and_its_weights(given):
    chapter = begin("01_center_bias", given("01_center_bias"))
    name, tag = chapter.encoder.model, chapter.encoder.pretrained
    table = pd.DataFrame({"model": [name, name, "other"], "pretrained": [tag, "random", tag]})
    assert list(chapter.own(table).index) == [0]
    assert chapter.settings is settings


def test_a_declared_table_is_written_and_returned(given, tmp_path):
    table = pd.DataFrame({"gap": [1.5]})
    chapter = begin("01_center_bias", given("01_center_bias"))
    assert chapter.write("bias", table) is table
    digest = chapter.encoder.digest
    assert (tmp_path / "bias.csv").read_text() == f"gap,weights\n1.5,{digest}\n"
    assert read_record(tmp_path).weights == digest


def test_a_table_says_with_which_weights_each_row_was_made(given, tmp_path):
    chapter = begin("01_center_bias", given("01_center_bias"))
    name, tag, digest = chapter.encoder.model, chapter.encoder.pretrained, chapter.encoder.digest
    chapter.write("bias", pd.DataFrame({"model": [name, name, "other"], "pretrained": [tag, "x", tag]}))
    chapter.write("grid", pd.DataFrame({"model": [name, "other"]}))
    lines = [(tmp_path / f"{table}.csv").read_text().splitlines()[1:] for table in ("bias", "grid")]
    assert [line.split(",")[-1] for each in lines for line in each] == [digest, "", "", digest, ""]


def test_a_table_that_is_not_declared_is_refused(given, tmp_path):
    chapter = begin("01_center_bias", given("01_center_bias"))
    for register in (
        lambda: chapter.write("bais", pd.DataFrame()),
        lambda: chapter.unavailable("why", "bais"),
    ):
        with pytest.raises(InputError, match="'bais'; did you mean 'bias'"):
            register()
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_unavailable_tables_are_recorded_until_the_chapter_begins_again(given, tmp_path):
    chapter = begin("02_embedding_decomposition", given("02_embedding_decomposition"))
    chapter.unavailable("the tower has no heads", "heads", "ablation")
    assert chapter.unavailable("no words", "textspan").data == "*No numbers here: no words.*"
    reasons = {
        "heads": "the tower has no heads",
        "ablation": "the tower has no heads",
        "textspan": "no words",
    }
    assert read_record(tmp_path).unavailable == reasons
    begin("02_embedding_decomposition", given("02_embedding_decomposition"))
    assert read_record(tmp_path).unavailable == {}


def test_what_a_tower_does_not_support_costs_tables(given, tmp_path, tiny_clip):
    chapter = begin("03_attention_maps", given("03_attention_maps"))
    assert chapter.require("attention", tables=["found"]) is None
    assert read_record(tmp_path).unavailable == {}
    chapter.encoder = dataclasses.replace(build_timm(tiny_clip, "Swin"), name="Swin")
    box = chapter.require("attention", tables=["found", "radial"], instead=tiny_clip).data
    assert "Its tower does not offer" in box
    assert f"{tiny_clip.name} is shown instead." in box
    reasons = read_record(tmp_path).unavailable
    assert reasons.keys() == {"found", "radial"}
    assert reasons["found"].startswith("its tower does not offer")


def test_a_table_without_rows_is_registered_as_unavailable(given, tmp_path):
    chapter = begin("04_pooling_ablation", given("04_pooling_ablation"))
    chapter.write_some("poolings", pd.DataFrame({"gap": [1.5]}), "there are none")
    chapter.write_some("masked_max", pd.DataFrame({"gap": []}), "the tower has no attention")
    assert [path.name for path in tmp_path.glob("*.csv")] == ["poolings.csv"]
    assert read_record(tmp_path).unavailable == {"masked_max": "the tower has no attention"}
