import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.workflow import results
from crosseyed.workflow.editions import Description, Edition

TOWER = {
    "kind": "VisionTransformer",
    "pooling": "class token",
    "image_size": (224, 224),
    "patch_size": (32, 32),
    "grid": (7, 7),
    "layers": 12,
}


def answers(model, right_off_center, protocol):
    """Four objects, all right at the center and some of them off-center."""
    correct = [True] * 4 + [number < right_off_center for number in range(4)]
    table = pd.DataFrame({"object": list("abcd") * 2, "center": [True] * 4 + [False] * 4, "correct": correct})
    return table.assign(model=model, pretrained="openai", protocol=protocol)


@pytest.fixture
def tables(tmp_path):
    for name, right in (("grid", 1), ("pair", 2)):
        both = pd.concat([answers("ViT-B-32", right, name), answers("another", 4, name)])
        both.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def collected(tables, tower=TOWER):
    edition = Edition("ViT-B-32", "openai", seed=2)
    description = Description(edition.name, "ViT-B-32", "openai", 151, tower, "cpu")
    return results.collect(tables, edition, description)


def test_a_result_has_a_row_per_protocol_about_the_editions_own_model(tables):
    table = collected(tables).set_index("protocol")
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


def test_what_is_kept_reads_back_the_same(tables, tmp_path):
    table = collected(tables, TOWER | {"patch_size": None})
    kept = tmp_path / "kept"
    kept.mkdir()
    table.to_csv(kept / "ViT-B-32--openai.csv", index=False)
    read = results.read(kept)
    pd.testing.assert_frame_equal(read, table)
    assert read.dtypes.to_dict() == table.dtypes.to_dict()
    assert read["patch_size"].isna().all()


def test_random_weights_are_no_result(tables, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    collected(tables).assign(pretrained="random").to_csv(kept / "a.csv", index=False)
    assert results.read(kept).empty
    assert list(results.read(kept)) == list(results.SCHEMA)
    assert results.read(tmp_path / "nowhere").empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="commit"), r"a\.csv is no table of results.*commit"),
        (lambda table: table.assign(extra=1), r"a\.csv is no table of results.*extra"),
        (
            lambda table: table.astype({"gap": object}).assign(gap="large"),
            r"a\.csv holds a value of another type",
        ),
    ],
)
def test_a_table_of_another_schema_is_refused_by_name(tables, tmp_path, change, message):
    kept = tmp_path / "kept"
    kept.mkdir()
    change(collected(tables)).to_csv(kept / "a.csv", index=False)
    with pytest.raises(InputError, match=message):
        results.read(kept)


def test_a_result_needs_the_tables_of_the_first_chapter(tmp_path):
    with pytest.raises(InputError, match="execute 01_center_bias first"):
        collected(tmp_path)
    answers("another", 1, "grid").to_csv(tmp_path / "grid.csv", index=False)
    with pytest.raises(InputError, match="no row of the model ViT-B-32"):
        collected(tmp_path)


def test_the_results_of_the_repository_fit_the_schema():
    assert set(results.read()["edition"]) >= {"pocketclip-centered", "pocketclip-uniform"}
