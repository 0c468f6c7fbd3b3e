import dataclasses
import errno
import os
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from crosseyed import progress
from crosseyed.data import layouts
from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.scenes import Scene
from crosseyed.files import CACHE_VARIABLE
from crosseyed.measure import protocols
from crosseyed.models import cache, clip, scorer, store
from crosseyed.models.cache import CachedEncoder, UnwritableCacheWarning
from crosseyed.models.scorer import UnreadableImagesWarning
from crosseyed.models.store import DamagedEntryWarning


@pytest.fixture
def counting(monkeypatch):
    """The images that a tower was shown, without those that filled up a batch."""
    monkeypatch.setattr(progress, "_counter", progress._Counter(progress.Passes()))
    return lambda: progress.counted().computed


def some_images(seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8))


def entries(folder):
    return sorted(folder.glob("*"))


def test_what_is_known_is_not_computed_again(tiny_clip, tmp_path, counting):
    expected = CachedEncoder(tiny_clip).encode_images(some_images())
    first = CachedEncoder(tiny_clip, tmp_path).encode_images(some_images())
    assert counting() == 6
    # another object, another process as it were; and drawn on demand instead of given
    second = CachedEncoder(tiny_clip, tmp_path).encode_images([lambda p=p: p for p in some_images()])
    assert counting() == 6
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second, expected)
    np.testing.assert_allclose(first, tiny_clip.encode_images(some_images()), atol=1e-6)
    assert len(entries(tmp_path)) == 1


def test_each_image_is_known_whatever_was_asked_with_it(tiny_clip, tmp_path, counting):
    first, second, third = some_images()
    CachedEncoder(tiny_clip, tmp_path).encode_images([first, second])
    before = counting()
    found = CachedEncoder(tiny_clip, tmp_path).encode_images([third, second, first, third])
    assert counting() - before == 1
    np.testing.assert_array_equal(
        found, CachedEncoder(tiny_clip).encode_images([third, second, first, third])
    )


@pytest.mark.parametrize("there", [0, 1, 7, 8, 9, 20])
def test_what_is_there_changes_no_digit(tiny_clip, tmp_path, there):
    images = list(np.random.default_rng(1).integers(0, 256, (20, 40, 40, 3), dtype=np.uint8))
    expected = CachedEncoder(tiny_clip).encode_images(images)
    if there:
        CachedEncoder(tiny_clip, tmp_path).encode_images(images[20 - there :])
    np.testing.assert_array_equal(CachedEncoder(tiny_clip, tmp_path).encode_images(images), expected)
    seen = {cache.digest_seen(each): each for pixels, _ in tiny_clip.read_batches(images) for each in pixels}
    expected = CachedEncoder(tiny_clip).encode_seen(seen)
    some = dict(list(seen.items())[20 - there :])
    CachedEncoder(tiny_clip, tmp_path).encode_seen(some)
    found = CachedEncoder(tiny_clip, tmp_path).encode_seen(seen)
    assert all(np.array_equal(found[key], expected[key]) for key in seen)


def test_whatever_changes_what_the_model_sees_is_another_entry(tiny_clip, tmp_path, counting):
    def seen(model, images):
        expected = CachedEncoder(model).encode_images(images)
        before = counting()
        np.testing.assert_array_equal(CachedEncoder(model, tmp_path).encode_images(images), expected)
        return counting() - before

    assert seen(tiny_clip, some_images()) == 3
    changed = [image.copy() for image in some_images()]
    changed[2][0, 0, 0] ^= 1
    assert seen(tiny_clip, changed) == 1
    assert seen(dataclasses.replace(tiny_clip, resize="squash"), some_images()) == 3
    bias = tiny_clip.clip.visual.ln_post.bias
    try:
        bias[0] += 1
        assert seen(tiny_clip, some_images()) == 3
    finally:
        bias[0] -= 1
    assert seen(tiny_clip, some_images()) == 0


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(
    "damage",
    ["truncated", "one bit", "other file", "empty", "other content", "other entry", "other shape", "pickle"],
)
def test_a_damaged_entry_is_told_and_made_anew(tiny_clip, tmp_path, damage):
    encoder = CachedEncoder(tiny_clip, tmp_path)
    expected = encoder.encode_images(some_images())
    (entry,) = entries(tmp_path)
    encoder.encode_images(some_images(seed=1))
    other = next(each for each in entries(tmp_path) if each != entry).read_bytes()
    whole = entry.read_bytes()
    broken = {
        "truncated": whole[:-7],
        "one bit": whole[:-1] + bytes([whole[-1] ^ 1]),
        "other file": b"nothing",
        "empty": b"",
        "other content": save({"something": np.ones(3)}),
        "other entry": other,
        "other shape": whole.replace(b"[3,32]", b"[32,3]"),
        "pickle": pickle.dumps(Code(tmp_path / "it ran")),
    }
    entry.write_bytes(broken[damage])
    with pytest.warns(DamagedEntryWarning, match=entry.name):
        np.testing.assert_array_equal(encoder.encode_images(some_images()), expected)
    assert entry.read_bytes() == whole
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_in_the_place_of_an_entry_is_one_warning(tiny_clip, tmp_path, make):
    expected = CachedEncoder(tiny_clip, tmp_path).encode_images(some_images())
    (entry,) = entries(tmp_path)
    entry.unlink()
    make(entry)
    with pytest.warns(DamagedEntryWarning, match="not a (regular )?file") as warned:
        np.testing.assert_array_equal(
            CachedEncoder(tiny_clip, tmp_path).encode_images(some_images()), expected
        )
    assert len(warned) == 1


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("problem", ["no folder", "full disk"])
def test_a_cache_that_cannot_be_written_to_is_one_warning_and_not_the_end(
    tiny_clip, tmp_path, monkeypatch, problem
):
    folder = tmp_path / "cache"
    if problem == "no folder":
        folder.touch()
    else:
        monkeypatch.setattr(store, "save_file", full)
    encoder = CachedEncoder(tiny_clip, folder)
    words = "embeddings of tiny-.* are not kept.*(Cannot write|No space left)"
    with pytest.warns(UnwritableCacheWarning, match=words) as warned:
        for seed in (0, 1):
            images = some_images(seed)
            expected = CachedEncoder(tiny_clip).encode_images(images)
            np.testing.assert_array_equal(encoder.encode_images(images), expected)
        encoder.encode_texts(["a cat"])
    assert len(warned) == 1
    assert folder.is_file() or entries(folder) == []


def test_two_runs_that_fill_a_cache_at_once_have_the_same_numbers_and_whole_entries(tiny_clip, tmp_path):
    alone, together, n_runs = tmp_path / "alone", tmp_path / "together", 4
    expected = [CachedEncoder(tiny_clip, alone).encode_images(some_images(seed)) for seed in range(8)]
    barrier = threading.Barrier(n_runs)

    def fill(_):
        encoder = CachedEncoder(tiny_clip, together)
        found = []
        for seed in range(8):
            barrier.wait(30)
            found.append(encoder.encode_images(some_images(seed)))
        return found

    with ThreadPoolExecutor(n_runs) as pool, warnings.catch_warnings():
        warnings.simplefilter("error")
        runs = list(pool.map(fill, range(n_runs)))
    for run in runs:
        np.testing.assert_allclose(run, expected, rtol=1e-4, atol=1e-6)
    assert [entry.name for entry in entries(together)] == [entry.name for entry in entries(alone)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no entry is damaged
        for seed in range(8):
            CachedEncoder(tiny_clip, together).encode_images(some_images(seed))


def test_unreadable_images_and_generators_pass_by_the_cache(tiny_clip, tmp_path):
    encoder = CachedEncoder(tiny_clip, tmp_path)
    with pytest.warns(UnreadableImagesWarning, match=r"missing\.png"):
        embeddings = encoder.encode_images([some_images()[0], tmp_path / "missing.png"])
    assert np.isnan(embeddings).any(axis=1).tolist() == [False, True]
    encoder.encode_images(image for image in some_images())
    assert entries(tmp_path) == []


def test_protocols_take_a_cached_model(tiny_clip, tmp_path, monkeypatch):
    cutouts = sample_objects(read_catalogue(("fluent",)), 3, seed=0)
    scenes, labels = layouts.grid(cutouts, 3), objects_of(cutouts)
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    expected = protocols.grid(cache.cached(tiny_clip), scenes, labels)
    assert_alike(expected, protocols.grid(tiny_clip, scenes, labels))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    for _ in range(2):
        assert protocols.grid(cache.cached(tiny_clip), scenes, labels).equals(expected)
    assert len(entries(tmp_path)) == 2  # images and captions


def test_texts_are_kept_by_what_the_model_makes_of_them(tiny_clip, tmp_path, monkeypatch):
    asked = []
    encode = type(tiny_clip).encode_texts
    monkeypatch.setattr(
        type(tiny_clip), "encode_texts", lambda own, texts: asked.append(1) or encode(own, texts)
    )

    def computed(model, texts):
        before = len(asked)
        result = CachedEncoder(model, tmp_path).encode_texts(texts)
        np.testing.assert_array_equal(result, encode(model, texts))
        return len(asked) > before

    words = ["a dog", "a cat", "a tree"]
    assert computed(tiny_clip, words)
    assert not computed(tiny_clip, words)
    assert computed(tiny_clip, words[::-1])
    assert computed(tiny_clip, words[:2])
    shifted = dataclasses.replace(tiny_clip, tokenizer=lambda texts: tiny_clip.tokenizer(texts).roll(1, 0))
    assert computed(shifted, words)
    weights = tiny_clip.clip.ln_final.bias
    try:
        weights[0] += 1
        assert computed(tiny_clip, words)
    finally:
        weights[0] -= 1
    assert not computed(tiny_clip, words)


def test_a_computation_that_fails_leaves_no_entry(tiny_clip, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(tiny_clip), "encode_texts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(tiny_clip, tmp_path).encode_texts(["a dog"])
    assert entries(tmp_path) == []


@pytest.fixture
def drawn(monkeypatch):
    """Names of the scenes that have been drawn."""
    names, render = [], Scene.render
    monkeypatch.setattr(clip, "_KEPT_BYTES", 0)  # none is kept in memory
    monkeypatch.setattr(Scene, "render", lambda scene: names.append(scene.name) or render(scene))
    return names


def assert_alike(answers, expected):
    """Compare answers that were computed in batches of other sizes, which some processors round differently."""
    pd.testing.assert_frame_equal(answers, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("together", [4, 256])
def test_several_models_share_one_drawing_and_later_runs_need_none(
    tiny_clip, tmp_path, monkeypatch, drawn, together
):
    monkeypatch.setattr(scorer, "IMAGES_TOGETHER", together)
    cutouts = sample_objects(read_catalogue(("fluent",)), 2, seed=0)
    scenes, labels = layouts.grid(cutouts, 3), objects_of(cutouts)
    models = [tiny_clip, dataclasses.replace(tiny_clip, resize="squash", pretrained="other")]
    expected = pd.concat([protocols.grid(each, scenes, labels) for each in models], ignore_index=True)
    drawn.clear()
    assert_alike(protocols.grid(models, scenes, labels), expected)
    assert sorted(drawn) == sorted(scene.name for scene in scenes)
    drawn.clear()
    first = [CachedEncoder(models[0], tmp_path)]
    assert_alike(protocols.grid(first, scenes, labels), expected[: len(scenes)])
    both = [CachedEncoder(each, tmp_path) for each in models]
    assert_alike(protocols.grid(both[:1], scenes, labels), expected[: len(scenes)])
    assert len(drawn) == len(scenes)
    for _ in range(2):
        assert_alike(protocols.grid(both, scenes, labels), expected)
    assert len(drawn) == 2 * len(scenes)  # once more, for the second model


def test_a_scene_is_known_by_its_recipe(tmp_path, monkeypatch):
    scene, other = layouts.grid(read_catalogue(("fluent",))[:1], 3)[:2]
    assert scene.digest() == dataclasses.replace(scene, name="another", center=not scene.center).digest()
    placement = scene.placements[0]
    copy = tmp_path / "copy.webp"
    copy.write_bytes(placement.cutout.path.read_bytes())

    def placed(**changes):
        return dataclasses.replace(scene, placements=(dataclasses.replace(placement, **changes),)).digest()

    assert placed(cutout=dataclasses.replace(placement.cutout, path=copy)) == scene.digest()
    digests = {scene.digest(), other.digest(), placed(size=0.11), placed(rotation=1.0), placed(x=0.51)}
    digests.add(dataclasses.replace(scene, width=225).digest())
    digests.add(dataclasses.replace(scene, background=Background("noise", 99)).digest())
    digests.add(dataclasses.replace(scene, placements=()).digest())
    changed = tmp_path / "changed.webp"
    changed.write_bytes(placement.cutout.path.read_bytes() + b" ")
    digests.add(placed(cutout=dataclasses.replace(placement.cutout, path=changed)))
    monkeypatch.setattr("crosseyed.data.scenes._renderer", lambda: "another")
    digests.add(scene.digest())
    assert len(digests) == 10
