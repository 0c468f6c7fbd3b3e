import pandas as pd
import pytest

from crosseyed.editions import Description, Edition
from crosseyed.errors import InputError
from crosseyed.report import kept_results
from crosseyed.report.tables import MissingTableError
from crosseyed.workflow.results import collect

TOWER = {
    "kind": "VisionTransformer",
    "pooling": "class token",
    "image_size": (224, 224),
    "patch_size": (32, 32),
    "grid": (7, 7),
    "layers": 12,
}


def bias(model, center, off_center):
    """The row of a model in a table of the first chapter, with intervals of ±1."""
    levels = {
        "center_accuracy": center,
        "off_center_accuracy": off_center,
        "gap": center - off_center,
        "bias_index": (center - off_center) / center,
    }
    ends = {
        f"{name}{end}": value + by
        for name, value in levels.items()
        for end, by in (("_low", -1), ("_high", 1))
    }
    counts = {"n_center": 4, "n_off_center": 4, "n_objects": 4, "unreadable": 0, "confidence": 0.95}
    return {"model": model, "pretrained": "openai", **levels, **ends, **counts}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    chapter = folder / "01_center_bias"
    chapter.mkdir(parents=True)
    for name, off_center in (("bias", 25), ("pair_bias", 50)):
        rows = [bias("another", 100, 90), bias("ViT-B-32", 100, off_center)]
        pd.DataFrame(rows).to_csv(chapter / f"{name}.csv", index=False)
    (chapter / "tables.json").write_text('{"whatsup_bias": "the photographs are not here"}')
    return folder


def collected(results, tower=TOWER):
    edition = Edition("ViT-B-32", "openai", seed=2)
    return collect(results, Description(edition, "ViT-B-32", "openai", 151, tower, "cpu"))


def test_a_result_has_a_row_per_protocol_about_the_editions_own_model(results):
    table = collected(results).set_index("protocol")
    assert table["gap"].to_dict() == {"grid": 75.0, "pair": 50.0}
    assert table["off_center_accuracy"].to_dict() == {"grid": 25.0, "pair": 50.0}
    assert (table["gap_low"] <= table["gap"]).all()
    row = table.loc["grid"]
    assert (row["edition"], row["seed"], row["tokens"], row["patch_size"]) == (
        "ViT-B-32--openai--seed2",
        2,
        49,
        32,
    )
    assert row["device"] == "cpu"
    assert '"seed": 2' in row["notebook_parameters"]


def test_what_is_kept_reads_back_the_same(results, tmp_path):
    table = collected(results, TOWER | {"patch_size": None})
    kept = tmp_path / "kept"
    kept.mkdir()
    table.to_csv(kept / "ViT-B-32--openai.csv", index=False)
    read = kept_results.read(kept)
    pd.testing.assert_frame_equal(read, table)
    assert read.dtypes.to_dict() == table.dtypes.to_dict()
    assert read["patch_size"].isna().all()


def test_random_weights_are_no_result(results, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    collected(results).assign(pretrained="random").to_csv(kept / "a.csv", index=False)
    assert kept_results.read(kept).empty
    assert list(kept_results.read(kept)) == list(kept_results.SCHEMA)
    assert kept_results.read(tmp_path / "nowhere").empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="commit"), r"a\.csv is not a table of results.*commit"),
        (lambda table: table.assign(extra=1), r"a\.csv is not a table of results.*extra"),
        (
            lambda table: table.astype({"gap": object}).assign(gap="large"),
            r"a\.csv holds a value of another type",
        ),
    ],
)
def test_a_table_of_another_schema_is_refused_by_name(results, tmp_path, change, message):
    kept = tmp_path / "kept"
    kept.mkdir()
    change(collected(results)).to_csv(kept / "a.csv", index=False)
    with pytest.raises(InputError, match=message):
        kept_results.read(kept)


def test_a_result_needs_the_tables_of_the_first_chapter(results):
    chapter = results / "01_center_bias"
    pd.DataFrame([bias("another", 100, 90)]).to_csv(chapter / "pair_bias.csv", index=False)
    with pytest.raises(InputError, match="no row of the model ViT-B-32"):
        collected(results)
    (chapter / "pair_bias.csv").unlink()
    with pytest.raises(MissingTableError, match="'pair_bias' of the chapter 01_center_bias"):
        collected(results)


def test_the_results_of_the_repository_fit_the_schema():
    assert set(kept_results.read()["edition"]) >= {"pocketclip-centered", "pocketclip-uniform"}
