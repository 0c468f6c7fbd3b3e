import pandas as pd
import pytest
from small_results import TOWER, collected, write_results

from crosseyed.errors import InputError
from crosseyed.report import kept_results


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "results")


def test_what_is_kept_reads_back_the_same(results, tmp_path):
    table = collected(results, TOWER | {"patch_size": None})
    kept = tmp_path / "kept"
    kept.mkdir()
    table.to_csv(kept / "ViT-B-32--openai.csv", index=False)
    (kept / "._ViT-B-32--openai.csv").write_bytes(b"\0\5")
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


def test_the_results_of_the_repository_fit_the_schema():
    assert set(kept_results.read()["edition"]) >= {"pocketclip-centered", "pocketclip-uniform"}
