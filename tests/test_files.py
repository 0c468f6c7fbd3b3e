"""Errors and files: suggestions, and files that are written whole or not at all."""

import errno
import os

import pandas as pd
import pytest

from crosseyed.errors import CheckpointError, CrosseyedError, DownloadError, InputError, suggest
from crosseyed.files import atomic_write, write_table


def test_suggest_names_the_nearest_choices_whatever_their_case():
    assert suggest("vit-b32", ["RN50", "ViT-B-32"]) == "; did you mean 'ViT-B-32'?"
    assert suggest("openia", ["openai", "open", "laion"]).startswith("; did you mean 'openai'")
    assert suggest("zebra", ["RN50", "ViT-B-32"]) == ""
    assert suggest("a", []) == ""


def test_errors_are_also_the_built_in_error_a_caller_expects():
    for error, built_in in [
        (InputError, ValueError),
        (DownloadError, OSError),
        (CheckpointError, ValueError),
    ]:
        assert issubclass(error, built_in)
        assert issubclass(error, CrosseyedError)


def test_atomic_write_replaces_the_file_only_at_the_end(tmp_path):
    path = tmp_path / "new" / "folder" / "table.csv"
    with atomic_write(path) as temporary:
        temporary.write_text("first")
        assert temporary.suffix == ".csv"
        assert not path.exists()
    with atomic_write(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["table.csv"]


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_atomic_write_leaves_the_old_file_and_nothing_else_after_a_failure(tmp_path, interruption):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(interruption), atomic_write(path) as temporary:
        temporary.write_text("half")
        raise interruption
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_atomic_write_gives_the_permissions_of_any_new_file(tmp_path):
    plain, path = tmp_path / "plain", tmp_path / "atomic"
    plain.touch()
    with atomic_write(path) as temporary:
        temporary.write_text("text")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    blocker = tmp_path / "a file"
    blocker.touch()
    with (
        pytest.raises(InputError, match=r"table.csv.*a file.*Choose a folder"),
        atomic_write(blocker / "table.csv"),
    ):
        pytest.fail("the block must not run")


def test_a_folder_in_the_place_of_the_file_is_named_and_kept(tmp_path):
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(InputError, match=r"table\.csv"), atomic_write(tmp_path / "table.csv") as temporary:
        temporary.write_text("text")
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="No space left"), atomic_write(tmp_path / "table.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == []


def test_an_error_over_another_file_keeps_its_own_message(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "table.csv"):
        (tmp_path / "elsewhere").read_text()


def test_write_table_round_trips_values_and_missing_ones(tmp_path):
    table = pd.DataFrame(
        {"image": ["a, b.jpg", "ü.jpg"], "correct": pd.array([True, pd.NA], dtype="boolean")}
    )
    write_table(table, tmp_path / "out" / "table.csv")
    again = pd.read_csv(tmp_path / "out" / "table.csv", dtype={"correct": "boolean"})
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
