"""Rows of numbers, kept by key in a folder of bounded size that several processes may fill at once.

Rows that are kept together lie in one safetensors file, a *part*, with their keys and a checksum over both. Its name
says what kind of rows these are and which, so the same rows, made twice, are one part. Parts are written whole or not
at all and read through memory maps, and use renews their date. Where all parts together exceed the bound, those that
were used longest ago are removed. What a process has read stays valid, and a part that vanishes counts as one that was
never there.
"""

import hashlib
import math
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from crosseyed.errors import InputError, shorten
from crosseyed.files import atomic_write, expand, require_file

BOUND_VARIABLE = "CROSSEYED_CACHE_GB"
"""Environment variable that bounds the size of the folder, in gigabytes; 0 keeps nothing."""

DEFAULT_BOUND = 10.0
"""Gigabytes where the variable is not set."""

KEY_BYTES = 16
"""Length of a key."""

KIND_BYTES = 16
"""Length of what names a kind, which is written in hexadecimal digits."""

_NAME = re.compile(
    r"(?:[0-9a-f]{32}-[0-9a-f]{32}|[0-9a-f]{64})\.safetensors"
)  # the second: of earlier versions
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.safetensors")
_ABANDONED = 24 * 3600.0  # seconds after which a temporary file is that of a run that was killed
_LEFT = 0.9  # of the bound, when parts have been removed
_LOOKS = 0.01  # of the bound are written between two looks at the size of the folder

Held = TypeVar("Held")


class DamagedEntryWarning(UserWarning):
    """A part does not hold what was written; its rows are made anew."""


class _Place(NamedTuple):
    part: Path
    row: int


@dataclass
class Store:
    """The rows below a folder, which is created when the first is kept.

    Attributes
    ----------
    folder : Path
        Where parts lie. Other files there are left alone.
    bound : float
        Bytes that all parts may take together.
    """

    folder: Path
    bound: float
    _places: dict[str, dict[bytes, _Place]] = field(default_factory=dict, repr=False)
    _known: set[Path] = field(default_factory=set, repr=False)
    _used: set[Path] = field(default_factory=set, repr=False)
    _unseen: float = field(default=math.inf, repr=False)  # bytes written since the last look at the size

    @classmethod
    def at(cls, folder: str | os.PathLike) -> "Store":
        """Return the store in a folder, with the bound that `BOUND_VARIABLE` gives."""
        return cls(expand(folder), bound_from(os.environ.get(BOUND_VARIABLE)))

    def find(self, kind: str, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Return those rows that are kept.

        Parameters
        ----------
        kind : str
            What rows of different keys have in common, such as a digest of the model: `KIND_BYTES` in hexadecimal.
        keys : iterable of bytes
            `KEY_BYTES` each.

        Returns
        -------
        dict of bytes to numpy.ndarray
            A row for each key that is there.

        Warns
        -----
        DamagedEntryWarning
            For each part that is damaged, which is removed.
        """
        places = self._look(kind)
        wanted: dict[Path, dict[bytes, int]] = {}
        for key in keys:
            if (place := places.get(key)) is not None:
                wanted.setdefault(place.part, {})[key] = place.row
        found = {}
        for part, rows in wanted.items():
            held = self._read(part)
            if held is None:
                self._forget(kind, part)
                continue
            found |= {key: held[row] for key, row in rows.items()}
        return found

    def keep(self, kind: str, rows: Mapping[bytes, np.ndarray]) -> None:
        """Write rows of one length and type as a part, and remove what exceeds the bound.

        Raises
        ------
        InputError
            The part cannot be written.
        """
        if not rows or not self.bound:
            return
        keys = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, KEY_BYTES)
        held = np.ascontiguousarray(np.stack(list(rows.values())))
        part = self.folder / f"{kind}-{_name(keys.tobytes())}.safetensors"
        if part.is_dir():  # was told of when it was found, and is left as it is
            return
        with atomic_write(part) as temporary:
            checksum = _checksum(part, keys, held)
            save_file({"keys": keys, "rows": held}, temporary, metadata={"sha256": checksum})
        self._known.add(part)
        self._used.add(part)
        self._enter(kind, part, rows)
        self._bound(keys.nbytes + held.nbytes)

    def _look(self, kind: str) -> dict[bytes, _Place]:
        """Return where the rows of a kind are, after a look at what other processes have added."""
        with (
            suppress(OSError, ValueError),
            os.scandir(self.folder) as entries,
        ):  # a name with NUL is a ValueError
            names = sorted(each.name for each in entries if each.name.startswith(f"{kind}-"))
            for part in (self.folder / name for name in names if _NAME.fullmatch(name)):
                if part not in self._known:
                    self._known.add(part)
                    self._enter(kind, part, self._keys(part))
        return self._places.setdefault(kind, {})

    def _enter(self, kind: str, part: Path, keys: Iterable[bytes]) -> None:
        places = self._places.setdefault(kind, {})
        places.update((key, _Place(part, row)) for row, key in enumerate(keys))

    def _forget(self, kind: str, part: Path) -> None:
        kept = {key: place for key, place in self._places[kind].items() if place.part != part}
        self._places[kind] = kept

    def _keys(self, part: Path) -> list[bytes]:
        """Return the keys of a part; none if they are damaged, or the part is gone."""

        def read(file: safe_open) -> bytes:
            held = np.ascontiguousarray(file.get_tensor("keys")).tobytes()
            if not part.stem.endswith(_name(held)):
                raise ValueError("its keys are not those of its name")
            return held

        held = _tried(part, read) or b""
        return [held[start : start + KEY_BYTES] for start in range(0, len(held), KEY_BYTES)]

    def _read(self, part: Path) -> np.ndarray | None:
        """Return the rows of a part, checked, and renew its date; None if it is damaged or gone."""

        def read(file: safe_open) -> np.ndarray:
            keys, rows = file.get_tensor("keys"), file.get_tensor("rows")
            if _checksum(part, keys, rows) != (file.metadata() or {}).get("sha256"):
                raise ValueError("its checksum does not fit")
            return rows

        rows = _tried(part, read)
        if rows is not None and part not in self._used:
            self._used.add(part)
            with suppress(OSError):
                os.utime(part)
        return rows

    def _bound(self, written: float) -> None:
        """Remove the parts that were used longest ago, if together they exceed the bound."""
        self._unseen += written
        if self._unseen < _LOOKS * self.bound:
            return
        self._unseen = 0.0
        parts = sorted(_parts(self.folder))
        total = sum(size for _, size, _ in parts)
        if total <= self.bound:
            return
        for _, size, path in parts:
            with suppress(OSError):  # another process was faster
                path.unlink()
            total -= size
            if total <= _LEFT * self.bound:
                return


def bound_from(text: str | None) -> float:
    """Return a bound in bytes from what `BOUND_VARIABLE` holds, None where it is not set.

    Raises
    ------
    InputError
        It is not a number of gigabytes.
    """
    if not text:
        return DEFAULT_BOUND * 1e9
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes < math.inf:
        raise InputError(
            f"{BOUND_VARIABLE} is {shorten(text)}; give the gigabytes that kept embeddings may take, such as "
            f"{DEFAULT_BOUND:g}, or 0 to keep none."
        )
    return gigabytes * 1e9


def _parts(folder: Path) -> Iterable[tuple[float, int, Path]]:
    """Yield date, size and path of each part; remove what runs that were killed have left."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                if _TEMPORARY.fullmatch(entry.name) and time.time() - about.st_mtime > _ABANDONED:
                    os.unlink(entry.path)
                elif _NAME.fullmatch(entry.name):
                    yield about.st_mtime, about.st_size, Path(entry.path)


def _name(keys: bytes) -> str:
    return hashlib.sha256(keys).hexdigest()[:32]


def _tried(part: Path, read: Callable[[safe_open], Held]) -> Held | None:
    """Read something of a part; remove one that is damaged, with a warning; None for one that is gone."""
    if not os.path.lexists(part):
        return None
    try:
        with safe_open(require_file(part, "a part of the cache"), framework="np") as file:
            return read(file)
    except Exception as error:  # a damaged file can make the reader fail in any way
        if not os.path.lexists(part):
            return None
        reason = " ".join(str(error).split())
    with suppress(OSError):
        part.unlink()  # leaves a folder
    warnings.warn(f"{part} is damaged ({reason}) and is made anew.", DamagedEntryWarning, stacklevel=5)
    return None


def _checksum(part: Path, keys: np.ndarray, rows: np.ndarray) -> str:
    """Digest what a part holds, and its name, so that another part in its place is told."""
    digest = hashlib.sha256(f"{part.stem} {rows.dtype} {rows.shape}".encode())
    digest.update(np.ascontiguousarray(keys))
    digest.update(np.ascontiguousarray(rows))
    return digest.hexdigest()
