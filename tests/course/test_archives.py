"""Archives are equal byte by byte when their content is, and hold what their folder holds."""

import os
import zipfile
from pathlib import Path

import pytest

from crosseyed import __version__
from crosseyed.course import archives
from crosseyed.errors import InputError

REPOSITORY = Path(__file__).parents[2]


def filled(folder):
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "note.txt").write_text("a note\n" * 50)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / ".hidden").write_text("left out")
    return folder


def test_equal_content_gives_equal_bytes_whatever_its_dates(tmp_path):
    zips = []
    for name, seconds in (("first", 10**9), ("second", 1.5 * 10**9)):
        folder = filled(tmp_path / name)
        os.utime(folder / "run", (seconds, seconds))
        zips.append(archives.write_zip(folder, tmp_path / f"{name}.zip", "inside").read_bytes())
    assert zips[0] == zips[1]


def test_a_zip_holds_the_folder_below_its_name_and_keeps_what_may_be_executed(tmp_path):
    archive = archives.write_zip(filled(tmp_path / "folder"), tmp_path / "all.zip", "inside")
    with zipfile.ZipFile(archive) as opened:
        assert opened.namelist() == ["inside/b/note.txt", "inside/run"]
        assert opened.read("inside/b/note.txt") == b"a note\n" * 50
        modes = {each.filename: each.external_attr >> 16 & 0o777 for each in opened.infolist()}
    assert modes == {"inside/b/note.txt": 0o644, "inside/run": 0o755}


def test_a_zip_that_fails_leaves_the_older_one(tmp_path, monkeypatch):
    archive = archives.write_zip(filled(tmp_path / "folder"), tmp_path / "all.zip")
    before = archive.read_bytes()

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "writestr", stop)
    with pytest.raises(KeyboardInterrupt):
        archives.write_zip(tmp_path / "folder", archive)
    assert archive.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "folder"]


def test_the_wheel_is_made_without_a_network_and_is_equal_each_time(tmp_path):
    first, second = (archives.build_wheel(REPOSITORY, tmp_path / name) for name in ("first", "second"))
    assert first.name == f"crosseyed-{__version__}-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    assert "crosseyed/data/cutouts.py" in names
    assert any(name.startswith("crosseyed/workflow/templates/") for name in names)
    assert all(name.startswith(("crosseyed/", "crosseyed-")) for name in names)


def test_a_wheel_of_another_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="lib/crosseyed"):
        archives.build_wheel(tmp_path, tmp_path / "made")
