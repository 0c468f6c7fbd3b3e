import os

import numpy as np
import pandas as pd
import pytest
from small_results import TOWER, collected, write_results

from crosseyed.errors import InputError
from crosseyed.report import kept_results
from crosseyed.settings import PROTOCOL_VERSION
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


def test_a_table_without_a_version_of_the_protocol_is_of_the_first(results, tmp_path):
    table = collected(results)
    assert set(table["protocol_version"]) == {PROTOCOL_VERSION}
    write_table(table.drop(columns="protocol_version"), tmp_path / "kept" / "a.csv")
    assert set(kept_results.read(tmp_path / "kept")["protocol_version"]) == {1}


@pytest.mark.parametrize(
    ("column", "unstated", "unknown"), [("size", "full", "huge"), ("precision", "fp32", "fp8")]
)
def test_a_table_may_leave_out_size_and_precision_and_an_unknown_one_is_refused(
    results, tmp_path, column, unstated, unknown
):
    table = collected(results)
    write_table(table.drop(columns=column), tmp_path / "kept" / "a.csv")
    assert set(kept_results.read(tmp_path / "kept")[column]) == {unstated}
    write_table(table.assign(**{column: unknown}), tmp_path / "kept" / "a.csv")
    with pytest.raises(InputError, match=f"has the {column} '{unknown}'"):
        kept_results.read(tmp_path / "kept")


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
        (lambda table: table.astype({"gap": object}).assign(gap="large"), "'gap' holds what is not a number"),
        (lambda table: table.iloc[:-1], "announces another number of rows than its 1"),
        (lambda table: table.iloc[:0], "announces another number of rows than its 0"),
        (lambda table: table.assign(gap_low=np.inf), "interval of gap that is infinite"),
        (
            lambda table: table.assign(gap_low=table["gap_high"] + 1),
            "interval of gap that is infinite or upside down",
        ),
        (lambda table: table.assign(gap_low=np.nan), "interval of gap with one end"),
        (lambda table: table.assign(gap=table["gap"] + 1), "whose difference is not the gap"),
        (lambda table: table.assign(center_accuracy=120.0), "center_accuracy .* no percentages"),
        (lambda table: table.assign(off_center_accuracy_low=-300.0), "off_center_accuracy .* no percentages"),
        (lambda table: table.assign(gap_high=500.0), "gap .* no percentages"),
        (lambda table: table.assign(gap=np.nan), "a row without gap"),
        (lambda table: table.assign(center_accuracy=np.nan), "a row without center_accuracy"),
        (lambda table: table.assign(gap_low=np.nan, gap_high=np.nan), "without the interval of gap"),
        (lambda table: table.assign(bias_index=0.1), "the index"),
        (lambda table: table.assign(n_center=[4, 0]), "center_accuracy.* of nothing"),
        (lambda table: table.assign(rows=pd.NA), "announces another number of rows"),
        (lambda table: table.assign(rows=pd.array([2, pd.NA], "Int64")), "announces another number of rows"),
        (lambda table: table.assign(edition=pd.NA), "a row without edition"),
        (lambda table: table.assign(seed=pd.NA), "a row without seed"),
        (lambda table: table.assign(parameters=pd.NA), "a row without parameters"),
        (lambda table: table.assign(protocol="grid"), r"\['grid', 'grid'\]; each is there once"),
        (
            lambda table: table.assign(protocol=["gird", "pair"]),
            r"\['gird', 'pair'\].* of grid, pair, whatsup",
        ),
        (lambda table: table[table["protocol"] == "pair"].assign(rows=1), r"\['pair'\]"),
        (lambda table: table.assign(model=["a", "b"]), "they differ in model"),
        (lambda table: table.assign(weights=["1a2b3c4d", "1a2b3c4e"]), "they differ in weights"),
        (lambda table: table.assign(seed=[2, 3]), "they differ in seed"),
        (lambda table: table.assign(weights="2.1E+10"), "weights '2.1E\\+10', which are no digest"),
        (lambda table: table.assign(patch_size=0), "patch_size that is out of its range"),
        (lambda table: table.assign(unreadable=-1), "unreadable that is out of its range"),
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
    with pytest.raises(InputError, match=r"a\.csv' and 'b\.csv'.*ViT-B-32--openai--seed2"):
        kept_results.read(tmp_path)


def test_intervals_of_several_confidences_are_not_put_side_by_side(results, tmp_path):
    for name, confidence in (("a", 0.95), ("b", 0.9)):
        table = collected(results).assign(edition=name, confidence=confidence)
        write_table(table, tmp_path / f"{name}.csv")
    with pytest.raises(InputError, match=r"a\.csv' and 'b\.csv'.*confidence, 0\.95 and 0\.9\."):
        kept_results.read(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_not_passed_over(results, tmp_path, make):
    write_table(collected(results), tmp_path / "a.csv")
    make(tmp_path / "b.csv")
    with pytest.raises(InputError, match=r"b\.csv.*make sweep"):
        kept_results.read(tmp_path)


def test_what_could_not_be_measured_may_be_missing(results, tmp_path):
    """Where nothing is right at the center there is no index, and of a side whose images are damaged no accuracy."""
    table = collected(results)
    nothing = {f"bias_index{end}": np.nan for end in ("", "_low", "_high")}
    right = {"center_accuracy": 0.0, "center_accuracy_low": 0.0, "center_accuracy_high": 0.0}
    gap = {"gap": -table["off_center_accuracy"], "gap_low": -100.0, "gap_high": 0.0}
    unread = dict.fromkeys([name for name in table if name.startswith(("gap", "center_acc"))], np.nan)
    one = {name: np.nan for name in table if name.endswith(("_low", "_high"))}
    cases = {
        "nothing right": table.assign(**nothing, **right, **gap),
        "unreadable": pd.concat([table[:1], table[1:].assign(**nothing, **unread, n_center=0, unreadable=4)]),
        "one object": table.assign(**one, n_objects=1),
    }
    for name, each in cases.items():
        write_table(each.assign(edition=name), tmp_path / f"{name}.csv")
    assert set(kept_results.read(tmp_path)["edition"]) == set(cases)


def test_files_that_macos_adds_are_no_results(results, tmp_path):
    write_table(collected(results), tmp_path / "a.csv")
    (tmp_path / "._a.csv").write_bytes(b"\0")
    assert len(kept_results.read(tmp_path)) == 2


def test_the_results_of_the_repository_fit_the_schema():
    assert set(kept_results.read()["edition"]) >= {"pocketclip-centered", "pocketclip-uniform"}
