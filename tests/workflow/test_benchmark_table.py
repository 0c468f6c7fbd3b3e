import numpy as np
import pytest

from crosseyed.errors import InputError
from crosseyed.measure.multiplicity import correct
from crosseyed.mitigations.protocol import read_protocol
from crosseyed.tables import read_table, write_table
from crosseyed.workflow import benchmark_table
from crosseyed.workflow.benchmark_table import SCHEMA, add, has, read

CHANGES = {f"{name}{end}": 0.0 for name in benchmark_table.CHANGES for end in ("", "_low", "_high")}


@pytest.fixture(scope="module")
def agreed():
    return read_protocol()


def row(label, p_value=0.01, low=1.0, weights="00000000", **others):
    return {
        **CHANGES,
        "model": "tiny",
        "pretrained": "random",
        "weights": weights,
        "mitigation": label,
        "source": f"given.py:{label}",
        "code": "12345678",
        "candidate": label,
        "oracle": False,
        "candidates": 2,
        "left_out": 0,
        "passes": 2.0,
        "acts": 50.0,
        "off_center_change": 5.0,
        "off_center_change_low": low,
        "off_center_change_high": 9.0,
        "p_uncorrected": p_value,
        "confidence": 0.95,
        "n_objects": 4,
        "n_center": 8,
        "n_off_center": 8,
        **others,
    }


def test_all_mitigations_of_a_model_are_one_family(tmp_path, agreed):
    path = tmp_path / "out.csv"
    (first,) = add(path, row("a", 0.03), agreed, "cpu").to_dict("records")
    assert (first["off_center_p"], first["compared"], first["verdict"], first["rows"]) == (
        0.03,
        1,
        "helps",
        1,
    )
    add(path, row("a", 0.04, weights="11111111"), agreed, "cpu")
    table = add(path, row("b", 0.5), agreed, "cpu").set_index(["weights", "mitigation"])
    assert table["off_center_p"].tolist() == [0.06, 0.04, 0.5]  # 2 × 0.03 now, and another model's own
    assert table["compared"].tolist() == [2, 1, 2]
    assert table["verdict"].tolist() == ["harmless", "helps", "harmless"]
    assert table["rows"].tolist() == [3, 3, 3]
    assert correct(table.loc["00000000", "p_uncorrected"]).tolist() == [0.06, 0.5]


def test_what_is_over_the_budget_has_a_row_and_is_no_comparison(tmp_path, agreed):
    path = tmp_path / "out.csv"
    add(path, row("a", 0.03), agreed, "cpu")
    unmeasured = dict.fromkeys(
        [*CHANGES, "p_uncorrected", "acts", "n_objects", "oracle", "candidate"], np.nan
    )
    table = add(path, row("b", passes=26, **unmeasured), agreed, "cpu")
    assert table["verdict"].tolist() == ["helps", "over budget"]
    assert table["compared"].tolist() == [1, 1]
    assert np.isnan(table["off_center_p"][1])
    assert read(path, agreed).equals(table)


def test_a_row_is_known_by_weights_label_and_code(tmp_path, agreed):
    table = add(tmp_path / "out.csv", row("a"), agreed, "cpu")
    known = {"weights": "00000000", "mitigation": "a", "code": "12345678", "source": "elsewhere"}
    assert has(table, known)
    for name in ("weights", "mitigation", "code"):
        assert not has(table, known | {name: "other"})
    assert not has(read(tmp_path / "none.csv", agreed), known)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"version": 99}, r"benchmark is 99 there and \d+ here"), ({"seed": 1}, "protocol is")],
)
def test_rows_by_another_protocol_are_not_compared(tmp_path, agreed, change, word):
    path = tmp_path / "out.csv"
    add(path, row("a"), agreed.altered(**change), "cpu")
    content = path.read_bytes()
    with pytest.raises(InputError, match=rf"out\.csv.*another protocol: {word}.*not comparable"):
        add(path, row("b"), agreed, "cpu")
    assert path.read_bytes() == content


def test_rows_of_another_version_of_the_study_are_not_compared(tmp_path, agreed, monkeypatch):
    add(tmp_path / "out.csv", row("a"), agreed, "cpu")
    monkeypatch.setattr(benchmark_table, "PROTOCOL_VERSION", 99)
    with pytest.raises(InputError, match=r"protocol_version is \d+ there and 99 here"):
        read(tmp_path / "out.csv", agreed)


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"\x00\x01", ",".join(SCHEMA).encode() + b"\n", ",".join(SCHEMA).encode()]
)
def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path, agreed, content):
    path = tmp_path / "out.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"out\.csv.* Give another file"):
        add(path, row("a"), agreed, "cpu")
    assert path.read_bytes() == content


def test_a_table_without_its_last_row_is_refused(tmp_path, agreed):
    path = tmp_path / "out.csv"
    add(path, row("a"), agreed, "cpu")
    add(path, row("b"), agreed, "cpu")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="cut off"):
        read(path, agreed)


def test_the_table_is_as_its_schema_says(tmp_path, agreed):
    path = tmp_path / "out.csv"
    table = add(path, row("007", candidate="1e5"), agreed, "cpu")
    assert table["mitigation"].tolist() == ["007"] and table["candidate"].tolist() == ["1e5"]
    write_table(table, tmp_path / "again.csv")
    assert read_table(tmp_path / "again.csv", SCHEMA, "").equals(table)
