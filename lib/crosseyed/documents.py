"""Text, JSON and YAML files that a user gives: read whole, checked, and refused in one sentence."""

import codecs
import json
import os
import re
from collections.abc import Callable
from typing import Any

import yaml

from crosseyed.errors import InputError, shorten
from crosseyed.files import require_file

LARGEST = 64 * 2**20
"""Bytes that a document may have, unless its reader allows more."""

_DEEPEST = 100
_MOST_NODES = 100_000
_STANDARD = "tag:yaml.org,2002:"
_TAGS = {_STANDARD + kind for kind in ("str", "seq", "map", "merge")}


def read_text(path: str | os.PathLike, what: str, *, largest: int = LARGEST) -> str:
    """Read a text file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32.

    Parameters
    ----------
    path : path
        A regular file; ``~`` is expanded.
    what : str
        What is expected there, with its article, such as ``"a list of models such as models.yml"``.
    largest : int
        Bytes that it may have.

    Returns
    -------
    str
        The text, with line ends as they are in the file.

    Raises
    ------
    InputError
        It is missing, no regular file, too large, in another encoding, or no text at all.
    """
    file, shown = require_file(path, what), repr(os.fspath(path))
    try:
        if file.stat().st_size > largest:
            raise InputError(f"{shown} has more than {largest / 2**20:.0f} MB; give {what}.")
        raw = file.read_bytes()
    except OSError as error:
        raise InputError(f"{shown} cannot be read ({error.strerror or error}); give {what}.") from error
    encoding = json.detect_encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        name = codecs.lookup(encoding).name.upper().removesuffix("-SIG")
        raise InputError(
            f"{shown} is not text in {name} (byte {error.start} does not fit); save it in UTF-8, or give {what}."
        ) from error
    if "\0" in text:
        raise InputError(f"{shown} is not a text file, since it holds NUL bytes; give {what}.")
    return text


def read_json(
    path: str | os.PathLike,
    what: str,
    *,
    largest: int = LARGEST,
    keep: Callable[[dict[str, Any]], Any] = lambda entry: entry,
) -> Any:
    """Read a JSON file as `read_text` does; a key that comes twice in an object is refused.

    Parameters
    ----------
    path, what, largest
        As for `read_text`.
    keep : callable
        Takes each object and returns what is kept of it, so that a large file need not be held whole.

    Raises
    ------
    InputError
        As by `read_text`; it is not JSON, is nested without end, or names a key twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> Any:
        entry: dict[str, Any] = {}
        for key, value in pairs:
            if key in entry:
                raise _TwiceError(f"{os.fspath(path)!r} has the key {shorten(key)} twice; keep one of them.")
            entry[key] = value
        return keep(entry)

    text = read_text(path, what, largest=largest)
    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        place = "is empty" if not text.strip() else f"is not JSON ({error.msg}: line {error.lineno})"
        raise InputError(f"{os.fspath(path)!r} {place}; give {what}.") from error
    except _TwiceError:
        raise
    except (ValueError, RecursionError) as error:  # a number with thousands of digits, or nesting without end
        reason = "nested too deeply" if isinstance(error, RecursionError) else shorten(str(error))
        raise InputError(f"{os.fspath(path)!r} is not JSON ({reason}); give {what}.") from error


def read_yaml(path: str | os.PathLike, what: str) -> Any:
    """Read a YAML file as `read_text` does, with every value as the text that is written there.

    So ``400``, ``1e5``, ``007``, ``null`` and ``yes`` stay text, as names must; who wants a number converts it. Only an
    empty value and ``~`` are None.

    Raises
    ------
    InputError
        As by `read_text`; it is not YAML, names a key twice, is nested deeply, has aliases that multiply, or gives a
        value a type (``!!int``).
    """
    text = read_text(path, what, largest=2**20)
    try:
        return yaml.load(
            text, Loader=_TextLoader
        )  # a SafeLoader: builds nothing but text, lists and mappings
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" in line {mark.line + 1}" if mark else ""
        advice = "; indent with spaces, not tabs" if "'\\t'" in (error.problem or "") else ""
        reason = f"{error.problem or error.context}{line}{advice}"
    except yaml.reader.ReaderError as error:
        reason = f"{error.reason} at character {error.position}"
    except (yaml.YAMLError, ValueError) as error:
        reason = shorten(str(error))
    except RecursionError:
        reason = "nested too deeply"
    raise InputError(f"{os.fspath(path)!r} is not YAML that can be read: {reason}. Give {what}.")


class _TwiceError(InputError):
    """A key comes twice; not to be taken for a number that cannot be read."""


class _TextLoader(yaml.SafeLoader):
    """Takes values as text, and refuses what could be meant otherwise than it is read."""

    yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("^<<$"))]}  # noqa: RUF012

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            self._count(node, {})
        return node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RecursionError
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node.tag not in _TAGS:
            problem = f"the type {shorten(node.tag.replace(_STANDARD, '!!'))} is not known here, leave it out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(node)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~"):
            return None
        return super().construct_object(node, deep)

    def _count(self, node: yaml.Node, known: dict[int, int]) -> int:
        """Return the nodes of a tree with every alias replaced by what it stands for."""
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) not in known:
            known[id(node)] = _MOST_NODES  # what contains itself has no end
            parts = (
                part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))
            )
            known[id(node)] = 1 + sum(self._count(part, known) for part in parts)
        if known[id(node)] >= _MOST_NODES:
            problem = f"aliases that multiply, or more than {_MOST_NODES:,} entries"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return known[id(node)]


def _refuse_twice(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                problem = f"the key {shorten(key.value)} comes twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(key.value)
