"""Plain data come back as they were, and whatever else stands in a line is refused."""

import base64
import json
import math
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosseyed.course import plain
from crosseyed.course.plain import NotPlainError, dumps, loads

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(st.characters(codec="utf-8"))
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(-9, 9), inner)
    ),
)


def same(left, right):
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


@given(_VALUES)
def test_values_come_back_with_their_types(value):
    assert same(value, loads(dumps(value)))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "f4", "f8", "c16", ">f4", ">i2"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_come_back(dtype, shape):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    back = loads(dumps(array))
    assert type(back) is np.ndarray and back.shape == shape and back.flags.writeable
    assert back.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(back, array)


def test_a_slice_that_is_not_contiguous_comes_back():
    array = np.arange(24.0).reshape(4, 6)[::2, ::-3].T
    np.testing.assert_array_equal(loads(dumps(array)), array)


def test_tensors_arrive_as_arrays():
    for dtype in (torch.float32, torch.bfloat16, torch.int64, torch.bool):
        tensor = torch.arange(6).reshape(2, 3).to(dtype)
        np.testing.assert_array_equal(loads(dumps(tensor)), tensor.float().numpy())
    assert loads(dumps(torch.ones(2, requires_grad=True))).tolist() == [1, 1]


def test_text_arrays_and_tuples_arrive_as_objects_and_lists():
    assert loads(dumps(np.array([["a", "bc"]]))).tolist() == [["a", "bc"]]
    assert loads(dumps((1, (2.0, np.float32(3)), np.int8(4), np.bool_(True)))) == [1, [2.0, 3.0], 4, True]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(
            {"object": ["cat", "dog", "cat"], "x": [0.5, np.nan, 1], "correct": [True, False, True]}
        ),
        pd.DataFrame({"a": [1, 2, 3]}, index=[5, 3, 1]),
        pd.DataFrame({"a": [1, 2], "b": [3, 4]}).set_index(pd.Index(["p", "q"], name="who")),
        pd.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"], "v": [1.0, 2, 3]}).set_index(["a", "b"]),
        pd.DataFrame({0: [1.0], 1: [2.0]}),
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pd.DataFrame([[1, 2], [3, 4]], columns=["same", "same"]),
    ],
)
def test_tables_come_back(table):
    pd.testing.assert_frame_equal(loads(dumps(table)), table, check_column_type=False, check_index_type=False)


def test_series_come_back_with_name_and_labels():
    series = pd.Series([1.0, 2.0], index=["near", "far"], name="accuracy")
    pd.testing.assert_series_equal(loads(dumps(series)), series)


def test_categories_and_intervals_arrive_as_text():
    rings = pd.cut(pd.Series([0.1, 0.6]), [0, 0.5, 1])
    means = pd.Series([1.0, 2.0]).groupby(rings, observed=True).mean()
    assert loads(dumps(means)).index.tolist() == ["(0.0, 0.5]", "(0.5, 1.0]"]
    assert loads(dumps(pd.Series(["a", "b"], dtype="category"))).tolist() == ["a", "b"]


class Evil:
    def __eq__(self, other):
        return True

    def __array__(self, *_, **__):
        return np.ones(3)

    def __reduce__(self):
        return print, ("run",)


def holding_itself():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        Evil(),
        [Evil()],
        {"a": Evil()},
        {(1, 2): 3},
        np.array([object()]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.zeros(1, dtype=[("a", "i4")]),
        np.ma.masked_array([1, 2], [True, False]),
        10**30,
        {1, 2},
        b"bytes",
        print,
        holding_itself(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_not_written(value):
    with pytest.raises(NotPlainError):
        dumps(value)


def test_subclasses_lose_their_methods():
    class Float(float):
        __eq__ = Evil.__eq__
        __hash__ = None

    class Array(np.ndarray):
        __eq__ = Evil.__eq__
        __hash__ = None

    assert type(loads(dumps(Float(0.5)))) is float
    assert type(loads(dumps(np.ones(2).view(Array)))) is np.ndarray


def array_line(**changes):
    data = base64.b64encode(np.arange(3.0).tobytes()).decode()
    return json.dumps({"~": "array", "dtype": "<f8", "shape": [3], "data": data} | changes).encode()


LINES = {
    "not JSON": b"{",
    "a pickle": pickle.dumps(Evil),
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep within Python's limit": b"[" * 300 + b"]" * 300,
    "deep dictionaries": b'{"~":' * 50_000,
    "NaN": b"NaN",
    "too large a number": b"1e999",
    "thousands of digits": b"1" * 5000,
    "an unknown kind": b'{"~":"pickle","data":""}',
    "a kind that is not text": b'{"~":["array"]}',
    "no kind": b'{"a":1}',
    "objects": array_line(dtype="|O"),
    "a record": array_line(dtype=[["a", "<f8"]]),
    "text in bytes": array_line(dtype="<U6"),
    "a shape that does not fit": array_line(shape=[4]),
    "a huge shape": array_line(shape=[2**62, 2**62]),
    "a negative shape": array_line(shape=[-1, -3]),
    "a shape of bools": array_line(shape=[True, 3]),
    "many dimensions": array_line(shape=[1] * 40 + [3]),
    "no base64": array_line(data="!!!!"),
    "a number for the data": array_line(data=7),
    "columns of two lengths": json.dumps(
        {"~": "table", "names": ["a", "b"], "index": None, "columns": [json.loads(array_line())] * 1 + [
            {"~": "objects", "shape": [1], "entries": [1]}]}
    ).encode(),
    "a column that is a number": b'{"~":"table","names":["a"],"columns":[1],"index":null}',
    "labels that do not fit": json.dumps(
        {"~": "series", "name": "a", "values": json.loads(array_line()), "index": {"names": ["a"], "levels": []}}
    ).encode(),
    "a list as key": b'{"~":"dict","items":[[[1],2]]}',
    "pairs of three": b'{"~":"dict","items":[[1,2,3]]}',
    "a byte that is not text": b'"\xff"',
}  # fmt: skip


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_other_lines_are_refused(line):
    with pytest.raises(NotPlainError):
        loads(line)


def test_sizes_are_limited_on_both_sides(monkeypatch):
    monkeypatch.setattr(plain, "LARGEST", 50)
    with pytest.raises(NotPlainError, match="bytes"):
        dumps("a" * 100)
    with pytest.raises(NotPlainError, match="bytes"):
        loads(b'"' + b"a" * 100 + b'"')
