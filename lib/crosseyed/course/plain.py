"""Plain data as one line of JSON and back: all that passes between a submission's process and the one that judges.

Plain data are None, bool, int, float, str, lists, dictionaries with plain keys, NumPy arrays of numbers, bools or
text, pandas tables and series. Tuples become lists, NumPy's scalars Python's, and tensors arrays. What is read is
checked as what a stranger wrote: nothing in it names a class or code, and what comes out holds objects of exactly
these types, so that comparing them runs no one else's methods.
"""

import base64
import binascii
import json
import math
import sys
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from crosseyed.errors import InputError

LARGEST = 64 * 2**20
"""Most bytes of a line."""

_DEEPEST = 40
_MOST_NODES = 2_000_000
_LARGEST_INTEGER = 2**64
_MOST_DIMENSIONS = 8
_KIND = "~"  # the key that says what a dictionary of JSON stands for
_DTYPES = {
    np.dtype(name).str for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
} | {np.dtype(name).str for name in ("c8", "c16")}
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class NotPlainError(InputError):
    """A value is not plain data, or a line is not plain data that was written whole."""


def dumps(value: object) -> bytes:
    """Return plain data as one line of JSON, without its end.

    Parameters
    ----------
    value : object
        Plain data, as the module says.

    Raises
    ------
    NotPlainError
        It holds something else, is nested deeper than 40 levels (or in itself), or takes more than `LARGEST` bytes.
    """
    line = json.dumps(_encode(value, 0), allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(line) > LARGEST:
        raise NotPlainError(f"The value takes {len(line):,} bytes, and at most {LARGEST:,} are passed on.")
    return line


def loads(line: bytes) -> Any:
    """Return what a line says, as new objects of the plain types only.

    Parameters
    ----------
    line : bytes
        What `dumps` or a stranger wrote.

    Raises
    ------
    NotPlainError
        It is not such a line: not JSON, too large or too deep, an array whose bytes do not fit its shape, columns of
        different lengths, or anything else that `dumps` would not have written.
    """
    if len(line) > LARGEST:
        raise NotPlainError(f"The line takes {len(line):,} bytes, and at most {LARGEST:,} are read.")
    try:
        return _Reader().read(json.loads(line, parse_constant=_refuse_constant), 0)
    except NotPlainError:
        raise
    except RecursionError:
        raise NotPlainError("The line is nested too deeply.") from None
    except (ValueError, TypeError, KeyError, OverflowError, binascii.Error, MemoryError) as error:
        raise NotPlainError(f"The line is not plain data ({type(error).__name__}).") from None


def _refuse_constant(name: str) -> None:
    raise NotPlainError(f"The line holds {name}, which is not JSON.")


def _encode(value: object, depth: int) -> object:
    if depth > _DEEPEST:
        raise NotPlainError(f"The value is nested deeper than {_DEEPEST} levels, or holds itself.")
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST_INTEGER:
            raise NotPlainError("The value holds an integer of more than 64 bits.")
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else {_KIND: "float", "is": str(number)}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list | tuple):
        return [_encode(entry, depth + 1) for entry in value]
    if isinstance(value, dict):
        items = [[_encode(_key(key), depth + 1), _encode(entry, depth + 1)] for key, entry in value.items()]
        return {_KIND: "dict", "items": items}
    if isinstance(value, pd.DataFrame):
        columns = [_column(value.iloc[:, place], depth + 1) for place in range(value.shape[1])]
        names = [_encode(_key(name), depth + 1) for name in value.columns]
        return {_KIND: "table", "names": names, "columns": columns, "index": _index(value.index, depth)}
    if isinstance(value, pd.Series):
        name = _encode(_key(value.name), depth + 1)
        return {
            _KIND: "series",
            "name": name,
            "values": _column(value, depth),
            "index": _index(value.index, depth),
        }
    if isinstance(value, pd.Index):
        return _column(value.to_series(), depth)
    return _encode_array(_as_array(value), depth)


def _key(key: object) -> object:
    """Return the key of a dictionary or the label of a column, if it is plain."""
    key = key.item() if isinstance(key, np.generic) else key
    if isinstance(key, pd.Interval):
        return str(key)
    if key is not None and not isinstance(key, bool | int | float | str):
        raise NotPlainError(f"The value holds a key of the type {type(key).__name__}; use text or a number.")
    return key


def _as_array(value: object) -> np.ndarray:
    """Return an array or tensor as an array; refuse anything else."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).resolve_conj().numpy()
    if isinstance(value, np.ndarray):
        return value
    kind = type(value).__name__
    raise NotPlainError(
        f"The value holds an object of the type {kind[:40]}; use numbers, text, lists, dictionaries, arrays or tables."
    )


def _encode_array(array: np.ndarray, depth: int) -> dict[str, object]:
    if isinstance(array, np.ma.MaskedArray):
        raise NotPlainError("The value holds a masked array; fill its gaps first.")
    if array.ndim > _MOST_DIMENSIONS:
        raise NotPlainError(
            f"The value holds an array of {array.ndim} dimensions; at most {_MOST_DIMENSIONS} pass."
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    shape = list(array.shape)
    if array.dtype.str in _DTYPES:
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
        return {_KIND: "array", "dtype": array.dtype.str, "shape": shape, "data": data}
    if array.dtype.kind in "OUT":
        entries = [_encode(_key(entry), depth + 1) for entry in array.ravel().tolist()]
        return {_KIND: "objects", "shape": shape, "entries": entries}
    raise NotPlainError(f"The value holds an array of the type {array.dtype}; use numbers, bools or text.")


def _column(column: pd.Series, depth: int) -> dict[str, object]:
    """Return the values of a column: numbers as they are, all else as objects, with None for what is missing."""
    if isinstance(column.dtype, np.dtype) and column.dtype.str in _DTYPES:
        return _encode_array(column.to_numpy(), depth)
    values = column.astype(object)
    return _encode_array(values.where(values.notna(), None).to_numpy(dtype=object), depth)


def _index(index: pd.Index, depth: int) -> object:
    """Return the labels of rows; None for those that count them from zero."""
    if isinstance(index, pd.RangeIndex) and index.equals(pd.RangeIndex(len(index))) and index.name is None:
        return None
    levels = [index.get_level_values(place).to_series() for place in range(index.nlevels)]
    names = [_encode(_key(name), depth + 1) for name in index.names]
    return {"names": names, "levels": [_column(level, depth + 1) for level in levels]}


class _Reader:
    """Reads the tree of one line; counts what it makes."""

    def __init__(self) -> None:
        self._nodes = 0

    def read(self, tree: Any, depth: int) -> Any:
        self._nodes += 1
        if depth > _DEEPEST + 4 or self._nodes > _MOST_NODES:
            raise NotPlainError("The line is nested too deeply, or holds too many values.")
        if isinstance(tree, int) and not isinstance(tree, bool) and abs(tree) > _LARGEST_INTEGER:
            raise NotPlainError("The line holds an integer of more than 64 bits.")
        if isinstance(tree, float) and not math.isfinite(tree):  # 1e999
            raise NotPlainError("The line holds a number that is too large.")
        if isinstance(tree, list):
            return [self.read(entry, depth + 1) for entry in tree]
        if isinstance(tree, dict):
            return self._marked(tree, depth + 1)
        return tree

    def _marked(self, tree: dict[str, Any], depth: int) -> Any:
        readers = {
            "float": self._float,
            "dict": self._dictionary,
            "array": self._array,
            "objects": self._array,
            "table": self._table,
            "series": self._series,
        }
        kind = tree.get(_KIND)
        if not isinstance(kind, str) or kind not in readers:
            raise NotPlainError("The line holds a value of a kind that is not known.")
        return readers[kind](tree, depth)

    def _float(self, tree: dict[str, Any], depth: int) -> float:
        return _NOT_FINITE[tree["is"]]

    def _dictionary(self, tree: dict[str, Any], depth: int) -> dict[Hashable, Any]:
        pairs = ((self.read(key, depth), self.read(entry, depth)) for key, entry in tree["items"])
        return {_key(key): entry for key, entry in pairs}

    def _array(self, tree: dict[str, Any], depth: int) -> np.ndarray:
        shape = tree["shape"]
        if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
            raise NotPlainError("The line holds an array without a shape.")
        if not all(type(size) is int and 0 <= size <= LARGEST for size in shape):
            raise NotPlainError("The line holds an array of an impossible shape.")
        if tree[_KIND] == "objects":
            entries = [_key(self.read(entry, depth)) for entry in tree["entries"]]
            if math.prod(shape) != len(entries):
                raise NotPlainError("The line holds an array whose entries do not fit its shape.")
            array = np.empty(len(entries), dtype=object)
            array[:] = entries
            return array.reshape(shape)
        if tree["dtype"] not in _DTYPES:
            raise NotPlainError("The line holds an array of a type that does not pass.")
        dtype = np.dtype(tree["dtype"])
        data = base64.b64decode(tree["data"], validate=True)
        if math.prod(shape) * dtype.itemsize != len(data):
            raise NotPlainError("The line holds an array whose bytes do not fit its shape.")
        return np.frombuffer(data, dtype=dtype).reshape(shape).copy()

    def _values(self, tree: Any, depth: int) -> np.ndarray:
        values = self.read(tree, depth)
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise NotPlainError("The line holds a column that is not a list of values.")
        return values

    def _labels(self, tree: dict[str, Any] | None, rows: int | None, depth: int) -> pd.Index | None:
        if tree is None:
            return None
        levels = [self._values(level, depth) for level in tree["levels"]]
        names = [_key(self.read(name, depth)) for name in tree["names"]]
        if not levels or len(levels) != len(names) or any(len(level) != rows for level in levels):
            raise NotPlainError("The line holds rows whose labels do not fit.")
        if len(levels) == 1:
            return pd.Index(levels[0], name=names[0])
        return pd.MultiIndex.from_arrays(levels, names=names)

    def _table(self, tree: dict[str, Any], depth: int) -> pd.DataFrame:
        names = [_key(self.read(name, depth)) for name in tree["names"]]
        columns = [self._values(column, depth) for column in tree["columns"]]
        if len(names) != len(columns) or len({len(column) for column in columns}) > 1:
            raise NotPlainError("The line holds a table whose columns do not fit.")
        rows = len(columns[0]) if columns else 0
        table = pd.DataFrame(dict(enumerate(map(_series, columns))), index=range(rows))
        table.columns = pd.Index(names)
        labels = self._labels(tree["index"], rows, depth)
        return table if labels is None else table.set_axis(labels, axis=0)

    def _series(self, tree: dict[str, Any], depth: int) -> pd.Series:
        values = self._values(tree["values"], depth)
        labels = self._labels(tree["index"], len(values), depth)
        series = _series(values).rename(_key(self.read(tree["name"], depth)))
        return series if labels is None else series.set_axis(labels)


def _series(values: np.ndarray) -> pd.Series:
    """Return a column as pandas reads it: text as its type of text, all else as it is."""
    texts = values.dtype == object and all(entry is None or isinstance(entry, str) for entry in values)
    return pd.Series(list(values), dtype="str") if texts and len(values) else pd.Series(values)
