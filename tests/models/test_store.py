"""Rows kept in a folder of bounded size."""

import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from crosseyed.errors import InputError
from crosseyed.models.store import DamagedEntryWarning, Store, bound_from

KIND, OTHER = "a" * 32, "b" * 32


def rows_of(*numbers, width=100):
    return {bytes([number]) * 16: np.full(width, number, np.float32) for number in numbers}


def parts(folder):
    return sorted(folder.glob("*.safetensors"))


def assert_found(store, kind, numbers):
    expected = rows_of(*numbers)
    found = store.find(kind, rows_of(*range(20)))
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_rows_are_found_by_kind_and_key_also_by_another_process_that_had_looked_before(tmp_path):
    first, second = Store(tmp_path, 1e9), Store(tmp_path, 1e9)
    assert_found(second, KIND, [])
    first.keep(KIND, rows_of(1, 2))
    first.keep(KIND, rows_of(3))
    first.keep(OTHER, rows_of(4))
    for each in (first, second, Store(tmp_path, 1e9)):
        assert_found(each, KIND, [1, 2, 3])
        assert_found(each, OTHER, [4])
    first.keep(KIND, {})
    assert len(parts(tmp_path)) == 3


def test_what_was_used_longest_ago_is_removed_where_the_bound_is_passed_and_nothing_else(tmp_path):
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(10_000))
    kept = Store(tmp_path, 1e9)
    for number, days in enumerate((3, 9, 1, 5)):
        before = parts(tmp_path)
        kept.keep(KIND, rows_of(number))
        (part,) = set(parts(tmp_path)) - set(before)
        used = time.time() - days * 86400
        os.utime(part, (used, used))
    size = part.stat().st_size
    assert list(Store(tmp_path, 1e9).find(KIND, rows_of(1)))  # used, and so no longer the oldest
    bounded = Store(tmp_path, 3.5 * size)
    bounded.keep(KIND, rows_of(4))
    assert_found(Store(tmp_path, 1e9), KIND, [1, 2, 4])
    assert sum(part.stat().st_size for part in parts(tmp_path) if part != weights) <= 3.5 * size
    assert weights.exists()


def test_what_was_read_stays_valid_and_a_part_that_vanished_is_no_damage(tmp_path):
    kept = Store(tmp_path, 1e9)
    kept.keep(KIND, rows_of(1, 2))
    reader = Store(tmp_path, 1e9)
    found = reader.find(KIND, rows_of(1))
    Store(tmp_path, 1.0).keep(OTHER, rows_of(3))  # removes all
    assert parts(tmp_path) == []
    np.testing.assert_array_equal([*found.values()], [*rows_of(1).values()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kept.find(KIND, rows_of(1, 2)) == reader.find(KIND, rows_of(1, 2)) == {}
        kept.keep(KIND, rows_of(1, 2))
        assert_found(kept, KIND, [1, 2])


def test_a_damaged_part_is_told_once_and_removed(tmp_path):
    kept = Store(tmp_path, 1e9)
    kept.keep(KIND, rows_of(1, 2))
    (part,) = parts(tmp_path)
    raw = part.read_bytes()
    part.write_bytes(raw[:-1] + b"?")
    with pytest.warns(DamagedEntryWarning, match=part.name) as told:
        assert kept.find(KIND, rows_of(1)) == {}
        assert kept.find(KIND, rows_of(1, 2)) == {}
    assert len(told) == 1
    assert parts(tmp_path) == []


def test_a_bound_of_zero_keeps_nothing(tmp_path):
    kept = Store(tmp_path / "cache", 0.0)
    kept.keep(KIND, rows_of(1))
    assert kept.find(KIND, rows_of(1)) == {}
    assert not (tmp_path / "cache").exists()


def test_what_a_killed_run_left_is_removed_after_a_day(tmp_path):
    old, new = (tmp_path / f".{letter * 32}.safetensors" for letter in "ab")
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    Store(tmp_path, 1e9).keep(KIND, rows_of(1))
    assert [old.exists(), new.exists()] == [False, True]


def test_the_bound_is_read_in_gigabytes():
    assert bound_from(None) == bound_from("") == 10e9
    assert [bound_from("2.5"), bound_from("0")] == [2.5e9, 0]
    for wrong in ("much", "-1", "nan", "inf", "1 GB"):
        with pytest.raises(InputError, match=r"CROSSEYED_CACHE_GB is .*give the gigabytes"):
            bound_from(wrong)


FILL = """
import sys
import numpy as np
from pathlib import Path
from crosseyed.models.store import Store

folder, start = Path(sys.argv[1]), int(sys.argv[2])
kept = Store(folder, 200_000)
for turn in range(60):
    numbers = [(start + turn + step) % 20 for step in range(3)]
    wanted = {bytes([number]) * 16: np.full(1000, number, np.float32) for number in numbers}
    found = kept.find("a" * 32, wanted)
    assert all(np.array_equal(found[key], wanted[key]) for key in found), numbers
    kept.keep("a" * 32, {key: wanted[key] for key in wanted if key not in found})
"""


def test_processes_that_fill_and_empty_a_folder_at_once_find_only_whole_rows(tmp_path):
    command = [sys.executable, "-W", "error", "-c", FILL, str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(start)], stderr=subprocess.PIPE, text=True) for start in (0, 1, 7)
    ]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert sum(part.stat().st_size for part in parts(tmp_path)) <= 250_000
    assert not list(tmp_path.glob(".*"))
