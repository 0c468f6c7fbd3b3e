"""Documents that a user gives are read in any usual encoding, or refused in one sentence."""

import os

import pytest

from crosseyed import documents
from crosseyed.documents import read_json, read_text, read_yaml
from crosseyed.errors import InputError

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_encoding_is_told_by_the_content(file, encoding):
    file.write_bytes('{"Größe": "大"}\r\n'.encode(encoding))
    assert read_text(file, "a text") == '{"Größe": "大"}\r\n'
    assert read_json(file, "a document") == read_yaml(file, "a document") == {"Größe": "大"}


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\xff", "not text in UTF-16"),
        (b"name: caf\xe9", "not text in UTF-8.*byte 9"),
        (b"name\0: x", "NUL bytes"),
        (b"\x80\x04\x95pickle", "not text in UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(file, read, content, words):
    file.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read(file, "a document")


@pytest.mark.parametrize("read", [read_text, read_json, read_yaml])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe"):
        read(tmp_path / "pipe", "a document")


def test_a_file_that_is_too_large_is_not_read(file):
    file.write_text("x" * 2000)
    with pytest.raises(InputError, match="more than"):
        read_text(file, "a document", largest=1000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; give a document"),
        ("{'a': 1}", "is not JSON .*line 1"),
        ("<html>", "is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' twice"),
        ('[{"deep": {"a": 1, "a": 1}}]', "the key 'a' twice"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "is not JSON"),
    ],
)
def test_json_that_cannot_be_meant_is_refused(file, text, words):
    file.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_json(file, "a document")
    assert len(str(caught.value)) < 300 + len(str(file))


def test_json_keeps_only_what_is_wanted_of_each_object(file):
    file.write_text('[{"a": 1, "outline": [1, 2]}]')
    assert read_json(file, "a document", keep=lambda entry: {"a": entry["a"]}) == [{"a": 1}]


NESTED = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (NESTED, "aliases that multiply"),
        (NESTED.replace("[*", "[<<: *").replace("[x]", "{x: y}"), "not YAML"),
        ("a: &a [*a]", "aliases that multiply"),
        ("a: 1\nb: 2\na: 3", "the key 'a' comes twice in line 3"),
        ("- {a: 1, a: 1}", "the key 'a' comes twice"),
        ("a:\n\t- b", "line 2; indent with spaces, not tabs"),
        ("a: [b", "line 1"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("a: *unknown", "undefined alias"),
        ("a: !!python/object/apply:os.system [true]", "not YAML"),
        ("a: !!int text", "the type '!!int' is not known here"),
        ("a: !!bool maybe", "the type '!!bool'"),
        ("a: !!timestamp x", "the type '!!timestamp'"),
        ("a: !!int ''", "the type '!!int'"),
        ("a: !!python/name:os.system", "the type '!!python/name:os.system'"),
        ("a: \x07", "special characters"),
        ("[" * 1000, "nested too deeply"),
        ("? [a]\n: b", "unhashable"),
    ],
)
def test_yaml_that_cannot_be_meant_is_refused(file, text, words):
    file.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_yaml(file, "a list of models")
    assert len(str(caught.value)) < 300 + len(str(file))
    assert "Give a list of models." in str(caught.value)


def test_yaml_of_more_entries_than_anybody_means_is_refused(file, monkeypatch):
    monkeypatch.setattr(documents, "_MOST_NODES", 2000)
    file.write_text("\n".join(f"k{number}: 1" for number in range(999)))  # with the mapping, 1999 nodes
    assert len(read_yaml(file, "a list of models")) == 999
    file.write_text("\n".join(f"k{number}: 1" for number in range(1000)))
    with pytest.raises(InputError, match=r"more than 2,000 entries.*Give a list of models\."):
        read_yaml(file, "a list of models")


@pytest.mark.parametrize(
    "text",
    ["400m_e31", "1e5", "007", "null", "yes", "True", "2024-01-01", "0x1F", "1_000", "12:30", "NaN", ".5"],
)
def test_yaml_values_are_the_text_that_is_written(file, text):
    file.write_text(f"name: {text}\nlist: [{text}]\n{text}: name")
    assert read_yaml(file, "a list") == {"name": text, "list": [text], text: "name"}


def test_yaml_has_empty_values_merges_and_aliases_as_people_write_them(file):
    file.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc:\nd: ~\ne: ''\nf: *a")
    assert read_yaml(file, "a list") == {
        "a": {"x": "1", "y": "2"},
        "b": {"x": "1", "y": "3"},
        "c": None,
        "d": None,
        "e": "",
        "f": {"x": "1", "y": "2"},
    }
    file.write_text("# nothing yet\n")
    assert read_yaml(file, "a list") is None
