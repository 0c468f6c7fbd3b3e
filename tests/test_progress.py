import errno
import json
import os
import sys
from types import SimpleNamespace

import pytest
import torch
from small_models import model_input, sample_images

from crosseyed import progress
from crosseyed.internals.trace import encode_from, hooked
from crosseyed.models.cache import CachedEncoder
from crosseyed.models.loading import load
from crosseyed.models.towers.registry import adapter_of
from crosseyed.progress import PASSES_VARIABLE, Passes, hear, tell


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Return the file to which passes are told, at each count; counting begins anew."""
    monkeypatch.setenv(PASSES_VARIABLE, str(tmp_path / "passes.json"))
    monkeypatch.setattr(progress, "_counter", progress._Counter(Passes()))
    monkeypatch.setattr(progress, "_PAUSE", 0.0)
    return tmp_path / "passes.json"


def test_each_image_counts_once_and_one_from_the_cache_as_kept(tiny_clip, told, tmp_path):
    model = CachedEncoder(tiny_clip, tmp_path / "cache")
    model.encode_images(sample_images(3))
    assert hear(told, Passes) == Passes(computed=3)
    model.encode_images(sample_images(3))
    assert hear(told, Passes) == Passes(computed=3, kept=3)


def test_a_part_of_the_tower_counts_as_its_share(tiny_clip, told):
    adapter, pixels = adapter_of(tiny_clip), model_input(tiny_clip)
    with torch.no_grad(), hooked(adapter.modules(())) as calls:
        tiny_clip.clip.encode_image(pixels)
        encode_from(tiny_clip, 1, adapter.state(calls, 1))
    assert adapter.layers[-1] == 2
    assert progress.counted() == hear(told, Passes) == Passes(computed=3 + 3 / 2)


def test_a_loaded_model_counts_but_not_its_trial(told):
    model = load("pocketclip-centered", device="cpu")
    assert progress.counted() == Passes()
    model.encode_images(sample_images(2))
    assert progress.counted() == Passes(computed=2)


def test_it_is_told_twice_a_second_at_most(told, monkeypatch):
    monkeypatch.setattr(progress, "_PAUSE", 1e6)
    progress._counter.written = -1e7
    for _ in range(5):
        progress.count(1)
    assert hear(told, Passes) == Passes(computed=1)
    assert progress.counted() == Passes(computed=5)


@pytest.mark.parametrize("place", ["missing/passes.json", "file/passes.json", "a" * 300])
def test_where_nothing_can_be_written_nothing_is_told(told, monkeypatch, place):
    (told.parent / "file").touch()
    monkeypatch.setenv(PASSES_VARIABLE, str(told.parent / place))
    progress.count(1)
    assert [path.name for path in told.parent.iterdir()] == ["file"]


def test_a_full_disk_leaves_what_was_told_before(told, monkeypatch):
    progress.count(1)

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "replace", fail)
    progress.count(1)
    assert hear(told, Passes) == Passes(computed=1)
    assert [path.name for path in told.parent.iterdir()] == [told.name]


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_part_of_a_file_is_not_heard(told, length):
    tell(told, Passes(computed=12).model_dump())
    told.write_text(told.read_text()[:length])
    assert hear(told, Passes) is None


@pytest.mark.parametrize("content", [{"computed": -1}, {"computed": float("inf")}, {"computed": "x"}, [1]])
def test_what_cannot_be_is_not_heard(told, content):
    told.write_text(json.dumps(content))
    assert hear(told, Passes) is None


def kernel_of(allows_questions):
    request = {"content": {"allow_stdin": allows_questions}}
    kernel = SimpleNamespace(get_parent=lambda channel: request)
    return SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=kernel))


@pytest.mark.parametrize("opened", [True, False])
def test_a_notebook_has_bars_if_it_is_open(monkeypatch, opened):
    monkeypatch.setitem(sys.modules, "IPython", kernel_of(opened))
    assert progress.is_watched() is opened


def test_bars_are_for_terminals_and_keep_off_tables(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(progress, "_DELAY", 0)
    assert list(progress.bar(range(3), unit="step")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress.bar(range(3), unit="step")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert (out, "3/3" in err or "0/3" in err) == ("", True)
    assert list(progress.bar(range(3), unit="step", shown=False)) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
