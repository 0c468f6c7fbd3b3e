import dataclasses

import numpy as np
import pytest

from crosseyed.data import layouts
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.files import CACHE_VARIABLE
from crosseyed.measure import protocols
from crosseyed.models import cache
from crosseyed.models.cache import CachedEncoder, DamagedEntryWarning
from crosseyed.models.scorer import UnreadableImagesWarning


class Counting:
    """Counts the images that a model's tower has seen."""

    def __init__(self, model):
        self.seen = 0
        self.handle = model.clip.visual.register_forward_hook(self.count)

    def count(self, _, inputs, output):
        self.seen += len(inputs[0])


@pytest.fixture
def counting(tiny_clip):
    counter = Counting(tiny_clip)
    yield counter
    counter.handle.remove()


def pictures(seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8))


def entries(folder):
    return sorted(folder.glob("*"))


def test_what_is_known_is_not_computed_again(tiny_clip, tmp_path, counting):
    expected = tiny_clip.encode_images(pictures())
    first = CachedEncoder(tiny_clip, tmp_path).encode_images(pictures())
    assert counting.seen == 6
    # another object, another process as it were; and drawn on demand instead of given
    second = CachedEncoder(tiny_clip, tmp_path).encode_images([lambda p=p: p for p in pictures()])
    assert counting.seen == 6
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, expected)
    assert len(entries(tmp_path)) == 1


def test_whatever_changes_what_the_model_sees_is_another_entry(tiny_clip, tmp_path, counting):
    def seen(model, images):
        before = counting.seen
        result = CachedEncoder(model, tmp_path).encode_images(images)
        np.testing.assert_array_equal(result, model.encode_images(images))
        return counting.seen - before - len(images)

    assert seen(tiny_clip, pictures()) == 3
    changed = [image.copy() for image in pictures()]
    changed[2][0, 0, 0] ^= 1
    assert seen(tiny_clip, changed) == 3
    assert seen(tiny_clip, pictures()[::-1]) == 3
    assert seen(tiny_clip, pictures()[:2]) == 2
    assert seen(dataclasses.replace(tiny_clip, resize="squash"), pictures()) == 3
    bias = tiny_clip.clip.visual.ln_post.bias
    try:
        bias[0] += 1
        assert seen(tiny_clip, pictures()) == 3
    finally:
        bias[0] -= 1
    assert seen(tiny_clip, pictures()) == 0


@pytest.mark.parametrize("damage", ["truncated", "one bit", "other file"])
def test_a_damaged_entry_is_told_and_made_anew(tiny_clip, tmp_path, damage):
    encoder = CachedEncoder(tiny_clip, tmp_path)
    expected = encoder.encode_images(pictures())
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    broken = {
        "truncated": whole[:-7],
        "one bit": whole[:-1] + bytes([whole[-1] ^ 1]),
        "other file": b"nothing",
    }
    entry.write_bytes(broken[damage])
    with pytest.warns(DamagedEntryWarning, match=entry.name):
        np.testing.assert_array_equal(encoder.encode_images(pictures()), expected)
    assert entry.read_bytes() == whole


def test_unreadable_images_and_generators_pass_by_the_cache(tiny_clip, tmp_path):
    encoder = CachedEncoder(tiny_clip, tmp_path)
    with pytest.warns(UnreadableImagesWarning, match=r"missing\.png"):
        embeddings = encoder.encode_images([pictures()[0], tmp_path / "missing.png"])
    assert np.isnan(embeddings).any(axis=1).tolist() == [False, True]
    encoder.encode_images(picture for picture in pictures())
    assert entries(tmp_path) == []


def test_protocols_take_a_cached_model(tiny_clip, tmp_path, monkeypatch):
    cutouts = sample_objects(read_catalogue(("fluent",)), 3, seed=0)
    scenes, labels = layouts.grid(cutouts, 3), objects_of(cutouts)
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert cache.cached(tiny_clip) is tiny_clip
    expected = protocols.grid(tiny_clip, scenes, labels)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    for _ in range(2):
        assert protocols.grid(cache.cached(tiny_clip), scenes, labels).equals(expected)
    assert len(entries(tmp_path)) == 1
