"""Errors and files: suggestions, paths that users give, and files that are written whole or not at all."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from IPython.paths import get_ipython_dir

from crosseyed import files
from crosseyed.errors import CheckpointError, CrosseyedError, DownloadError, InputError, shorten, suggest
from crosseyed.files import (
    atomic_write,
    claim_folder,
    exchange,
    keep_caches,
    require_file,
    require_folder,
    visible_files,
)


def test_suggest_names_the_nearest_choices_whatever_their_case():
    assert suggest("vit-b32", ["RN50", "ViT-B-32"]) == "; did you mean 'ViT-B-32'?"
    assert suggest("openia", ["openai", "open", "laion"]).startswith("; did you mean 'openai'")
    assert suggest("zebra", ["RN50", "ViT-B-32"]) == ""
    assert suggest("a", []) == ""


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**6)), {"a": [["b"] * 10**5] * 10**3}, 10**4000])
def test_what_a_message_quotes_is_short_whatever_its_size(value):
    assert len(shorten(value)) <= 80
    assert shorten("short") == "'short'"


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


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)", "No space left on device. Choose"),
        ("[enforce fail at inline_container.cc:720] . invalid file name: {file}", "the disk may be full"),
        ("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 60", "the disk may be full"),
        ("PytorchStreamWriter failed writing file data/2: file write failed", "the disk may be full"),
    ],
)
def test_a_full_disk_is_recognised_from_writers_that_raise_errors_of_their_own(tmp_path, words, reason):
    with (
        pytest.raises(InputError, match=rf"Cannot write 'table.csv'.*{reason}"),
        atomic_write(tmp_path / "table.csv") as temporary,
    ):
        raise RuntimeError(words.format(file=temporary))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("name", "words"), [("x" * 300, "shorter name"), ("a\0b", "null byte")])
def test_a_name_that_no_file_can_have_is_an_input_error(tmp_path, name, words):
    with pytest.raises(InputError, match=words), atomic_write(tmp_path / name):
        pytest.fail("the block must not run")
    with pytest.raises(InputError):
        require_file(tmp_path / name, "a table")
    with pytest.raises(InputError):
        claim_folder(tmp_path / name, "own-data")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder with one of everything that a path may lead to; it is the home, too."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "table.csv").write_text("x")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the address of a socket may not be long
        listening.bind("socket")
        yield tmp_path


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("folder", "is a folder and not a file; give a table"),
        ("pipe", "is a pipe and not a regular file"),
        ("socket", "is a socket"),
        ("/dev/zero", "is a device"),
        ("link", "There is no 'link', but a link to nothing. Give"),
        ("tables.csv", "There is no 'tables.csv'; did you mean 'table.csv'"),
        ("table.csv/more", "Not a directory"),
        ("", "is a folder"),
    ],
)
def test_what_is_no_file_is_refused_without_reading_it(places, path, words):
    with pytest.raises(InputError, match=words):
        require_file(path, "a table")


def test_a_file_and_a_folder_are_found_from_home(places):
    assert require_file("~/table.csv", "a table") == places / "table.csv"
    assert require_folder("~/folder", "a folder of images") == places / "folder"
    for path, words in [("~/table.csv", "is a file"), ("~/pipe", "is a pipe"), ("~/none", "There is no")]:
        with pytest.raises(InputError, match=words):
            require_folder(path, "a folder of images")
    assert files.expand("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


def test_hidden_files_and_what_is_no_file_are_not_listed(places):
    for name in ["b.PNG", "a.png", "._a.png", ".DS_Store", "c.txt"]:
        (places / name).touch()
    (places / "folder.png").mkdir()
    os.mkfifo(places / "pipe.png")
    assert [path.name for path in visible_files(places, ".png")] == ["a.png", "b.PNG"]
    assert visible_files(places / "none") == []
    assert [path.name for path in visible_files(places)] == ["a.png", "b.PNG", "c.txt", "table.csv"]


def test_an_output_folder_belongs_to_the_command_that_made_it(tmp_path):
    folder = claim_folder(tmp_path / "new" / "out", "own-data")
    (folder / "table.csv").touch()
    assert claim_folder(folder, "own-data") == folder
    with pytest.raises(InputError, match=r"'crosseyed train' did not make.*out-train"):
        claim_folder(folder, "train")


@pytest.mark.parametrize("mark", [None, "", "[]", "{}", "not JSON", "[" * 100_000])
def test_a_folder_with_files_of_the_user_is_left_as_it_is(tmp_path, mark):
    (tmp_path / "photograph.jpg").touch()
    if mark is not None:
        (tmp_path / files.MARK).write_text(mark)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError, match="left as they are"):
        claim_folder(tmp_path, "own-data")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_folder_in_which_a_killed_run_left_only_a_temporary_file_is_empty(tmp_path):
    (tmp_path / ".0123.json").touch()
    assert claim_folder(tmp_path, "own-data") == tmp_path


def test_an_output_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match=r"out.*Choose a folder"):
        claim_folder(tmp_path / "out", "own-data")


def make(path, content):
    """Make a file, or a folder with one."""
    if path.suffix:
        path.write_text(content)
    else:
        path.mkdir()
        (path / "file").write_text(content)


def content_of(path):
    return (path if path.suffix else path / "file").read_text()


@pytest.mark.parametrize(("new", "old"), [("new", "old"), ("new.txt", "old.txt")])
def test_exchange_puts_the_new_in_the_place_of_the_old(tmp_path, new, old):
    new, old = tmp_path / new, tmp_path / "below" / old
    for content in ("first", "second"):
        make(new, content)
        exchange(new, old)
        assert content_of(old) == content
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_dir() or path.suffix) == sorted(
        {"below", old.name}
    )


def test_exchange_takes_a_file_for_a_folder_and_clears_what_a_killed_run_left(tmp_path):
    make(tmp_path / "new.txt", "new")
    make(tmp_path / "place", "old")
    make(tmp_path / ".place.former", "older")
    exchange(tmp_path / "new.txt", tmp_path / "place")
    assert (tmp_path / "place").read_text() == "new"
    assert os.listdir(tmp_path) == ["place"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_the_old_lives_on_if_the_new_cannot_take_its_place(tmp_path, monkeypatch, error):
    make(tmp_path / "new", "new")
    make(tmp_path / "old", "old")

    def refuse(*_):
        raise error

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises((InputError, KeyboardInterrupt)):
        exchange(tmp_path / "new", tmp_path / "old")
    assert content_of(tmp_path / "old") == "old"
    assert content_of(tmp_path / "new") == "new"


@pytest.fixture
def no_caches(tmp_path, monkeypatch):
    """No variable for a cache set, and a home that does not exist; return a folder for caches."""
    for variable in ("HF_HOME", *files._CACHES):
        monkeypatch.setenv(variable, "")  # so that it is restored afterwards
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", "/proc/nowhere")
    return tmp_path / "_build" / "caches"


def test_without_a_home_every_tool_keeps_its_cache_below_the_folder(no_caches):
    keep_caches(no_caches)
    set_ = ("HF_HOME", *files._CACHES)
    assert all(Path(os.environ[variable]).is_relative_to(no_caches) for variable in set_)
    assert not no_caches.exists()


@pytest.mark.parametrize("there", [False, True])
def test_downloaded_models_stay_where_they_are(no_caches, tmp_path, monkeypatch, there):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if there:
        (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)
    for _ in range(2):  # as in a command, and in one that it starts
        keep_caches(no_caches)
        assert os.environ["HF_HOME"] == str(tmp_path / "home" / ".cache" / "huggingface")
        assert os.environ["XDG_CACHE_HOME"] == str(no_caches / "any")


def test_ipython_finds_its_place_in_the_build_folder(no_caches):
    no_caches.parent.mkdir(exist_ok=True)
    keep_caches(no_caches)
    with warnings.catch_warnings(action="error"):
        assert get_ipython_dir() == str(no_caches / "ipython")


def test_a_cache_that_the_user_has_chosen_stays_if_it_can_be_written_to(no_caches, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "mine"))
    monkeypatch.setenv("IPYTHONDIR", "/proc/mine")
    keep_caches(no_caches)
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "mine")
    assert os.environ["IPYTHONDIR"] == str(no_caches / "ipython")


def test_without_a_place_for_caches_the_tools_do_as_they_would(no_caches):
    keep_caches(Path("/proc/nowhere/caches"))
    assert not any(variable in os.environ for variable in files._CACHES)


def installed_library_says(folder, tmp_path, **variables):
    """Ask a copy of the library that lies in no repository where its data are, from a working folder."""
    site = tmp_path / "venv" / "lib" / "site-packages" / "crosseyed"
    site.mkdir(parents=True, exist_ok=True)
    for name in ("__init__", "errors", "files"):
        shutil.copy(Path(files.__file__).with_name(f"{name}.py"), site)
    environment = {name: value for name, value in os.environ.items() if name != "CROSSEYED_DATA"}
    done = subprocess.run(
        [sys.executable, "-c", "from crosseyed.files import DATA; print(DATA)"],
        env=environment | {"PYTHONPATH": str(site.parent)} | variables,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


def test_an_installed_library_finds_the_nearest_data_above_the_working_folder(tmp_path):
    lab = tmp_path / "course" / "labs" / "1_lab"
    (lab / "data").mkdir(parents=True)  # a lab's own tables, without cut-outs
    for place in (tmp_path, tmp_path / "course"):
        (place / "data" / "objects").mkdir(parents=True)
        (place / "data" / "objects" / "catalogue.csv").touch()
    assert installed_library_says(lab, tmp_path) == tmp_path / "course" / "data"
    assert installed_library_says(tmp_path, tmp_path) == tmp_path / "data"


def test_the_variable_goes_before_the_data_that_lie_nearest(tmp_path):
    (tmp_path / "data" / "objects").mkdir(parents=True)
    (tmp_path / "data" / "objects" / "catalogue.csv").touch()
    other = tmp_path / "other"
    assert installed_library_says(tmp_path, tmp_path, CROSSEYED_DATA=str(other)) == other


def test_a_repository_keeps_its_own_data_wherever_it_is_called_from(tmp_path, monkeypatch):
    (tmp_path / "data" / "objects").mkdir(parents=True)
    (tmp_path / "data" / "objects" / "catalogue.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSEYED_DATA", raising=False)
    assert files.find_data() == Path(files.__file__).parents[2] / "data"
