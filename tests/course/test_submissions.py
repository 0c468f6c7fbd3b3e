"""Submissions are found as teachers get them, and taken within limits; what cannot be taken is named."""

import os
import shutil
import stat
import zipfile

import pytest
import submitted

from crosseyed.course import submissions
from crosseyed.errors import InputError

NOTEBOOK = b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def make_zip(path, files, **changes):
    """Write a zip; files by name, with the attributes of each entry that are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            for attribute, value in changes.items():
                setattr(entry, attribute, value)
            archive.writestr(entry, content)
    return path


def taken(submission, folder):
    """Return the notes on a submission and what was taken, by place."""
    notes = submissions.collect(submission, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return notes, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_all(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_notebooks_folders_and_zips_are_one_submission_each(tmp_path):
    write_all(
        tmp_path / "class", {"anna.ipynb": NOTEBOOK, "ben/counting.ipynb": NOTEBOOK, "ben/data/own.csv": b"1"}
    )
    make_zip(tmp_path / "class" / "chris.zip", {"work/counting.ipynb": NOTEBOOK, "work/own.py": b"x = 1"})
    write_all(tmp_path / "class", {".DS_Store": b"", "__MACOSX/x": b"", "Thumbs.db": b""})
    found = submissions.find(tmp_path / "class")
    assert [each.student for each in found] == ["anna", "ben", "chris"]
    assert not any(each.problem or each.notes for each in found)
    assert taken(found[1], tmp_path / "b") == ([], {"counting.ipynb": NOTEBOOK, "data/own.csv": b"1"})
    assert taken(found[2], tmp_path / "c") == ([], {"counting.ipynb": NOTEBOOK, "own.py": b"x = 1"})


@pytest.mark.parametrize("folder", ["", "class/"])
def test_a_zip_of_a_class_is_read_as_its_folder_would_be(tmp_path, folder):
    inner = make_zip(tmp_path / "inner.zip", {"deep/er/counting.ipynb": NOTEBOOK}).read_bytes()
    files = {
        "anna.ipynb": NOTEBOOK,
        "ben/counting.ipynb": NOTEBOOK,
        "chris.zip": inner,
        "dora.zip": b"no zip",
    }
    make_zip(tmp_path / "all.zip", {folder + name: content for name, content in files.items()})
    found = submissions.find(tmp_path / "all.zip")
    assert [each.student for each in found] == ["anna", "ben", "chris", "dora"]
    for number, each in enumerate(found[:3]):
        assert list(taken(each, tmp_path / str(number))[1].values()) == [NOTEBOOK]
    assert "damaged" in found[3].problem


@pytest.mark.parametrize(
    ("files", "student"),
    [
        ({"counting.ipynb": NOTEBOOK, "data/a.csv": b""}, "anna"),
        ({"mine/counting.ipynb": NOTEBOOK, "mine/data/a.csv": b""}, "mine"),
    ],
)
def test_a_zip_with_one_notebook_is_one_submission(tmp_path, files, student):
    (found,) = submissions.find(make_zip(tmp_path / "anna.zip", files))
    assert found.student == student
    assert set(taken(found, tmp_path / "copy")[1]) == {"counting.ipynb", "data/a.csv"}


def test_a_zip_made_on_windows_is_read(tmp_path):
    """Backslashes between folders, entries for folders, a drive, and names in an older encoding."""
    files = {
        "work\\": b"",
        "work\\data\\": b"",
        "work\\counting.ipynb": NOTEBOOK,
        "work\\data\\own.csv": b"1",
    }
    make_zip(tmp_path / "class" / "anna.zip", files, create_system=0)
    (found,) = submissions.find(tmp_path / "class")
    assert taken(found, tmp_path / "copy") == ([], {"counting.ipynb": NOTEBOOK, "data/own.csv": b"1"})
    (drive,) = submissions.find(make_zip(tmp_path / "ben.zip", {"C:\\work\\counting.ipynb": NOTEBOOK}))
    assert taken(drive, tmp_path / "drive") == ([], {"counting.ipynb": NOTEBOOK})


NAMES = [
    "Zoë",
    "Žofie Nováková",
    "李小龍",
    "نور",
    "Đặng Thị",
    "O'Neill, Ann-Marie",
    "🦊",
    "=1+1",
    "a" * 200,
]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_any_script_stay_as_they_are(tmp_path, name):
    write_all(tmp_path / "class", {f"{name}.ipynb": NOTEBOOK})
    (found,) = submissions.find(tmp_path / "class")
    assert found.student == name and not found.problem
    (in_zip,) = submissions.find(make_zip(tmp_path / "a.zip", {f"{name}/counting.ipynb": NOTEBOOK}))
    assert in_zip.student == name


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path):
    os.makedirs(os.fsencode(tmp_path) + b"/class/ann\xe4")
    (found,) = submissions.find(tmp_path / "class")
    assert found.student == "ann\\udce4" and "no notebook" in found.problem


def test_a_name_that_was_zipped_without_saying_its_encoding_is_read_as_utf8(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"Zoe/counting.ipynb": NOTEBOOK})
    raw = path.read_bytes().replace(b"Zoe/", "Zö/".encode())
    path.write_bytes(raw)
    (found,) = submissions.find(path)
    assert found.student == "Zö"


@pytest.mark.parametrize(
    ("place", "student"),
    [
        ("Anna Lee_123456_assignsubmission_file_/counting.ipynb", "Anna Lee"),
        ("Anna Lee (1).ipynb", "Anna Lee"),
        ("Anna Lee - Copy.ipynb", "Anna Lee"),
        ("Anna_Lee_counting.ipynb", "Anna_Lee_counting"),
    ],
)
def test_what_course_systems_and_browsers_add_is_no_part_of_a_name(tmp_path, place, student):
    write_all(tmp_path / "class", {place: NOTEBOOK})
    (found,) = submissions.find(tmp_path / "class")
    assert found.student == student


def test_one_person_is_known_by_any_form_of_the_name(tmp_path):
    write_all(
        tmp_path / "class", {"Zoë.ipynb": NOTEBOOK, "ZOË/counting.ipynb": NOTEBOOK, "Zoe\u0308.zip": b""}
    )
    assert len({each.person for each in submissions.find(tmp_path / "class")}) == 1


PROBLEMS = {
    "a file of another kind": ({"anna.pdf": b"%PDF"}, "no notebook"),
    "a folder without a notebook": ({"anna/text.docx": b""}, "no notebook"),
    "an empty zip": ({"anna.zip": b"PK\x05\x06" + bytes(18)}, "no notebook"),
    "a zip that is cut off": ({"anna.zip": b"PK\x03\x04 and so on"}, "damaged"),
    "an empty file named zip": ({"anna.zip": b""}, "damaged"),
}


@pytest.mark.parametrize(("files", "said"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_holds_no_notebook_is_named(tmp_path, files, said):
    write_all(tmp_path / "class", files)
    (found,) = submissions.find(tmp_path / "class")
    assert found.student == "anna" and said in found.problem
    with pytest.raises(InputError, match=said):
        submissions.collect(found, tmp_path / "copy")


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.ipynb",
        "/tmp/evil.ipynb",
        "..\\..\\evil.ipynb",
        "C:\\evil.ipynb",
        "\\\\host\\share\\evil.ipynb",
    ],
)
def test_nothing_of_a_zip_is_written_outside_its_folder(tmp_path, name):
    (found,) = submissions.find(make_zip(tmp_path / "in" / "anna.zip", {name: NOTEBOOK}))
    _, files = taken(found, tmp_path / "deep" / "er" / "copy")
    assert [place.rpartition("/")[2] for place in files] == ["evil.ipynb"]
    assert {path.name for path in tmp_path.rglob("evil.ipynb")} == {"evil.ipynb"}
    assert len(list(tmp_path.rglob("evil.ipynb"))) == 1


def test_links_in_a_zip_are_not_made(tmp_path):
    make_zip(
        tmp_path / "class" / "anna.zip",
        {"l.ipynb": b"/etc/passwd"},
        external_attr=(stat.S_IFLNK | 0o777) << 16,
    )
    (found,) = submissions.find(tmp_path / "class")
    assert "link" in found.notes[0] and "no notebook" in found.problem


def test_an_encrypted_zip_is_named(tmp_path):
    make_zip(tmp_path / "class" / "anna.zip", {"counting.ipynb": NOTEBOOK})
    path = tmp_path / "class" / "anna.zip"
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # the flag, as an archive of which a password is asked has it
    path.write_bytes(raw)
    (found,) = submissions.find(tmp_path / "class")
    assert "encrypted" in found.notes[0] and "no notebook" in found.problem


def test_what_is_left_out_of_a_zip_of_a_class_is_told_to_whom_it_concerns(tmp_path):
    path = make_zip(
        tmp_path / "all.zip", {f"{name}/counting.ipynb": NOTEBOOK for name in ("anna", "ben", "chris")}
    )
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # Anna's is encrypted
    path.write_bytes(raw)
    anna, ben, chris = submissions.find(path)
    assert (anna.student, ben.notes, chris.notes) == ("anna", (), ())
    assert "no notebook" in anna.problem and "anna/counting.ipynb' is encrypted" in anna.notes[0]


def test_a_zip_that_unpacks_to_too_much_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "_LARGEST", 10_000)
    with zipfile.ZipFile(tmp_path / "anna.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("counting.ipynb", NOTEBOOK)
        archive.writestr("zeros.csv", bytes(10**6))
    (found,) = submissions.find(tmp_path / "anna.zip")
    notes, files = taken(found, tmp_path / "copy")
    assert list(files) == ["counting.ipynb"] and "left out" in notes[0]


def test_a_zip_that_lies_about_its_sizes_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "_LARGEST", 10_000)
    path = tmp_path / "anna.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("counting.ipynb", NOTEBOOK)
        archive.writestr("zeros.csv", bytes(10**6))
    path.write_bytes(path.read_bytes().replace((10**6).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    (found,) = submissions.find(path)
    notes, files = taken(found, tmp_path / "copy")
    assert list(files) == ["counting.ipynb"] and "zeros.csv" in notes[0]


def test_many_files_are_cut_off_behind_the_notebook(tmp_path):
    write_all(
        tmp_path / "class" / "anna",
        {f"{number:04}.txt": b"" for number in range(400)} | {"z.ipynb": NOTEBOOK},
    )
    (found,) = submissions.find(tmp_path / "class")
    notes, files = taken(found, tmp_path / "copy")
    assert len(files) == 300 and "z.ipynb" in files and "300 files" in notes[0]


def test_a_pipe_is_not_waited_for(tmp_path):
    (tmp_path / "class" / "anna").mkdir(parents=True)
    os.mkfifo(tmp_path / "class" / "ben.ipynb")
    os.mkfifo(tmp_path / "class" / "anna" / "pipe.ipynb")
    anna, ben = submissions.find(tmp_path / "class")
    assert "no notebook" in anna.problem and "regular" in anna.notes[0]
    notes, files = taken(ben, tmp_path / "copy")
    assert not files and notes


@pytest.mark.parametrize("name", ["missing", "empty", "empty.zip"])
def test_where_nothing_is_an_error_says_what_to_give(tmp_path, name):
    (tmp_path / "empty").mkdir()
    make_zip(tmp_path / "empty.zip", {})
    with pytest.raises(InputError, match="folder or zip"):
        submissions.find(tmp_path / name)


def test_one_notebook_is_a_submission_too(tmp_path):
    path = submitted.write({"cells": []}, tmp_path / "anna.ipynb")
    (found,) = submissions.find(path)
    assert found.student == "anna"
    shutil.rmtree(tmp_path)
