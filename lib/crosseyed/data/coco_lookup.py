"""Find what an annotation refers to as people write it: entries by id, and image files by name."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from crosseyed.files import visible_files


def same_name(text: str) -> str:
    """Return what two texts have in common that differ in case or Unicode form alone."""
    return unicodedata.normalize("NFC", text).casefold()


class Lookup:
    """Entries of a list by their ``id``.

    A number and a text that look alike are the same id, unless both occur. Entries that repeat another wholly are
    dropped.

    Attributes
    ----------
    entries : list
        The distinct entries.
    nameless : list of bool
        Whether an entry has no id.
    """

    def __init__(self, entries: Sequence[dict]) -> None:
        self.entries: list = list({repr(sorted(entry.items())): entry for entry in entries}.values())
        keys = [_key(entry.get("id")) for entry in self.entries]
        self.nameless = [key is None for key in keys]
        self._exact, self._text = defaultdict(list), defaultdict(list)
        for place, key in enumerate(keys):
            if key is not None:
                self._exact[key].append(place)
                self._text[key[1]].append(place)

    def find(self, number: object) -> list[int]:
        """Return the places in `entries` of those with an id: none, one, or several that share it."""
        key = _key(number)
        if key is None:
            return []
        return self._exact.get(key) or self._text.get(key[1], [])


def _key(value: object) -> tuple[str, str] | None:
    """Give an id that can be looked up, as its kind and its text; None for what cannot be one."""
    if isinstance(value, str):
        return ("text", value.strip()) if value.strip() else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return "number", str(int(value) if isinstance(value, int) or value.is_integer() else value)


class ImageFinder:
    """Finds image files below a folder, and none outside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str) -> Path | None:
        """Return the file that an annotation names; None if there is none, or more than one may be meant."""
        windows = re.match(r"[A-Za-z]:", name)
        parts = [part for part in re.split(r"[\\/]", name[2:] if windows else name) if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        written = self.folder / name  # a backslash may be part of a name, except on Windows
        if not os.path.isabs(name) and os.path.isfile(written):
            return written
        tails = [parts]
        if self.folder.resolve().name in parts:  # the path from further above, or of another machine
            tails.append(parts[parts.index(self.folder.resolve().name) + 1 :])
        if windows or os.path.isabs(name):
            tails.append(parts[-1:])
        return next((path for tail in tails if tail and (path := self._below(tail)) is not None), None)

    def _below(self, parts: Sequence[str]) -> Path | None:
        path = self.folder.joinpath(*parts)
        if os.path.isfile(path):
            return path
        folder = path.parent
        if folder not in self._names:
            found = visible_files(folder) if os.path.isdir(folder) else []
            self._names[folder] = defaultdict(list)
            for file in found:
                self._names[folder][same_name(file.name)].append(file)
        alike = self._names[folder].get(same_name(path.name), [])
        return alike[0] if len(alike) == 1 else None
