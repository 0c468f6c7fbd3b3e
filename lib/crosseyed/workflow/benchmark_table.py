"""The table that `crosseyed benchmark` writes: one row for each mitigation and model, all by one protocol.

The file is only ever replaced by a table with more rows, and a file that is none of these tables is left as it is. All
mitigations of a model in one table are one family of tests: corrected p-values and verdicts are those of the table as
it is, and follow when a row is added.
"""

import os
from collections.abc import Mapping

import pandas as pd

from crosseyed import provenance
from crosseyed.errors import InputError
from crosseyed.files import expand
from crosseyed.measure.multiplicity import correct
from crosseyed.measure.recovery import ENDS
from crosseyed.mitigations.decision import decide
from crosseyed.mitigations.protocol import BenchmarkProtocol
from crosseyed.settings import PROTOCOL_VERSION
from crosseyed.tables import read_table, write_table

_TEXT, _WHOLE, _NUMBER, _TRUTH = "text", "whole", "number", "truth"

CHANGES = ("off_center_change", "center_change", "pair_change", "control_change")
"""What is measured of each mitigation: changes against the plain model in percentage points."""

SCHEMA = {
    **dict.fromkeys(("model", "pretrained", "weights"), _TEXT),
    "benchmark": _WHOLE,
    "protocol": _TEXT,
    "protocol_version": _WHOLE,
    **dict.fromkeys(("mitigation", "source", "code", "candidate"), _TEXT),
    "oracle": _TRUTH,
    **dict.fromkeys(("candidates", "left_out"), _WHOLE),
    **dict.fromkeys(("passes", "acts"), _NUMBER),
    **{f"{change}{end}": _NUMBER for change in CHANGES for end in ENDS},
    **dict.fromkeys(("p_uncorrected", "off_center_p"), _NUMBER),
    "compared": _WHOLE,
    "confidence": _NUMBER,
    **dict.fromkeys(("n_objects", "n_center", "n_off_center"), _WHOLE),
    "verdict": _TEXT,
    "rows": _WHOLE,
    **dict.fromkeys(provenance.COLUMNS, _TEXT),
}
"""Columns and their kinds, as of `crosseyed.tables.read_table`.

`benchmark` is the version that the protocol states, `protocol` the digest of its content, `protocol_version` the
study's own version (`crosseyed.settings.PROTOCOL_VERSION`). `source` and `code` are as of
`crosseyed.workflow.given_mitigations.Given`. `candidates` settings were tried, and `left_out` not, as they cannot be
applied or exceed the budget. Changes are as of `crosseyed.mitigations.decision.summarize`; `off_center_p` is corrected
for the `compared` mitigations of the model in this table. `rows` is the number of rows of the table, by which one that
is cut off is noticed."""

_IDENTITY = ("weights", "mitigation", "code")

_REMEDY = "Give another file as --output, in a folder of your own."


def read(path: str | os.PathLike, agreed: BenchmarkProtocol) -> pd.DataFrame:
    """Read a table of benchmarks.

    Parameters
    ----------
    path : path
        The file; a missing one is a table without rows.
    agreed : BenchmarkProtocol
        The protocol that all rows have to follow.

    Raises
    ------
    InputError
        The file is no such table or is cut off, or has rows by another protocol.
    """
    path = expand(path)
    if not os.path.lexists(path):
        return pd.DataFrame(columns=[*SCHEMA])
    try:
        table = read_table(path, SCHEMA, _REMEDY)
    except InputError as error:
        raise InputError(f"'crosseyed benchmark' did not make the file at its output: {error}") from error
    if len(table) == 0 or not (table["rows"] == len(table)).all():
        raise InputError(f"{str(path)!r} is cut off or was put together by hand. {_REMEDY}")
    for name, value in _versions(agreed).items():
        if other := [each for each in table[name].unique() if each != value]:
            raise InputError(
                f"{str(path)!r} has rows by another protocol: {name} is {other[0]} there and {value} here. They are "
                f"not comparable. {_REMEDY}"
            )
    return table


def has(table: pd.DataFrame, identity: Mapping[str, str]) -> bool:
    """Tell whether a table has the row of a mitigation and model, by `weights`, `mitigation` and `code`."""
    return bool((table[[*_IDENTITY]] == pd.Series(identity)[[*_IDENTITY]]).all(axis=1).any())


def add(
    path: str | os.PathLike, row: Mapping[str, object], agreed: BenchmarkProtocol, device: str
) -> pd.DataFrame:
    """Add a row to what the table holds by now, correct all for their number, write and return it.

    Parameters
    ----------
    path, agreed
        As for `read`.
    row : mapping
        The columns of `SCHEMA` up to `p_uncorrected`, and `confidence` to `n_off_center`, as far as they are known.
    device : str
        What computed it.
    """
    new = provenance.stamp(pd.DataFrame([{**row, **_versions(agreed)}]), device).reindex(columns=[*SCHEMA])
    table = read(path, agreed)
    table = pd.concat([table.astype(object), new.astype(object)], ignore_index=True) if len(table) else new
    table = corrected(table, agreed).assign(rows=len(table))
    write_table(table, expand(path))
    return read(path, agreed)


def corrected(table: pd.DataFrame, agreed: BenchmarkProtocol) -> pd.DataFrame:
    """Correct the p-values of each model's rows by Holm's method, and decide by them."""
    p_values = table.groupby("weights")["p_uncorrected"].transform(lambda each: correct(each.astype(float)))
    table = table.assign(
        off_center_p=p_values, compared=table.groupby("weights")["p_uncorrected"].transform("count")
    )
    return table.assign(verdict=[_verdict(row, agreed) for row in table.to_dict("records")])


def _versions(agreed: BenchmarkProtocol) -> dict[str, object]:
    return {"benchmark": agreed.version, "protocol": agreed.digest, "protocol_version": PROTOCOL_VERSION}


def _verdict(row: Mapping[str, object], agreed: BenchmarkProtocol) -> str:
    losses = {f"{place}_loss": -row[f"{place}_change"] for place in ("center", "control")}
    return decide({**row, **losses}, agreed.rule, agreed.limits).verdict
