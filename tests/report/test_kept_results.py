import numpy as np
import pandas as pd
import pytest
from small_results import TOWER, collected, write_results

from crosseyed.errors import InputError
from crosseyed.report import kept_results
from crosseyed.tables import write_table


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
        (lambda table: table.drop(columns="commit"), "lacks \\['commit'\\]"),
        (lambda table: table.assign(extra=1), "should not have \\['extra'\\]"),
        (lambda table: table.astype({"gap": object}).assign(gap="large"), "'gap' holds what is no number"),
        (lambda table: table.iloc[:-1], "announces another number of rows than its 1"),
        (lambda table: table.iloc[:0], "announces another number of rows than its 0"),
        (lambda table: table.assign(gap_low=np.inf), "interval of gap that is infinite"),
        (
            lambda table: table.assign(gap_low=table["gap_high"] + 1),
            "interval of gap that is infinite or upside down",
        ),
        (lambda table: table.assign(gap_low=np.nan), "interval of gap with one end"),
        (lambda table: table.assign(gap=table["gap"] + 1), "whose difference is not the gap"),
        (lambda table: table.assign(center_accuracy=120.0), "accuracies that are no percentages"),
        (lambda table: table.assign(edition=pd.NA), "a row without edition"),
        (lambda table: table.assign(protocol="grid"), "a protocol twice"),
        (lambda table: table.assign(n_center=-1), "out of its range"),
        (lambda table: table.assign(confidence=95.0), "out of its range"),
    ],
)
def test_a_table_that_is_not_whole_is_refused_by_name(results, tmp_path, change, message):
    write_table(change(collected(results)), tmp_path / "kept" / "a.csv")
    with pytest.raises(InputError, match=rf"a\.csv.*{message}.*make sweep"):
        kept_results.read(tmp_path / "kept")


def test_a_table_cut_in_its_last_line_is_refused(results, tmp_path):
    write_table(collected(results), tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes((tmp_path / "a.csv").read_bytes()[:-3])
    with pytest.raises(InputError, match="cut off"):
        kept_results.read(tmp_path)


def test_two_tables_of_one_edition_are_refused(results, tmp_path):
    for name in ("a", "b"):
        write_table(collected(results), tmp_path / f"{name}.csv")
    with pytest.raises(InputError, match="more than one table of the edition ViT-B-32--openai--seed2"):
        kept_results.read(tmp_path)


def test_files_that_macos_adds_are_no_results(results, tmp_path):
    write_table(collected(results), tmp_path / "a.csv")
    (tmp_path / "._a.csv").write_bytes(b"\0")
    assert len(kept_results.read(tmp_path)) == 2


def test_the_results_of_the_repository_fit_the_schema():
    assert set(kept_results.read()["edition"]) >= {"pocketclip-centered", "pocketclip-uniform"}
