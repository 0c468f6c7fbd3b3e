import subprocess

import pandas as pd

from crosseyed import provenance


def commit_of(folder, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(folder / "provenance.py"))
    return provenance.stamp(pd.DataFrame({"a": [1, 2]}), "cpu")["commit"].tolist()


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_names_the_checkout_and_whether_files_differ_from_it(tmp_path, monkeypatch):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("old")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert commit_of(tmp_path, monkeypatch) == [commit, commit]
    (tmp_path / "file").write_text("new")
    assert commit_of(tmp_path, monkeypatch) == [f"{commit}+"] * 2


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path, monkeypatch) == ["", ""]


def test_stamp_adds_its_columns_and_leaves_the_others():
    table = pd.DataFrame({"a": [1, 2]})
    stamped = provenance.stamp(table, "cuda")
    assert list(stamped) == ["a", *provenance.COLUMNS]
    assert stamped["device"].tolist() == ["cuda", "cuda"]
    assert list(table) == ["a"]
