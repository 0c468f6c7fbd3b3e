"""Where embeddings are kept, and what is said where they cannot be."""

import shutil
from collections import namedtuple

import pytest

from crosseyed.files import CACHE_VARIABLE
from crosseyed.workflow import caches

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)


def test_a_cache_lies_below_the_build_unless_a_variable_names_another(tmp_path, monkeypatch):
    assert caches.folder() == str(tmp_path / "_build" / "cache")
    assert caches.complaint() == ""
    monkeypatch.setenv(CACHE_VARIABLE, "elsewhere")
    assert caches.folder() == "elsewhere"
    assert caches.complaint() == ""


def test_an_empty_variable_stands_for_no_cache_and_is_no_reason_to_complain(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert caches.folder() == ""
    caches.announce(lambda _: pytest.fail("there is nothing to say"))
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("named", ["file/below", "/proc/nowhere", "x" * 300])
def test_a_cache_that_cannot_be_written_to_is_complained_of(tmp_path, monkeypatch, named):
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, named)
    said = []
    caches.announce(said.append)
    assert len(said) == 1 and said[0].startswith("warning: Embeddings are not kept") and named in said[0]


def test_a_cache_that_is_full_is_complained_of(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e9, 1e9, 1e6))
    assert "has 1 MB free" in caches.complaint()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1e12, 0, 1e12))
    assert caches.complaint() == ""
