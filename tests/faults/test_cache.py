"""Each file of the cache of embeddings damaged: the same numbers, nothing executed, one warning, and made anew."""

import os
import pickle
import stat

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from crosseyed.models.cache import CachedEncoder
from crosseyed.models.store import DamagedEntryWarning

KIND = "cache"

TEXTS = ["a cup", "a dog"]


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def some_images(number=3):
    return list(np.random.default_rng(0).integers(0, 256, (number, 40, 40, 3), dtype=np.uint8))


def encoded(encoder):
    return encoder.encode_images(some_images(), progress=False), encoder.encode_texts(TEXTS)


def truncated(entry, share):
    entry.write_bytes(entry.read_bytes()[: int(share * entry.stat().st_size)])


def altered(entry, share):
    raw = bytearray(entry.read_bytes())
    raw[int(share * (len(raw) - 1))] ^= 0x55
    entry.write_bytes(raw)


def pickled(entry):
    entry.write_bytes(pickle.dumps(Code(entry.parent.parent / "it ran")))


def archived(entry):
    torch.save({"embeddings": Code(entry.parent.parent / "it ran")}, entry)


def numpy_pickled(entry):
    with entry.open("wb") as file:
        np.save(file, np.array([Code(entry.parent.parent / "it ran")], dtype=object), allow_pickle=True)


def of_nan(entry):
    entry.write_bytes(save({"embeddings": np.full((3, 32), np.nan, dtype=np.float32)}))


def swapped(entry):
    other = next(path for path in entry.parent.iterdir() if path != entry)
    entry.write_bytes(other.read_bytes()[:-1] + b"?")


def instead(make):
    def damage(entry):
        entry.unlink()
        make(entry)

    return damage


DAMAGES = {
    **{f"cut at {share:.0%}": lambda entry, s=share: truncated(entry, s) for share in (0, 0.01, 0.3, 0.99)},
    **{f"a byte at {share:.0%}": lambda entry, s=share: altered(entry, s) for share in (0, 0.1, 0.4, 0.7, 1)},
    "longer": lambda entry: entry.write_bytes(entry.read_bytes() + b"x"),
    "a pickle": pickled,
    "an archive of torch": archived,
    "an array of objects": numpy_pickled,
    "text": lambda entry: entry.write_text("nothing"),
    "an endless header": lambda entry: entry.write_bytes((2**62).to_bytes(8, "little") + b"{}"),
    "NaN without a checksum": of_nan,
    "another entry, altered": swapped,
    "a pipe": instead(os.mkfifo),
    "a link to a device": instead(lambda entry: entry.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_entry_gives_the_same_numbers_and_is_made_anew(tiny_clip, tmp_path, damage, number):
    folder = tmp_path / "cache"
    expected = encoded(CachedEncoder(tiny_clip, folder))
    entries = sorted(folder.iterdir())
    assert len(entries) == 2
    whole = {entry: entry.read_bytes() for entry in entries}
    DAMAGES[damage](entries[number])
    with pytest.warns(DamagedEntryWarning, match=entries[number].name) as told:
        found = encoded(CachedEncoder(tiny_clip, folder))
    assert len(told) == 1
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "it ran").exists()
    assert {entry: entry.read_bytes() for entry in folder.iterdir()} == whole
    assert all(stat.S_ISREG(entry.lstat().st_mode) for entry in entries)


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/nowhere", "x" * 300, "a\0b"])
def test_a_cache_that_cannot_be_written_to_is_a_warning_and_not_the_end(tiny_clip, tmp_path, where):
    (tmp_path / "file").write_text("mine")
    with pytest.warns(UserWarning, match="Cannot write|are not kept") as told:
        found = encoded(CachedEncoder(tiny_clip, tmp_path / where))
    assert len(told) <= 2  # images and texts
    for one, other in zip(found, encoded(CachedEncoder(tiny_clip)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_the_place_of_an_entry_is_left_and_told(tiny_clip, tmp_path):
    folder = tmp_path / "cache"
    expected = encoded(CachedEncoder(tiny_clip, folder))
    entry, _ = sorted(folder.iterdir())
    entry.unlink()
    (entry / "mine").mkdir(parents=True)
    with pytest.warns(UserWarning, match=entry.name):
        found = encoded(CachedEncoder(tiny_clip, folder))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (entry / "mine").is_dir()
