"""Find what an annotation refers to as people write it: entries by id, and image files by name."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff]")


def same_name(text: str) -> str:
    """Return what two texts have in common that differ in case or Unicode form alone."""
    return unicodedata.normalize("NFC", text).casefold()


def first_spellings(texts: Iterable[str]) -> list[str | None]:
    """Give each text without superfluous blanks, as it is spelt where it comes first; None for what is blank.

    Characters that nobody sees, such as the zero-width space, are blanks.
    """
    spellings: dict[str, str] = {}
    tidy = (" ".join(_UNSEEN.sub(" ", text).split()) for text in texts)
    return [spellings.setdefault(same_name(text), text) if text else None for text in tidy]


class Lookup:
    """Entries of a list by their ``id``.

    A number and a text that look alike are the same id, unless both occur. Entries that repeat another in the fields
    that are asked for are dropped.

    Attributes
    ----------
    entries : list
        The distinct entries.
    nameless : list of bool
        Whether an entry has no id.
    """

    def __init__(self, entries: Sequence[dict], fields: Sequence[str]) -> None:
        kept: dict[str, dict] = {}
        for entry in entries:
            kept.setdefault(repr([entry.get(field) for field in fields]), entry)
        self.entries: list = list(kept.values())
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
        self._entries: dict[Path, dict[str, list[Path]]] = {}

    def find(self, name: str) -> Path | None:
        """Return the file that an annotation names; None if there is none, or more than one may be meant."""
        parts = [
            part for part in re.split(r"[\\/]", re.sub(r"^[A-Za-z]:", "", name)) if part not in ("", ".")
        ]
        elsewhere = re.match(r"[A-Za-z]:|[\\/~]", name) is not None
        if not os.path.isabs(name) and ".." not in parts and os.path.isfile(self.folder / name):
            return self.folder / name  # a backslash may be part of a name, except on Windows
        own = same_name(self.folder.resolve().name)
        # the path may begin further above, or be that of another machine
        tails = [parts, *(parts[place:] for place, part in enumerate(parts, 1) if same_name(part) == own)]
        tails += [parts[-1:]] if elsewhere else []
        found = (self._below(tail) for tail in tails if tail and ".." not in tail)
        return next((path for path in found if path is not None), None)

    def _below(self, parts: Sequence[str]) -> Path | None:
        path = self.folder
        for part in parts:
            there = path / part
            alike = [there] if os.path.exists(there) else self._alike(path, part)
            if len(alike) != 1:
                return None
            path = alike[0]
        return path if os.path.isfile(path) else None

    def _alike(self, folder: Path, name: str) -> list[Path]:
        """List what a folder holds under a name that differs in case or Unicode form alone."""
        if folder not in self._entries:
            self._entries[folder] = defaultdict(list)
            for path in folder.glob("[!.]*"):
                self._entries[folder][same_name(path.name)].append(path)
        return self._entries[folder].get(same_name(name), [])
